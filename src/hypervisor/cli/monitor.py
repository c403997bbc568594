"""The watch that Claude Code runs beside a session: a line when a queue of it comes to rest, and
when the limit that has paused it ends."""

from __future__ import annotations

import argparse
import fcntl
import os
import time

from hypervisor.agents import reconcile
from hypervisor.config.caller import Caller, is_gone
from hypervisor.config.roots import root_in_use
from hypervisor.ledger import Ledger, LedgerError, markers
from hypervisor.system.state import Foreign, State
from hypervisor.views import news

SUMMARY = "print a line when a queue of this session drains, stalls, pauses or may continue"
_TICK = 1.0
# The client's own notice of the last worker's end is given this long to come first.
_GRACE = 1.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: none."""


def run(args: argparse.Namespace) -> int:
    """Watch until the session ends. One watch per session speaks; others wait in silence."""
    client = Caller()
    session, parent = client.session, os.getppid()
    if session is None:
        return 0
    root = root_in_use()
    said: dict[int, tuple[str, int]] = {}
    still = news.Stillness()
    turn = None
    while os.getppid() == parent and not is_gone(client.pid, client.pid_start):
        try:
            state = State.find(root)
            if state is not None and markers.is_marked(state):
                if turn is None:
                    # Held for the life of the process.
                    turn = state.folder.open(markers.watch_lock(session), os.O_RDWR | os.O_CREAT)
                    fcntl.flock(turn, fcntl.LOCK_EX)
                with Ledger.open(root) as ledger:
                    _look(ledger, session, said, still)
        except (LedgerError, Foreign):
            # None any more, or a store that doesn't answer: the next look may find it.
            pass
        time.sleep(_TICK)
    return 0


def _look(
    ledger: Ledger, session: str, said: dict[int, tuple[str, int]], still: news.Stillness
) -> None:
    reconcile.settle(ledger, tell=True)
    reconcile.finished(ledger, session)
    told = ledger.followers.told(session)
    for queue in ledger.followers.followed(session):
        before = told[queue.no]
        workers = still.workers(ledger, session, queue.no)
        state = news.state_of(ledger, queue, workers)
        if state == "working" or not news.is_news(ledger, queue, before, state):
            continue
        if said.get(queue.no) == (state, before.no):
            continue
        time.sleep(_GRACE)
        fresh = next(
            (row for row in ledger.followers.followed(session) if row.no == queue.no), None
        )
        now = ledger.followers.told(session).get(queue.no)
        if fresh is not None and now is not None and news.is_news(ledger, fresh, now, state):
            # A pool goes on by itself within that time.
            if state == "reset" and news.state_of(ledger, fresh, workers) != state:
                continue
            print(news.line(ledger, fresh, state), flush=True)
        said[queue.no] = state, before.no
