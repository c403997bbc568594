"""What a queue is opened with, and what it keeps of that."""

from __future__ import annotations

from hypervisor.system.errors import UsageError
from hypervisor.system.records import NamedTuple
from hypervisor.system.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_IN_A_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


class Queue(NamedTuple):
    """One generation of a queue; what a column means is said in `schema`."""

    no: int
    name: str
    generation: int
    state: str
    reason: str | None
    purpose: str
    instructions: str | None
    verify: str | None
    max_attempts: int
    max_deaths: int
    max_releases: int
    lease_ms: int
    lock_dir: str
    source: str | None
    preflight: str | None
    opened_at: float
    scope: str | None
    commands: str | None
    budget_tokens: int | None
    budget_ms: int | None
    resume_at: float | None
    started_at: float | None
    may_write: str | None
    folders: str | None
    check_env: str | None
    check_base: str | None
    item_calls: int | None
    item_ms: int | None
    canary: int | None
    trial_at: float | None
    stopped_at: float | None
    tools: str | None
    yes_up_to: int | None
    branches: int | None
    commits: int | None
    max_lost: int
    answer: str | None
    checks: str | None
    max_refusals: int
    budget_usd: float | None
    item_usd: float | None
    item_tokens: int | None
    version: int | None
    ladder: str | None
    notify: str | None


class Options(NamedTuple):
    """What a queue is opened with, beside its items; what is None stays as it is, or usual.

    Of the limits, `max_lost` is how many leases of an item may run out, `max_deaths` how many of
    its workers may die, or go down with their pool or session, and `max_refusals` how many reports
    of one claim its checks may refuse.
    `purpose` is "work", "triage", or "pull": what is given back there is free for every queue.
    `source` is what it was made from, `preflight` is kept for the summary, `asked` (the sources as
    the user named them) as an event. `check_env` and `check_base` are those of `Terms.set_check`.
    `scope` "named" keeps workers to the files that their task names; `commands` (JSON) are the
    beginnings of command lines that headless workers may run, and `may_write` (JSON) the paths
    that workers may change although they steer the next run. `ladder` is one as
    of `ladder.rungs`. The `budget` (as of `budget.limits`) stops the hand-out when it is used up;
    its time counts from the first claim. `yes_up_to` is the
    number of items for which the user has agreed to the cost beforehand. `folders` (absolute) are
    those outside of the root whose files are among the items: these may be edited. `bounds` are
    those of `Terms.set_bounds`; `usual` is what holds of them and of the limits, by column, for a
    new generation where nothing is said. `again`: what was accepted before is done once more.
    `answer` is the JSON schema of what each end as done brings, `sequence` has the ids of all items
    in their source's order. `over` is what `Items.over` returned before the sources were
    read, if that is known.
    """

    purpose: str = "work"
    instructions: str | None = None
    verify: str | None = None
    check_env: Sequence[str] = ()
    check_base: Sequence[str] = ()
    max_attempts: int | None = None
    max_deaths: int | None = None
    max_lost: int | None = None
    max_releases: int | None = None
    max_refusals: int | None = None
    lease_seconds: float | None = None
    lock_dir: str | None = None
    source: str | None = None
    preflight: str | None = None
    asked: str = ""
    scope: str | None = None
    commands: str | None = None
    may_write: str | None = None
    budget: Mapping[str, float] | None = None
    ladder: str | None = None
    yes_up_to: int | None = None
    folders: Iterable[str] = ()
    bounds: Mapping[str, float] | None = None
    usual: Mapping[str, int] | None = None
    again: bool = False
    answer: str | None = None
    sequence: Sequence[str] = ()
    over: frozenset[tuple[int, int]] | None = None

    def kept(self) -> dict[str, object]:
        """Return what was named of `KEPT`, by the queue's columns."""
        given = {column: getattr(self, column) for column in KEPT}
        return {column: value for column, value in given.items() if value is not None}

    def limits(self) -> dict[str, float]:
        """Return the limits and bounds that were named, by the queue's columns."""
        lease = self.lease_seconds
        named = {name: getattr(self, name) for name in LIMITS if name != "lease_ms"}
        named["lease_ms"] = None if lease is None else round(lease * 1000)
        known = {name: value for name, value in named.items() if value is not None}
        return {**known, **(self.bounds or {})}


# What a queue keeps as it is given, by its column: as which option, if the queue can't be at work
# with another, and "" where the last one that was given holds.
KEPT = {
    "verify": "--verify", "commands": "--allow-command", "may_write": "--may-write",
    "scope": "--scope", "ladder": "--ladder", "answer": "", "source": "", "preflight": "",
    "purpose": "", "yes_up_to": "",
}  # fmt: skip
# What a queue has of these where nobody says.
LIMITS = {
    "max_attempts": 3, "max_deaths": 3, "max_lost": 10, "max_releases": 3, "max_refusals": 3,
    "lease_ms": 900_000,
}  # fmt: skip
# What one claim may take, and how many items are tried first.
BOUNDS = ("item_calls", "item_ms", "item_usd", "item_tokens", "canary")
USUAL = Options()


def check_name(name: str) -> None:
    """Raise UsageError for what no queue can be called."""
    # The name stands in commands that agents copy: nothing in it may mean anything to a shell.
    if not 1 <= len(name) <= 100 or name[0] in "-." or not _IN_A_NAME.issuperset(name):
        raise UsageError(
            f"a queue can't be called '{one_line(name, 40)}'",
            "use up to 100 letters, digits, dots, dashes and underscores",
        )
