"""Why a queue hands out nothing now: what is known of that, and no guess."""

from __future__ import annotations

from hypervisor.config.caller import in_pool
from hypervisor.ledger import locks
from hypervisor.ledger.outcomes import OPEN_STATES
from hypervisor.system.errors import UsageError
from hypervisor.system.keys import key
from hypervisor.system.text import either, listed, one_line
from hypervisor.worker.presence import lock_on, lock_view, missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger import Ledger
    from hypervisor.ledger.lock_view import LockView
    from hypervisor.ledger.locks import Lock
    from hypervisor.ledger.options import Queue

_SHOWN = 3
# So many ready items are looked at for locks, and awaited ones for their states.
_LOOKED_AT = 1000


def why_nothing(
    ledger: Ledger,
    queue: str,
    *,
    only: str | None = None,
    ready: str = "",
    model: str | None = None,
) -> tuple[str, bool]:
    """Return in words why `queue` handed out nothing (of the item `only`, if that was asked for),
    and whether it has drained.

    `ready` is what the caller knows of items that are ready, free, and were not handed out; `model`
    is the one that it has. Raises
    UsageError for an unknown queue or item.
    """
    from hypervisor.worker.handout import share_left

    agent = in_pool()
    if agent is not None and not share_left(ledger, agent, queue):
        return "your share is done: stop here", False
    row, counts = ledger.queues.get(queue), ledger.queues.stats(queue)
    asked = f"{_of_item(ledger, row, only)}; " if only is not None else ""
    if not counts["ready"] and not counts["claimed"]:
        return f"{asked}nothing left{at_rest(ledger, row, counts['waiting'])}", True
    if row.state == "paused":
        return f"{asked}{paused(ledger, row)}", False
    aside = len(ledger.narrowing.aside(row.no)) if counts["waiting"] else 0
    told = [*at_work(ledger, row.no)]
    free = 0
    gone, only_gone = missing(ledger, queue) if counts["ready"] else ([], False)
    if only_gone and not counts["claimed"]:
        end = f"hypervisor cancel {queue} --missing ends them"
        return (
            f"{asked}nothing left that is here; {told_missing(gone, counts['ready'])}; {end}",
            True,
        )
    told += [told_missing(gone, len(gone))] if gone else []
    if counts["ready"]:
        files, locked, looked_at_all = _kept_back(ledger, row)
        free = counts["ready"] - files - len(locked) - len(gone) if looked_at_all else 0
        told += (
            [f"{files} {either(files, 'waits', 'wait')} for files that others are working on"]
            if files
            else []
        )
        told += [
            f"{one_line(item_id, 60)} is {locks.told(lock, ledger.root)}"
            for item_id, lock in locked[:_SHOWN]
        ]
        more = len(locked) - _SHOWN
        told += [f"{more} more {either(more, 'is', 'are')} locked"] if more > 0 else []
        above = _above(ledger, row, model or (agent.model if agent is not None else None))
        free -= sum(number for _, number in above)
        told += [f"{number} {either(number, 'waits', 'wait')} for {word}" for word, number in above]
    if counts["waiting"] > aside:
        number = counts["waiting"] - aside
        told.append(f"{number} {either(number, 'waits', 'wait')} for other items")
    told += [f"{aside} {either(aside, 'is', 'are')} set aside"] if aside else []
    head = f"nothing handed out; {free} ready{ready}" if free > 0 else "nothing ready now"
    return asked + "; ".join([head, *told]), False


def why_word(ledger: Ledger, queue: str, *, model: str | None = None) -> str:
    """Return in a word, for programs, why `queue` hands out nothing: drained, paused, world (what
    is left has no file here), rung (for a higher one of its ladder than `model`) or waiting (for
    who works, or for other items)."""
    row, counts = ledger.queues.get(queue), ledger.queues.stats(queue)
    if not counts["ready"] and not counts["claimed"]:
        return "drained"
    if row.state == "paused":
        return "paused"
    gone = counts["ready"] and not counts["claimed"] and missing(ledger, queue)[1]
    if gone:
        return "world"
    above = sum(number for _, number in _above(ledger, row, model)) if counts["ready"] else 0
    return "rung" if above and above == counts["ready"] else "waiting"


def _above(ledger: Ledger, queue: Queue, model: str | None) -> list[tuple[str, int]]:
    """Return the rungs above that of a model, and how many ready items of a queue (its row) wait
    for each."""
    if queue.ladder is None:
        return []
    from hypervisor.ledger import ladder

    counts = list(zip(ladder.rungs(queue.ladder), ladder.ready(ledger, queue), strict=True))
    higher = counts[ladder.place(queue.ladder, model) + 1 :]
    return [(one.word, number) for one, number in higher if number]


