//! What is done to the table of jobs, one statement each.

use jiff::Timestamp;
use lucida_core::{DeadLetter, Delivery, Job, PhotoId, QueueCounts};
use rusqlite::{Connection, Params, Result, Row, params};
use std::time::Duration;
use uuid::Uuid;

/// Something that a caller wants changed.
#[derive(Debug)]
pub(crate) enum Change {
    /// Adds a job.
    Publish {
        /// The job.
        job: Job,
        /// When it may be handed out.
        due_at: i64,
    },
    /// Removes a job that is done.
    Ack(Tag),
    /// Puts a job back.
    Retry {
        /// The delivery.
        tag: Tag,
        /// When it may be handed out.
        due_at: i64,
    },
    /// Puts a job back that reached nobody, as if it had not been handed out.
    PutBack(Tag),
    /// Gives a job up.
    DeadLetter {
        /// The delivery.
        tag: Tag,
        /// Why.
        reason: String,
    },
    /// Removes a photo's dead letters.
    RemoveDeadLetters(PhotoId),
    /// Only shows that changes are possible.
    Nothing,
}

/// Which delivery of which job; there is at most one at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tag {
    id: i64,
    deliveries: u32,
}

impl Tag {
    /// Reads a delivery's tag; one that is not this queue's is none.
    pub(crate) fn of(delivery: &Delivery) -> Option<Self> {
        let (id, deliveries) = delivery.tag.split_once('.')?;
        Some(Self {
            id: id.parse().ok()?,
            deliveries: deliveries.parse().ok()?,
        })
    }
}

impl Change {
    /// Returns whether it must be on the disk before it is answered. What is not comes undone by a power cut, and
    /// the job is handed out once more.
    pub(crate) fn is_durable(&self) -> bool {
        match self {
            Self::Publish { .. } | Self::DeadLetter { .. } | Self::RemoveDeadLetters(_) => true,
            Self::Ack(_) | Self::Retry { .. } | Self::PutBack(_) | Self::Nothing => false,
        }
    }

    /// Makes the change, and returns how many jobs it changed.
    pub(crate) fn apply(&self, connection: &Connection) -> Result<usize> {
        match self {
            Self::Publish { job, due_at } => execute(
                connection,
                "INSERT INTO jobs (photo_id, state, due_at) VALUES (?1, 'waiting', ?2)",
                params![job.photo_id.as_uuid().as_bytes(), due_at],
            ),
            Self::Ack(tag) => execute(
                connection,
                "DELETE FROM jobs WHERE id = ?1 AND deliveries = ?2 AND state = 'in_flight'",
                params![tag.id, tag.deliveries],
            ),
            Self::Retry { tag, due_at } => execute(
                connection,
                "UPDATE jobs SET state = 'waiting', due_at = ?3, owner = NULL \
                 WHERE id = ?1 AND deliveries = ?2 AND state = 'in_flight'",
                params![tag.id, tag.deliveries, due_at],
            ),
            Self::PutBack(tag) => execute(
                connection,
                "UPDATE jobs SET state = 'waiting', due_at = ?3, owner = NULL, deliveries = deliveries - 1 \
                 WHERE id = ?1 AND deliveries = ?2 AND state = 'in_flight'",
                params![tag.id, tag.deliveries, now()],
            ),
            Self::DeadLetter { tag, reason } => execute(
                connection,
                "UPDATE jobs SET state = 'dead', due_at = ?3, owner = NULL, reason = ?4 \
                 WHERE id = ?1 AND deliveries = ?2 AND state = 'in_flight'",
                params![tag.id, tag.deliveries, now(), reason],
            ),
            Self::RemoveDeadLetters(photo_id) => execute(
                connection,
                "DELETE FROM jobs WHERE state = 'dead' AND photo_id = ?1",
                [photo_id.as_uuid().as_bytes()],
            ),
            Self::Nothing => Ok(0),
        }
    }
}

