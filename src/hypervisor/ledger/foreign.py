"""Ledgers that were made elsewhere: looked at, and made this machine's own."""

from __future__ import annotations

import os
import time

from hypervisor.config import store
from hypervisor.ledger import driver as sqlite3
from hypervisor.ledger.embedded import connect, identity, refuse_programs
from hypervisor.ledger.ends import REPLACED
from hypervisor.ledger.ledger import Ledger
from hypervisor.ledger.rows import columns
from hypervisor.ledger.schema import WAITING
from hypervisor.ledger.sqlite import unusable
from hypervisor.ledger.store import LedgerError, Store, no_ledger
from hypervisor.system.records import NamedTuple
from hypervisor.system.state import LEDGER, Foreign, State


class Content(NamedTuple):
    """A queue in somebody else's ledger: but for the number of its items, it may say anything."""

    name: object
    state: object
    verify: object
    checks: object
    commands: object
    items: int


_ITEMS = "(select count(*) from item where queue = q.no)"
_CONTENTS = (
    "select {} from queue q "
    "where generation = (select max(generation) from queue "
    "where project = q.project and name = q.name) order by no limit 1000"
)


def adopt(root: str) -> None:
    """Make the copied ledger of `root` this machine's own: what was claimed elsewhere is freed.

    Old tokens end here, so a worker of the original can't report into the copy; locks that were
    copied along go. Raises NoLedger and LedgerError.
    """
    told = store.address()
    if told is not None:
        if _is_ours(root):
            raise LedgerError(
                f"{store.shown(told)}: a shared store needs no adopting: any machine may use it",
                f"for the embedded one: unset {store.VARIABLE}",
            )
        State.adopt(root)
        return
    folder = State.unproven(root)
    if folder is None or folder.look(LEDGER) is None:
        raise no_ledger(root)
    state = State.adopt(root)
    store.check(root, None, state)
    opened = Store(root, connect(root, state, adopting=True))
    with Ledger(opened) as ledger, opened.write(durable=True):
        opened.change(
            "update claim set outcome = 'freed', ended_at = ? where outcome is null", (time.time(),)
        )
        opened.change(
            "update item set state = case when waits > 0 then 'waiting' else 'ready' end, "
            "turn = position + case when waits > 0 then ? else 0 end, claim = null "
            "where turn < 0",
            (WAITING,),
        )
        for queue in ledger.queues.generations():
            if queue.state == "replaced":
                ledger.generations.cancel_items(queue.no, REPLACED, "turn is not null", time.time())
            if not os.path.isabs(queue.lock_dir):
                ledger.claim_locks.sweep(ledger.claim_locks.folder_of(queue))
        opened.change_many(
            "insert into meta values (?, ?) on conflict (key) do update set value = excluded.value",
            [*identity(ledger.state), ("ledger", os.urandom(4).hex())],
        )


def contents(root: str) -> list[Content]:
    """Return the newest generation of each queue in the ledger of `root`, whoever made it.

    It is read from a copy, within bounds, and may say anything. Raises NoLedger and LedgerError.
    """
    folder = State.unproven(root)
    if folder is None or folder.look(LEDGER) is None:
        if store.address() is None:
            raise no_ledger(root)
        return []
    from hypervisor.system import unproven

    try:
        with unproven.copied(folder) as connection:
            refuse_programs(connection, f"{folder.path}/{LEDGER}")
            known = {row["name"] for row in connection.execute("pragma table_info (queue)")}
            # Older ones lack columns.
            others = {name: "null" for name in Content._fields if name not in known}
            told = _CONTENTS.format(columns(Content, "q", **{**others, "items": _ITEMS}))
            return [Content._make(row) for row in connection.execute(told)]
    except (OSError, sqlite3.Error) as error:
        raise unusable(f"{folder.path}/{LEDGER}", error) from None


def _is_ours(root: str) -> bool:
    try:
        return State.find(root) is not None
    except Foreign:
        return False
