"""`hypervisor check`: lay down for a queue what must hold before an item counts as done."""

from __future__ import annotations

import argparse

from hypervisor.cli import options
from hypervisor.cli.place import root_of_queue
from hypervisor.ledger import Ledger
from hypervisor.ledger.check import BUILT_IN, USUAL, Check, checks_of
from hypervisor.system.errors import NothingLeft, UsageError
from hypervisor.system.text import listed, one_line

SUMMARY = "set a command that must pass before an item counts as done, or show those that are set"
EXAMPLE = "hypervisor check inbox 'make test'"
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_IN_WORDS = {
    "changed": "a file was changed for the item, as far as can be told (proves nothing)",
    "named": "no file was changed that the item does not name (proves nothing)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", help="the queue's name")
    parser.add_argument(
        "command",
        nargs="?",
        metavar="CMD",
        help="for sh, in the root; or what is built in: changed (refuses where no file was changed "
        "for the item) or named (refuses where one was that the item does not name). Default: show "
        "the checks",
    )
    parser.add_argument(
        "--name",
        metavar="NAME",
        help=f"what the check is called, beside others; one of that name is replaced ({USUAL})",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show the checks")
    what.add_argument("--remove", metavar="NAME", help="take this check away")
    options.add_check(parser)


def run(args: argparse.Namespace) -> int:
    """Set a check, take one away, or show them: 0, or 3 if there is no check to show. Raises
    UsageError."""
    given = args.command is not None or args.name is not None
    if given and (args.list or args.remove is not None):
        raise UsageError("--list and --remove take no check", "use one of them at a time")
    root = root_of_queue(args.queue)
    base = options.check_base(args, root, args.command, "CMD")
    name = _name(args)
    with Ledger.open(root, look=args.command is None and args.remove is None) as ledger:
        if args.command is not None:
            command = None if args.command in BUILT_IN else args.command
            ledger.terms.set_check(args.queue, command, args.env, base, name)
        elif args.remove is not None and not ledger.terms.remove_check(args.queue, args.remove):
            known = listed([check.name for check in checks_of(ledger.queues.get(args.queue))], 20)
            raise UsageError(
                f"queue {args.queue} has no check {one_line(args.remove, 60)}",
                f"it has: {known or 'none'}",
            )
        checks = checks_of(ledger.queues.get(args.queue))
        drained = ledger.queues.drained(args.queue)
    if not checks:
        print(f"queue {args.queue} has no check")
        return 0 if args.remove is not None else NothingLeft.exit_code
    for check in checks:
        print("\n".join(about(args.queue, check)))
    if args.command is not None and not drained:
        options.tell_next(args.queue)
    return 0


def _name(args: argparse.Namespace) -> str:
    """Return what the check is called that is given. Raises UsageError."""
    if args.command in BUILT_IN:
        if args.name not in (None, args.command):
            raise UsageError(f"{args.command} is built in, and called so", "leave out --name")
        return str(args.command)
    if args.name is None:
        return USUAL
    if args.command is None:
        raise UsageError("--name belongs to a check", "add CMD, or use --list or --remove NAME")
    if not (0 < len(args.name) <= 40 and _PLAIN.issuperset(args.name)) or args.name in BUILT_IN:
        raise UsageError(
            f"a check can't be called '{one_line(args.name, 40)}'",
            "use up to 40 letters, digits, dashes and underscores; changed and named are built in",
        )
    return str(args.name)


def about(queue: str, check: Check) -> list[str]:
    """Return a check in lines: what it asks, what it runs with, and who decides what it does."""
    which = f" ({check.name})" if check.name != USUAL else ""
    asked = check.command if check.command is not None else _IN_WORDS[check.name]
    return [f"before an item of {queue} is done{which}: {one_line(asked, 1000)}", *details(check)]


def details(check: Check) -> list[str]:
    """Return in lines what a check runs with, and who decides what it does."""
    from hypervisor.worker import verify

    if check.command is None:
        return []
    lines = []
    if check.base:
        named = ", ".join(one_line(path, 200) for path in check.base)
        lines.append(f"  it runs in a copy, with these as they were when the item began: {named}")
    else:
        lines.append(
            "  files that a worker may edit decide what it runs (tests, a Makefile, the script "
            "itself); --from-base PATH takes one from the commit at which the item began"
        )
    if check.env:
        lines.append(f"  it keeps {', '.join(check.env)}")
    if left := verify.without(check.env):
        lines.append(f"  {options.left_out(left)}")
    return lines
