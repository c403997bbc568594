"""What has to hold before an item of a queue counts as done."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.options import Queue
    from hypervisor.ledger.rows import Branch, Holding

# What `verify` is called among the checks of a queue.
USUAL = "check"
# Looked at without a command: whether the item's worker has changed any file, and none but those
# that the item names. They refuse, and prove nothing.
CHANGED, NAMED = BUILT_IN = ("changed", "named")


class Check(NamedTuple):
    """A check by its `name`: `command` is for sh, None for what is built in. It keeps the variables
    `env` though they look like secrets, and takes the paths `base` from where an item began."""

    name: str
    command: str | None
    env: list[str]
    base: list[str]


def checks_of(row: Queue | Holding | Branch) -> list[Check]:
    """Return the checks of a queue in the order in which they are made: commands come last."""
    if row.checks is None and row.scope is None and row.verify is None:
        return []
    from hypervisor.system.quick_json import loads

    found = [Check(NAMED, None, [], [])] if row.scope else []
    if row.verify is not None:
        env, base = loads(row.check_env or "[]"), loads(row.check_base or "[]")
        found.append(Check(USUAL, row.verify, env, base))
    found += (Check(name, *told) for name, told in loads(row.checks or "{}").items())
    return sorted(found, key=lambda check: check.command is not None)
