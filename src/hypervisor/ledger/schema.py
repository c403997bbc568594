"""The tables of the ledger, one script per version; the last one's number is the version."""

from __future__ import annotations

# An item's `turn` is null once it has ended; else one of three bands, so that one partial index
# serves the next ready item, the leases that ran out, and the list of all that is open:
#   claimed   the lease clock at the lease's end, LEASED added: below zero
#   ready     its position, from zero
#   waiting   its position, WAITING added
# `finish_no` is the number of the end (`Engine.end_number`): it grows, so that a reader can ask for
# what is new.
LEASED = -(1 << 62)
WAITING = 1 << 60
# What an item waits for that is set aside: an end of that name never satisfies it.
ASIDE = "\x01set aside"
# Above every lease clock.
NEVER = 1 << 62

# Commits write whole pages, and a claim changes few bytes of each: small pages are faster.
PAGE_SIZE = 2048
# Each checkpoint waits for the disk twice; 8 MB of log are read in no time.
CHECKPOINT_PAGES = 4000
# Only somebody who reads all the time keeps the log from being folded back for so long.
LARGEST_LOG = 8 * CHECKPOINT_PAGES * PAGE_SIZE

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

# `files` (JSON) are those that an item says it touches; `merge` is the commit that an accepted
# branch came to, or why it was set aside; `worktree` is where its claim works (from the root, where
# it is inside); `commands` (JSON) may be run by headless workers. An agent has a `pid` where it is
# a process of its own.
SECOND = """
alter table queue add column scope text;
alter table queue add column commands text;
alter table queue add column budget_tokens bigint;
alter table queue add column budget_ms bigint;
alter table queue add column resume_at real;
alter table item add column files text;
alter table claim add column base_commit text;
alter table claim add column branch text;
alter table claim add column merge text;
alter table claim add column merged_at real;
alter table claim add column worktree text;
create index claim_branch on claim (item) where branch is not null and merged_at is null;
create index item_files on item (project) where files is not null and turn < 0;
insert into counter values ('files', 0);
create table integrator (project text primary key, holder text not null, until bigint not null);
alter table agent add column last_tool text;
alter table agent add column seen_at real;
alter table session add column host text;
alter table agent add column pid bigint;
alter table agent add column pid_start text;
alter table queue add column started_at real;
create index item_ended on item (queue, state, finish_no) where finish_no is not null;
"""

# `may_write` (JSON) are the paths that steer the next run and that a person lets workers change;
# `folders` (JSON) those outside of the root whose files were opened. Of the check: `check_env`
# (JSON), the variables that it keeps though they look like secrets, and `check_base` (JSON), the
# files that it takes from the commit at which an item was handed out. `ends` counts what was ever
# accepted: an older ledger that is put back has fewer. `unseen` says what of an agent's use stands
# in no transcript: nothing where it is empty, and null where nobody has told. `item_calls` and
# `item_ms` are what a claim may take; `ends_by` (by the lease clock) is when its time is over,
# `calls` what it has used.
# `canary` is how many items are tried before the rest, `trial_at` when the last trial began, while
# it lasts; `stopped_at` is when a person stopped workers of the queue, until somebody goes on.
# `yes_up_to` is the number of items for which the user has agreed to the cost beforehand; `asked`
# whether a session was told to ask for that (1) and the user has said something since (2);
# `goes_on` the queue that the user has gone on with in a session, "*" for whichever it is.
THIRD = """
alter table queue add column may_write text;
alter table queue add column folders text;
alter table queue add column check_env text;
alter table queue add column check_base text;
alter table agent add column unseen text;
alter table queue add column item_calls bigint;
alter table queue add column item_ms bigint;
alter table queue add column canary integer;
alter table queue add column trial_at real;
alter table queue add column stopped_at real;
alter table claim add column ends_by bigint;
alter table claim add column calls integer not null default 0;
alter table queue add column tools text;
alter table queue add column yes_up_to bigint;
alter table told add column asked integer not null default 0;
alter table session add column goes_on text;
insert into counter select 'ends', count(*) from claim where report is not null;
"""

