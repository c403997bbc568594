"""What an agent may not decide as it opens a queue: the user is asked by verbs of their own."""

from __future__ import annotations

import argparse

from hypervisor.config import caller
from hypervisor.ledger import Ledger, budget
from hypervisor.system.errors import NotAllowed
from hypervisor.system.text import shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# What options are called whose columns have another name.
OPTIONS = {"lease_ms": "lease"} | {
    f"{of}_{name}": option
    for of, option in (("item", "item-budget"), ("budget", "budget"))
    for name in ("usd", "tokens", "ms")
}


def check(args: argparse.Namespace, ledger: Ledger | None, limits: Mapping[str, float]) -> None:
    """Raise NotAllowed where an agent would let workers run, reach or spend more: the user decides
    about that, and is asked by verbs of their own."""
    if not caller.around():
        return
    queue, instead = args.queue, ""
    if args.verify is not None:
        what, instead = "--verify", f"hypervisor check {queue} {shell(args.verify)}"
        instead += "".join(f" --from-base {shell(path)}" for path in args.from_base)
        instead += "".join(f" --env {name}" for name in args.env)
    elif args.may_write:
        raise NotAllowed(
            "--may-write is for the user to decide, not for a session",
            "open the queue without it; the user may open it with that in a terminal",
        )
    elif args.allow_command:
        words = " ".join(shell(command) for command in args.allow_command)
        what, instead = "--allow-command", f"hypervisor allow {queue} {words}"
    elif args.tools:
        what, instead = "--tools", f"hypervisor allow {queue} --tools {','.join(args.tools)}"
    elif limits and _raised(ledger, queue, limits):
        what = "a larger budget"
        instead = f"hypervisor allow {queue} --budget {budget.words(limits)}"
    if instead:
        raise NotAllowed(
            f"{what} is for the user to decide, not for a session",
            f"open the queue without it, then run this, which asks the user: {instead}",
        )


def check_bounds(bounds: Mapping[str, float], usual: Mapping[str, int]) -> None:
    """Raise NotAllowed where an agent would let workers take more for an item than is usual, or
    start on all items with none tried."""
    if not caller.around():
        return
    for name, value in bounds.items():
        most = usual.get(name)
        if value == 0 or (most is not None and value > most):
            option = "--" + OPTIONS.get(name, name.replace("_", "-"))
            raise NotAllowed(
                f"a higher bound by {option} is for the user to decide, not for a session",
                "open the queue without it; the user may open it with that in a terminal",
            )


def _raised(ledger: Ledger | None, queue: str, limits: Mapping[str, float]) -> bool:
    row = None if ledger is None else ledger.queues.find(queue)
    return (
        ledger is not None
        and row is not None
        and row.state in ("open", "paused")
        and not ledger.queues.is_drained(row.no)
        and budget.raised(row, limits)
    )
