"""Rows that `queries` finds for people to look at: no hand-out and no end has need of them."""

from __future__ import annotations

from hypervisor.system.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hypervisor.ledger.rows import OpenItem
    from hypervisor.system.reports import Report


class ClaimRow(NamedTuple):
    """A claim, live or ended, with the id of its item, its queue, and its agent's end."""

    no: int
    token: str
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
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    base_commit: str | None
    branch: str | None
    merge: str | None
    merged_at: float | None
    worktree: str | None
    proof: str | None
    answer: str | None
    verdict: str | None
    reviewer: str | None
    verdict_at: float | None
    verdict_note: str | None
    usd: float | None
    model: str | None
    version: int | None
    rung: int | None
    id: str
    queue_name: str
    generation: int
    kept: str | None


class InTree(NamedTuple):
    """A claim without a branch, with its item (`no`, `id`) and the files that this names."""

    no: int
    id: str
    named: str | None
    files: str | None
    token: str
    claimed_at: float
    outcome: str | None


class AtWork(NamedTuple):
    """A live claim as people look at it; `lease_until` is by the lease clock, in microseconds."""

    id: str
    title: str | None
    lease_until: int
    token: str
    worker: str
    agent: str | None
    session: str | None
    claimed_at: float
    lease_ms: int


class Named(NamedTuple):
    """Where an item (its number) may name the files that it is about."""

    no: int
    path: str | None
    title: str | None
    payload: str | None
    files: str | None
    instructions: str | None


class Event(NamedTuple):
    """What happened to a queue (its number) as a whole."""

    no: int
    queue: int
    at: float
    kind: str
    detail: str | None


class Happened(NamedTuple):
    """That something has happened at a Unix time: `about` is 0 for an event, 1 for a claim and 2
    for a refusal, `no` its number, `is_end` 1 for the end of a claim, and `behind` the number of
    the claim that comes before it, or 0."""

    at: float
    about: int
    no: int
    is_end: int
    behind: int


class Span(NamedTuple):
    """When a claim on an item (its number) was whose, how it ended and what it used."""

    no: int
    item: int
    worker: str
    claimed_at: float
    ended_at: float | None
    outcome: str | None
    tokens: int | None


class Result(NamedTuple):
    """An item, and of the claim that was accepted or is live who had it when, with which model, how
    it ended, its answer (JSON) and its report."""

    no: int
    id: str
    path: str | None
    title: str | None
    payload: str | None
    fingerprint: str | None
    format: str | None
    content: str | None
    state: str
    attempts: int
    deaths: int
    releases: int
    plan: str | None
    cause: str | None
    pending: str | None
    first_claimed_at: float | None
    finished_at: float | None
    finish_no: int | None
    told_at: float | None
    told_by: str | None
    files: str | None
    lost: int
    abrupt: int
    token: str | None
    worker: str | None
    outcome: str | None
    claimed_at: float | None
    ended_at: float | None
    clone: str | None
    model: str | None
    proof: str | None
    answer: str | None
    report: Report | None


class Reviewed(NamedTuple):
    """An accepted report (`claim` is its number) as it is reviewed, with its item as that is now;
    `stratum` and `extra` are those in a sample."""

    claim: int
    token: str
    worker: str
    model: str | None
    version: int | None
    report: str | None
    answer: str | None
    verdict: str | None
    reviewer: str | None
    verdict_at: float | None
    verdict_note: str | None
    judged: str | None
    id: str
    path: str | None
    title: str | None
    payload: str | None
    format: str | None
    fingerprint: str | None
    state: str
    stratum: str | None
    extra: int | None


class Sample(NamedTuple):
    """A sample of the reports of a queue (its number), drawn as `asked` from a `population`."""

    queue: int
    number: int
    at: float
    asked: str
    seed: str
    strata: str | None
    population: int


class Suggestion(NamedTuple):
    """Work that a worker has found while it had the item `origin`; without a `verdict` it waits
    for one."""

    id: str
    origin: str
    worker: str
    title: str
    body: str | None
    at: float
    verdict: str | None
    reviewer: str | None


class Answer(NamedTuple):
    """An item, with the row that it was made from (JSON; None for a file or a part of one), and of
    the claim that was accepted or is live which attempt it was, when, with which model, its proof,
    its answer and its report (both JSON)."""

    no: int
    id: str
    path: str | None
    title: str | None
    payload: str | None
    state: str
    attempt: int | None
    model: str | None
    claimed_at: float | None
    ended_at: float | None
    proof: str | None
    answer: str | None
    report: str | None


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


def spent_on(row: OpenItem | KnownItem | Result) -> int:
    """Return how many ends of claims have cost an item something."""
    return row.attempts + row.deaths + row.releases + row.lost + row.abrupt
