"""A ledger carried from one engine to the other, with the work in flight: tokens stay valid.

The new one is filled first and marked `arriving`, so that nobody uses it. Then the old one is
marked `moved`, in the transaction that read it; triggers refuse whoever has it open. Then the mark
of the new one goes. A move that was cut off is completed by the same command.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypervisor.config import store
from hypervisor.ledger import embedded, locks
from hypervisor.ledger.ledger import Ledger
from hypervisor.ledger.schema import LEASED, TABLES
from hypervisor.ledger.store import LedgerError, Store
from hypervisor.system import keys
from hypervisor.system.errors import UsageError
from hypervisor.system.state import State

_CHUNK = 5000


def move(root: str, source: str | None, target: str | None) -> dict[str, int]:
    """Carry the ledger of `root` from one store to another; None is the embedded one.

    Returns how many rows of each table went. Raises UsageError, NoLedger and LedgerError.
    """
    if source == target:
        raise UsageError("FROM and TO are the same store", "name two")
    with _opened(root, source, None) as old:
        mark = dict(old.store.rows("select key, value from meta").fetchall()).get("moved")
        if mark not in (None, store.shown(target)):
            raise LedgerError(f"{root}: this ledger was moved to {mark}", "move it from there")
        with _target(root, target, old) as new:
            counts = {} if mark else _carry(old, new, target)
            with new.store.write(durable=True):
                new.store.change("delete from meta where key = 'arriving'")
            store.note(new.state, target, new.project)
            _renew_locks(old, new)
    return counts


def _opened(root: str, told: str | None, project: str | None) -> Ledger:
    """Open a ledger that may be marked as moved; with `project`, make it if it lacks."""
    if told is None:
        state = State.find(root)
        own = embedded.connect(root, state, project is not None, project)
        return Ledger(Store(root, own, moving=True))
    from hypervisor.ledger.shared import open_engine

    kept = store.noted(State.find(root))
    name = project or (kept[1] if kept else None)
    engine = open_engine(root, told, name, create=project is not None)
    return Ledger(Store(root, engine, moving=True))


def _target(root: str, told: str | None, old: Ledger) -> Ledger:
    """Open the ledger to fill, made anew where the old one once came from there."""
    new = _opened(root, told, old.project)
    meta = dict(new.store.rows("select key, value from meta").fetchall())
    if "moved" in meta:
        new.store.engine.drop()
        new.close()
        new = _opened(root, told, old.project)
    elif meta.get("arriving") != old.ledger_id and new.store.row("select 1 from queue limit 1"):
        new.close()
        raise LedgerError(
            f"{store.shown(told)}: project {old.project} has queues there already",
            "choose another database",
        )
    return new


def _carry(old: Ledger, new: Ledger, target: str | None) -> dict[str, int]:
    with old.store.write(durable=True):
        old.store.engine.stand_still()
        with new.store.write(durable=True):
            for table in reversed(TABLES):
                new.store.change(f"delete from {table}")
            new.store.change(
                "insert into meta (key, value) values ('arriving', ?) on conflict (key) do update "
                "set value = excluded.value",
                (old.ledger_id,),
            )
            counts = _copy(old, new)
            new.store.engine.number_from_here()
        old.store.change(
            "insert into meta (key, value) values (?, ?)", ("moved", store.shown(target))
        )
        old.store.engine.refuse_writes(
            f"{old.root}: this ledger was moved to {store.shown(target)}".replace("'", "’")
        )
    return counts


def _copy(old: Ledger, new: Ledger) -> dict[str, int]:
    passed = new.store.engine.lease_clock() - old.store.engine.lease_clock()
    ranks = _ranks(old)
    place = new.store.place()
    counts = {}
    for table in TABLES:
        names: list[str] = []
        counts[table] = 0
        for chunk in _chunks(old, table):
            names = names or list(chunk[0])
            rows = []
            for values in chunk:
                if table == "item" and values["turn"] is not None and values["turn"] < 0:
                    values["turn"] = max(LEASED, values["turn"] + passed)
                if table == "claim" and values["ends_by"] is not None:
                    values["ends_by"] += passed
                if "finish_no" in values:
                    values["finish_no"] = ranks.get(values["finish_no"])
                if table == "session" and values["host"] == old.store.place():
                    values["host"] = place
                rows.append(list(values.values()))
            marks = ", ".join("?" * len(names))
            new.store.change_many(
                f"insert into {table} ({', '.join(names)}) values ({marks})", rows
            )
            counts[table] += len(rows)
    return counts


def _chunks(ledger: Ledger, table: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of a table, those with a number in parts."""
    if table not in ("queue", "item", "claim", "event", "refusal"):
        if rows := [dict(row) for row in ledger.store.rows(f"select * from {table}")]:
            yield rows
        return
    last, part = -1, f"select * from {table} where no > ? order by no limit ?"
    while rows := [dict(row) for row in ledger.store.rows(part, (last, _CHUNK))]:
        yield rows
        last = rows[-1]["no"]


def _ranks(ledger: Ledger) -> dict[int | None, int | None]:
    """Return new, low `finish_no`s in the same order: the clocks of two engines don't compare."""
    known = ledger.store.rows(
        "select finish_no from item where finish_no > 0 "
        "union select finish_no from told where finish_no > 0 "
        "union select finish_no from notification where finish_no > 0 order by 1"
    )
    ranks: dict[int | None, int | None] = {None: None, 0: 0}
    ranks.update((number, rank) for rank, (number,) in enumerate(known.fetchall(), 1))
    return ranks


def _renew_locks(old: Ledger, new: Ledger) -> None:
    """Have the locks on this machine stand for claims of the new ledger, if it makes locks."""
    for queue in new.queues.generations():
        folder = new.claim_locks.folder_at(new.claim_locks.folder_of(queue))
        if folder is None:
            continue
        for name in folder.names():
            locks.drop(folder, name, old.ledger_id)
        if new.is_shared:
            continue
        for row in new.store.rows(
            "select c.token, i.id from item i join claim c on c.no = i.claim "
            "where i.queue = ? and i.turn < 0",
            (queue.no,),
        ).fetchall():
            locks.take(folder, keys.key(row["id"]), f"{row['token']}@{new.claim_locks.mark}")
