//! The [`Outbox`] of the metadata store on SQLite: a table beside the photos, written in the same transaction.

use std::str::FromStr;

use async_trait::async_trait;
use jiff::Timestamp;
use lucida_core::{EventId, EventKind, Outbox, OutboxCounts, OutboxEvent, Photo, PhotoId, Result, Revision};
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::row::{self, id_bytes, parsed, signed, time, unsigned};
use super::store::SqliteMetadata;
use super::writer::Step;

/// The columns that [`event`] reads, in its order.
const COLUMNS: &str = "e.id, e.subscriber, e.photo_id, e.photo_created_at, e.photo_version, e.kind, e.created_at, \
     e.payload, e.attempts, e.due_at, e.dead, e.error";

#[async_trait]
impl Outbox for SqliteMetadata {
    async fn update_with(&self, photo: &Photo, events: &[OutboxEvent]) -> Result<Photo> {
        let (mut photo, events) = (row::kept(photo.clone()), events.to_vec());
        self.writer
            .run(move |connection| {
                let there = row::matching(connection, &photo)?;
                row::update(connection, &photo)?;
                add(connection, &events)?;
                photo.user_id = there.user_id;
                photo.hash = there.hash;
                photo.created_at = there.created_at;
                photo.version += 1;
                Ok(photo)
            })
            .await
    }

    async fn delete_with(&self, id: &PhotoId, events: &[OutboxEvent]) -> Result<()> {
        let (id, events) = (*id, events.to_vec());
        self.writer
            .run(move |connection| {
                if row::delete(connection, &id)? {
                    add(connection, &events)?;
                }
                Ok(())
            })
            .await
    }

    async fn due_events(&self, subscriber: &str, now: Timestamp, limit: usize) -> Result<Vec<OutboxEvent>> {
        let (subscriber, limit) = (subscriber.to_owned(), i64::try_from(limit).unwrap_or(i64::MAX));
        self.readers
            .run(move |connection| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM outbox AS e WHERE e.dead = 0 AND e.subscriber = ?1 AND e.due_at <= ?2 \
                     AND NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.dead = 0 \
                     AND earlier.subscriber = e.subscriber AND earlier.photo_id = e.photo_id \
                     AND (earlier.photo_created_at, earlier.photo_version, earlier.id) \
                     < (e.photo_created_at, e.photo_version, e.id)) ORDER BY e.due_at, e.id LIMIT ?3"
                );
                connection
                    .prepare_cached(&sql)
                    .and_then(|mut statement| {
                        statement
                            .query_map(params![subscriber, now.as_microsecond(), limit], event)?
                            .collect()
                    })
                    .doing("reading the outbox of the metadata store")
            })
            .await
    }

    async fn update_event(&self, event: &OutboxEvent) -> Result<()> {
        let event = event.clone();
        self.writer
            .run(move |connection| update(connection, &event))
            .await
    }

    async fn delete_event(&self, id: &EventId) -> Result<()> {
        let id = *id;
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached("DELETE FROM outbox WHERE id = ?1")
                    .and_then(|mut statement| statement.execute([id.as_uuid().as_bytes()]))
                    .doing("deleting an event from the metadata store")?;
                Ok(())
            })
            .await
    }

    async fn event(&self, id: &EventId) -> Result<Option<OutboxEvent>> {
        let id = *id;
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached(&format!("SELECT {COLUMNS} FROM outbox AS e WHERE e.id = ?1"))
                    .and_then(|mut statement| {
                        statement.query_row([id.as_uuid().as_bytes()], event).optional()
                    })
                    .doing("reading an event from the metadata store")
            })
            .await
    }

    async fn dead_events(&self, limit: usize) -> Result<Vec<OutboxEvent>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.readers
            .run(move |connection| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM outbox AS e WHERE e.dead = 1 ORDER BY e.created_at, e.id LIMIT ?1"
                );
                connection
                    .prepare_cached(&sql)
                    .and_then(|mut statement| statement.query_map([limit], event)?.collect())
                    .doing("reading the outbox of the metadata store")
            })
            .await
    }

    async fn count_events(&self, subscriber: &str) -> Result<OutboxCounts> {
        let subscriber = subscriber.to_owned();
        self.readers
            .run(move |connection| {
                let counts = |row: &Row<'_>| {
                    Ok(OutboxCounts {
                        pending: unsigned(row, 0)?,
                        oldest: row.get::<_, Option<i64>>(1)?.map(|oldest| time(1, oldest)).transpose()?,
                        dead: unsigned(row, 2)?,
                    })
                };
                connection
                    .prepare_cached(
                        "SELECT count(*), min(created_at), (SELECT count(*) FROM outbox WHERE dead = 1 AND subscriber = ?1) \
                         FROM outbox WHERE dead = 0 AND subscriber = ?1",
                    )
                    .and_then(|mut statement| statement.query_row([subscriber], counts))
                    .doing("counting events in the metadata store")
            })
            .await
    }
}

