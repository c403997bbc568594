"""The shapes of what is told as JSON; `schemas/` says the same, with the meaning of each key.

Where these are named, only types are checked: nothing has to load this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from hypervisor.ledger.budget import Budget
    from hypervisor.system.reports import Report

# -- summary --


class Tokens(TypedDict):
    """What the workers of a queue used."""

    total_tokens: int | None
    overhead_tokens: int | None
    tokens: dict[str, int] | None
    tokens_exact: bool | None
    tokens_unseen: list[str]
    total_usd: float | None
    overhead_usd: float | None
    models: list[Model]


class Model(TypedDict):
    """What was used of a model, for how many items, and how many of those are done."""

    model: str
    items: int
    done: int
    tokens: dict[str, int] | None
    usd: float | None


class Notices(TypedDict):
    """Which ends of workers the client gave notice of."""

    workers_ended: int
    arrived: int
    items_told: int
    by: dict[str, int]
    seconds_p50: float | None
    seconds_p95: float | None


class Always(TypedDict):
    """What a summary says of every item."""

    task_id: str
    status: str
    after: str | None
    state: str
    path: str | None
    title: str | None
    proof: str | None
    note: str | None
    worker: str | None
    attempts: int
    deaths: int
    lost: int
    abrupt: int
    tokens: Mapping[str, int | None] | None
    usd: float | None
    model: str | None
    runtime_seconds: float | None
    report_pending: str | None


class Told(Always, total=False):
    """An item of a summary; `outcome` or `reason` is there."""

    answer: object
    outcome: str
    reason: str
    commit: str
    forced: bool
    half_done: bool
    files: list[str]
    changes: list[str]
    rule: str
    off_limits: list[str]
    unnamed: list[str]
    unchanged: bool
    outside: list[str]
    kept: list[str]
    report_gone: bool
    row: object


class Head(TypedDict):
    """Which queue a summary is of, and how it stands."""

    queue: str
    generation: int
    newest_generation: int
    state: str
    reason: str | None


class Rest(Tokens):
    """What a summary says of all items together."""

    total: int
    counts: dict[str, int]
    proof: dict[str, int]
    running: int
    runtime_seconds: float | None
    unknown_transcripts: list[str]
    notices: Notices | None
    transcripts: list[str]
    preflight: dict[str, int] | None
    reports_pending: int


class Summary(Head, Rest):
    """What became of a queue."""

    workers: list[Told]


# -- status --


class Held(TypedDict):
    """An item in a worker's hands."""

    id: str
    title: str | None
    token: str
    claimed_at: float
    lease_seconds: float
    lease_left_seconds: float


class Worker(TypedDict):
    """Who works on a queue."""

    worker: str
    session: str | None
    holds: list[Held]
    last_tool: str | None
    seen_at: float | None
    tokens: int | None


class Problem(TypedDict):
    """What wants a look, and the command that mends it."""

    kind: str
    text: str
    fix: str | None


class Left(TypedDict):
    """An item that has not ended."""

    id: str
    title: str | None
    state: str
    standing: str
    after: str | None
    worker: str | None
    waits_for: list[str]


class Aside(TypedDict):
    """How many items are set aside, and the condition that they do not meet."""

    items: int
    where: str | None


class Pool(TypedDict):
    """A detached pool, at work or (`ended`: why, None: killed) not any more."""

    id: str
    alive: bool
    started_at: float
    log: str
    ended: str | None
    command: str


class Status(TypedDict, total=False):
    """Where a queue stands; `left` is told of one that is asked for by its name."""

    queue: str
    state: str
    reason: str | None
    resume_at: float | None
    total: int
    counts: dict[str, int]
    proof: dict[str, int]
    to_be_tried_again: dict[str, int]
    set_aside: Aside | None
    per_minute: float | None
    eta_seconds: int | None
    tokens: int | None
    tokens_exact: bool | None
    usd: float | None
    budget: Budget | None
    workers: list[Worker]
    detached: Pool | None
    problems: list[Problem]
    left: list[Left]


# -- show and log --


class Verdict(TypedDict):
    """What a person said of a report."""

    verdict: str
    by: str
    at: float
    note: str | None


class Refusal(TypedDict):
    """A report that was refused: by which check, why, and the end of what that printed."""

    at: float
    check: str
    why: str
    tail: str


class Claim(TypedDict):
    """A claim on an item, live or ended."""

    token: str
    worker: str
    session: str | None
    agent: str | None
    attempt: int
    claimed_at: float
    ended_at: float | None
    outcome: str | None
    proof: str | None
    report: Report | None
    refusals: list[Refusal]
    commit: str | None
    tokens: dict[str, int | None] | None
    tokens_exact: bool | None
    usd: float | None
    model: str | None
    version: int
    transcript: str | None
    review: Verdict | None


class InQueue(TypedDict):
    """What one generation of a queue holds of an item."""

    queue: str
    generation: int
    queue_state: str
    state: str
    standing: str
    cause: str | None
    path: str | None
    title: str | None
    payload: object
    attempts: int
    deaths: int
    lost: int
    abrupt: int
    releases: int
    finished_at: float | None
    told_by: str | None
    report_pending: str | None
    waits_for: list[str]
    claims: list[Claim]


class Awaiting(TypedDict):
    """An item that waits for another."""

    id: str
    queue: str
    state: str


class Lock(TypedDict):
    """A lock on an item, ours or another tool's."""

    path: str
    kind: str
    owner: str | None
    ours: bool
    age_seconds: float


class File(TypedDict):
    """How the file of an item looks."""

    path: str
    exists: bool
    modified_at: float | None


class Item(TypedDict):
    """Everything that is known of an item."""

    id: str
    queues: list[InQueue]
    waited_for_by: list[Awaiting]
    locks: list[Lock]
    file: File | None
    why: str | None


class Event(TypedDict):
    """What happened in a queue; `token` and `worker` are those of a claim."""

    at: float
    event: str
    queue: str
    generation: int
    id: str | None
    token: str | None
    worker: str | None
    detail: str | None


# -- review --


class Rate(TypedDict):
    """How many of some reviewed reports were accepted, and the interval of 95 % of that rate."""

    name: str
    accepted: int
    reviewed: int
    rate: float | None
    low: float
    high: float
