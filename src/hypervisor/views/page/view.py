"""What the page shows of a queue, out of the ledger and the summary."""

from __future__ import annotations

import json
import os
from itertools import groupby
from typing import NamedTuple

from hypervisor import __version__
from hypervisor.ledger import Ledger, budget, proofs, usage
from hypervisor.ledger.check import checks_of
from hypervisor.ledger.findings import Event, Span
from hypervisor.ledger.options import Queue
from hypervisor.ledger.outcomes import STANDING, STANDINGS, UNENDED
from hypervisor.ledger.usage import KINDS, dollars
from hypervisor.system.text import escaped, one_line
from hypervisor.tasks.undo import UndoLog
from hypervisor.views import acceptance
from hypervisor.views.history import CHANGES
from hypervisor.views.names import apart
from hypervisor.views.page import advice, costs, items, notices, words
from hypervisor.views.page.seen import Items, by_item
from hypervisor.views.page.shares import shares
from hypervisor.views.page.timeline import Timeline, draw
from hypervisor.views.shapes import Summary
from hypervisor.views.summary import summarize, teller, without_transcript
from hypervisor.worker import detached

_GROUPS = 12
# The ledger names what a queue was set to; people read what happened to it.
_OPENING = ("opened", "asked", "added")
_EVENTS_SHOWN = 100
_SAMPLE_SHOWN = 100
# So much of a worker's name has room in the table of the items.
_WORKER = 16
# What means nothing to a reader without the program.
_OF_THE_PROGRAM = (
    "Check before done", "Allowed commands", "Checked by", "Report pending", "Transcript",
    "Session told",
)  # fmt: skip
_STEERING = ("asked", "check", "allowed", "tools", "granted")


class Group(NamedTuple):
    """Items that ended badly for the same reason; `numbers` and `titles` name the first of them."""

    outcome: str
    mark: str
    reason: str
    size: int
    first: list[tuple[int, str]]


class Review(NamedTuple):
    """The newest sample of the reports: what it is, its rates, and of each report its item, its
    mark, its verdict and why; `more` are not shown."""

    what: str
    rates: list[tuple[str, str]]
    rows: list[tuple[str, str, str, str]]
    more: int


class View(NamedTuple):
    """All that the template shows. Texts are bounded and unescaped."""

    summary: Summary
    version: str
    made: str
    outcomes: list[tuple[str, str, int]]
    lead: str
    when: str
    facts: list[str]
    steps: list[advice.Step]
    groups: list[Group]
    more_groups: int
    asked: list[items.Fact]
    timeline: Timeline | None
    events: list[tuple[str, str, str]]
    costs: list[costs.Cost]
    kinds: list[tuple[str, int]]
    wakes: list[notices.Wake]
    unheard: int
    unread: int
    rows: list[items.Row]
    review: Review | None
    transcripts: str | None
    base: float
    ended: int
    busy: float
    has_tokens: bool


def gather(ledger: Ledger, queue: str, now: float, generation: int | None = None) -> View:
    """Return the view of a `generation` of `queue`, the newest if none is named, at Unix time
    `now`."""
    row = ledger.queues.get(queue, generation)
    seen = Items()
    summary = summarize(ledger, queue, generation=row.generation, brief=True, note=seen.note)
    agents = ledger.agents.of_queue(row.no)
    claims = ledger.queries.spans(row.no)
    events = ledger.queries.events_after([row.no], 0)
    share = shares(claims, now)
    seen.add(claims, share)
    stand = {a.id: a.kept for a in agents if a.kept and os.path.isfile(f"{ledger.root}/{a.kept}")}
    kept = {agent: os.path.basename(path) for agent, path in stand.items()}
    base = claims[0].claimed_at if claims else row.opened_at
    opened = [e.detail or "" for e in events if e.kind == "asked"]
    asked = list(dict.fromkeys(opened))
    groups = _groups(seen)
    states = ledger.queues.counts(row.no)
    is_newest = row.generation == summary["newest_generation"]
    rows = _rows(ledger, row, seen, claims, kept, base)
    return View(
        summary=summary,
        version=__version__,
        made=f"{words.day(now)}, {words.clock(now)} UTC",
        outcomes=_counted(summary),
        lead=_lead(summary),
        when=_when(row, seen, base, now),
        facts=_facts(summary, claims),
        # Several openings have no one command that does them all again; and commands are about the
        # newest generation.
        steps=[]
        if not is_newest
        else advice.advice(
            summary,
            states,
            row.purpose,
            escaped(asked[0]) if len(asked) == 1 else "",
            goes_on=budget.goes_on(ledger, row),
            undoable=UndoLog(ledger.state, row.name).is_wanted(),
            pool=detached.command(ledger.state, row.name),
        ),
        groups=groups[:_GROUPS],
        more_groups=sum(group.size for group in groups[_GROUPS:]),
        asked=_asked(row, summary, asked),
        timeline=draw(seen.all, claims, share, events, now),
        events=_events(events, base),
        costs=costs.costs(seen.all),
        kinds=[(kind.replace("_", " "), summary["tokens"][kind]) for kind in KINDS]
        if summary["tokens"]
        else [],
        wakes=notices.wakes(agents, ledger.followers.told_of(row.no)),
        unheard=notices.unheard(agents),
        unread=len(without_transcript(summary)),
        rows=rows,
        review=_review(ledger, row),
        transcripts=one_line(os.path.dirname(next(iter(stand.values()))), 300) if stand else None,
        base=base,
        ended=summary["total"] - sum(summary["counts"][row.word] for row in UNENDED),
        busy=sum(share.values()) or 1.0,
        has_tokens=any(row.tokens is not None for row in rows),
    )


