"""What to do next with a queue, as commands that work as printed."""

from __future__ import annotations

from typing import NamedTuple

from hypervisor.views.page.words import plural
from hypervisor.views.shapes import Summary


class Step(NamedTuple):
    """One command, and what it does."""

    command: str
    why: str


def advice(
    summary: Summary,
    states: dict[str, int],
    purpose: str,
    asked: str,
    *,
    goes_on: str,
    undoable: bool,
    pool: str | None = None,
) -> list[Step]:
    """Return the next steps, the most useful first.

    `states` counts the items by state, `asked` is how the sources were named ("" if unknown),
    `goes_on` is the command for a paused queue, `undoable` tells that edits of files are recorded,
    `pool` is the command of the last pool.
    """
    queue, counts = summary["queue"], summary["counts"]
    steps = []
    if summary["state"] == "paused":
        steps.append(Step(goes_on, "hand out again what is left"))
    if counts["failed"]:
        why = f"try again {_those(counts['failed'])} that failed"
        steps.append(Step(f"hypervisor retry {queue} --failed", why))
    if counts["blocked"]:
        why = f"try again {_those(counts['blocked'])} that {_is(counts['blocked'])} blocked"
        why += ", once nothing is in the way"
        steps.append(Step(f"hypervisor retry {queue} --blocked", why))
    again = f"hypervisor {'triage' if purpose == 'triage' else f'open {queue}'} {asked}"
    if purpose == "triage" and queue != "triage":
        again += f" --name {queue}"
    if states["ready"] and summary["state"] == "open" and purpose != "triage":
        why = f"work on {_those(states['ready'])} that {_is(states['ready'])} ready"
        steps.append(Step(pool or f"hypervisor next {queue}", why))
    elif asked and states["ready"] + states["cancelled"] and summary["state"] != "paused":
        steps.append(Step(again, "continue with what was not attempted"))
    if summary["reports_pending"]:
        those = plural(summary["reports_pending"], "report")
        steps.append(
            Step(f"hypervisor summary {queue}", f"write {those} that could not be written yet")
        )
    gone = sum(bool(item.get("report_gone")) for item in summary["workers"])
    if gone:
        why = f"write {plural(gone, 'report')} again, as git has thrown them away"
        steps.append(Step(f"hypervisor summary {queue} --write", why))
    left = summary["preflight"] or {}
    kept = left.get("held", 0) + left.get("broken", 0)
    if asked and kept:
        why = f"see what keeps {_those(kept)} out of the queue, and what fixes it"
        steps.append(Step(f"hypervisor preflight {asked}", why))
    if undoable:
        steps.append(Step(f"hypervisor undo {queue}", "undo our edits of the task files"))
    return steps


def _those(count: int) -> str:
    return "the item" if count == 1 else f"the {count:,} items"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
