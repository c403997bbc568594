BEGIN TRANSACTION;
CREATE TABLE agent (
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
CREATE TABLE boot (no integer primary key, id text not null unique);
INSERT INTO "boot" VALUES(1,'00000000-0000-4000-8000-000000000000');
CREATE TABLE claim (
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
INSERT INTO "claim" VALUES(1,'1-ha2q',1,'w1',900000,1,1.79570332440304684636e+09,1.79570332440352535248e+09,'done','{"summary": "It is done.", "commit": "0123abc"}',NULL,NULL,NULL,0,NULL,NULL,NULL,NULL);
INSERT INTO "claim" VALUES(2,'2-cdmj',2,'w2',3600000,1,1.79570332440466618535e+09,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL);
CREATE TABLE counter (name text primary key, value bigint not null);
INSERT INTO "counter" VALUES('position',5);
CREATE TABLE dependency (
    project text not null,
    after text not null,
    item integer not null references item (no),
    primary key (project, after, item)
);
INSERT INTO "dependency" VALUES('notes','b',4);
CREATE TABLE event (
    no integer primary key,
    queue integer not null,
    at real not null,
    kind text not null,
    detail text
);
INSERT INTO "event" VALUES(1,1,1.79570332438895750044e+09,'opened','');
CREATE TABLE item (
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
INSERT INTO "item" VALUES(1,1,'notes','a',NULL,NULL,NULL,NULL,1,NULL,'done',0,0,0,0,1,NULL,NULL,NULL,1.79570332440304684636e+09,1.79570332440352535248e+09,400000231347445,NULL,NULL);
INSERT INTO "item" VALUES(2,1,'notes','b','tasks/b.md','Second',NULL,NULL,2,-4611286014596039250,'claimed',0,0,0,0,2,NULL,NULL,NULL,1.79570332440466618535e+09,NULL,NULL,NULL,NULL);
INSERT INTO "item" VALUES(3,1,'notes','c',NULL,NULL,'{"n": 3}',NULL,3,3,'ready',0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "item" VALUES(4,1,'notes','d',NULL,NULL,NULL,NULL,4,1152921504606846980,'waiting',1,0,0,0,NULL,NULL,'waits for b',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "item" VALUES(5,1,'notes','e',NULL,NULL,NULL,NULL,5,5,'ready',0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE meta (key text primary key, value text not null);
INSERT INTO "meta" VALUES('machine','00000000000000000000000000000000');
INSERT INTO "meta" VALUES('inode','1');
INSERT INTO "meta" VALUES('ledger','04f73655');
INSERT INTO "meta" VALUES('project','notes');
CREATE TABLE permission (
    queue integer not null,
    agent text not null,
    call text not null,
    rule text not null
);
CREATE TABLE queue (
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
INSERT INTO "queue" VALUES(1,'notes','q',1,'open',NULL,'work','Do it.',NULL,2,3,3,900000,'.hypervisor/locks',NULL,NULL,NULL,1.79570332438886308672e+09,NULL);
CREATE TABLE session (
    id text primary key,
    pid bigint,
    pid_start text,
    headless integer,
    heard_at real,
    seen_at real not null
);
CREATE TABLE told (
    session text not null,
    queue integer not null,
    finish_no bigint not null,
    state text,
    primary key (session, queue)
);
CREATE INDEX item_turn on item (queue, turn) where turn is not null;
CREATE INDEX item_pending on item (queue) where pending is not null;
CREATE INDEX claim_agent on claim (session, agent) where session is not null;
CREATE INDEX permission_agent on permission (agent);
CREATE INDEX dependency_item on dependency (item);
COMMIT;
pragma application_id = 1752789110;
pragma user_version = 1;
