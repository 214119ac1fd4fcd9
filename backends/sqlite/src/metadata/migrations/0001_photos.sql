-- The photos. Times are microseconds since 1970, ids the 16 bytes of the UUID, hashes 32 bytes.

CREATE TABLE photos (
    position        INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL,
    user_id         TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    filename        TEXT,
    content_type    TEXT    NOT NULL,
    size_bytes      INTEGER NOT NULL,
    width           INTEGER NOT NULL,
    height          INTEGER NOT NULL,
    hash            BLOB    NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    taken_at        INTEGER,
    tags            TEXT    NOT NULL, -- a JSON array of strings
    attributes      TEXT    NOT NULL, -- a JSON object by plugin
    fingerprint     TEXT,
    attempts        INTEGER NOT NULL,
    error           TEXT,             -- a JSON object
    next_attempt_at INTEGER,
    blob            TEXT    NOT NULL,
    derived         TEXT    NOT NULL, -- a JSON object by plugin/name
    version         INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX photos_by_id ON photos (id);
CREATE UNIQUE INDEX photos_by_content ON photos (user_id, hash);
-- Lists in the order of ids; state and taken_at are there so that a walk can skip without reading rows.
CREATE INDEX photos_by_user ON photos (user_id, id, state, taken_at);
CREATE INDEX photos_by_taken ON photos (user_id, taken_at, id) WHERE taken_at IS NOT NULL;
-- Most photos are ready: lists of the others walk these small ones.
CREATE INDEX photos_unready ON photos (id, state) WHERE state <> 'ready';
CREATE INDEX photos_unready_by_user ON photos (user_id, id, state) WHERE state <> 'ready';

-- Each tag of each photo, kept by triggers.
CREATE TABLE photo_tags (
    user_id  TEXT NOT NULL,
    tag      TEXT NOT NULL,
    photo_id BLOB NOT NULL,
    PRIMARY KEY (user_id, tag, photo_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER photos_tagged AFTER INSERT ON photos WHEN new.tags <> '[]' BEGIN
    INSERT INTO photo_tags SELECT new.user_id, value, new.id FROM json_each(new.tags);
END;
CREATE TRIGGER photos_tagged_anew AFTER UPDATE OF tags ON photos WHEN old.tags <> new.tags BEGIN
    DELETE FROM photo_tags WHERE user_id = old.user_id AND photo_id = old.id
        AND tag IN (SELECT value FROM json_each(old.tags));
    INSERT INTO photo_tags SELECT new.user_id, value, new.id FROM json_each(new.tags);
END;
CREATE TRIGGER photos_untagged AFTER DELETE ON photos WHEN old.tags <> '[]' BEGIN
    DELETE FROM photo_tags WHERE user_id = old.user_id AND photo_id = old.id
        AND tag IN (SELECT value FROM json_each(old.tags));
END;

-- How many photos of each user are in each state, kept by triggers, since it is asked every few seconds.
CREATE TABLE photo_counts (
    user_id TEXT    NOT NULL,
    state   TEXT    NOT NULL,
    photos  INTEGER NOT NULL,
    PRIMARY KEY (user_id, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER photos_counted AFTER INSERT ON photos BEGIN
    INSERT INTO photo_counts VALUES (new.user_id, new.state, 1)
        ON CONFLICT (user_id, state) DO UPDATE SET photos = photos + 1;
END;
CREATE TRIGGER photos_counted_anew AFTER UPDATE OF state ON photos WHEN old.state <> new.state BEGIN
    UPDATE photo_counts SET photos = photos - 1 WHERE user_id = old.user_id AND state = old.state;
    INSERT INTO photo_counts VALUES (new.user_id, new.state, 1)
        ON CONFLICT (user_id, state) DO UPDATE SET photos = photos + 1;
END;
CREATE TRIGGER photos_counted_out AFTER DELETE ON photos BEGIN
    UPDATE photo_counts SET photos = photos - 1 WHERE user_id = old.user_id AND state = old.state;
END;

-- Small named documents of the server's own.
CREATE TABLE records (
    name    TEXT    NOT NULL PRIMARY KEY,
    value   TEXT    NOT NULL, -- JSON
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row that a health check writes.
CREATE TABLE pings (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL
) STRICT;
INSERT INTO pings VALUES (1, 0);
