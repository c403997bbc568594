"""A review of accepted reports: the sample that is looked at, and what a rejection takes back."""

from __future__ import annotations

import math
import os
import random
import re
import time

from hypervisor.ledger import Ledger
from hypervisor.ledger.findings import Reviewed, Sample
from hypervisor.ledger.outcomes import OUTCOME
from hypervisor.system.errors import HypervisorError, NothingLeft, UsageError
from hypervisor.system.quick_json import loads
from hypervisor.system.reading import at
from hypervisor.system.text import one_line, shell
from hypervisor.worker import outbox, retry
from hypervisor.worker.what_stays import WhatStays

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hypervisor.ledger.rows import Item
    from hypervisor.system.reports import Report
    from hypervisor.tasks.undo import UndoLog

# What reports can be told apart by besides the columns of their items.
_OURS = ("model", "worker", "folder")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)%|(\d{1,9})")
_SEEDS = 1_000_000
_ANSWER = "answer."


class Rejection:
    """What a rejection has done: the `state` of the item now, what of its work `stays`, and of what
    went on by it and has `ran` id, queue and state."""

    __slots__ = ("ran", "state", "stays")

    def __init__(self, state: str, stays: WhatStays, ran: list[tuple[str, str, str]]) -> None:
        self.state = state
        self.stays = stays
        self.ran = ran


def lay_out(
    ledger: Ledger, queue: str, asked: str, seed: str | None, key: str | None, *, again: bool
) -> None:
    """Draw a sample of the reports of `queue` that are accepted now, and keep it; `asked` is `5%`
    or a number, `key` what it is to be in proportion by.

    The same that is asked for again is the same sample. Raises UsageError for another one unless
    `again` says so, and where there is nothing to draw from.
    """
    row = ledger.queues.get(queue)
    known = ledger.reviews.sample(row.no)
    if known is not None and not again:
        same = seed in (None, known.seed) and (asked, key) == (known.asked, known.strata)
        if same:
            return
        raise UsageError(
            f"queue {queue} has a sample: {known.asked}, seed {known.seed}", "another one: --again"
        )
    share, number = _size(asked)
    reports = ledger.reviews.reports(row.no)
    if not reports:
        raise NothingLeft(f"queue {queue} has no accepted report yet", f"hypervisor status {queue}")
    size = math.ceil(len(reports) * share) if share is not None else number
    by = _strata(ledger, reports, key)
    told = seed if seed is not None else str(random.SystemRandom().randrange(_SEEDS))
    drawn = draw(
        [(report.claim, by[report.claim]) for report in reports],
        min(size, len(reports)),
        random.Random(told),
    )
    count = known.number + 1 if known is not None else 1
    sample = Sample(row.no, count, time.time(), asked, told, key, len(reports))
    ledger.reviews.keep(sample, drawn)


def _size(asked: str) -> tuple[float | None, int]:
    found = _SIZE.fullmatch(asked)
    share = float(found[1]) / 100 if found and found[1] else None
    number = int(found[2]) if found and found[2] else 0
    if not (number or (share and share <= 1)):
        raise UsageError(
            f"--sample {one_line(asked, 40)} is neither a share nor a number", "5%, or 20"
        )
    return share, number


def draw(
    reports: Sequence[tuple[int, str]], size: int, chance: random.Random
) -> list[tuple[int, str, bool]]:
    """Draw `size` of the reports (number, stratum), each as likely as any other and each stratum in
    proportion, and one more, which is extra, of each stratum that got none. They come back in an
    order of chance, so that whoever stops early has still seen a sample."""
    strata: dict[str, list[tuple[int, str]]] = {}
    for report in reports:
        strata.setdefault(report[1], []).append(report)
    for members in strata.values():
        chance.shuffle(members)
    line = [report for members in strata.values() for report in members]
    # At equal steps along the line, whose start is left to chance.
    step, start = len(line) / size, chance.random()
    drawn = [
        (*line[min(int((place + start) * step), len(line) - 1)], False) for place in range(size)
    ]
    met = {stratum for _, stratum, _ in drawn}
    drawn += [(*members[0], True) for stratum, members in strata.items() if stratum not in met]
    chance.shuffle(drawn)
    return drawn