def _review(ledger: Ledger, queue: Queue) -> Review | None:
    sample = ledger.reviews.sample(queue.no)
    if sample is None:
        return None
    sampled = ledger.reviews.sampled(sample)
    by = f", by {sample.strata}" if sample.strata else ""
    rates = acceptance.rates(sampled)
    rows = [
        (
            one_line(one.title or one.id, 200),
            {"accepted": "s", "rejected": "f"}.get(one.verdict or "", "n"),
            f"{one.verdict} by {one_line(one.reviewer, 60)}" if one.verdict else "not reviewed",
            one_line(one.verdict_note or "", 300),
        )
        for one in sampled[:_SAMPLE_SHOWN]
    ]
    return Review(
        f"{words.plural(len(sampled), 'report')} of {sample.population:,}{by}, seed {sample.seed}",
        [
            ("all" if kind == "all" else f"{kind} {one_line(one['name'] or 'none', 60)}",
             acceptance.told(one))
            for kind, told in rates.items()
            for one in told
            if one["reviewed"] or kind == "all"
        ][:_SAMPLE_SHOWN],
        rows,
        len(sampled) - len(rows),
    )  # fmt: skip


def plain(view: View) -> View:
    """Return the view as it is for a reader without the program: with no command in it, and nothing
    of how the program works."""
    return view._replace(
        steps=[],
        asked=[_sources(fact) for fact in view.asked if fact.label not in _OF_THE_PROGRAM],
        events=[event for event in view.events if event[1] not in _STEERING],
        wakes=[],
        unheard=0,
        transcripts=None,
        rows=[
            row._replace(facts=[fact for fact in row.facts if fact.label not in _OF_THE_PROGRAM])
            for row in view.rows
        ],
    )


def _sources(fact: items.Fact) -> items.Fact:
    """Return the sources without the options that were typed with them."""
    if fact.label != "Sources" or fact.prose:
        return fact
    named = [line.partition("--")[0].strip() for line in fact.text.split("\n")]
    return fact._replace(text="\n".join(filter(None, named)) or "tasks by their ids")


def _rows(
    ledger: Ledger, queue: Queue, seen: Items, claims: list[Span], kept: dict[str, str], base: float
) -> list[items.Row]:
    """Return the rows of the items that are listed, in the queue's order."""
    listed = seen.listed(items.LISTED)
    claimed = by_item(claims, listed)
    tell = teller(ledger, queue)
    shown = []
    for item in ledger.queries.results_of(sorted(listed)):
        place = listed[item.no]
        one = seen.all[place - 1]
        tries = sorted(ledger.queries.claims_called(claimed[item.no]), key=lambda row: row.no)
        refusals = ledger.refusals.of_claims([claim.no for claim in tries])
        history = items.History(
            item, tell(item, None), tries, refusals, one.seconds, one.tokens, queue.verify
        )
        shown.append(items.row(place, history, kept, base))
    names = apart([row.worker for row in shown if row.worker != words.NOTHING], _WORKER)
    shown = [row._replace(worker=names.get(row.worker, row.worker)) for row in shown]
    return sorted(shown, key=lambda row: row.number)


def _counted(summary: Summary) -> list[tuple[str, str, int]]:
    counted = summary["counts"]
    return [(row.title, row.mark, counted[row.word]) for row in STANDINGS if counted[row.word]]


def _lead(summary: Summary) -> str:
    total, success = summary["total"], summary["counts"]["success"]
    if not total:
        return "The queue has no items."
    if success == total:
        return f"All {words.plural(total, 'item')} done." if total > 1 else "The one item is done."
    return f"{success:,} of {words.plural(total, 'item')} done."


