"""`hypervisor triage`: close, assign and link the tasks of a source with several processes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from typing import TYPE_CHECKING

from hypervisor.cli import preflight as preflight_verb
from hypervisor.cli.messages import complain, note
from hypervisor.cli.place import ledger_at
from hypervisor.config.roots import find_root
from hypervisor.config.settings import Settings, load
from hypervisor.ledger import Options
from hypervisor.ledger.options import check_name
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.text import count, lines_kept, one_line

if TYPE_CHECKING:
    from hypervisor.intake.preflight import Preflight
    from hypervisor.triage import Unnamed
    from hypervisor.views.shapes import Summary

SUMMARY = "close, assign and link tasks by fixed rules, in several processes"
EXAMPLE = "hypervisor triage tasks --dry-run"
_WORKERS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    preflight_verb.add_source_arguments(parser)
    parser.add_argument(
        "--workers", type=int, default=_WORKERS, metavar="N", help="processes (default 4)"
    )
    parser.add_argument(
        "--batch", type=int, default=50, metavar="N", help="items that a process claims at once"
    )
    parser.add_argument(
        "--name", dest="queue", default="triage", metavar="QUEUE", help="default: triage"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="show a diff per file, write nothing"
    )
    parser.add_argument("--json", action="store_true", help="the summary, for scripts")


def run(args: argparse.Namespace) -> int:
    """Triage: 0, 1 if an item failed, a source can't be read or it was interrupted, 2 if no source
    was found, 3 if there are no tasks, nor a queue of that name."""
    if not 1 <= args.workers <= 64:
        raise UsageError("--workers takes a number from 1 to 64")
    if not 1 <= args.batch <= 1000:
        raise UsageError("--batch takes a number from 1 to 1000")
    if args.instructions is not None:
        raise UsageError("triage works by its own rules", "leave out --instructions")
    from hypervisor.triage import unnamed

    check_name(args.queue)
    root = find_root()
    settings = load(root)
    with ledger_at(root, look=True) as ledger:
        checked, unreadable = preflight_verb.check(args, root, settings, ledger, "triage")
        known = ledger is not None and ledger.queues.find(args.queue) is not None
        is_new = not (args.dry_run or known)
    if not args.json:
        print("\n".join(preflight_verb.told(args, checked)), flush=True)
    if not checked.ready and (unreadable or (is_new and not checked.counts["total"])):
        if args.json:
            print(json.dumps(checked.to_json()))
        if unreadable:
            note("no queue was opened")
            return preflight_verb.code_of(checked)
        complain("no queue was opened: there are no tasks", "hypervisor help formats")
        return 3
    nobody = unnamed(settings.triage, checked.assignees) if checked.ready else None
    if nobody is not None and (args.dry_run or not args.json):
        print(nobody, flush=True)
    if args.dry_run:
        failed = dry_run(root, settings, checked)
    else:
        failed = carry_out(root, settings, checked, args, nobody)
    return 1 if failed or unreadable else 0


def carry_out(
    root: str,
    settings: Settings,
    checked: Preflight,
    args: argparse.Namespace,
    nobody: Unnamed | None,
) -> bool:
    """Open the queue, work it off, print the summary; return whether anything went wrong."""
    from hypervisor.agents.reconcile import settle
    from hypervisor.cli.progress import progress
    from hypervisor.intake import opening
    from hypervisor.ledger import Ledger
    from hypervisor.triage import run as triage_run
    from hypervisor.triage.processes import Processes
    from hypervisor.views.summary import summarize
    from hypervisor.views.summary_text import lines

    triage_run.tidy(root, args.queue, settings, checked)
    opened = opening.open_queue(
        root,
        settings,
        args.queue,
        triage_run.with_children(root, settings, checked),
        Options(
            purpose="triage",
            max_attempts=1,
            lease_seconds=triage_run.LEASE_SECONDS,
            asked=preflight_verb.asked(args, root),
        ),
    )
    stopped = False
    with Ledger.open(root) as ledger:
        if opened.added or opened.present:
            total = sum(ledger.queues.stats(args.queue).values())
            workers = min(args.workers, -(-total // args.batch))
            processes = Processes(ledger, args.queue, workers, args.batch)
            with progress(total, quiet=args.json) as show:
                try:
                    processes.run(show)
                except KeyboardInterrupt:
                    stopped = True
        settle(ledger)
        summary = summarize(ledger, args.queue)
        drained = ledger.queues.drained(args.queue)
    if args.json:
        told = {**summary, "not_assigned": nobody and nobody._asdict()}
        print(json.dumps(told, ensure_ascii=False, indent=2))
    else:
        print("\n".join(lines(summary, brief=True)))
        print(_changes(summary))
        for item, queue in opened.elsewhere[:20]:
            print(f"held: {one_line(item, 60)} is open in queue {one_line(queue, 60)}")
        _print_next(args.queue, summary["counts"], stopped or not drained)
    return stopped or not drained or bool(summary["counts"]["failed"])


def dry_run(root: str, settings: Settings, checked: Preflight) -> bool:
    """Print for each file what would change and why, as a unified diff; return if one can't be."""
    from hypervisor.triage import run as triage_run

    changed = unchanged = failed = 0
    for entry in triage_run.with_children(root, settings, checked).ready:
        if entry.path is None:
            continue
        try:
            known = (entry.payload or {}).get("children")
            children = known if isinstance(known, bool) else None
            edited = triage_run.consider(os.path.join(root, entry.path), settings, children)
        except (HypervisorError, OSError) as error:
            print(f"{one_line(entry.path, 500)}: can't be triaged: {one_line(error, 500)}")
            failed += 1
            continue
        if edited is None:
            continue
        plan = edited.plan
        what = f"{plan.action} (rule: {plan.rule})"
        print(
            f"{one_line(entry.path, 500)}: {what if plan.edits else f'nothing to change, {what}'}"
        )
        for one in plan.notes:
            print(f"  note: {one}")
        changed, unchanged = changed + bool(plan.edits), unchanged + (not plan.edits)
        if plan.edits:
            sys.stdout.write(_diff(entry.path, edited.document.raw, edited.after))
    print(
        f"dry run: {count(changed, 'file')} would change, {unchanged} would not, "
        f"{failed} can't be triaged"
    )
    return failed > 0


def _diff(path: str, before: bytes, after: bytes) -> str:
    """Return a unified diff; what a terminal would obey is escaped."""
    import difflib

    old, new = (raw.decode("utf-8").split("\n") for raw in (before, after))
    name = one_line(path, 500)
    shown = difflib.unified_diff(old, new, f"a/{name}", f"b/{name}", n=2, lineterm="")
    return "".join(f"{lines_kept(line.removesuffix(chr(13))[:2000])}\n" for line in shown)


def _changes(summary: Summary) -> str:
    """Return one line that counts the changes by what they are."""
    done = [worker for worker in summary["workers"] if worker["status"] == "success"]
    counted = Counter(change for worker in done for change in worker.get("changes", ()))
    told = [f"{times} {one_line(change, 60)}" for change, times in counted.most_common(10)]
    unchanged = count(sum(not worker.get("changes") for worker in done), "file")
    return f"changes: {', '.join([*told, f'{unchanged} unchanged'])}"


def _print_next(queue: str, counts: dict[str, int], left: bool) -> None:
    if left:
        print("some are left; the same command continues with them")
    print(f"more: hypervisor summary {queue} --json")
    if counts["success"]:
        print(f"take it back: hypervisor undo {queue}")
