"""`hypervisor unlock`: end a lock that another tool left."""

from __future__ import annotations

import argparse
import os
import time

from hypervisor.agents import reconcile
from hypervisor.config.roots import find_root
from hypervisor.ledger import Ledger, NoLedger, locks
from hypervisor.system import keys
from hypervisor.system.errors import NothingLeft, UsageError
from hypervisor.system.folder import Folder
from hypervisor.system.spans import span
from hypervisor.system.state import State, shown
from hypervisor.system.text import one_line

SUMMARY = "end a lock that another tool left on an item"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", help="the item's id, or the name of its lock")


def run(args: argparse.Namespace) -> int:
    """Remove the lock and say whose it was: 0, 2 if a live claim holds the lock, 3 if there is no
    lock."""
    root = find_root()
    own = shown(root, "locks")
    folders = {own, *_configured(root)}
    live: dict[str, str] = {}
    ledger_id = ""
    state = State.find(root)
    try:
        with Ledger.open(root) as ledger:
            reconcile.settle(ledger)
            folders |= {ledger.claim_locks.folder_of(queue) for queue in ledger.queues.all()}
            live = {keys.key(id): token for token, id in ledger.claims.live_tokens().items()}
            ledger_id = ledger.ledger_id
    except NoLedger:
        pass
    names = {keys.key(args.key)} | ({args.key} if _is_name(args.key) else set())
    removed = 0
    for path in sorted(folders):
        try:
            if path == own:
                folder = state.folder.below("locks") if state else None
            else:
                folder = Folder.at(path)
        except OSError:
            continue
        for name in sorted(names):
            lock = locks.holder(folder, name)
            if lock is not None:
                _remove(lock, live.get(name) if locks.maker_of(lock.owner) == ledger_id else None)
                removed += 1
    if not removed:
        raise NothingLeft(f"no lock on {one_line(args.key)}", "hypervisor status")
    return 0


def _is_name(key: str) -> bool:
    return bool(key) and "/" not in key and "\0" not in key and key not in (".", "..")


def _configured(root: str) -> set[str]:
    from hypervisor.config.settings import load

    return {os.path.join(root, folder) for folder in load(root).lock_folders}


def _remove(lock: locks.Lock, token: str | None) -> None:
    if token is not None:
        raise UsageError(
            f"{one_line(lock.path)}: held by the live claim {token}",
            f"hypervisor release {token} gives the item back",
        )
    age = span(time.time() - lock.since)
    try:
        lock.remove()
    except OSError as error:
        raise UsageError(
            f"{one_line(lock.path)}: {error.strerror}", "look into it and remove it yourself"
        ) from None
    owner = one_line(lock.owner, 80) if lock.owner else f"a {lock.kind} without an owner"
    print(f"removed {one_line(lock.path, 300)} ({owner}, {age} old)")
