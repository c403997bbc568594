"""`hypervisor prune`: remove what is old."""

from __future__ import annotations

import argparse
import json
import time

from hypervisor.agents import pruning, reconcile
from hypervisor.cli import options
from hypervisor.config.roots import find_root
from hypervisor.config.settings import load
from hypervisor.ledger import Ledger
from hypervisor.system import notes
from hypervisor.system.errors import UsageError
from hypervisor.system.text import count, one_line, shortened

SUMMARY = "remove what is left of queues that ended long ago; what is open stays"
EXAMPLE = "hypervisor prune --dry-run"
_DAYS = 30.0
_SHOWN = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--days",
        type=float,
        default=_DAYS,
        metavar="N",
        help="only queues that ended more than N days ago (30)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Say what goes, and remove it."""
    if not 0 <= args.days < 1e6:
        raise UsageError("--days must be 0 or more", "0 means all that has ended")
    root = find_root()
    with Ledger.open(root) as ledger:
        reconcile.settle(ledger, limit=None)
        plan = pruning.Plan(ledger, load(root).limits, args.days)
        told = plan.to_json()
        if not args.dry_run:
            pruning.carry_out(ledger, plan)
            notes.prune(time.time())
    if args.json:
        print(json.dumps({**told, "dry_run": args.dry_run}, ensure_ascii=False))
        return 0
    verb = "would go" if args.dry_run else "removed"
    print(f"queues {verb}: {len(told['queues'])} with {count(told['items'], 'item')}")
    for line in shortened([_line(one) for one in told["queues"]], _SHOWN):
        print(f"  {line}")
    for one in told["kept"][:_SHOWN]:
        print(f"  stays: {_line(one)}: {one['reason']}")
    print(f"ended claims {verb} from queues that stay: {told['claims']}")
    for name, gone in (("transcripts", told["outputs"]), ("undo", told["undo"])):
        files, size = gone["files"], gone["bytes"]
        print(f"{name} {verb}: {count(files, 'file')}, {size / 1e6:.1f} MB")
    if args.dry_run:
        options.tell_person(f"hypervisor prune --days {args.days:g}")
    return 0


def _line(one: pruning.Gone) -> str:
    day = time.strftime("%Y-%m-%d", time.localtime(one["ended_at"]))
    name, items = one_line(one["queue"], 60), count(one["items"], "item")
    return f"{name} (generation {one['generation']}), {one['state']} {day}, {items}"
