-- Version 1 of the tables.
--
-- Everything of a run hangs on run.key, which is drawn for each life of a run and never again: what a deletion should
-- have missed can never turn up in a later one. There are no foreign keys; the row of the run is locked before anything
-- that hangs on it is touched.
--
-- run is what every write reads and rewrites, so it is narrow, the columns that a commit changes stand together behind the
-- others, and no index holds any of them: its updates stay on their page (HOT). hint is indexed in place of due: it is
-- never later than due, and follows it only when it has passed, at most once a lease.
--
-- last is the newest commit: its id, the first half of its digest, and the token of its fence.
--
-- Texts are bytes: a name may hold what the encoding of the database cannot. Bodies are kept as they come, without
-- PostgreSQL's compression. Each row carries a checksum over all of its columns; what a run has elsewhere is counted in its
-- row, and summed up by exclusive or.
CREATE TABLE {s}.run (
    key bigint PRIMARY KEY,
    id bytea NOT NULL UNIQUE,
    incarnation bytea NOT NULL,
    origin bigint,
    epoch bigint NOT NULL,
    token bytea NOT NULL,
    first bigint NOT NULL,
    state bigint NOT NULL,
    draft bigint NOT NULL,
    wake bigint,
    newest_message bigint NOT NULL,
    newest bigint,
    second bigint,
    delete_after bigint,
    snapshot_bytes bigint NOT NULL,
    blob_bytes bigint NOT NULL,
    message_bytes bigint NOT NULL,
    snapshots bigint NOT NULL,
    blobs bigint NOT NULL,
    messages bigint NOT NULL,
    snapshot_sum bigint NOT NULL,
    blob_sum bigint NOT NULL,
    message_sum bigint NOT NULL,
    followed bigint NOT NULL,
    hint bigint,
    version bigint NOT NULL,
    cursor bigint NOT NULL,
    until bigint,
    due bigint,
    lapses bigint NOT NULL,
    updated bigint NOT NULL,
    record_bytes bigint NOT NULL,
    last_version bigint NOT NULL,
    last_cursor bigint NOT NULL,
    last bytea NOT NULL,
    checksum bytea NOT NULL
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX run_state ON {s}.run (state, id);
CREATE INDEX run_hint ON {s}.run (hint) WHERE hint IS NOT NULL;
CREATE INDEX run_delete_after ON {s}.run (delete_after) WHERE delete_after IS NOT NULL;
CREATE SEQUENCE {s}.run_key CACHE 1;

-- What changes seldom, and is wide: who opened the run last, and how far it says it is.
CREATE TABLE {s}.cold (
    run bigint PRIMARY KEY,
    owner bytea NOT NULL,
    note bytea,
    open_id bytea NOT NULL,
    open_version bigint NOT NULL,
    open_created bigint NOT NULL,
    checksum bytea NOT NULL
) WITH (fillfactor = 80);

-- What is told once, when the run is created. tags are digests of the labels, each of its key and value, to be indexed.
CREATE TABLE {s}.info (
    run bigint PRIMARY KEY,
    id bytea NOT NULL,
    created bigint NOT NULL,
    name bytea NOT NULL,
    parent bytea,
    labels bytea NOT NULL,
    tags bytea[] NOT NULL,
    manifest bytea NOT NULL,
    lineage bytea,
    meta bytea NOT NULL,
    checksum bytea NOT NULL
);
CREATE INDEX info_created ON {s}.info (created DESC, id);
CREATE INDEX info_name ON {s}.info (sha256(name), id);
CREATE INDEX info_parent ON {s}.info (parent, id) WHERE parent IS NOT NULL;
CREATE INDEX info_tags ON {s}.info USING gin (tags) WITH (fastupdate = off) WHERE tags <> ARRAY[]::bytea[];

CREATE TABLE {s}.outcome (
    run bigint PRIMARY KEY,
    kind bytea NOT NULL,
    body bytea NOT NULL,
    checksum bytea NOT NULL
);
ALTER TABLE {s}.outcome ALTER body SET STORAGE EXTERNAL;

CREATE TABLE {s}.record (
    run bigint NOT NULL,
    cursor bigint NOT NULL,
    at bigint NOT NULL,
    kind bytea NOT NULL,
    id bytea,
    blobs bytea,
    checksum bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (run, cursor)
);
ALTER TABLE {s}.record ALTER body SET STORAGE EXTERNAL;

-- Record ids outlive the trimming of their records.
CREATE TABLE {s}.record_id (
    run bigint NOT NULL,
    id bytea NOT NULL,
    cursor bigint NOT NULL,
    checksum bytea NOT NULL,
    PRIMARY KEY (run, id)
);

CREATE TABLE {s}.snapshot (
    run bigint NOT NULL,
    cursor bigint NOT NULL,
    checksum bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (run, cursor)
);
ALTER TABLE {s}.snapshot ALTER body SET STORAGE EXTERNAL;

CREATE TABLE {s}.blob (
    run bigint NOT NULL,
    name bytea NOT NULL,
    checksum bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (run, name)
);
ALTER TABLE {s}.blob ALTER body SET STORAGE EXTERNAL;

CREATE TABLE {s}.message (
    run bigint NOT NULL,
    number bigint NOT NULL,
    at bigint NOT NULL,
    id bytea NOT NULL,
    name bytea NOT NULL,
    kind bytea NOT NULL,
    checksum bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (run, number)
);
ALTER TABLE {s}.message ALTER body SET STORAGE EXTERNAL;

-- Message keys outlive the taking of their messages.
CREATE TABLE {s}.message_key (
    run bigint NOT NULL,
    name bytea NOT NULL,
    number bigint NOT NULL,
    content bytea NOT NULL,
    checksum bytea NOT NULL,
    PRIMARY KEY (run, name)
);

-- What a write says: a code, two numbers, the parts that make the run's head, the instant.
CREATE TYPE {s}.answer AS (
    code bigint, a bigint, b bigint, run bytea, cold bytea, info bytea, outcome bytea, now bigint
);
