-- A queue as version 0.1.0 wrote it, with rows. It never changes: what was released must open.

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

PRAGMA user_version = 1;
PRAGMA application_id = 1282761553;

INSERT INTO jobs (photo_id, state, due_at, deliveries, owner, reason) VALUES
    (x'0199b7c2000070008000000000000001', 'waiting', 1759700000000000, 0, NULL, NULL),
    (x'0199b7c2000070008000000000000002', 'dead', 1759700000000000, 5, NULL, 'the picture is damaged');