def _strata(ledger: Ledger, reports: Sequence[Reviewed], key: str | None) -> dict[int, str]:
    """Return what each report has at `key`, by its claim's number: a column of its row, a value of
    its answer (`answer.a.b`), a key of its task's header, or one of ours. Raises UsageError where
    none has anything."""
    if key is None:
        return {report.claim: "" for report in reports}
    found = {report.claim: _at(ledger.root, report, key) for report in reports}
    if not any(found.values()):
        raise UsageError(
            f"no item has anything at '{one_line(key, 40)}'",
            f"a column, a key of a task's header, answer.KEY, or one of {', '.join(_OURS)}",
        )
    return found


def _at(root: str, report: Reviewed, key: str) -> str:
    payload = loads(report.payload) if report.payload else None
    value: object = payload.get(key) if isinstance(payload, dict) else None
    if value is None and key.startswith(_ANSWER) and report.answer:
        value = at(loads(report.answer), *key.removeprefix(_ANSWER).split("."))
    if value is None and report.path is not None and report.fingerprint is not None:
        from hypervisor.tasks import read

        try:
            value = read.read(os.path.join(root, report.path)).value(key)
        except (HypervisorError, OSError):
            value = None
    if value is None and key in _OURS:
        folder = os.path.dirname(report.path or "")
        value = {"model": report.model, "worker": report.worker, "folder": folder}[key]
    return "" if value is None else one_line(value, 80)


def reject(
    ledger: Ledger, queue: str, item_id: str, by: str, note: str, *, person: bool = True
) -> Rejection:
    """Reject the report on an item: its mark is taken out of its file, where the report is kept as
    rejected, and it is handed out again with the `note`.

    Raises UsageError; and HypervisorError, with nothing written, where there is no report to judge,
    or where others have changed the mark since.
    """
    found = ledger.items.find(queue, item_id)
    ours = {found.path} if found is not None and found.path else set()
    stays = WhatStays(ledger, queue, item_id, ours)
    # The task's own file differs by our report, too.
    stays.edits.clear()

    def take_back(item: Item) -> str | None:
        return _take_back(ledger, queue, item, by, note)

    state, ran = ledger.reviews.reject(queue, item_id, by, note, take_back, person=person)
    return Rejection(state, stays, ran)


def _take_back(ledger: Ledger, queue: str, item: Item, by: str, note: str) -> str | None:
    """Take an end out of its item's file, and return where that is now."""
    if not outbox.is_written(item.path, item.fingerprint, item.format):
        return item.path
    from hypervisor.tasks.undo import FINE, NothingToUndo, UndoLog

    log = UndoLog(ledger.state, queue, lambda: ledger.terms.folders(queue))
    try:
        restored = log.restore(item.id)
    except NothingToUndo:
        restored = []
    for one in restored:
        if one.outcome not in FINE:
            raise HypervisorError(
                f"{one_line(os.path.relpath(one.path, ledger.root))}: {one.outcome}: "
                f"{one_line(one.detail)}",
                "nothing was written; set its mark back by hand, then: "
                f"hypervisor retry {shell([queue, item.id])}",
            )
    many = item.format is not None and outbox.holds_many(item.format)
    if restored and not os.path.lexists(os.path.join(ledger.root, item.path or "")):
        # The name of a file may say how its task stands.
        before = os.path.relpath(restored[0].path, os.path.realpath(ledger.root))
        item = item._replace(path=before)
    if restored and not many:
        # Its worker has set it, too.
        retry.set_back(ledger, item, "done", log)
    why = retry.complete(ledger.root, queue, item)
    if why is not None:
        raise HypervisorError(why, "hypervisor has not set that mark, so it stays")
    if not many:
        _keep_report(ledger, item, by, note, log)
    return item.path


def _keep_report(ledger: Ledger, item: Item, by: str, note: str, log: UndoLog) -> None:
    """Leave the rejected report in its task's file, if that can be written; the next accepted one
    replaces it. The ledger has it in any case."""
    from hypervisor.config.settings import load
    from hypervisor.tasks import report

    claim = ledger.queries.claim_now(item.claim or 0)
    told: Report = loads(claim.report) if claim.report else {}
    heading, blank, *rest = report.render(
        OUTCOME["done"].word,
        told,
        heading="Rejected",
        hindered=False,
        worker=claim.worker,
        attempt=claim.attempt,
        at=claim.ended_at or time.time(),
    )
    lines = [heading, blank, f"By {by}:", "", *report.quoted(note), "", *rest]
    path = os.path.join(ledger.root, item.path or "")
    try:
        report.put(
            path, claim.token, None, lines, load(ledger.root), log, item.id, item.path or "",
            lambda: True, format=item.format,
        )  # fmt: skip
    except (HypervisorError, OSError):
        return
