"""What `hypervisor open` changes of a queue that is open, with no source named: which of its items
are left to work on, and its instructions."""

from __future__ import annotations

import argparse
import json

from hypervisor.agents import reconcile
from hypervisor.cli import options
from hypervisor.cli import preflight as preflight_verb
from hypervisor.config.settings import Settings
from hypervisor.ledger import Ledger
from hypervisor.system.text import count, either, one_line, shell


def instruct(args: argparse.Namespace, root: str) -> int:
    """Give the queue other instructions: 0, or 3 if nobody is left who would read them."""
    text = preflight_verb.read_instructions(args)
    assert text is not None
    with Ledger.open(root) as ledger:
        reconcile.settle(ledger, limit=None)
        version = ledger.terms.set_instructions(args.queue, text)
        counts = ledger.queues.stats(args.queue)
    unclaimed = counts["ready"] + counts["waiting"]
    if args.json:
        told = {"queue": args.queue, "version": version, "for": unclaimed,
                "at_work": counts["claimed"]}  # fmt: skip
        print(json.dumps(told))
        return 0 if unclaimed else 3
    print(
        f"instructions of {args.queue}, version {version}: “{one_line(text, 100)}”, for "
        f"{count(unclaimed, 'item')} that nobody has claimed yet"
    )
    if counts["claimed"]:
        print(f"{count(counts['claimed'], 'item')} at work keep the version that they began with")
    return 0 if unclaimed else 3


def narrow(args: argparse.Namespace, root: str, settings: Settings) -> int:
    """Set aside what does not match `--where`: 0, or 3 if nothing is left."""
    from hypervisor.intake import narrowing, opening
    from hypervisor.ledger import markers

    with Ledger.open(root) as ledger:
        reconcile.settle(ledger, limit=None)
        told = narrowing.narrow(ledger, settings, args.queue, args.where)
        if told.back:
            markers.mark(ledger, args.queue)
            opening.attend(ledger, args.queue)
    if args.json:
        groups = {name: getattr(told, name) for name in ("left", "aside", "at_work", "back")}
        print(json.dumps({"queue": args.queue, "where": args.where, **groups}, ensure_ascii=False))
        return 0 if told.left else 3
    are = either(len(told.left), "is", "are")
    those = f"{count(len(told.left), 'item')} of {args.queue} {are}"
    print(f"{those} left to work on{options.named(told.left)}")
    if told.aside:
        print(f"{len(told.aside)} set aside{options.named(told.aside)}")
    if told.aside and not told.left:
        from hypervisor.intake.preflight.where import Where

        for key in Where(args.where).keys:
            line = f"hypervisor open {args.queue} --where {shell(f'{key}=')}"
            print(f"those without {one_line(key, 40)} match no comparison; they alone: {line}")
    if told.at_work:
        print(
            f"{len(told.at_work)} don't match, but a worker has them: they go on, and are set "
            f"aside if they come back{options.named(told.at_work)}"
        )
    if told.back:
        print(f"{len(told.back)} came back{options.named(told.back)}")
    if told.aside or told.at_work:
        print(f"bring all back: hypervisor open {args.queue} --where all")
    return 0 if told.left else 3
