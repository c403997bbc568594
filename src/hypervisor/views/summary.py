"""The structured summary of a queue: what became of every item, and what it cost.

The shape is described by `schemas/summary.schema.json`. What is not known is None, never 0.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from hypervisor.ledger import OPEN_STATES, Ledger, outcomes, usage
from hypervisor.ledger.findings import Result, spent_on
from hypervisor.ledger.options import Queue
from hypervisor.ledger.outcomes import OUTCOME, REPORTED, STANDINGS, UNTRIED, Standing
from hypervisor.ledger.rows import Agent
from hypervisor.ledger.usage import KINDS
from hypervisor.tasks.report import beside
from hypervisor.views.shapes import Head, Model, Notices, Rest, Summary, Tokens, Told
from hypervisor.worker import outbox
from hypervisor.worker.branches import keeping

# So many items the text names: a conversation shows all of it.
LISTED = 100


def summarize(
    ledger: Ledger,
    queue: str,
    *,
    generation: int | None = None,
    brief: bool = False,
    note: Callable[[Result, Told], None] | None = None,
) -> Summary:
    """Return the summary of a `generation` of `queue`, the newest if none is named. Raises
    UsageError if unknown.

    A `brief` one is for `lines`: it has those items only that are named there, without tokens.
    `note` is called with each item, as of `Queries.results`, and what the summary says of it.
    """
    parts = _Parts(ledger, queue, generation)
    workers = []
    for item, told in parts.workers(tokens=not brief):
        if note is not None:
            note(item, told)
        if not brief or _is_named(told, parts.counts[told["status"]]):
            workers.append(told)
    return {**parts.head, "workers": workers, **parts.rest()}


def as_json(ledger: Ledger, queue: str, generation: int | None = None) -> Iterator[str]:
    """Yield what `summarize` returns as text, one item at a time: no more is held of it."""
    parts = _Parts(ledger, queue, generation)
    yield _indented(parts.head)[:-2] + ',\n  "workers": ['
    before, end = "\n    ", "]"
    for _, told in parts.workers(tokens=True):
        yield before + _indented(told).replace("\n", "\n    ")
        before, end = ",\n    ", "\n  ]"
    yield end + "," + _indented(parts.rest())[1:]


def _indented(told: Mapping[str, object]) -> str:
    return json.dumps(told, ensure_ascii=False, indent=2)


class _Parts:
    """A summary in the order in which it is told: `head`, then each of `workers`, and the `rest`
    once they were told. `counts` has how many of each status were told."""

    def __init__(self, ledger: Ledger, queue: str, generation: int | None) -> None:
        self._ledger = ledger
        self._row = row = ledger.queues.get(queue, generation)
        self._states = states = ledger.queues.counts(row.no)
        self._gone = outbox.thrown_away(ledger, row.no)
        drained = row.state == "open" and not states["ready"] and not states["claimed"]
        self.counts = {standing.word: 0 for standing in STANDINGS}
        self._pending = 0
        # By model, and whether they are done.
        self._of_model = Counter[tuple[str | None, bool]]()
        self._first: float | None = None
        self._last: float | None = None
        self.head: Head = {
            "queue": row.name,
            "generation": row.generation,
            "newest_generation": ledger.queues.get(queue).generation,
            "state": "drained" if drained else row.state,
            "reason": row.reason or None,
        }

    def workers(self, *, tokens: bool) -> Iterator[tuple[Result, Told]]:
        """Yield each item, as of `Queries.results`, and what is told of it."""
        tell = teller(self._ledger, self._row)
        shares = self._ledger.agents.shares(self._row.no) if tokens else iter(())
        share = next(shares, None)
        for item in self._ledger.queries.results_in(self._row.no):
            own = share is not None and share[0] == item.no
            told = tell(item, share[1] if own and share else None)
            if tokens and (row := given_row(item)) is not None:
                told["row"] = row
            if item.no in self._gone:
                told["report_gone"] = True
            if own and share:
                told["usd"] = _dollars(share[2])
                share = next(shares, None)
            self.counts[told["status"]] += 1
            self._of_model[item.model, told["status"] == "success"] += item.model is not None
            self._pending += bool(told["report_pending"])
            begun, ended = item.first_claimed_at, item.finished_at
            if begun is not None:
                self._first = min(self._first or begun, begun)
            if ended is not None and item.state in REPORTED:
                self._last = max(self._last or ended, ended)
            yield item, told

    def rest(self) -> Rest:
        ledger, row, first, last = self._ledger, self._row, self._first, self._last
        agents = ledger.agents.of_queue(row.no)
        return {
            "total": sum(self.counts.values()),
            "counts": self.counts,
            "proof": ledger.queries.proofs(row.no),
            "running": self._states["claimed"],
            "runtime_seconds": None if first is None or last is None else round(last - first, 3),
            **_tokens(
                agents,
                *ledger.agents.used_by_items(row.no),
                self._of_model,
                unaccounted=ledger.agents.unaccounted(row.no),
            ),
            "unknown_transcripts": [agent.id for agent in agents if agent.input_tokens is None],
            "notices": _notices(agents, ledger.followers.told_of(row.no)),
            "transcripts": [agent.kept for agent in agents if agent.kept],
            "preflight": json.loads(row.preflight) if row.preflight else None,
            "reports_pending": self._pending,
        }


def teller(ledger: Ledger, queue: Queue) -> Callable[[Result, list[int | None] | None], Told]:
    """Return what tells an item of `queue` (its row), given it and its tokens."""
    untried = ""
    if queue.state == "paused" and queue.reason:
        untried = f"not tried: {queue.reason}"
    why = f"set aside: not {ledger.narrowing.condition(queue.no)}"
    aside = frozenset(ledger.narrowing.aside(queue.no))
    kept = keeping.of_queue(ledger, queue.no)

    def tell(item: Result, share: list[int | None] | None) -> Told:
        told = _item(item, share, why if item.id in aside else None, untried)
        if item.no in kept:
            told["kept"] = kept[item.no]
        return told

    return tell


def given_row(item: Result) -> dict[str, object] | None:
    """Return the row of a source that an item was made from, None for a file or a part of one."""
    if item.payload is None or item.format is not None or item.fingerprint is not None:
        return None
    row: dict[str, object] = json.loads(item.payload)
    return row


def _is_named(told: Told, number: int) -> bool:
    """True if `lines` may name an item, the one of so high a `number` of its status."""
    return number <= LISTED or bool(
        told["report_pending"] or told.get("report_gone") or beside_of(told)
    )


def beside_of(told: Told) -> list[tuple[str, list[str]]]:
    """Return what `tasks.report.beside` does, of an item of a summary."""
    return beside(
        {
            "off_limits": told.get("off_limits", []),
            "unnamed": told.get("unnamed", []),
            "outside": told.get("outside", []),
            "kept": told.get("kept", []),
        }
    )


def _tokens(
    agents: list[Agent],
    items: int,
    usd_of_items: float | None,
    of_model: Counter[tuple[str | None, bool]],
    *,
    unaccounted: bool,
) -> Tokens:
    """Return the queue's tokens and dollars: all that its workers used, and what belongs to no
    item; `items` and `usd_of_items` are those that do. `of_model` is how many were worked on with
    each model, and whether they are done.

    `tokens_unseen` names what stands in no transcript: where that is something, the figures are
    lower bounds.
    """
    models = _models(agents, of_model)
    if not agents or any(agent.input_tokens is None for agent in agents):
        unknown: Tokens = {"total_tokens": None, "overhead_tokens": None, "tokens": None,
                           "tokens_exact": None, "tokens_unseen": [], "total_usd": None,
                           "overhead_usd": None, "models": models}  # fmt: skip
        return unknown
    total = {kind: sum(getattr(agent, f"{kind}_tokens") for agent in agents) for kind in KINDS}
    everything = sum(total.values())
    unseen = usage.missing(agents, unaccounted=unaccounted)
    costs = [agent.usd for agent in agents if agent.usd is not None]
    usd = sum(costs) if len(costs) == len(agents) else None
    return {
        "total_usd": _dollars(usd),
        "overhead_usd": None
        if usd is None or usd_of_items is None
        else _dollars(usd - usd_of_items),
        "models": models,
        "total_tokens": everything,
        "overhead_tokens": everything - items,
        "tokens": total,
        "tokens_exact": not unseen,
        "tokens_unseen": unseen,
    }


def _models(agents: list[Agent], of_model: Counter[tuple[str | None, bool]]) -> list[Model]:
    """Return what was used of each model, by its name."""
    found: dict[str, Model] = {
        name: {"model": name, "items": of_model[name, True] + of_model[name, False],
               "done": of_model[name, True], "tokens": None, "usd": None}
        for name in sorted({name for name, _ in of_model if name is not None})
    }  # fmt: skip
    for agent in agents:
        for name, used in json.loads(agent.models or "{}").items():
            told = found.setdefault(
                name, {"model": name, "items": 0, "done": 0, "tokens": None, "usd": None}
            )
            before = told["tokens"]
            told["tokens"] = {
                kind: used["tokens"][kind] + (before[kind] if before else 0) for kind in KINDS
            }
            if before is None:
                told["usd"] = used["usd"]
            elif told["usd"] is not None:
                told["usd"] = None if used["usd"] is None else told["usd"] + used["usd"]
    for told in found.values():
        told["usd"] = _dollars(told["usd"])
    return list(found.values())


def _dollars(usd: float | None) -> float | None:
    """Return dollars as they are told: to a millionth."""
    return None if usd is None else round(usd, 6)


def _notices(agents: list[Agent], told: list[tuple[str, float]]) -> Notices | None:
    """Return which of the workers' ends the client gave notice of, and by which wake, and how
    many seconds late, the session heard of the items."""
    # The agents of a pool are processes of its own: it needs no notice.
    ended = [agent for agent in agents if agent.ended_at is not None and agent.pid is None]
    if not ended and not told:
        return None
    late = sorted(delay for _, delay in told)
    return {
        "workers_ended": len(ended),
        "arrived": sum(agent.noticed_at is not None for agent in ended),
        "items_told": len(told),
        "by": dict(Counter(by for by, _ in told)),
        "seconds_p50": round(late[len(late) // 2], 3) if late else None,
        "seconds_p95": round(late[int(len(late) * 0.95)], 3) if late else None,
    }


def _item(item: Result, share: list[int | None] | None, aside: str | None, untried: str) -> Told:
    """Return an item as the summary tells it; `aside` says that it is set aside, and `untried` why
    the rest is not tried, where that is so."""
    report = item.report or {}
    had = item.state, item.first_claimed_at
    standing = outcomes.standing(*had, spent_on(item), item.cause)
    after = outcomes.earlier(*had, item.cause)
    told: Told = {
        "task_id": item.id,
        "status": standing.word,
        "after": after,
        "state": item.state,
        "path": item.path,
        "title": item.title,
        "proof": item.proof,
        "note": report.get("note"),
        "worker": item.worker,
        "attempts": item.attempts,
        "deaths": item.deaths,
        "lost": item.lost,
        "abrupt": item.abrupt,
        "tokens": dict(zip(KINDS, share, strict=True)) if share else None,
        "usd": None,
        "model": item.model,
        "runtime_seconds": None,
        "report_pending": _pending(item),
    }
    if item.answer is not None:
        told["answer"] = json.loads(item.answer)
    if item.claimed_at is not None and item.ended_at is not None:
        told["runtime_seconds"] = round(item.ended_at - item.claimed_at, 3)
    if item.state in OPEN_STATES:
        told["reason"] = _why_open(item, standing, after, aside, untried)
    elif standing.word == "success":
        told["outcome"] = report.get("summary") or "done"
        if report.get("commit"):
            told["commit"] = report["commit"]
        if report.get("forced"):
            told["forced"] = True
    else:
        words = OUTCOME[item.state].words
        told["reason"] = report.get("reason") or item.cause or words
    if item.outcome == "cancelled":
        told["half_done"] = True
    for name in (
        "files", "changes", "rule", "off_limits", "unnamed", "unchanged", "outside", "kept",
    ):  # fmt: skip
        if report.get(name):
            told[name] = report[name]
    return told


def _why_open(
    item: Result, standing: Standing, after: str | None, aside: str | None, untried: str
) -> str:
    """Return in words why an item has not ended."""
    others = "waits for another item" if item.state == "waiting" else ""
    if standing is not UNTRIED:
        told = outcomes.told(standing, after)
        return "; ".join(filter(None, (told, aside or others)))
    return aside or item.cause or others or untried or "not tried yet"


def _pending(item: Result) -> str | None:
    """Return in words why an accepted end is not in its file, and where it is owed if there are
    several clones; None where it is."""
    if item.pending is None:
        return None
    why = NOT_TRIED.get(item.pending, item.pending)
    if item.pending == "merge" or not item.clone:
        return why
    return f"{why}, in {item.clone.partition(' ')[2]}"


# Why an end is pending that nobody has tried to write yet.
NOT_TRIED = dict.fromkeys(("report", "cause"), "not written yet") | {
    "merge": "its branch is not merged yet"
}


def without_transcript(summary: Summary) -> list[str]:
    """Return the workers whose transcript could not be read; commands never have one."""
    unread = summary["unknown_transcripts"]
    return [agent for agent in unread if not agent.startswith("command-")]