# A queue's `branches` is whether its workers work on branches of their own, `commits` whether they
# commit, so that what is not committed when an item is handed out has to be known. `named` (JSON)
# are the files that an item's text names, of those that are there.
FOURTH = """
alter table queue add column branches integer;
alter table queue add column commits integer;
alter table item add column named text;
"""

# An item's `format` is that of the file at its path, where that holds many items and the end of
# each is marked in it; null for all others. `content` holds digests (SHA-256): of a row as it was
# opened; of a plain file as its work was handed in; of a task's file as it was opened and before
# its report was written, with a space between. `forgiven` are the attempts from before a retry,
# which count for nothing. What was done in generations that are forgotten stands in `accepted`. A
# claim's `clone` is where its end was said, if there may be several: its report is owed there.
# `lost` counts the leases of an item that ran out, `abrupt` how often its pool or session went down
# in the middle of it; `lapsed` is its last claim where that ran out of its lease and nothing has
# happened to the item since. `handout` is the first claim of a call that made several, `process`
# the one that the worker's commands come from, where it is none of a client's agents.
FIFTH = """
alter table item add column format text;
alter table claim add column clone text;
alter table item add column content text;
alter table item add column forgiven integer not null default 0;
alter table queue add column max_lost integer not null default 10;
alter table item add column lost integer not null default 0;
alter table item add column abrupt integer not null default 0;
alter table item add column lapsed bigint;
alter table claim add column handout bigint;
alter table claim add column process text;
create table accepted (
    project text not null,
    queue text not null,
    id text not null,
    path text not null,
    content text not null,
    primary key (project, queue, id, path, content)
);
"""

