"""The worker of a batch directory: what `batch_worker.py` and `summarize.py` start."""

from __future__ import annotations

import argparse
import json
import signal
from typing import TYPE_CHECKING

from hypervisor.system.errors import UsageError
from hypervisor.system.text import either, one_line, shell

if TYPE_CHECKING:
    from hypervisor.triage.batch_directory import Batch
    from hypervisor.triage.batch_directory.batch import Stats
    from hypervisor.triage.run import Ended

SUMMARY = "claim and triage the items of a batch directory"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `batch_worker.py`."""
    parser.prog = "batch_worker.py"
    parser.add_argument("directory", nargs="?", metavar="DIR", help=argparse.SUPPRESS)
    parser.add_argument("--dir", metavar="DIR", help="the folder that holds queue.txt")
    parser.add_argument("--here", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=10, metavar="N", help="items (default 10)")
    parser.add_argument("--stats", action="store_true", help="only count")
    parser.add_argument("--summary", action="store_true", help="what became of every item")
    parser.add_argument("--json", action="store_true", help="counts or summary, for scripts")


def run(args: argparse.Namespace) -> int:
    """Work on a batch: 0, 1 if an item failed, 3 if nothing was there to claim."""
    from hypervisor.triage import batch_directory

    if args.batch < 1:
        raise UsageError(f"--batch {args.batch}: the number of items is 1 or more")
    batch = batch_directory.open_batch(
        batch_directory.locate(args.dir or args.directory, args.here)
    )
    if args.stats:
        _print_stats(batch_directory.stats(batch), as_json=args.json)
        return 0
    if args.summary:
        _print_summary(batch, as_json=args.json)
        return 0
    nobody = batch_directory.not_assigned(batch)
    if not args.json and batch.checked is not None:
        print("\n".join(batch.checked.lines()), flush=True)
        if nobody is not None and batch.checked.ready:
            print(nobody, flush=True)
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    worked = failed = 0
    for end in batch_directory.work(batch, args.batch, lambda: stopped):
        worked += 1
        failed += end.outcome == "failed"
        if not args.json:
            print(_line(end), flush=True)
    counts = batch_directory.stats(batch)
    if args.json:
        told = {**counts, "not_assigned": nobody and nobody._asdict()}
        print(json.dumps(told, ensure_ascii=False))
    else:
        _print_end(batch, counts, worked)
    if stopped or failed:
        return 1
    return 0 if worked else 3


def _line(end: Ended) -> str:
    name = one_line(end.claim.id, 80)
    if end.outcome == "done":
        return f"{name}: {end.report['action']} [{', '.join(end.report['changes'])}]"
    return f"{name}: {end.outcome}: {one_line(end.report['reason'], 300)}"


def _print_end(batch: Batch, counts: Stats, worked: int) -> None:
    total, remaining = counts["queue_total"], counts["remaining"]
    left_out = f", {counts['not_queued']} not queued" if counts["not_queued"] else ""
    again = counts["to_be_tried_again"]
    tried = f" ({again} to be tried again)" if again else ""
    print(f"{counts['completed']}/{total} completed, {remaining} remaining{tried}{left_out}")
    if counts["missing"]:
        gone = either(counts["missing"], "is", "are")
        print(f"{counts['missing']} of them {gone} missing: the files are not there")
    if not worked and remaining > counts["missing"]:
        print("nothing could be claimed: what remains is locked by other tools, see locks/")
    elif not worked and counts["claimed"]:
        print(f"nothing left to claim: {counts['claimed']} are being worked on, see locks/")
    elif not remaining and not counts["claimed"]:
        root = shell(batch.root)
        print(f"nothing left; to take it back: cd {root} && hypervisor undo {batch.queue}")


def _print_stats(counts: Stats, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(counts, ensure_ascii=False))
        return
    for name, value in counts.items():
        if isinstance(value, dict):
            print(f"{name}: {{{', '.join(f'{key}: {count}' for key, count in value.items())}}}")
        else:
            print(f"{name}: {one_line(value, 1000)}")


def _print_summary(batch: Batch, *, as_json: bool) -> None:
    from hypervisor.agents.reconcile import settle
    from hypervisor.ledger import Ledger
    from hypervisor.views.summary import summarize
    from hypervisor.views.summary_text import lines

    with Ledger.open(batch.root) as ledger:
        settle(ledger)
        summary = summarize(ledger, batch.queue)
    print(
        json.dumps(summary, ensure_ascii=False, indent=2) if as_json else "\n".join(lines(summary))
    )
