"""What pools that were killed have left: agents that still run, items in their hands, folders."""

from __future__ import annotations

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
from hypervisor.worker.branches import claim_tree, worktrees

_PATIENCE = 5.0
_FOLDER = "hypervisor-"
_DRAIN = worker.drain_mark(POOL).removesuffix(POOL)


def folder_of(session: str) -> Path:
    """Return the folder of a pool's temporary files; it need not exist. Sockets are made in there,
    whose paths must be short."""
    return _temporary() / f"{_FOLDER}{session}"


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


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
        for name in ledger.agents.names_of(session):
            claim_tree.take_back(ledger, name)
        ended.add(session)


def _left(ledger: Ledger) -> list[Session]:
    """Return the pools of this ledger of which something lies about: whatever looked at the queue
    first may have freed their items."""
    folders = [path.name[len(_FOLDER) :] for path in _temporary().glob(f"{_FOLDER}{POOL}*")]
    state = ledger.state.folder.names()
    marks = [name[len(_DRAIN) :] for name in state if name.startswith(_DRAIN)]
    trees = worktrees.trees_of(ledger.state)
    lent = [f"{POOL}{name.split('-')[1]}" for name in trees if "-" in name]
    known = map(ledger.sessions.find, sorted({*folders, *marks, *lent}))
    return [one for one in known if one is not None]


def forget(state: State, session: str) -> None:
    """Remove what a pool has on disk besides its logs."""
    shutil.rmtree(folder_of(session), ignore_errors=True)
    state.folder.remove(worker.drain_mark(session))


def _end_agents(ledger: Ledger, session: Session) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        left = False
        for agent in ledger.agents.alive(session.id):
            if agent.pid is not None and not ledger.sessions.is_gone(session, agent):
                killing.end_group(agent.pid)
                left = True
        if not killing.kill_marked("HYPERVISOR_POOL", session.id) and not left:
            return
        time.sleep(0.02)