def _when(row: Queue, seen: Items, base: float, now: float) -> str:
    ends = [item.finished_at for item in seen.all if item.finished_at is not None]
    if not any(item.tries for item in seen.all):
        return f"opened {words.day(row.opened_at)}, {words.clock(row.opened_at)} UTC"
    last = max(ends, default=now)
    return f"{words.day(base)}, {words.clock(base)} to {words.moment(last, base)} UTC"


def _facts(summary: Summary, claims: list[Span]) -> list[str]:
    """Return the figures of the headline."""
    shown = [proof] if (proof := proofs.told(summary["proof"])) else []
    if summary["runtime_seconds"] is not None:
        shown.append(words.duration(summary["runtime_seconds"]))
    if claims:
        shown.append(words.plural(len({claim.worker for claim in claims}), "worker"))
        retried = len(claims) - len({claim.item for claim in claims})
        if retried:
            shown.append(words.plural(retried, "retry").replace("retrys", "retries"))
    if summary["total_tokens"] is not None:
        least = "" if summary["tokens_exact"] else "at least "
        shown.append(least + words.plural(summary["total_tokens"], "token"))
        if summary["total_usd"] is not None:
            shown.append(f"{least}{usage.dollars(summary['total_usd'])} at list prices")
    return shown


def _events(events: list[Event], base: float) -> list[tuple[str, str, str]]:
    """Return what happened to the queue: time, kind and detail. Items retried in a row are one
    entry, and an opening to which nothing was added later goes without saying."""
    shown: list[tuple[str, str, str]] = []
    kinds = [event.kind for event in events]
    if all(kind in _OPENING for kind in kinds) and kinds.count("asked") <= 1:
        return shown
    for _, same in groupby(enumerate(events), key=_alike):
        alike = [event for _, event in same]
        kind = alike[0].kind
        detail = alike[0].detail or "" if len(alike) == 1 else words.plural(len(alike), "item")
        told = (words.moment(alike[0].at, base), CHANGES.get(kind, kind), one_line(detail, 300))
        shown.append(told)
    return shown[:_EVENTS_SHOWN]


def _alike(numbered: tuple[int, Event]) -> int:
    number, event = numbered
    return -1 if event.kind == "retried" else number


def _groups(seen: Items) -> list[Group]:
    """Return what ended and wants a look, by outcome and reason: the most frequent first."""
    found = seen.reasons
    worst = sorted(found, key=lambda key: (STANDING[key[0]].rank, -found[key][0]))
    return [
        Group(row.title, row.mark, reason, count, first)
        for row, (count, reason, first) in ((STANDING[key[0]], found[key]) for key in worst)
    ]


def _asked(row: Queue, summary: Summary, asked: list[str]) -> list[items.Fact]:
    """Return what the queue was opened with."""
    work = "triage by rules, without a model" if row.purpose == "triage" else row.purpose
    shown = [
        items.Fact("Sources", words.text("\n".join(asked)) or "not recorded", not asked),
        items.Fact("Purpose", one_line(work, 80)),
    ]
    if commands := [check.command for check in checks_of(row) if check.command is not None]:
        shown.append(items.Fact("Check before done", "\n".join(map(one_line, commands)), False))
    shown.append(
        items.Fact(
            "Limits",
            f"{words.plural(row.max_attempts, 'attempt')}, "
            f"{words.plural(row.max_deaths, 'death')}, "
            f"{words.plural(row.max_releases, 'release')} and "
            f"{words.plural(row.max_lost, 'lost lease')} per item; "
            f"a lease lasts {words.duration(row.lease_ms / 1000)}",
        )
    )
    if looked := [check.name for check in checks_of(row) if check.command is None]:
        shown.append(items.Fact("Scope", ", ".join(looked)))
    if row.commands:
        commands = [one_line(command, 200) for command in json.loads(row.commands)]
        shown.append(items.Fact("Allowed commands", "\n".join(commands), False))
    for label, tokens, usd, ms in (
        ("Budget", row.budget_tokens, row.budget_usd, row.budget_ms),
        ("Budget of an item", row.item_tokens, row.item_usd, None),
    ):
        budget = [words.plural(tokens, "token")] if tokens is not None else []
        budget += [dollars(usd)] if usd is not None else []
        budget += [words.duration(ms / 1000)] if ms is not None else []
        if budget:
            shown.append(items.Fact(label, ", ".join(budget)))
    left = [f"{count:,} {name}" for name, count in (summary["preflight"] or {}).items() if count]
    shown.append(items.Fact("Left out by pre-flight", ", ".join(left) or "nothing"))
    if summary["newest_generation"] > 1:
        which = f"{summary['generation']} of {summary['newest_generation']}"
        shown.append(items.Fact("Generation", which))
    if row.instructions:
        shown.append(items.Fact("Instructions", words.text(row.instructions)))
    if row.answer:
        shown.append(items.Fact("Answer", words.text(row.answer), False))
    return shown
