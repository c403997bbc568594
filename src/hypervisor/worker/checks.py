"""What must hold before an item counts as done: its boxes, its bounds, its queue's check."""

from __future__ import annotations

from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError
from hypervisor.system.folder import Folder
from hypervisor.system.text import listed, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hypervisor.config.caller import PoolAgent
    from hypervisor.ledger.rows import Branch, Holding
    from hypervisor.worker.verify import Checked


class Refused(HypervisorError):
    """The report was not accepted; the item is still its worker's."""


class CheckFailed(Refused):
    """The queue's own check failed. What can't mend it now may do better at another attempt."""


_SHOWN_BOXES = 5
_SHOWN_STRAYS = 20


def boxes_ticked(file: str, path: str, *, force: bool) -> list[str]:
    """Return the open boxes that count in the task at `file`, `path` for people.

    Raises Refused for any, unless `force`.
    """
    from hypervisor.tasks.markdown import open_boxes

    boxes = open_boxes(file)
    if boxes and not force:
        shown = listed(boxes, _SHOWN_BOXES, 80, "; ")
        raise Refused(
            f"not ticked in {one_line(path)}: {shown}",
            "tick what is done and run done again, add --force, or block the item",
        )
    return boxes


def in_scope(ledger: Ledger, row: Holding, changed: list[str] | None = None) -> None:
    """Raise Refused if files were changed which the item does not name; `changed` are those of a
    branch, from the root."""
    from hypervisor.worker import scope

    if changed is not None:
        strays = scope.unnamed(ledger.root, changed, [row])
    else:
        others = ledger.queries.held_since(row.claimed_at)
        strays = scope.strays(ledger.state, row.token, row, others)
    if strays:
        raise Refused(
            f"changed, but not named by the task: {listed(strays, _SHOWN_STRAYS)}",
            "restore them and run done again, or block the item",
        )


def verified(
    ledger: Ledger, row: Holding, folder: str, turns: Folder, agent: PoolAgent | None = None
) -> None:
    """Run the check of the queue on the item in `row` as `run` does, with its lease renewed.

    Raises CheckFailed, NotOwner.
    """
    from hypervisor.ledger.claims import keep_every

    every = keep_every(row.lease_ms / 1000)
    checked = run(ledger, row, folder, turns, lambda: ledger.claims.keep(row.token), every, agent)
    if not checked.ok:
        raise CheckFailed(
            f"the check of this queue failed: {checked.why}{checked.lacked}",
            "fix it, then run done again; the item is still yours",
            checked.tail,
        )
    ledger.claims.keep(row.token)


def run(
    ledger: Ledger,
    row: Holding | Branch,
    folder: str,
    turns: Folder,
    beat: Callable[[], None],
    beat_every: float,
    agent: PoolAgent | None = None,
) -> Checked:
    """Run the check of the queue in `folder` and return how it ended; `beat` is called every
    `beat_every` seconds. What it starts bears the marks of `agent`.

    Files that the check takes from the item's base are so in a copy of the folder, where it runs.
    Checks that share `turns` run one at a time.
    """
    import json

    from hypervisor.config.settings import load
    from hypervisor.worker import base_files, verify

    assert row.verify is not None, "who has none asks for none"
    with base_files.taken(folder, row.base_commit, row.check_base) as copy:
        return verify.check(
            row.verify,
            root=copy,
            turns=turns,
            item_id=row.id,
            path=row.path,
            limit=load(ledger.root).limits.verify_seconds,
            beat=beat,
            beat_every=beat_every,
            keep=json.loads(row.check_env or "[]"),
            marks=agent.environment() if agent is not None else {},
        )
