-- Events that are stored together with the change of a photo they are about, until they are delivered.
CREATE TABLE outbox (
    id               BLOB    NOT NULL PRIMARY KEY,
    subscriber       TEXT    NOT NULL,
    photo_id         BLOB    NOT NULL,
    photo_created_at INTEGER NOT NULL, -- with the version, its place among the photo's events
    photo_version    INTEGER NOT NULL,
    kind             TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    payload          TEXT    NOT NULL, -- JSON
    attempts         INTEGER NOT NULL,
    due_at           INTEGER NOT NULL,
    dead             INTEGER NOT NULL,
    error            TEXT
) STRICT;

CREATE INDEX outbox_by_photo ON outbox (subscriber, photo_id, photo_created_at, photo_version) WHERE dead = 0;
CREATE INDEX outbox_due ON outbox (subscriber, due_at, created_at) WHERE dead = 0;
CREATE INDEX outbox_dead ON outbox (created_at, subscriber) WHERE dead = 1;
