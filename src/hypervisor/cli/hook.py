"""The face to the clients' hooks: `hooks/guard` calls it where a queue is open."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

SUMMARY = "handle one event of a client"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("event")


def run(args: argparse.Namespace) -> int:
    """Handle the event on standard input; always 0."""
    from hypervisor.agents import hooks
    from hypervisor.agents.hooks import limit

    limit.begin()
    if told := hooks.run(args.event):
        print(told)
    return 0