/// Adds events unless they are stored already. One whose photo has others waits at least as long as they do, so that
/// searches for what is due don't meet it.
fn add(connection: &Connection, events: &[OutboxEvent]) -> Result<()> {
    for event in events {
        let payload = row::to_json(&event.payload)?;
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO outbox (id, subscriber, photo_id, photo_created_at, photo_version, kind, created_at, \
                 payload, attempts, due_at, dead, error) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, max(?10, (SELECT \
                 coalesce(max(due_at), 0) FROM outbox WHERE dead = 0 AND subscriber = ?2 AND photo_id = ?3)), ?11, ?12)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    event.id.as_uuid().as_bytes(),
                    event.subscriber,
                    id_bytes(&event.photo_id),
                    event.revision.created_at.as_microsecond(),
                    signed(event.revision.version),
                    event.kind.as_str(),
                    event.created_at.as_microsecond(),
                    payload,
                    event.attempts,
                    event.due_at.as_microsecond(),
                    event.dead,
                    event.error,
                ])
            })
            .doing("adding an event to the metadata store")?;
    }
    Ok(())
}

fn update(connection: &Connection, event: &OutboxEvent) -> Result<()> {
    let writing = "changing an event in the metadata store";
    let due_at = event.due_at.as_microsecond();
    let updated = connection
        .prepare_cached("UPDATE outbox SET attempts = ?2, due_at = ?3, dead = ?4, error = ?5 WHERE id = ?1")
        .and_then(|mut statement| {
            statement.execute(params![
                event.id.as_uuid().as_bytes(),
                event.attempts,
                due_at,
                event.dead,
                event.error
            ])
        })
        .doing(writing)?;
    if updated > 0 && !event.dead {
        // Those that wait for it come up no sooner.
        connection
            .prepare_cached(
                "UPDATE outbox SET due_at = ?3 WHERE dead = 0 AND subscriber = ?1 AND photo_id = ?2 AND due_at < ?3",
            )
            .and_then(|mut statement| {
                statement.execute(params![event.subscriber, id_bytes(&event.photo_id), due_at])
            })
            .doing(writing)?;
    }
    Ok(())
}

/// Reads an event from the columns of [`COLUMNS`].
fn event(row: &Row<'_>) -> rusqlite::Result<OutboxEvent> {
    Ok(OutboxEvent {
        id: EventId::from_uuid(Uuid::from_bytes(row.get(0)?)),
        subscriber: row.get(1)?,
        photo_id: PhotoId::from_uuid(Uuid::from_bytes(row.get(2)?)),
        revision: Revision {
            created_at: time(3, row.get(3)?)?,
            version: unsigned(row, 4)?,
        },
        kind: parsed(row, 5, |text| EventKind::from_str(&text))?,
        created_at: time(6, row.get(6)?)?,
        payload: row::json(row, 7)?,
        attempts: row.get(8)?,
        due_at: time(9, row.get(9)?)?,
        dead: row.get(10)?,
        error: row.get(11)?,
    })
}
