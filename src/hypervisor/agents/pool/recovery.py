"""What pools that were killed have left: agents that still run, items in their hands, folders."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from hypervisor import worker
from hypervisor.agents import reconcile, use
from hypervisor.config import caller
from hypervisor.ledger import Ledger
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
    for row in ledger.sessions.pools():
        session = row.id
        if not caller.is_gone(row.pid, row.pid_start):
            continue
        _end_agents(ledger, session)
        for agent in ledger.agents.alive(session):
            use.collect(ledger, agent.id, clean=Redactor().lines())
        reconcile.session_ended(ledger, session)
        forget(ledger.state, session)
        _take_trees(ledger, session)


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


def _end_agents(ledger: Ledger, session: str) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        left = False
        for agent in ledger.agents.alive(session):
            if agent.pid is not None and not caller.is_gone(agent.pid, agent.pid_start):
                killing.signal_group(agent.pid, 9)
                left = True
        if not killing.kill_marked("HYPERVISOR_POOL", session) and not left:
            return
        time.sleep(0.02)
