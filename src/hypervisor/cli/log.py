"""`hypervisor log`: what happened in a queue, in order."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import deque
from collections.abc import Iterable

from hypervisor.agents import reconcile
from hypervisor.cli import options
from hypervisor.cli.place import queue_and_root
from hypervisor.ledger import Ledger
from hypervisor.system.errors import UsageError
from hypervisor.system.spans import stamp
from hypervisor.system.text import one_line, prose
from hypervisor.views import history
from hypervisor.views.shapes import Event

SUMMARY = "what happened in a queue, in order"
EXAMPLE = "hypervisor log inbox --follow"
_TICK = 0.5
_SETTLE = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_queue(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="keep printing as it happens")
    parser.add_argument("-n", type=int, metavar="N", help="only the last N events")
    parser.add_argument("--json", action="store_true", help="an object per line, for scripts")


def run(args: argparse.Namespace) -> int:
    """Print the events of all generations of the queue."""
    if args.n is not None and args.n < 0:
        raise UsageError("-n must be 0 or more")
    args.queue, root = queue_and_root(args.queue, "log")
    with Ledger.open(root, look=True) as ledger:
        reconcile.settle(ledger, tell=True)
        log = history.Log(ledger, args.queue)
        story = log.news()
        _print(story if args.n is None else deque(story, args.n), args.json)
        version = None
        ticks = itertools.count()
        while args.follow:
            time.sleep(_TICK)
            # A claim that nobody works on any more ends when somebody looks: here, if nowhere else.
            ended = reconcile.settle(ledger, tell=True) if next(ticks) % _SETTLE == 0 else 0
            now = ledger.store.engine.data_version()
            if ended or now != version:
                version = now
                _print(log.news(), args.json)
    return 0


def _print(told: Iterable[Event], as_json: bool) -> None:
    for one in told:
        print(json.dumps(one, ensure_ascii=False) if as_json else _line(one))
    sys.stdout.flush()


def _line(one: Event) -> str:
    words = [f"{stamp(one['at'])}  {one['event']:<11}"]
    if one["id"] is not None:
        words.append(one_line(one["id"], 60))
    if one["token"] is not None:
        words.append(f"{one['token']} by {one_line(one['worker'], 40)}")
    if one["detail"]:
        words.append(f"“{prose(one['detail'], 120)}”")
    return "  ".join(words).rstrip()
