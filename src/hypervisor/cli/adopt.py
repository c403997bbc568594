"""`hypervisor adopt`: make a state that came from elsewhere one's own."""

from __future__ import annotations

import argparse
import json
import sys

from hypervisor.config.roots import find_root
from hypervisor.ledger import adopt, contents
from hypervisor.system.errors import UsageError
from hypervisor.system.text import count, one_line

SUMMARY = "take over a ledger that was copied, synced or restored"
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--yes", action="store_true", help="take it over as it is, without being asked"
    )


def run(args: argparse.Namespace) -> int:
    """Show what would be taken over, ask, and take it: claims made elsewhere are freed."""
    root = find_root()
    for line in _told(root):
        print(line)
    if not args.yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"{one_line(root, 300)}: what it holds would be used as your own, and nobody can "
                "be asked here",
                "look at it, then: hypervisor adopt --yes",
            )
        print("Take this over as your own? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("nothing was changed")
            return 1
    adopt(root)
    print(
        f"{one_line(root, 300)}: this copy of the ledger is used here from now on; claims that "
        "were made elsewhere have ended"
    )
    return 0


def _told(root: str) -> list[str]:
    """Return what the ledger holds, a line each: above all what it would have run here."""
    queues = contents(root)
    lines = [f"{count(len(queues), 'queue')} would be taken over:"]
    for row in queues[:_SHOWN]:
        lines.append(
            f"  {one_line(row.name, 60)}: {one_line(row.state, 60)}, {count(row.items, 'item')}"
        )
        for check in (row.verify, row.checks):
            if check:
                lines.append(f"    runs at each done: {one_line(check, 300)}")
        for words in _words(row.commands):
            lines.append(f"    workers may run: {one_line(words, 300)}")
    if len(queues) > _SHOWN:
        lines.append(f"  … and {len(queues) - _SHOWN} more")
    return lines


def _words(commands: object) -> list[object]:
    try:
        told = json.loads(str(commands or "[]"))
    except (ValueError, RecursionError):
        return [commands]
    return told if isinstance(told, list) else [told]
