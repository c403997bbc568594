"""`hypervisor move`: carry the ledger from one store to another, with the work in flight."""

from __future__ import annotations

import argparse
import os
import sys

from hypervisor.config import store
from hypervisor.config.roots import find_root
from hypervisor.system.errors import HypervisorError, UsageError
from hypervisor.system.text import count, one_line, shell

SUMMARY = "move the ledger to another store, even with work in flight"
EXAMPLE = "hypervisor move sqlite postgresql://ada@db.example.org/work"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    stores = "sqlite (the embedded store) or postgresql://HOST/DATABASE, without a password"
    parser.add_argument("source", metavar="FROM", help=stores)
    parser.add_argument("target", metavar="TO", help="the same")
    parser.add_argument(
        "--yes", action="store_true", help="send the ledger to an address without asking"
    )


def run(args: argparse.Namespace) -> int:
    """Move it and say what every shell needs from now on."""
    from hypervisor.ledger.move import move

    source, target = _store(args.source, "FROM"), _store(args.target, "TO")
    root = find_root()
    if target is not None and not args.yes:
        _ask(root, store.shown(source), store.shown(target))
    counts = move(root, source, target)
    if counts:
        print(
            f"moved {count(counts['queue'], 'queue')}, {count(counts['item'], 'item')} and "
            f"{count(counts['claim'], 'claim')} to {one_line(store.shown(target))}; "
            "tokens stay valid"
        )
    else:
        print(f"the move to {one_line(store.shown(target))} is complete")
    if target is None:
        print(f"from now on, in every shell: unset {store.VARIABLE}")
    else:
        print(f"from now on, in every shell: export {store.VARIABLE}={shell(store.shown(target))}")
    return 0


def _ask(root: str, source: str, target: str) -> None:
    """Have a person say yes to what leaves this machine. Raises UsageError."""
    words = shell(["hypervisor", "move", source, target, "--yes"])
    if not (sys.stdin and sys.stdin.isatty()):
        raise UsageError(
            f"this sends every task's name, row and report in the ledger to {target}, "
            "which a person decides",
            f"run it in a terminal, or: {words}",
        )
    print(f"{one_line(root, 500)}: its ledger, with every row and report, goes to {target}.")
    try:
        answer = input("Send it there? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise HypervisorError("nothing was moved", f"to move it: {words}")


def _store(told: str, where: str) -> str | None:
    if store.has_password(told):
        raise UsageError(
            f"{where}: a password in a command can be read by everybody on this machine",
            "put it into ~/.pgpass or PGPASSWORD",
        )
    named = store.parse(told, where)
    # What the environment says of the same store may hold more, such as a password.
    known = os.environ.get(store.VARIABLE)
    return known if known and named and store.same(known, named) else named
