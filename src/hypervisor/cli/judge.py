"""`hypervisor judge`: a second model's word on accepted reports."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter

from hypervisor.agents import reconcile
from hypervisor.agents.clients import CLIENTS, client
from hypervisor.agents.judge import Judged, judge
from hypervisor.cli.messages import complain
from hypervisor.cli.place import root_of_queue
from hypervisor.cli.review import tell_rejected
from hypervisor.ledger import Ledger
from hypervisor.ledger.findings import Reviewed
from hypervisor.ledger.usage import dollars
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.quick_json import loads
from hypervisor.system.text import count, one_line, shortened
from hypervisor.worker import review

SUMMARY = "have a second model, without tools, judge whether each accepted report is true"
EXAMPLE = "hypervisor judge inbox -- ./judge.sh"
# What stands behind `--` is not ours to read.
TAKES_WORDS = True
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "WORDS are the command line of --agent command: it reads task, report and change from "
        'standard\ninput and prints {"pass": true, "reason": "…", "evidence": "…"}.'
    )
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument(
        "--agent",
        choices=tuple(CLIENTS),
        help="who judges (default, where words follow --: command)",
    )
    parser.add_argument("--model", metavar="NAME", help="the model, as the client calls it")
    parser.add_argument(
        "--sample", metavar="SIZE", help="only a sample of them, which hypervisor review shows"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="reports at a time (default 1)",
    )
    parser.add_argument(
        "--redo",
        action="store_true",
        help="reject what does not pass, and hand it out again with the reason",
    )
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Have the reports judged that nobody has judged yet: 0, 1 if a report could not be judged, 3
    if there was none."""
    if not 1 <= args.workers <= 64:
        raise UsageError("--workers takes a number from 1 to 64")
    if args.agent is None and not args.words:
        raise UsageError("no command and no agent is given", "add -- COMMAND, or --agent NAME")
    asked = client(args.agent or "command").judge(model=args.model, words=args.words)
    asked.check()
    with Ledger.open(root_of_queue(args.queue)) as ledger:
        reconcile.settle(ledger, limit=None)
        queue = ledger.queues.get(args.queue)
        if args.sample is not None:
            review.lay_out(ledger, args.queue, args.sample, None, None, again=False)
        sample = ledger.reviews.sample(queue.no) if args.sample is not None else None
        reports = ledger.reviews.reports(queue.no) if sample is None else (
            ledger.reviews.sampled(sample)
        )  # fmt: skip
        open_to_it = [one for one in reports if one.verdict is None and one.state == "done"]
        wanted = [one for one in open_to_it if one.judged is None]
        told = _Told()
        for one in judge(ledger, args.queue, wanted, asked, args.workers):
            _keep(ledger, one, asked.name, told)
        no = [(one, loads(one.judged)) for one in open_to_it if one.judged is not None]
        told.refused += [(one, said["reason"]) for one, said in no if not said["pass"]]
        if args.redo:
            for report, reason in told.refused:
                _redo(ledger, args, report, f"judge {asked.name}", reason, told)
    _print(args, asked.name, len(wanted), told)
    if told.failed:
        return 1
    return 0 if wanted or told.refused else 3


class _Told:
    """What came out: how many passed, what did not and why, what could not be judged, what was
    handed out again, and the tokens and dollars of it all (None: not known)."""

    def __init__(self) -> None:
        self.passed = 0
        self.refused: list[tuple[Reviewed, str]] = []
        self.failed: list[tuple[Reviewed, str]] = []
        self.redone: list[str] = []
        self.tokens: Counter[str] = Counter()
        self.usd: float | None = 0.0


def _keep(ledger: Ledger, one: Judged, name: str, told: _Told) -> None:
    said = one.verdict
    if said is None:
        told.failed.append((one.report, one.why))
        return
    kept = {
        "pass": said.passes, "reason": said.reason, "evidence": said.evidence, "by": name,
        "at": time.time(), "tokens": said.tokens, "usd": said.usd,
    }  # fmt: skip
    ledger.reviews.judge(one.report.claim, kept, passes=said.passes)
    told.tokens.update(said.tokens or {})
    told.usd = None if told.usd is None or said.usd is None else told.usd + said.usd
    if said.passes:
        told.passed += 1
    else:
        told.refused.append((one.report, said.reason))


def _redo(
    ledger: Ledger, args: argparse.Namespace, one: Reviewed, by: str, reason: str, told: _Told
) -> None:
    try:
        done = review.reject(ledger, args.queue, one.id, by, reason, person=False)
    except HypervisorError as error:
        told.failed.append((one, str(error)))
        return
    told.redone.append(one.id)
    if not args.json:
        tell_rejected(ledger, args.queue, one.id, done)


def _print(args: argparse.Namespace, name: str, wanted: int, told: _Told) -> None:
    if args.json:
        shown = {
            "queue": args.queue,
            "judge": name,
            "asked": wanted,
            "passed": told.passed,
            "refused": [{"id": one.id, "reason": why} for one, why in told.refused],
            "failed": [{"id": one.id, "reason": why} for one, why in told.failed],
            "redone": told.redone,
            "tokens": dict(told.tokens) or None,
            "usd": told.usd if told.tokens else None,
        }
        print(json.dumps(shown, ensure_ascii=False))
        return
    print(f"judge {name}: {told.passed} of {count(wanted, 'report')} passed")
    lines = [f"  no: {one_line(one.id, 60)}: “{one_line(why, 300)}”" for one, why in told.refused]
    print("\n".join(shortened(lines, _SHOWN)), end="\n" if lines else "")
    if told.tokens:
        cost = f"{sum(told.tokens.values()):,}, {dollars(told.usd)}"
        print(f"the judge's tokens, not counted as the workers': {cost}")
    if told.refused and not args.redo:
        print("they stay as they are; to hand them out again: the same command with --redo")
    for one, why in told.failed[:_SHOWN]:
        complain(f"not judged: {one_line(one.id, 60)}: {one_line(why, 300)}")
