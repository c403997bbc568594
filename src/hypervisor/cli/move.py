"""`hypervisor move`: carry the ledger from one store to another, with the work in flight."""

from __future__ import annotations

import argparse
import os

from hypervisor.config import address
from hypervisor.config.roots import find_root
from hypervisor.system.errors import UsageError
from hypervisor.system.text import one_line, shell

SUMMARY = "carry the ledger to another store, with the work in flight"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `hypervisor move`."""
    stores = "sqlite (the embedded store) or postgresql://HOST/DATABASE, without a password"
    parser.add_argument("source", metavar="FROM", help=stores)
    parser.add_argument("target", metavar="TO", help="the same")


def run(args: argparse.Namespace) -> int:
    """Move it and say what every shell needs from now on."""
    from hypervisor.ledger.move import move

    source, target = _store(args.source, "FROM"), _store(args.target, "TO")
    root = find_root()
    counts = move(root, source, target)
    if counts:
        print(
            f"moved {counts['queue']} queues, {counts['item']} items and {counts['claim']} claims "
            f"to {one_line(address.shown(target))}; tokens stay valid"
        )
    else:
        print(f"the move to {one_line(address.shown(target))} is complete")
    if target is None:
        print(f"from now on, in every shell: unset {address.VARIABLE}")
    else:
        print(
            f"from now on, in every shell: export {address.VARIABLE}={shell(address.shown(target))}"
        )
    return 0


def _store(told: str, where: str) -> str | None:
    if address.has_password(told):
        raise UsageError(
            f"{where}: a password in a command can be read by everybody on this machine",
            "put it into ~/.pgpass or PGPASSWORD",
        )
    named = address.parse(told, where)
    # What the environment says of the same store may hold more, such as a password.
    known = os.environ.get(address.VARIABLE)
    return known if known and named and address.same(known, named) else named
