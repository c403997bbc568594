"""What pools that were killed have left: agents that still run, items in their hands, folders."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from hypervisor import worker
from hypervisor.agents import reconcile, use
from hypervisor.ledger import Ledger
from hypervisor.ledger.rows import Session
from hypervisor.ledger.sessions import POOL
from hypervisor.system import killing
from hypervisor.system.redact import Redactor
from hypervisor.system.state import State
from hypervisor.worker.branches import worktrees

_PATIENCE = 5.0


def folder_of(session: str) -> Path:
    """Return the folder of a pool's temporary files; it need not exist. Sockets are made in there,
    whose paths must be short."""
    return Path(tempfile.gettempdir()) / f"hypervisor-{session}"


def clean_up(ledger: Ledger) -> None:
    """End what is left of pools whose process is gone, and free what they held.

    Nobody else frees an item while its agent still runs.
    """
    ended = set()
    for row in [*ledger.sessions.pools(), *_left(ledger)]:
        session = row.id
        if session in ended or not ledger.sessions.is_gone(row):
            continue
        _end_agents(ledger, row)
        for agent in ledger.agents.alive(session):
            use.collect(ledger, agent.id, clean=Redactor().lines())
        reconcile.session_ended(ledger, session, gone=True)
        forget(ledger.state, session)
        _take_trees(ledger, session)
        ended.add(session)


def _left(ledger: Ledger) -> list[Session]:
    """Return the pools of this ledger that have left files, though somebody has freed what they
    held."""
    folders = folder_of(POOL).parent.glob(f"{folder_of(POOL).name}*")
    names = {path.name.removeprefix(folder_of("").name) for path in folders}
    drained = worker.drain_mark(POOL)
    names |= {name[len(drained) - len(POOL) :] for name in ledger.state.folder.names()
              if name.startswith(drained)}  # fmt: skip
    return [row for row in map(ledger.sessions.find, sorted(names)) if row is not None]


def forget(state: State, session: str) -> None:
    """Remove what a pool has on disk besides its logs."""
    shutil.rmtree(folder_of(session), ignore_errors=True)
    state.folder.remove(worker.drain_mark(session))


def _take_trees(ledger: Ledger, session: str) -> None:
    """Remove the working trees that its agents were lent."""
    for name in ledger.agents.names_of(session):
        path = os.path.join(worktrees.trees_dir(ledger.root), name)
        if os.path.lexists(path):
            worktrees.discard(ledger.root, path)


def _end_agents(ledger: Ledger, session: Session) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        left = False
        for agent in ledger.agents.alive(session.id):
            if agent.pid is not None and not ledger.sessions.is_gone(session, agent):
                killing.signal_group(agent.pid, 9)
                left = True
        if not killing.kill_marked("HYPERVISOR_POOL", session.id) and not left:
            return
        time.sleep(0.02)
