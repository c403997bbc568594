"""Rows of the ledger's tables. What a column means is said in `schema`."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple


class Item(NamedTuple):
    """One item of a queue."""

    no: int
    project: str
    id: str
    path: str | None
    title: str | None
    payload: str | None
    fingerprint: str | None
    position: int
    turn: int | None
    state: str
    claim: int | None
    cause: str | None
    pending: str | None
    format: str | None


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
    noticed_at: float | None
    noticed_by: str | None
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
    usd: float | None
    models: str | None
    billed: int | None


class Held(NamedTuple):
    """A live claim and its item: `claim_no` is the claim's number, `no` the item's. `usd` and
    `used`, tokens of all kinds, are what it has cost as far as is known."""

    no: int
    queue: int
    id: str
    path: str | None
    fingerprint: str | None
    format: str | None
    attempts: int
    claim_no: int
    token: str
    worker: str
    lease_ms: int
    lease_until: int
    agent: str | None
    claimed_at: float
    branch: str | None
    worktree: str | None
    queue_name: str
    item_calls: int | None
    item_ms: int | None
    calls: int
    ends_by: int | None
    abrupt: int
    usd: float | None
    used: int | None
    item_usd: float | None
    item_tokens: int | None


class Ending(NamedTuple):
    """A live claim (`claim` is its number, `no` its item's), and what decides what its end costs;
    `awaited` says that others wait for the item."""

    no: int
    project: str
    id: str
    path: str | None
    attempts: int
    deaths: int
    releases: int
    forgiven: int
    lost: int
    abrupt: int
    queue: int
    turn: int
    claim: int
    lease_ms: int
    ends_by: int | None
    handout: int | None
    session: str | None
    agent: str | None
    process: str | None
    queue_state: str
    queue_reason: str | None
    max_attempts: int
    max_deaths: int
    max_releases: int
    max_lost: int
    max_abrupt: int
    item_ms: int | None
    lock_dir: str
    awaited: bool


class Lease(NamedTuple):
    """What a lease is renewed by: the number of an item and of its claim, and that one's terms."""

    no: int
    claim: int
    lease_ms: int
    ends_by: int | None


class Lapsed(NamedTuple):
    """A claim whose lease ran out, and that may come back; `lapsed` is its number once somebody has
    noticed, `outcome` how it ended then, `path` that of its file, unless it is a row of that."""

    no: int
    id: str
    path: str | None
    queue: int
    files: str | None
    lapsed: int | None
    claim: int
    outcome: str | None
    lease_ms: int
    ends_by: int | None


class Reported(NamedTuple):
    """What an accepted report needs to know of the claim that it ends, and of its item."""

    no: int
    project: str
    id: str
    queue: int
    attempts: int
    forgiven: int
    branch: str | None
    handout: int | None
    session: str | None
    agent: str | None
    process: str | None
    awaited: bool


class Holding(NamedTuple):
    """An item in its worker's hands: `token` is the claim, `queue` the number of its queue, whose
    terms follow."""

    no: int
    queue: int
    id: str
    path: str | None
    title: str | None
    payload: str | None
    fingerprint: str | None
    format: str | None
    files: str | None
    named: str | None
    token: str
    worker: str
    attempt: int
    lease_ms: int
    claimed_at: float
    branch: str | None
    worktree: str | None
    base_commit: str | None
    session: str | None
    agent: str | None
    queue_name: str
    verify: str | None
    check_env: str | None
    check_base: str | None
    checks: str | None
    max_refusals: int
    scope: str | None
    commits: int | None
    may_write: str | None
    instructions: str | None
    answer: str | None


class Left(NamedTuple):
    """How a claim ended, by which its branch and its working tree may go, with its item (`no`) and
    the number of its queue."""

    token: str
    outcome: str | None
    report: str | None
    ended_at: float | None
    lease_ms: int
    branch: str | None
    worktree: str | None
    base_commit: str | None
    merged_at: float | None
    no: int
    queue: int
    id: str
    path: str | None
    title: str | None


class Branch(NamedTuple):
    """A claim (`claim` is its number) that works on a branch, its item (`no`), and what of its
    queue a check needs; `newest` says that it is the item's last claim."""

    claim: int
    token: str
    report: str | None
    branch: str
    base_commit: str
    no: int
    project: str
    id: str
    path: str | None
    title: str | None
    payload: str | None
    attempt: int
    state: str
    fingerprint: str | None
    format: str | None
    verify: str | None
    check_env: str | None
    check_base: str | None
    checks: str | None
    scope: str | None
    newest: bool
    awaited: bool


class Brief(NamedTuple):
    """What became of an item, and why: `cause`, or `report`, that of its last claim."""

    id: str
    state: str
    cause: str | None
    report: str | None
    finish_no: int | None

    @property
    def why(self) -> str:
        """Why it stands as it does, in words for people."""
        from hypervisor.ledger.reports import reason_of

        return self.cause or reason_of(self.report) or "no reason given"


class Next(NamedTuple):
    """A ready item that is to be claimed; `late` says that a lease in its queue has run out,
    `last_claim` is the number of the ledger's last claim, `version` that of the queue's
    instructions, and `ladder` the queue's."""

    no: int
    queue: int
    id: str
    path: str | None
    title: str | None
    payload: str | None
    fingerprint: str | None
    format: str | None
    plan: str | None
    cause: str | None
    attempts: int
    deaths: int
    lost: int
    abrupt: int
    turn: int
    files: str | None
    note: str | None
    last_claim: int | None
    late: bool | None
    version: int | None
    ladder: str | None
    forgiven: int


class Ready(NamedTuple):
    """An item that is ready; `is_row` says that it is a row of the file at its path, `abrupt` how
    often its pool or session went down with it."""

    id: str
    path: str | None
    title: str | None
    fingerprint: str | None
    format: str | None
    is_row: bool
    abrupt: int


class Taken(NamedTuple):
    """An item that is open, or whose end is not written yet: `name` is that of its queue, whose
    number is `queue`; `is_file` says that it is the whole file at its path."""

    id: str
    queue: int
    path: str | None
    turn: int | None
    pending: str | None
    name: str
    is_file: bool


class Place(NamedTuple):
    """Where an item is open; `token`, `worker` and `claimed_at` are those of a live claim."""

    state: str
    queue_name: str
    queue_state: str
    token: str | None
    worker: str | None
    claimed_at: float | None


class Pending(NamedTuple):
    """An item whose accepted end is still to be written, and the claim that brought it."""

    no: int
    id: str
    path: str | None
    title: str | None
    fingerprint: str | None
    format: str | None
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


def columns(kind: type[NamedTuple], table: str, **others: str) -> str:
    """Return what a statement selects for rows of this kind: columns of `table` (its name there),
    but for `others`, which come from elsewhere."""
    return ", ".join([others.get(field, f"{table}.{field}") for field in kind._fields])


def of(table: str, fields: str) -> dict[str, str]:
    """Return `others` for `columns`: fields, with blanks between, that are columns of `table`."""
    return {field: f"{table}.{field}" for field in fields.split()}
