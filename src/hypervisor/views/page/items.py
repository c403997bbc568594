"""The items of the page: one row each, that opens to all that is known of it."""

from __future__ import annotations

import json
from typing import NamedTuple

from hypervisor.ledger.findings import ClaimRow, Result
from hypervisor.ledger.outcomes import STANDING
from hypervisor.ledger.proofs import CLAIMED
from hypervisor.ledger.refusals import Refusal, worded
from hypervisor.ledger.reports import reason_of
from hypervisor.system.text import one_line, prose
from hypervisor.tasks.report import UNCHANGED
from hypervisor.views.page import words
from hypervisor.views.page.outcomes import claim_words
from hypervisor.views.shapes import Told
from hypervisor.views.summary import beside_of

# Above this many items the page lists those that want a look first, and says what it leaves out.
LISTED = 5000
_TITLE = 160
_GIST = 90
_FILES = 40
_DATA, _COLUMNS, _COLUMN = 4000, 40, 400
_TRIES = 12
_REFUSALS, _TAIL = 3, 5
# News that reaches the session later than this is worth a word on the item.
_LATE_SECONDS = 60
_REPORT = (
    ("summary", "Report"),
    ("reason", "Reason"),
    ("evidence", "Evidence"),
    ("next_step", "Next step"),
    ("note", "Note"),
)


class Fact(NamedTuple):
    """Something known of an item: a label, a text, and whether the text is prose or code."""

    label: str
    text: str
    prose: bool = True


class Row(NamedTuple):
    """One item as the table shows it; `whole` says that the gist is all of its report. Times are
    in seconds, `ended` is Unix time."""

    number: int
    title: str
    id: str | None
    gist: str
    whole: bool
    outcome: str
    mark: str
    worker: str
    tries: int
    seconds: float | None
    tokens: int | None
    ended: float | None
    facts: list[Fact]

    def texts(self) -> list[str]:
        """Return the texts of the row that may be cut."""
        return [self.title, self.gist, *(fact.text for fact in self.facts)]


class History(NamedTuple):
    """What the ledger knows of one item."""

    item: Result
    told: Told
    claims: list[ClaimRow]
    refusals: dict[int, list[Refusal]]
    seconds: float | None
    tokens: int | None
    verify: str | None


def row(number: int, history: History, transcripts: dict[str, str], base: float) -> Row:
    """Return the row of the item at place `number` in the queue.

    `transcripts` are the kept ones by agent; `base` is the time whose day need not be named.
    """
    item, told = history.item, history.told
    standing = STANDING[told["status"]]
    title = one_line(item.title or item.id, _TITLE)
    id = one_line(item.id, 200)
    text = words.text(told.get("outcome") or told.get("reason") or "")
    gist = text.partition("\n")[0]
    whole = gist == text and len(gist) <= _GIST
    return Row(
        number,
        title,
        id if id != title else None,
        gist if whole else gist[:_GIST].rsplit(" ", 1)[0] + " …",
        whole,
        standing.title,
        standing.mark,
        one_line(item.worker or words.NOTHING, 60),
        len(history.claims),
        history.seconds,
        history.tokens,
        item.finished_at,
        [
            *_report(item, text if not whole else "", standing.word),
            *_work(item, told, history.verify),
            *_branch(history.claims),
            *_tries(history, base),
            *_kept(history.claims, transcripts),
            *_told(item),
        ],
    )


def _report(item: Result, text: str, standing: str) -> list[Fact]:
    """Return the report's texts; its first one only as `text`, which is empty where the row
    shows it whole."""
    report = item.report or {}
    label = "Report" if standing == "success" else "Reason"
    shown = [Fact(label, text)] if text else []
    first = report.get("summary") if standing == "success" else report.get("reason")
    for key, label in _REPORT:
        value = report.get(key)
        if value and value != first:
            shown.append(Fact(label, words.text(value)))
    return shown


