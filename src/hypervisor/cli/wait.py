"""`hypervisor wait`: wait in the foreground until a queue comes to rest."""

from __future__ import annotations

import argparse
import time

from hypervisor.agents import reconcile
from hypervisor.cli.place import root_of_queue
from hypervisor.config.caller import Caller
from hypervisor.ledger import Ledger, markers
from hypervisor.ledger.followers import SHELL
from hypervisor.system.errors import NobodyWorks, UsageError
from hypervisor.views import news
from hypervisor.worker.presence import missing

SUMMARY = "wait until a queue comes to rest, and say what has ended"
EXAMPLE = "hypervisor wait inbox --timeout 600"
# A client ends a foreground command after two minutes unless it is told otherwise.
_SLICE = 100
_TICK = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument(
        "--timeout",
        type=float,
        default=_SLICE,
        metavar="SECONDS",
        help="for at most this long (100)",
    )


def run(args: argparse.Namespace) -> int:
    """Wait, then print what has ended: 0 if the queue is at rest or the trial has ended, 1 if the
    time is over and work goes on, or files are missing, 5 if nobody works on it."""
    if args.timeout < 0:
        raise UsageError("--timeout must be 0 seconds or more")
    session = Caller().session or SHELL
    until = time.monotonic() + args.timeout
    with Ledger.open(root_of_queue(args.queue)) as ledger:
        if not any(row.name == args.queue for row in ledger.followers.followed(session)):
            ledger.followers.follow(session, args.queue, all=True)
        still = news.Stillness()
        while True:
            reconcile.settle(ledger, tell=True)
            reconcile.finished(ledger, session)
            row = ledger.queues.get(args.queue)
            workers = still.workers(ledger, session, row.no, asked=True)
            state = news.state_of(ledger, row, workers)
            soon = row.resume_at is not None and row.resume_at - time.time() < _SLICE
            waits = state == "working" or (state == "paused" and soon)
            if not waits or time.monotonic() >= until:
                break
            time.sleep(min(_TICK, max(0.01, until - time.monotonic())))
        if state == "working" and news.is_deserted(ledger, row.no):
            # The time is over, and has not been long enough to be sure that nobody will come.
            workers, state = 0, "stalled"
        text = news.take(ledger, session, by="wait", queue=args.queue, workers=workers, asked=True)
        gone = state == "drained" and bool(missing(ledger, args.queue)[0])
        print(text or news.line(ledger, row, state))
        if session == SHELL:
            ledger.followers.unfollow(session)
        markers.clear(ledger)
    if state in ("stalled", "stopped"):
        return NobodyWorks.exit_code
    if gone:
        return 1
    if state == "working":
        print(f"not at rest yet; keep waiting: hypervisor wait {args.queue}")
        return 1
    return 0
