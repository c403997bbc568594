"""What a queue is opened with."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Options(NamedTuple):
    """What a queue is opened with, beside its items; what is None stays as it is, or usual.

    `purpose` is "work", "triage", or "pull": what is given back there is free for every queue.
    `source` is what it was made from, `preflight` is kept for the summary, `asked` (the sources as
    the user named them) as an event. `check_env` and `check_base` are those of `Terms.set_check`.
    `scope` "named" keeps workers to the files that their task names; `commands` (JSON) are the
    beginnings of command lines that headless workers may run, and `may_write` (JSON) the paths
    that workers may change although they steer the next run. The budgets stop the hand-out when
    they are used up (see `budget`); the minutes count from the first claim. `yes_up_to` is the
    number of items for which the user has agreed to the cost beforehand. `folders` (absolute) are
    those outside of the root whose files are among the items: these may be edited. `bounds` are
    those of `Terms.set_bounds`, `first_bounds` what holds of them for a new generation where they
    say nothing. `again`: what was accepted before is done once more.
    """

    purpose: str = "work"
    instructions: str | None = None
    verify: str | None = None
    check_env: Sequence[str] = ()
    check_base: Sequence[str] = ()
    max_attempts: int = 3
    max_deaths: int | None = None
    max_releases: int | None = None
    lease_seconds: float = 900
    lock_dir: str | None = None
    source: str | None = None
    preflight: str | None = None
    asked: str = ""
    scope: str | None = None
    commands: str | None = None
    may_write: str | None = None
    budget_tokens: int | None = None
    budget_ms: int | None = None
    yes_up_to: int | None = None
    folders: Iterable[str] = ()
    bounds: Mapping[str, int] | None = None
    first_bounds: Mapping[str, int] | None = None
    again: bool = False


USUAL = Options()
