"""The summary of a queue as lines of text, for people and for a session's model."""

from __future__ import annotations

import os

from hypervisor.ledger import proofs, usage
from hypervisor.ledger.outcomes import BY_RANK, STANDINGS, UNTRIED, Standing
from hypervisor.system.spans import span
from hypervisor.system.text import count, either, one_line
from hypervisor.tasks.report import UNCHANGED
from hypervisor.views.shapes import Summary, Told
from hypervisor.views.summary import LISTED, NOT_TRIED, beside_of, without_transcript

_SHOWN = 20
_FEW = 20


def lines(summary: Summary, *, brief: bool = False) -> list[str]:
    """Return the summary as lines of text: the counts, what wants a look, and then all the others;
    if it is to be `brief`, only those of a drained queue that were never tried."""
    counts = ", ".join(
        f"{summary['counts'][row.word]} {row.title}"
        for row in STANDINGS
        if summary["counts"][row.word]
    )
    seconds = summary["runtime_seconds"]
    time = "nothing ran" if seconds is None else span(seconds)
    tokens = summary["total_tokens"]
    least = "" if summary["tokens_exact"] else "at least "
    why = f" ({one_line(summary['reason'], 100)})" if summary["reason"] else ""
    newest = summary["newest_generation"]
    which = f" (generation {summary['generation']} of {newest})" if newest > 1 else ""
    name = f"queue {summary['queue']}{which}"
    head = f"{name}: {summary['state']}{why}, {count(summary['total'], 'item')}"
    kinds = usage.told(summary["tokens"]) if summary["tokens"] else ""
    shown = [
        f"{head}: {counts or 'none'}",
        *filter(None, [proofs.told(summary["proof"])]),
        f"time: {time}   tokens: {'not known' if tokens is None else f'{least}{tokens:,}{kinds}'}",
        *_cost(summary, least),
    ]
    if unseen := summary["tokens_unseen"]:
        shown.append(f"tokens not in any transcript: {', '.join(unseen)}")
    if unread := without_transcript(summary):
        shown.append(
            f"the tokens of {count(len(unread), 'worker')} are not known: transcripts are missing "
            f"or of an unknown format (the first: agent {one_line(unread[0], 60)})"
        )
    notices = summary["notices"]
    if notices:
        ways = ", ".join(f"{count} by {by}" for by, count in notices["by"].items())
        half, most = notices["seconds_p50"], notices["seconds_p95"]
        ended, late = "", ""
        if of := notices["workers_ended"]:
            ended = f"{notices['arrived']} of {count(of, 'worker')} that ended were announced; "
        if half is not None and most is not None:
            late = f"; median delay {span(half)}, 95 % within {span(most)}"
        shown.append(
            f"notices: {ended}the session heard of {count(notices['items_told'], 'item')}"
            + (f" ({ways}{late})" if ways else "")
        )
    if kept := summary["transcripts"]:
        shown.append(f"transcripts: {len(kept)} in {os.path.dirname(kept[0])}/")
    left = [f"{count} {name}" for name, count in (summary["preflight"] or {}).items() if count]
    if left:
        shown.append(f"pre-flight: {', '.join(left)}")
    room, workers = LISTED, summary["workers"]
    sections = {}
    for row in BY_RANK:
        those = [w for w in workers if w["status"] == row.word]
        number = summary["counts"][row.word]
        sections[row.word] = _section(row, those, number, room)
        room = max(0, room - number)
    shown += [line for row in BY_RANK if row.odd for line in sections[row.word]]
    for worker in [w for w in workers if beside_of(w)][:_SHOWN]:
        for words, named in beside_of(worker):
            words = f"{words[0].lower()}{words[1:]}"
            shown.append(
                f"{words}: {one_line(worker['task_id'], 60)}: {one_line(', '.join(named), 160)}"
            )
    unmerged = [w for w in workers if w["report_pending"] == NOT_TRIED["merge"]]
    if unmerged:
        name = one_line(summary["queue"], 60)
        shown.append(
            f"not merged yet: {count(len(unmerged), 'branch')}; hypervisor integrate {name}"
        )
    pending = [w for w in workers if w["report_pending"] and w not in unmerged]
    for worker in pending[:_SHOWN]:
        shown.append(
            f"report pending: {one_line(worker['task_id'], 60)}: "
            f"{one_line(worker['report_pending'], 240)}; "
            f"hypervisor summary {one_line(summary['queue'], 60)} writes it when it can"
        )
    lost = [w for w in summary["workers"] if w.get("report_gone")]
    for worker in lost[:_SHOWN]:
        shown.append(f"report lost: {one_line(worker['task_id'], 60)} looks open again")
    if lost:
        written = either(len(lost), "the report", f"the {len(lost)} reports")
        older = "" if summary["generation"] == newest else f" --generation {summary['generation']}"
        mend = f"hypervisor summary {one_line(summary['queue'], 60)}{older} --write"
        shown.append(f"to write {written} again: {mend}")
    if not brief:
        shown += [line for row in BY_RANK if not row.odd for line in sections[row.word]]
    elif summary["state"] == "drained":
        # What nobody will try waits for something that was named just now.
        shown += sections[UNTRIED.word]
    return shown


def _cost(summary: Summary, least: str) -> list[str]:
    """Return what a queue has cost, and a line for each of several models."""
    models = summary["models"]
    if not models:
        return []
    usd = summary["total_usd"]
    shown = [f"cost: {least}{usage.dollars(usd)} at list prices (a subscription covers it)"]
    if usd is None:
        without = [one["model"] for one in models if one["tokens"] and one["usd"] is None]
        shown = ["cost: not known"]
        if without:
            from hypervisor.config import prices

            names = ", ".join(one_line(name, 60) or "one without a name" for name in without)
            shown = [f"cost: not known, without a price of {names}; {prices.line(without[0])}"]
    for one in models if len(models) > 1 else ():
        used = one["tokens"]
        tokens = f"{sum(used.values()):,} tokens{usage.told(used)}" if used else "tokens not known"
        share = f"{count(one['items'], 'item')}, {one['done']} done"
        shown.append(
            f"  {one_line(one['model'], 60)}: {share}, {tokens}, {usage.dollars(one['usd'])}"
        )
    return shown


def _section(row: Standing, workers: list[Told], number: int, room: int) -> list[str]:
    """Return the items of one standing by name, at most `room` of the `number` of them."""
    if not number:
        return []
    shown = [f"{row.title} ({number}):"]
    # What has to be known of a few; of many the beginning tells which kind it is.
    width = 160 if row.word == "success" or number > _FEW else 400
    for worker in workers[:room]:
        name = one_line(worker["task_id"], 60)
        if worker["title"] and worker["title"] != worker["task_id"]:
            name += f" “{one_line(worker['title'], 60)}”"
        half = "half done; " if worker.get("half_done") else ""
        half += f"{UNCHANGED}; " if worker.get("unchanged") else ""
        said = worker.get("outcome") or worker["reason"]
        first, *rest = [one_line(line, width) for line in said[: width + 1].splitlines()] or [""]
        shown += [f"  {name}: {half}{first}", *(f"    {line}" for line in rest)]
        if worker["note"]:
            shown.append(f"    note: “{one_line(worker['note'], 300)}”")
    if number > room:
        shown.append(f"  … and {number - room} more (--json lists all)")
    return shown
