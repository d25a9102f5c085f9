-- Who agreed to be called or recorded, and who must not be called. A number is here only as an HMAC under a key that
-- lies elsewhere, with its country's code and last two digits for people to recognise it by.
CREATE TABLE register (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    node       TEXT    NOT NULL,
    site       TEXT    NOT NULL,
    number     BLOB    NOT NULL CHECK (length(number) = 32),
    key_id     TEXT    NOT NULL, -- the key of number and id
    shown      TEXT    NOT NULL,
    kind       TEXT    NOT NULL, -- consent, do-not-call
    label      TEXT    NOT NULL, -- what it is about: marketing, request, list:…
    list       TEXT,             -- the list that it is from
    how        TEXT,
    line       TEXT,
    evidence   BOOLEAN NOT NULL, -- whether it can be proved
    subject    TEXT    NOT NULL, -- what was said, JSON
    since      BIGINT  NOT NULL,
    until      BIGINT,
    entered    BIGINT  NOT NULL,
    withdrawn  BIGINT,
    withdrawal TEXT,             -- when and how, JSON
    ends       BIGINT,           -- until or withdrawn, whichever is earlier
    batch      TEXT              -- the reading of its list in which it was seen last
) WITHOUT ROWID;
CREATE INDEX register_by_number ON register (number, since, id);
CREATE INDEX register_ended ON register (ends, id) WHERE ends IS NOT NULL;
CREATE INDEX register_by_list ON register (list, batch, id) WHERE list IS NOT NULL;