# How far an accepted end is known to be so is the claim's `proof` (see `proofs`). The `checks` of a
# queue (JSON) are those beside `verify` and `scope`, by their names; `max_refusals` is how many
# reports of one claim they may refuse. Each is a row: when, by which check, why, and the end of
# what that printed.
# A queue's `answer` is the JSON schema of what its items are to be answered with; `source_order`
# has the ids (JSON) of its items as they stood in their source at the last `open`: apart, since it
# may be long. A claim's `answer` (JSON) is the accepted one; `model` and `usd` are by what it was
# made and at which cost.
# A claim's `verdict` is what a person has said of its report, accepted or rejected, with
# `reviewer`, `verdict_at` and `verdict_note`; `judged` (JSON) is what a second model has; an item's
# `note` is what a rejection asks of whoever takes it up again. `met` are the dependencies that were
# satisfied. A `sample` of the reports of a queue was drawn from a `population` by `seed`, as
# `asked`, in proportion by what `strata` names; `sampled` are its claims, in the order of `place`,
# each with its `stratum`; one that is `extra` stands for a stratum that had none. `clicked` is what
# the user of a session has answered to a question of the review. A `suggestion` is work that the
# worker of a claim has found, with the verdict on it.
#
# What an agent or a claim has cost in dollars (`usd`), null where that is not known. A claim's
# `model` is the one that it was worked on with. An agent's `models` (JSON) has the tokens and the
# dollars of each of its models; `billed` says that these and its dollars are its client's own.
# `budget_usd` is a queue's budget, `item_usd` and `item_tokens` are what a claim may use.
# `version` is that of a queue's instructions, null for the first; a claim has the one that it was
# made with. All versions stand in `instruction`, once there are several. `ladder` has the models on
# which a queue's items are tried, and a claim's `rung` is that of its worker, from 0.
# A queue's `notify` names the entry of the user's configuration that its news goes to. A row of
# `notification` is one piece of it, `id` being what a receiver knows it by: it tells of all ends up
# to `finish_no`, or of the event or claim whose number is `about`; `body` is JSON. Until `sent_at`
# is set nobody tries before `next_at`, and `error` is why the last try failed.
SIXTH = """
alter table claim add column proof text;
update claim set proof = 'claimed' where outcome = 'done' and report not like '%"rule":%';
update claim set proof = 'checked' where outcome = 'done' and report like '%"verify":%';
alter table queue add column checks text;
alter table queue add column max_refusals integer not null default 3;
create table refusal (
    no integer primary key,
    claim bigint not null,
    at real not null,
    name text not null,
    why text not null,
    tail text not null
);
create index refusal_claim on refusal (claim);
alter table queue add column answer text;
alter table claim add column answer text;
alter table claim add column usd real;
alter table claim add column model text;
alter table claim add column verdict text;
alter table claim add column reviewer text;
alter table claim add column verdict_at real;
alter table claim add column verdict_note text;
alter table claim add column judged text;
alter table item add column note text;
create table met (
    project text not null,
    after text not null,
    item integer not null,
    primary key (project, after, item)
);
create index met_item on met (item);
create table sample (
    queue integer not null,
    number integer not null,
    at real not null,
    asked text not null,
    seed text not null,
    strata text,
    population integer not null,
    primary key (queue, number)
);
create table sampled (
    queue integer not null,
    number integer not null,
    place integer not null,
    claim bigint not null,
    stratum text not null,
    extra integer not null,
    primary key (queue, number, place)
);
create table clicked (
    session text not null,
    question text not null,
    answer text not null,
    primary key (session, question)
);
create table suggestion (
    queue integer not null,
    id text not null,
    claim bigint not null,
    title text not null,
    body text,
    at real not null,
    verdict text,
    reviewer text,
    primary key (queue, id)
);
alter table agent add column usd real;
alter table agent add column models text;
alter table agent add column billed integer;
alter table queue add column budget_usd real;
alter table queue add column item_usd real;
alter table queue add column item_tokens bigint;
alter table queue add column version integer;
alter table claim add column version integer;
alter table queue add column ladder text;
alter table claim add column rung integer;
create table instruction (
    queue integer not null,
    version integer not null,
    content text not null,
    at real not null,
    primary key (queue, version)
);
alter table queue add column notify text;
create table notification (
    no integer primary key,
    id text not null unique,
    queue integer not null references queue (no),
    event text not null,
    finish_no bigint,
    about bigint,
    body text not null,
    at real not null,
    next_at real not null,
    error text,
    sent_at real
);
create index notification_unsent on notification (queue) where sent_at is null;
create index item_tried on item (queue, turn)
    where turn >= 0 and first_claimed_at is not null;
create table source_order (
    queue integer not null,
    ids text not null,
    primary key (queue)
);
"""

MIGRATIONS = (FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH)
VERSION = len(MIGRATIONS)


def fresh() -> list[str]:
    """Return the statements that make a ledger of the present version. The columns that later
    versions add are in their tables from the start: at each `alter` SQLite reads all of them anew.
    """
    made: list[str] = []
    places: dict[str, int] = {}
    for statement in ";".join(MIGRATIONS).split(";"):
        # alter table NAME add column REST
        words = statement.split(None, 5)
        if words[:2] == ["alter", "table"]:
            at = places[words[2]]
            made[at] = _widened(made[at], words[5])
        elif words:
            if words[:2] == ["create", "table"]:
                places[words[2]] = len(made)
            made.append(statement)
    return made


def _widened(table: str, column: str) -> str:
    """Return the statement that makes a table with one more column, the last one."""
    ends = (table.find(f"\n{end}") for end in ("    unique (", "    primary key (", ")"))
    at = min(end for end in ends if end >= 0)
    added = f"\n    {column}," if table[at - 1] == "," else f",\n    {column}"
    return table[:at] + added + table[at:]


# What a ledger is made of besides its own marks, in an order that references allow.
TABLES = (
    "queue", "item", "claim", "dependency", "session", "agent", "permission", "told", "event",
    "accepted", "refusal", "met", "sample", "sampled", "clicked", "suggestion", "instruction",
    "notification", "source_order",
)  # fmt: skip
