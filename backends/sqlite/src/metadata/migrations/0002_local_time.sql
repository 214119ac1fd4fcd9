-- What the clock showed where a photo was taken, in microseconds since 1970 of a clock without a zone. Plugin `exif` has had
-- it among its attributes; it counts where it fits the moment, within 14 hours.
ALTER TABLE photos ADD COLUMN taken_at_local INTEGER;

UPDATE photos SET taken_at_local = camera.local
FROM (
    SELECT position, unixepoch(substr(written, 1, 19)) * 1000000
        + CASE WHEN written LIKE '%.%' THEN CAST(substr(substr(written, 21) || '000000', 1, 6) AS INTEGER) ELSE 0 END AS local
    FROM (SELECT position, json_extract(attributes, '$.exif.taken_at_local') AS written FROM photos
        WHERE taken_at IS NOT NULL)
    WHERE typeof(written) = 'text'
) AS camera
WHERE photos.position = camera.position AND abs(camera.local - photos.taken_at) < (14 * 3600 + 1) * 1000000;

-- What filters by date go by: the time in UTC where the offset is unknown.
ALTER TABLE photos ADD COLUMN local_time INTEGER GENERATED ALWAYS AS (coalesce(taken_at_local, taken_at)) VIRTUAL;
CREATE INDEX photos_by_local_time ON photos (user_id, local_time, id) WHERE local_time IS NOT NULL;
DROP INDEX photos_by_user;
CREATE INDEX photos_by_user ON photos (user_id, id, state, taken_at, local_time);