def told_missing(ids: list[str], number: int) -> str:
    """Return in words that `number` items, these among others, or their files are not here."""
    named = listed(ids, _SHOWN, 60)
    which = either(number, "1 item or its file is", f"{number} items or their files are")
    return f"{which} missing: {named}"


def at_work(ledger: Ledger, queue: int) -> list[str]:
    """Return whose the claimed items of a generation (its number) are; nothing where none is."""
    held = ledger.queries.workers(queue)
    shown = [
        f"{one_line(row.id, 60)} is with {one_line(row.agent or row.worker, 40)}"
        for row in held[:_SHOWN]
    ]
    if len(held) > len(shown):
        shown[-1] += f" and {len(held) - len(shown)} more with others"
    return shown


def at_rest(ledger: Ledger, queue: Queue, waiting: int) -> str:
    """Return what the `waiting` items of a queue (its row) wait for that is at rest, after a
    semicolon; "" where there are none."""
    aside = len(ledger.narrowing.aside(queue.no)) if waiting else 0
    told = f"; {aside} {either(aside, 'is', 'are')} set aside" if aside else ""
    if waiting > aside:
        number = waiting - aside
        told += f"; {number} {either(number, 'waits', 'wait')} for {awaited(ledger, queue)}"
    if queue.state == "cancelled":
        told += "; the queue was cancelled"
    return told


def paused(ledger: Ledger, queue: Queue) -> str:
    """Return why a queue (its row) is paused, and what goes on with it."""
    from hypervisor.ledger import budget

    why = f" ({one_line(queue.reason, 80)})" if queue.reason else ""
    mend = f"{budget.goes_on(ledger, queue)} goes on"
    if queue.resume_at is not None and not budget.reached(ledger, queue):
        from hypervisor.system.spans import until

        mend = f"it goes on by itself at {until(queue.resume_at)}"
    return f"queue paused{why}: stop here; {mend}"


def _of_item(ledger: Ledger, queue: Queue, item_id: str) -> str:
    shown, state = one_line(item_id, 60), ledger.items.state_of(queue.name, item_id)
    if state is None:
        raise UsageError(f"no item '{shown}' in queue {queue.name}", "copy its id")
    item = ledger.items.find(queue.name, item_id) if state == "ready" else None
    if item is not None:
        path = item.path if item.payload is None else None
        lock = _lock_on(ledger, queue, lock_view(ledger), item_id, path)
        if lock is not None:
            return f"{shown} is {locks.told(lock, ledger.root)}"
    return f"{shown} is {state}"


def _kept_back(ledger: Ledger, queue: Queue) -> tuple[int, list[tuple[str, Lock]], bool]:
    """Return how many ready items wait for files in work, which are locked, and whether all were
    looked at for locks."""
    ready = ledger.items.ready(queue.name)
    locked = []
    view = lock_view(ledger)
    for row in ready[:_LOOKED_AT]:
        path = None if row.is_row else row.path
        lock = _lock_on(ledger, queue, view, row.id, path)
        if lock is not None:
            locked.append((row.id, lock))
    return ledger.claims.waiting_for_files(queue.no), locked, len(ready) <= _LOOKED_AT


def _lock_on(
    ledger: Ledger, queue: Queue, view: LockView, item_id: str, path: str | None
) -> Lock | None:
    """Return the lock that keeps an item from being claimed; what a crash of ours left does not."""
    lock = locks.holder(
        ledger.claim_locks.folder_at(ledger.claim_locks.folder_of(queue)), key(item_id)
    )
    if lock is None:
        return lock_on(view, ledger.root, item_id, path)
    return None if locks.maker_of(lock.owner) == ledger.ledger_id else lock


def awaited(ledger: Ledger, queue: Queue) -> str:
    """Return what the waiting items of a queue (its row) at rest wait for."""
    ids = {other for others in ledger.queries.waits_in(queue.no).values() for other in others}
    unmerged, others, causes = set(), [], []
    for item_id in sorted(ids)[:_LOOKED_AT]:
        known = ledger.queries.items_called(item_id)
        last = known[-1] if known else None
        if last is None:
            others.append(f"{one_line(item_id, 60)}, which is in no queue")
        elif last.state == "done":
            unmerged.add(last.queue_name)
        elif last.queue != queue.no and last.state not in ("blocked", "failed"):
            where = f"{last.state} in queue {last.queue_name}"
            others.append(f"{one_line(item_id, 60)}, which is {where}")
        elif last.queue == queue.no and last.state not in OPEN_STATES:
            causes.append(f"{last.id} ({last.state})")
    if others:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        return " and ".join(others[:_SHOWN]) + more
    if unmerged:
        commands = " and ".join(f"hypervisor integrate {name}" for name in sorted(unmerged))
        return f"branches that are not merged: {commands}"
    return listed(causes, _SHOWN, 80) or "items that did not succeed"
