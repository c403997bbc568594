"""What must hold before an item counts as done: its boxes, its bounds, its queue's check."""

from __future__ import annotations

from hypervisor.ledger import Ledger
from hypervisor.ledger.check import NAMED, USUAL, checks_of
from hypervisor.system.errors import HypervisorError
from hypervisor.system.folder import Folder
from hypervisor.system.text import count, listed, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hypervisor.config.caller import PoolAgent
    from hypervisor.ledger.check import Check
    from hypervisor.ledger.rows import Branch, Holding
    from hypervisor.worker.evidence import Evidence
    from hypervisor.worker.verify import Checked


class Refused(HypervisorError):
    """The report was not accepted `by` what is called so; the item is still its worker's."""

    def __init__(self, message: str, fix: str, output: str = "", *, by: str) -> None:
        super().__init__(message, fix, output)
        self.by = by


class CheckFailed(Refused):
    """The queue's own check failed. What can't mend it now may do better at another attempt."""


class Spent(CheckFailed):
    """The last report of a claim that may be refused was: the item is no longer its worker's."""


_SHOWN_BOXES = 5
_SHOWN_STRAYS = 20


def boxes_ticked(file: str, path: str, *, force: bool, before: bytes | None = None) -> list[str]:
    """Return the open boxes that count in the task at `file`, `path` for people, and those that
    were in it `before` and are not ticked now: gone, in other words, or where they don't count.

    Raises Refused for any, unless `force`.
    """
    from hypervisor.tasks.markdown import open_boxes, unticked

    boxes = open_boxes(file)
    gone = [] if before is None else [box for box in unticked(before, file) if box not in boxes]
    boxes += gone
    if boxes and not force:
        shown = listed(boxes, _SHOWN_BOXES, 80, "; ")
        how = ", in the words of the task as you got it," if gone else ""
        raise Refused(
            f"not ticked in {one_line(path)}: {shown}",
            f"tick what is done{how} and run done again, add --force, or block the item",
            by="boxes",
        )
    return boxes


def passed(
    ledger: Ledger,
    row: Holding,
    report: dict[str, object],
    folder: str,
    turns: Folder,
    agent: PoolAgent | None = None,
    changed: list[str] | None = None,
) -> dict[str, object]:
    """Return the report on the item in `row` with the checks of its queue that it passed, in
    `folder`, and what they said. `changed` are the files of a branch, from the root.

    Raises Refused, CheckFailed and NotOwner.
    """
    from hypervisor.worker import evidence, touched

    given = report.get("files")
    told = [str(path) for path in given] if isinstance(given, list) else []
    files, unsure = (changed, []) if changed is not None else touched.touched(ledger, row, told)
    known = evidence.of(row, report, files, unsure)
    commands, said = [], {}
    for check in checks_of(row):
        if check.name == NAMED and check.command is None:
            _in_scope(ledger, row, changed)
        elif check.command is None:
            _has_changed(row, known, check.name)
        else:
            checked = _verified(ledger, row, check, known, folder, turns, agent)
            commands.append(check.command)
            if checked.said is not None:
                said[check.name] = checked.said
    proof = {"verify": "; ".join(commands)} if commands else {}
    return report | proof | ({"checks": said} if said else {})


def keep(ledger: Ledger, row: Holding, refused: Refused) -> None:
    """Keep that a report was refused. Raises Spent, with the claim ended, for the last refusal that
    its queue allows, and NotOwner."""
    from hypervisor.system.redact import Redactor

    clean = Redactor().text
    told = clean(refused.message), clean(refused.output)
    number = ledger.refusals.note(row.token, refused.by, *told)
    if number < row.max_refusals:
        return
    ledger.ends.end(row.token, "refused", clean(refused.cause))
    raise Spent(
        f"{refused.message}. That was {count(number, 'refusal')}, which uses up the attempt: "
        "the item is no longer yours",
        f"go on with: hypervisor next {row.queue_name}",
        refused.output,
        by=refused.by,
    ) from None


def _in_scope(ledger: Ledger, row: Holding, changed: list[str] | None) -> None:
    """Raise Refused if files were changed which the item does not name; `changed` are those of a
    branch, from the root."""
    from hypervisor.worker import scope

    if changed is not None:
        strays = scope.unnamed(ledger.root, changed, [row])
    else:
        beside = ledger.queries.held_since(row.claimed_at)
        others = [item for item in beside if item.no != row.no]
        strays = scope.strays(ledger.state, row.token, row, others)
    if strays:
        raise Refused(
            f"changed, but not named by the task: {listed(strays, _SHOWN_STRAYS)}",
            "restore them and run done again, or block the item",
            by=NAMED,
        )


def _has_changed(row: Holding, known: Evidence, name: str) -> None:
    """Raise CheckFailed if no file is known to have been changed for the item. What marks a task in
    its own file is no change."""
    from hypervisor.worker.outbox import is_written

    own = row.path if is_written(row.path, row.fingerprint, row.format) else None
    if any(path != own for path in known.files):
        return
    others = [path for path in known.files_unsure if path != own]
    beside = f" (changed meanwhile, for whom is not known: {listed(others, 5)})" if others else ""
    raise CheckFailed(
        f"no file was changed for this item, as far as can be told{beside}",
        "do the work, then run done again, or block the item",
        by=name,
    )


def _verified(
    ledger: Ledger,
    row: Holding,
    check: Check,
    known: Evidence,
    folder: str,
    turns: Folder,
    agent: PoolAgent | None,
) -> Checked:
    """Run one check as `run` does, with the lease of the item renewed, and return how it passed.
    Raises CheckFailed, NotOwner."""
    from hypervisor.ledger.claims import keep_every

    every = keep_every(row.lease_ms / 1000)
    checked = run(
        ledger,
        row,
        check,
        known,
        folder,
        turns,
        lambda: ledger.claims.keep(row.token),
        every,
        agent,
    )
    ledger.claims.keep(row.token)
    if not checked.ok:
        which = "" if check.name == USUAL else f"{check.name}: "
        raise CheckFailed(
            f"the check of this queue failed: {which}{checked.why}{checked.lacked}",
            "fix it, then run done again; the item is still yours",
            checked.tail,
            by=check.name,
        )
    return checked


def run(
    ledger: Ledger,
    row: Holding | Branch,
    check: Check,
    known: Evidence,
    folder: str,
    turns: Folder,
    beat: Callable[[], None],
    beat_every: float,
    agent: PoolAgent | None = None,
) -> Checked:
    """Run a check, which has a command, in `folder` on what is `known` of a report, and return how
    it ended; `beat` is called every `beat_every` seconds. What it starts bears the marks of
    `agent`.

    Files that the check takes from the item's base are so in a copy of the folder, where it runs.
    Checks that share `turns` run one at a time.
    """
    from hypervisor.config.settings import load
    from hypervisor.worker import base_files, verify

    assert check.command is not None, "what is built in runs nothing"
    with base_files.taken(folder, row.base_commit, check.base) as copy:
        return verify.check(
            check.command,
            known,
            root=copy,
            turns=turns,
            limit=load(ledger.root).limits.verify_seconds,
            beat=beat,
            beat_every=beat_every,
            keep=check.env,
            marks=agent.environment() if agent is not None else {},
        )
