"""`hypervisor results`: what came out of each item, as a table or as JSON lines."""

from __future__ import annotations

import argparse
import os
import sys

from hypervisor.agents import reconcile, use
from hypervisor.cli import options
from hypervisor.cli.messages import note
from hypervisor.cli.place import queue_and_root
from hypervisor.config import caller
from hypervisor.config.roots import is_outside
from hypervisor.ledger import Ledger
from hypervisor.system import protected
from hypervisor.system.errors import NotAllowed, UsageError
from hypervisor.system.state import STATE
from hypervisor.system.text import count, listed, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from hypervisor.views.results import Results

SUMMARY = "what came out of each item, as CSV or JSON lines"
EXAMPLE = "hypervisor results inbox --csv --out results.csv"
# Control characters but for tabs and ends of lines, and halves of characters.
_ACTING = {
    code: f"\\u{code:04x}"
    for codes in (range(9), (11, 12), range(14, 32), range(127, 160), range(0xD800, 0xE000))
    for code in codes
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_queue(parser)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--csv", action="store_true", help="a table (the default)")
    shape.add_argument(
        "--jsonl", action="store_true", help="JSON lines (the default of --out FILE.jsonl)"
    )
    shape.add_argument(
        "--closing",
        action="store_true",
        help="for each done item, print the command that closes it in the tool that its row came "
        "from; none is run",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write it to this file, whole or not at all; - prints it"
    )
    parser.add_argument(
        "--generation",
        type=int,
        metavar="N",
        help="only this generation (default: each item once, as it was last done, if it ever was)",
    )
    parser.add_argument(
        "--raw", action="store_true", help="leave texts that a spreadsheet would run as they are"
    )


def run(args: argparse.Namespace) -> int:
    """Print the results, or write them to a file: 0, or 1 where items have no closing command."""
    from hypervisor.views.results import Results, write

    if args.out == "-":
        args.out = None
    if args.closing and args.out is not None:
        raise UsageError("--closing prints commands, and writes no file", "leave out --out")
    args.queue, root = queue_and_root(args.queue, "results")
    if args.out is not None:
        _may_write(root, args.out)
    with Ledger.open(root, look=True) as ledger:
        reconcile.settle(ledger, limit=None, tell=True)
        use.collect_all(ledger, args.queue)
        results = Results(ledger, args.queue, args.generation)
        if args.closing:
            return _closing(results)
        there = args.out is not None and os.path.isfile(args.out)
        if there and ledger.items.has_below(args.queue, _inside(root, args.out)):
            told = f"{one_line(args.out)} is a source of queue {args.queue}"
            raise UsageError(told, "name another file")
        by_name = not args.csv and (args.out or "").endswith((".jsonl", ".ndjson"))
        texts = results.jsonl() if args.jsonl or by_name else results.csv(raw=args.raw)
        if args.out is None:
            _print(texts)
        else:
            write(args.out, texts)
            print(args.out)
            if sys.stdout.isatty():
                options.tell_person(f"hypervisor report {args.queue} --open")
    if results.quoted:
        told = f"a ' was put before {count(results.quoted, 'text')} that a spreadsheet would run"
        note(f"{told} (--raw leaves them as they are)")
    if results.twice:
        told = (
            f"more than one column is called {listed(results.twice, 5)}; "
            "the source's come first, ours last"
        )
        note(f"{told} (--jsonl keeps them apart)")
    return 0


def _print(texts: Iterable[str]) -> None:
    """Print a table, or JSON lines. Where no terminal shows them, texts stay as they are but for
    what acts on one that gets them later."""
    if sys.stdout.isatty():
        sys.stdout.writelines(texts)
        return
    stream: TextIO = getattr(sys.stdout, "unguarded", sys.stdout)
    stream.writelines(text.translate(_ACTING) for text in texts)


def _closing(results: Results) -> int:
    commands, without = results.closing()
    for command in commands:
        print(command)
    if without:
        told = f"{count(without, 'done item')} came from no tool that has a command to close it"
        note(told)
    return 1 if without else 0


def _inside(root: str, path: str) -> str:
    """Return a path from the root, links to folders on the way followed."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.relpath(os.path.join(os.path.realpath(folder), name), root)


def _may_write(root: str, path: str) -> None:
    """Raise NotAllowed for a file that is not a session's to write, UsageError for our own."""
    inside = _inside(root, path)
    outside = is_outside(root, os.path.dirname(os.path.join(root, inside)))
    if not outside and inside.split("/")[0] == STATE:
        raise UsageError(f"{one_line(path)} is in the program's own folder", "name another file")
    if caller.around() and (outside or protected.steers(inside)):
        raise NotAllowed(
            f"--out {one_line(path)} is for the user to write, not for a session",
            "name a file in the project that steers nothing",
        )
