"""Rows of the ledger's tables. What a column means is said in `schema`."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    Tokens = tuple[int | None, int | None, int | None, int | None]


class Queue(NamedTuple):
    """One generation of a queue."""

    no: int
    project: str
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
    ended_at: float | None
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


class Item(NamedTuple):
    """One item of a queue."""

    no: int
    queue: int
    project: str
    id: str
    path: str | None
    title: str | None
    payload: str | None
    fingerprint: str | None
    position: int
    turn: int | None
    state: str
    waits: int
    attempts: int
    deaths: int
    releases: int
    claim: int | None
    plan: str | None
    cause: str | None
    pending: str | None
    first_claimed_at: float | None
    finished_at: float | None
    finish_no: int | None
    told_at: float | None
    told_by: str | None
    files: str | None
    named: str | None
    lost: int
    abrupt: int


class Session(NamedTuple):
    """One run of a client."""

    id: str
    pid: int | None
    pid_start: str | None
    headless: int | None
    heard_at: float | None
    seen_at: float
    host: str | None
    goes_on: str | None


class Agent(NamedTuple):
    """One worker in a session."""

    id: str
    session: str
    queue: int
    transcript: str | None
    kept: str | None
    ended_at: float | None
    how: str | None
    noticed_at: float | None
    noticed_by: str | None
    known: int | None
    complete: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    last_tool: str | None
    seen_at: float | None
    pid: int | None
    pid_start: str | None
    unseen: str | None

    @property
    def tokens(self) -> Tokens:
        """What it has used; see `_tokens`."""
        return _tokens(self)


class ClaimRow(NamedTuple):
    """A claim, live or ended, with the id of its item, its queue, and its agent's end."""

    no: int
    token: str
    item: int
    worker: str
    lease_ms: int
    attempt: int
    claimed_at: float
    ended_at: float | None
    outcome: str | None
    report: str | None
    commit_id: str | None
    session: str | None
    agent: str | None
    sent_back: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    base_commit: str | None
    branch: str | None
    merge: str | None
    merged_at: float | None
    worktree: str | None
    ends_by: int | None
    calls: int
    id: str
    queue_name: str
    generation: int
    kept: str | None
    how: str | None

    @property
    def tokens(self) -> Tokens:
        """What it has used; see `_tokens`."""
        return _tokens(self)


class InTree(NamedTuple):
    """A claim without a branch, with its item (`no`, `id`) and the files that this names."""

    no: int
    id: str
    named: str | None
    files: str | None
    token: str
    claimed_at: float
    outcome: str | None


class Held(NamedTuple):
    """A live claim and its item: `claim_no` is the claim's number, `no` the item's."""

    no: int
    queue: int
    id: str
    path: str | None
    fingerprint: str | None
    attempts: int
    claim_no: int
    token: str
    worker: str
    lease_ms: int
    lease_until: int
    agent: str | None
    sent_back: int
    claimed_at: float
    branch: str | None
    worktree: str | None
    queue_name: str
    max_attempts: int
    item_calls: int | None
    item_ms: int | None
    calls: int
    ends_by: int | None
    abrupt: int


class Pending(NamedTuple):
    """An item whose accepted end is still to be written, and the claim that brought it."""

    no: int
    id: str
    path: str | None
    fingerprint: str | None
    state: str
    cause: str | None
    pending: str
    finished_at: float
    queue_name: str
    token: str
    worker: str
    outcome: str
    attempt: int
    report: str | None
    branch: str | None
    merge: str | None


class OpenItem(NamedTuple):
    """An item that has not ended; `aside` says that it is set aside."""

    no: int
    id: str
    path: str | None
    title: str | None
    payload: str | None
    state: str
    turn: int
    attempts: int
    deaths: int
    releases: int
    cause: str | None
    first_claimed_at: float | None
    lost: int
    abrupt: int
    aside: bool

    @property
    def spent(self) -> int:
        """How many ends of claims have cost it something."""
        return _spent(self)


class KnownItem(NamedTuple):
    """What one generation of a queue holds under an id."""

    no: int
    queue: int
    id: str
    path: str | None
    title: str | None
    payload: str | None
    state: str
    attempts: int
    deaths: int
    releases: int
    claim: int | None
    cause: str | None
    pending: str | None
    first_claimed_at: float | None
    finished_at: float | None
    told_by: str | None
    files: str | None
    lost: int
    abrupt: int
    queue_name: str
    generation: int
    queue_state: str
    lock_dir: str

    @property
    def spent(self) -> int:
        """How many ends of claims have cost it something."""
        return _spent(self)


def _tokens(row: Agent | ClaimRow) -> Tokens:
    """Return what was used: input, output, read from the cache, written to it; None: not known."""
    return (
        row.input_tokens,
        row.output_tokens,
        row.cache_read_tokens,
        row.cache_write_tokens,
    )


def _spent(row: OpenItem | KnownItem) -> int:
    return row.attempts + row.deaths + row.releases + row.lost + row.abrupt


def columns(kind: type[NamedTuple], table: str, **others: str) -> str:
    """Return what a statement selects for rows of this kind: columns of `table` (its name there),
    but for `others`, which come from elsewhere."""
    return ", ".join([others.get(field, f"{table}.{field}") for field in kind._fields])
