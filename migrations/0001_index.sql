-- The index and the journal. Instants are microseconds since 1970-01-01 UTC; ids, enums and lists are the text or
-- JSON that the program uses. Every row tells its node and site: several nodes share a store later, each with a chain
-- of its own.

-- The chain (seq from 1, without holes): hash = SHA-256(previous hash, seq, node, site, digest).
CREATE TABLE journal (
    node   TEXT   NOT NULL,
    site   TEXT   NOT NULL,
    seq    BIGINT NOT NULL CHECK (seq > 0),
    digest BLOB   NOT NULL CHECK (length(digest) = 32),
    hash   BLOB   NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (node, seq)
) WITHOUT ROWID;

CREATE TRIGGER journal_is_not_changed BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is not changed'); END;

CREATE TRIGGER journal_is_not_cut BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is not cut'); END;

-- What the chain's digests stand for. Erased on its date; the chain still verifies.
CREATE TABLE journal_content (
    node    TEXT   NOT NULL,
    site    TEXT   NOT NULL,
    seq     BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    call    TEXT,
    salt    BLOB   NOT NULL CHECK (length(salt) = 16),
    payload BLOB   NOT NULL,
    PRIMARY KEY (node, seq),
    FOREIGN KEY (node, seq) REFERENCES journal (node, seq)
);
CREATE INDEX journal_content_by_call ON journal_content (call, node, seq);
CREATE INDEX journal_content_by_time ON journal_content (at);

CREATE TABLE calls (
    id         TEXT   NOT NULL PRIMARY KEY,
    node       TEXT   NOT NULL,
    site       TEXT   NOT NULL,
    line       TEXT   NOT NULL,
    direction  TEXT   NOT NULL,
    number     TEXT,
    number_end TEXT   NOT NULL, -- its digits, last first: the end of a number is a prefix of this
    queue      TEXT,
    started    BIGINT NOT NULL,
    talked     BIGINT,
    ended      BIGINT,
    outcome    TEXT   NOT NULL
);
CREATE INDEX calls_by_time ON calls (started, id);
CREATE INDEX calls_by_line ON calls (line, started, id);
CREATE INDEX calls_by_outcome ON calls (outcome, started, id);
CREATE INDEX calls_by_number ON calls (number_end);

CREATE TABLE call_agents (
    call  TEXT   NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    node  TEXT   NOT NULL,
    site  TEXT   NOT NULL,
    place BIGINT NOT NULL,
    agent TEXT   NOT NULL,
    PRIMARY KEY (call, place)
) WITHOUT ROWID;
CREATE INDEX call_agents_by_agent ON call_agents (agent, call);

-- The queue of keep and sweep, by state: open, closed, kept, doomed, disposed.
CREATE TABLE segments (
    id            TEXT   NOT NULL PRIMARY KEY,
    node          TEXT   NOT NULL,
    site          TEXT   NOT NULL,
    call          TEXT   NOT NULL,
    opened        BIGINT NOT NULL,
    state         TEXT   NOT NULL,
    segment       TEXT   NOT NULL, -- as it was opened, JSON
    closing       TEXT,            -- how it ended, JSON
    kept_for      TEXT   NOT NULL, -- the purposes that remain, JSON
    not_before    BIGINT,
    scheduled     BIGINT,
    delete_by     BIGINT,
    flags         TEXT   NOT NULL, -- JSON
    millis        BIGINT,
    sha256        TEXT,
    wrapped_key   BLOB,            -- gone at disposal, with all that belongs to it
    key_id        TEXT,
    plain_len     BIGINT,
    cipher_len    BIGINT,
    cipher_sha256 TEXT,
    disposed      BIGINT
);
CREATE INDEX segments_by_call ON segments (call, opened, id);
CREATE INDEX segments_by_state ON segments (state, opened, id);
CREATE INDEX segments_by_state_and_id ON segments (state, id);
CREATE INDEX segments_due ON segments (state, scheduled, id);

-- Sampling: the counters, and every lot as it fell.
CREATE TABLE campaigns (
    node     TEXT   NOT NULL,
    site     TEXT   NOT NULL,
    campaign TEXT   NOT NULL,
    calls    BIGINT NOT NULL,
    recorded BIGINT NOT NULL,
    PRIMARY KEY (node, campaign)
) WITHOUT ROWID;

CREATE TABLE strata (
    node     TEXT   NOT NULL,
    site     TEXT   NOT NULL,
    campaign TEXT   NOT NULL,
    stratum  TEXT   NOT NULL,
    calls    BIGINT NOT NULL,
    recorded BIGINT NOT NULL,
    PRIMARY KEY (node, campaign, stratum)
) WITHOUT ROWID;

CREATE TABLE draws (
    id               INTEGER PRIMARY KEY,
    node             TEXT    NOT NULL,
    site             TEXT    NOT NULL,
    campaign         TEXT    NOT NULL,
    call             TEXT    NOT NULL,
    stratum          TEXT    NOT NULL,
    rate             BIGINT  NOT NULL,
    draw             TEXT    NOT NULL, -- of 2^64, decimal
    at               BIGINT  NOT NULL,
    total_calls      BIGINT  NOT NULL,
    total_recorded   BIGINT  NOT NULL,
    stratum_calls    BIGINT  NOT NULL,
    stratum_recorded BIGINT  NOT NULL,
    selected         BOOLEAN NOT NULL,
    UNIQUE (campaign, call)
);
CREATE INDEX draws_in_order ON draws (campaign, id);
