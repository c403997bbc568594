"""What must hold before an item counts as done: its boxes, its bounds, its queue's check."""

from __future__ import annotations

from hypervisor.ledger import Ledger
from hypervisor.system.errors import HypervisorError
from hypervisor.system.folder import Folder
from hypervisor.system.text import listed, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Refused(HypervisorError):
    """The report was not accepted; the item is still its worker's."""


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
            "tick what is done and say done again, add --force, or block the item",
        )
    return boxes


def in_scope(ledger: Ledger, row: Any, changed: list[str] | None = None) -> None:
    """Raise Refused if files were changed which the item does not name; `changed` are those of a
    branch, from the root."""
    from hypervisor.worker import scope

    if changed is not None:
        strays = scope.unnamed(ledger.root, changed, [row])
    else:
        others = ledger.queries.held_since(row["claimed_at"])
        strays = scope.strays(ledger.state, row["token"], row, others)
    if strays:
        raise Refused(
            f"changed, but not named by the task: {listed(strays, _SHOWN_STRAYS)}",
            "put them back as they were and say done again, or block the item",
        )


def verified(ledger: Ledger, token: str, row: Any, folder: str, turns: Folder) -> None:
    """Run the queue's check in `folder`, with the lease renewed. Raises Refused, NotOwner.

    Files that the check takes from the item's base are so in a copy of the folder, where it runs.
    Checks that share `turns` run one at a time.
    """
    import json

    from hypervisor.config.settings import load
    from hypervisor.ledger.claims import keep_every
    from hypervisor.worker import base_files, verify

    keep = json.loads(row["check_env"] or "[]")
    with base_files.taken(folder, row["base_commit"], row["check_base"]) as copy:
        checked = verify.check(
            row["verify"],
            root=copy,
            turns=turns,
            item_id=row["id"],
            path=row["path"],
            limit=load(ledger.root).limits.verify_seconds,
            beat=lambda: ledger.claims.keep(token),
            beat_every=keep_every(row["lease_ms"] / 1000),
            keep=keep,
        )
    if not checked.ok:
        raise Refused(
            f"the check of this queue failed: {checked.why}",
            "mend it and say done again; the item is still yours" + checked.lacked,
            checked.tail,
        )
    ledger.claims.keep(token)