def _work(item: Result, told: Told, verify: str | None) -> list[Fact]:
    report = item.report or {}
    shown = []
    if item.path and item.path != item.id:
        shown.append(Fact("File", one_line(item.path, 400), False))
    # What is kept of a task is no row.
    if item.payload and item.format is None and item.fingerprint is None:
        shown.append(Fact("Data", _data(json.loads(item.payload)), False))
    if item.answer:
        shown.append(Fact("Answer", _data(json.loads(item.answer)), False))
    if report.get("commit"):
        shown.append(Fact("Commit", one_line(report["commit"], 80), False))
    if report.get("unchanged"):
        shown.append(Fact("Files", UNCHANGED))
    paths = [("Changes", report.get("changes")), ("Files", report.get("files")), *beside_of(told)]
    for label, values in paths:
        if values and isinstance(values, list):
            listed = [one_line(value, 200) for value in values[:_FILES]]
            more = [f"… and {len(values) - _FILES} more"] if len(values) > _FILES else []
            shown.append(Fact(label, "\n".join([*listed, *more]), label != "Files"))
    if report.get("rule"):
        shown.append(Fact("Rule", one_line(report["rule"], 200)))
    # The queue's own check is told once, above.
    if report.get("verify") and report["verify"] != verify:
        shown.append(Fact("Checked by", one_line(report["verify"], 400), False))
    if item.proof not in (None, CLAIMED):
        shown.append(Fact("Proof", item.proof))
    if report.get("forced"):
        boxes = report["forced"] if isinstance(report["forced"], list) else []
        shown.append(Fact("Open boxes, forced", "\n".join(one_line(b, 200) for b in boxes)))
    if told["report_pending"]:
        shown.append(Fact("Report pending", one_line(told["report_pending"], 400)))
    return shown


def _data(row: object) -> str:
    """Return a row or an answer, one column a line."""
    if not isinstance(row, dict):
        return one_line(json.dumps(row, ensure_ascii=False), _DATA)
    told = []
    for name, value in list(row.items())[:_COLUMNS]:
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        told.append(f"{one_line(name, 80)}: {prose(shown, _COLUMN)}")
    left = len(row) - len(told)
    return "\n".join([*told, f"… and {left} more columns"] if left else told)


def _branch(claims: list[ClaimRow]) -> list[Fact]:
    """Return where the work of the last claim stands that had a branch of its own."""
    last = claims[-1] if claims else None
    if last is None or not last.branch:
        return []
    shown = [Fact("Branch", one_line(last.branch, 200), False)]
    return [*shown, Fact("Merged", one_line(last.merge, 400))] if last.merge else shown


def _tries(history: History, base: float) -> list[Fact]:
    """Return a line for each claim, where there is more to say than the row says."""
    claims = history.claims
    lone = len(claims) == 1 and claims[0].outcome == history.item.outcome
    if not claims or (lone and not history.refusals):
        return []
    tries = list(enumerate(claims, 1))
    left = [Fact("Tries", f"{len(tries) - _TRIES} before these")] if len(tries) > _TRIES else []
    return [
        *left,
        *(
            Fact(f"Try {place}", _try(claim, history.refusals.get(claim.no, []), base))
            for place, claim in tries[-_TRIES:]
        ),
    ]


def _try(claim: ClaimRow, refusals: list[Refusal], base: float) -> str:
    began = words.moment(claim.claimed_at, base)
    line = f"{one_line(claim.worker, 60)}, from {began}"
    if claim.ended_at is not None:
        line += f", {words.duration(claim.ended_at - claim.claimed_at)}"
    line += f": {claim_words(claim.outcome)}"
    why = reason_of(claim.report)
    told = [f"{line}. {words.text(why)}" if why else line]
    for one in refusals[-_REFUSALS:]:
        why = worded(one.name, words.text(one.why))
        told.append(f"{words.moment(one.at, base)} refused by {why}")
        told += words.text(one.tail).splitlines()[-_TAIL:]
    return "\n".join(told)


def _kept(claims: list[ClaimRow], transcripts: dict[str, str]) -> list[Fact]:
    agents = dict.fromkeys(claim.agent for claim in claims if claim.agent)
    return [
        Fact("Transcript", one_line(transcripts[agent], 300), False)
        for agent in agents
        if agent in transcripts
    ]


def _told(item: Result) -> list[Fact]:
    if item.told_at is None or item.finished_at is None:
        return []
    late = item.told_at - item.finished_at
    if late < _LATE_SECONDS:
        return []
    way = one_line(item.told_by, 40)
    return [Fact("Session told", f"by {way}, {words.duration(late)} after its end")]