/// Hands out up to `limit` jobs whose time has come to `owner`, until `until`.
pub(crate) fn claim(connection: &Connection, owner: &str, until: i64, limit: usize) -> Result<Vec<Delivery>> {
    let due: Vec<(i64, [u8; 16], u32)> = connection
        .prepare_cached(
            "SELECT id, photo_id, deliveries FROM jobs WHERE state = 'waiting' AND due_at <= ?1 \
             ORDER BY due_at, id LIMIT ?2",
        )?
        .query_map(params![now(), i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_>>()?;
    let mut claiming = connection.prepare_cached(
        "UPDATE jobs SET state = 'in_flight', owner = ?2, due_at = ?3, deliveries = deliveries + 1 WHERE id = ?1",
    )?;
    due.into_iter()
        .map(|(id, photo_id, redeliveries)| {
            claiming.execute(params![id, owner, until])?;
            Ok(Delivery {
                job: Job {
                    photo_id: PhotoId::from_uuid(Uuid::from_bytes(photo_id)),
                },
                redeliveries,
                tag: format!("{id}.{}", redeliveries + 1),
            })
        })
        .collect()
}

/// Puts back the jobs that were not settled in time.
pub(crate) fn expire(connection: &Connection) -> Result<usize> {
    execute(
        connection,
        "UPDATE jobs SET state = 'waiting', owner = NULL WHERE state = 'in_flight' AND due_at <= ?1",
        [now()],
    )
}

/// Puts back all jobs that an owner has in flight. They go behind those that wait, so that one that kills its
/// process doesn't hold up the others.
pub(crate) fn release(connection: &Connection, owner: &str) -> Result<usize> {
    execute(
        connection,
        "UPDATE jobs SET state = 'waiting', due_at = ?2, owner = NULL WHERE state = 'in_flight' AND owner = ?1",
        params![owner, now()],
    )
}

/// Returns everybody who has jobs in flight.
pub(crate) fn owners(connection: &Connection) -> Result<Vec<String>> {
    connection
        .prepare_cached("SELECT DISTINCT owner FROM jobs WHERE state = 'in_flight'")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Returns when the next job may be handed out, first or once more.
pub(crate) fn next_due(connection: &Connection) -> Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT min(due_at) FROM (SELECT min(due_at) AS due_at FROM jobs WHERE state = 'waiting' \
             UNION ALL SELECT min(due_at) FROM jobs WHERE state = 'in_flight')",
        )?
        .query_row([], |row| row.get(0))
}

/// Returns dead letters, the oldest first.
pub(crate) fn dead_letters(connection: &Connection, limit: usize) -> Result<Vec<DeadLetter>> {
    connection
        .prepare_cached(
            "SELECT photo_id, reason FROM jobs WHERE state = 'dead' ORDER BY due_at, id LIMIT ?1",
        )?
        .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok(DeadLetter {
                job: Job {
                    photo_id: PhotoId::from_uuid(Uuid::from_bytes(row.get(0)?)),
                },
                reason: row.get(1)?,
            })
        })?
        .collect()
}

/// Counts the jobs.
pub(crate) fn counts(connection: &Connection) -> Result<QueueCounts> {
    let count = |row: &Row<'_>, column| Ok::<_, rusqlite::Error>(u64::from(row.get::<_, u32>(column)?));
    connection
        .prepare_cached(
            "SELECT (SELECT count(*) FROM jobs WHERE state = 'waiting' AND due_at <= ?1), \
             (SELECT count(*) FROM jobs WHERE state = 'waiting' AND due_at > ?1), \
             (SELECT count(*) FROM jobs WHERE state = 'in_flight'), (SELECT count(*) FROM jobs WHERE state = 'dead')",
        )?
        .query_row([now()], |row| {
            Ok(QueueCounts {
                ready: count(row, 0)?,
                delayed: count(row, 1)?,
                in_flight: count(row, 2)?,
                dead: count(row, 3)?,
            })
        })
}

/// Returns the time in microseconds since 1970.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Returns the time after a delay, in microseconds since 1970.
pub(crate) fn after(delay: Duration) -> i64 {
    now().saturating_add(i64::try_from(delay.as_micros()).unwrap_or(i64::MAX))
}

fn execute(connection: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    connection.prepare_cached(sql)?.execute(params)
}
