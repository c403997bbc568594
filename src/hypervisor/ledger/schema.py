"""The tables of the ledger, one script per version; the last one's number is the version."""

from __future__ import annotations

# An item's `turn` is null once it has ended; else one of three bands, so that one partial index
# serves the next ready item, the leases that ran out, and the list of all that is open:
#   claimed   the lease clock at the lease's end, LEASED added: below zero
#   ready     its position, from zero
#   waiting   its position, WAITING added
# `finish_no` is the lease clock at the end: it grows, so that a reader can ask for what is new.
LEASED = -(1 << 62)
WAITING = 1 << 60

# Commits write whole pages, and a claim changes few bytes of each: small pages are faster.
PAGE_SIZE = 2048
# Each checkpoint waits for the disk twice; 8 MB of log are read in no time.
CHECKPOINT_PAGES = 4000

# "hypv": tells our file from any other SQLite database.
APPLICATION_ID = 0x68797076

FIRST = """
create table meta (key text primary key, value text not null);
create table counter (name text primary key, value bigint not null);
create table boot (no integer primary key, id text not null unique);
create table queue (
    no integer primary key,
    project text not null,
    name text not null,
    generation integer not null,
    state text not null,
    reason text,
    purpose text not null,
    instructions text,
    verify text,
    max_attempts integer not null,
    max_deaths integer not null,
    max_releases integer not null,
    lease_ms bigint not null,
    lock_dir text not null,
    results_dir text,
    source text,
    preflight text,
    opened_at real not null,
    ended_at real,
    unique (project, name, generation)
);
create table item (
    no integer primary key,
    queue integer not null references queue (no),
    project text not null,
    id text not null,
    path text,
    title text,
    payload text,
    fingerprint text,
    position bigint not null,
    turn bigint,
    state text not null,
    waits integer not null default 0,
    attempts integer not null default 0,
    deaths integer not null default 0,
    releases integer not null default 0,
    claim bigint,
    plan text,
    cause text,
    pending text,
    first_claimed_at real,
    finished_at real,
    finish_no bigint,
    told_at real,
    told_by text,
    unique (queue, id)
);
create index item_turn on item (queue, turn) where turn is not null;
create index item_pending on item (queue) where pending is not null;
create table claim (
    no integer primary key,
    token text not null,
    item integer not null references item (no),
    worker text not null,
    lease_ms bigint not null,
    attempt integer not null,
    claimed_at real not null,
    ended_at real,
    outcome text,
    report text,
    commit_id text,
    session text,
    agent text,
    sent_back integer not null default 0,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint
);
create index claim_agent on claim (session, agent) where session is not null;
create table session (
    id text primary key,
    pid bigint,
    pid_start text,
    headless integer,
    heard_at real,
    seen_at real not null
);
create table agent (
    id text primary key,
    session text not null,
    queue integer not null,
    transcript text,
    kept text,
    ended_at real,
    how text,
    noticed_at real,
    noticed_by text,
    known integer,
    complete integer not null default 0,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint
);
create table permission (
    queue integer not null,
    agent text not null,
    call text not null,
    rule text not null
);
create index permission_agent on permission (agent);
create table told (
    session text not null,
    queue integer not null,
    finish_no bigint not null,
    state text,
    primary key (session, queue)
);
create table dependency (
    project text not null,
    after text not null,
    item integer not null references item (no),
    primary key (project, after, item)
);
create index dependency_item on dependency (item);
create table event (
    no integer primary key,
    queue integer not null,
    at real not null,
    kind text not null,
    detail text
);
"""

MIGRATIONS = (FIRST,)
VERSION = len(MIGRATIONS)
