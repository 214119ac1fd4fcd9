-- Jobs that are waiting, in flight (handed out, not settled) or dead (given up). Times are microseconds since 1970.

CREATE TABLE jobs (
    -- Never used twice, so that the tag of a delivery means one job for ever.
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    photo_id   BLOB    NOT NULL, -- the 16 bytes of the UUID
    state      TEXT    NOT NULL CHECK (state IN ('waiting', 'in_flight', 'dead')),
    -- Waiting: when it may be handed out. In flight: when it is handed out once more. Dead: since when.
    due_at     INTEGER NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0,
    owner      TEXT, -- in flight: the process that has it
    reason     TEXT  -- dead: why
) STRICT;

CREATE INDEX jobs_waiting ON jobs (due_at, id) WHERE state = 'waiting';
CREATE INDEX jobs_in_flight ON jobs (due_at, owner) WHERE state = 'in_flight';
CREATE INDEX jobs_dead ON jobs (due_at, id) WHERE state = 'dead';
CREATE INDEX jobs_dead_by_photo ON jobs (photo_id) WHERE state = 'dead';
