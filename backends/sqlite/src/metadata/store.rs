//! The [`MetadataStore`] on SQLite.

use async_trait::async_trait;
use lucida_core::{
    ContentHash, Error, ErrorKind, Inserted, MetadataStore, Outbox, Photo, PhotoId, PhotoQuery, PhotoState,
    Record, Result, StateCounts, TagCount, UserId,
};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use serde_json::Value;

use super::DATABASE;
use super::config::SqliteConfig;
use super::list;
use super::readers::Readers;
use super::row::{self, signed, unsigned};
use super::writer::{Step, Writer};

/// Keeps the metadata store in one SQLite file.
pub struct SqliteMetadata {
    // In this order: the last connection to close cleans up, and that should be the writer's.
    pub(crate) readers: Readers,
    pub(crate) writer: Writer,
}

impl SqliteMetadata {
    /// Opens the file, makes it if need be, and brings it to this build's schema.
    ///
    /// # Errors
    /// `ConfigInvalid` for a file that is not a metadata store, `Unsupported` for one that a newer Lucida wrote,
    /// `PermissionDenied` for one that can't be written, `Unavailable` when the disk fails.
    pub async fn open(config: SqliteConfig) -> Result<Self> {
        tokio::task::spawn_blocking(move || {
            Ok(Self {
                writer: Writer::start(DATABASE.open_writer(&config.path)?)?,
                readers: Readers::new(config.path),
            })
        })
        .await
        .map_err(|error| Error::internal("opening the metadata store stopped").with_source(error))?
    }
}

#[async_trait]
impl MetadataStore for SqliteMetadata {
    async fn insert(&self, photo: &Photo) -> Result<Inserted> {
        let mut photo = row::kept(photo.clone());
        photo.version = 1;
        self.writer
            .run(move |connection| {
                if let Some(there) = row::find_by_hash(connection, &photo.user_id, &photo.hash)? {
                    return Ok(Inserted::Existing(there));
                }
                if row::identity(connection, &photo.id)?.is_some() {
                    let message = format!("photo {} exists already, with other content", photo.id);
                    return Err(Error::new(ErrorKind::AlreadyExists, message));
                }
                row::insert(connection, &photo)?;
                Ok(Inserted::New(photo))
            })
            .await
    }

    async fn get(&self, id: &PhotoId) -> Result<Option<Photo>> {
        let id = *id;
        self.readers
            .run(move |connection| row::find_by_id(connection, &id))
            .await
    }

    async fn get_many(&self, ids: &[PhotoId]) -> Result<Vec<Photo>> {
        let ids = ids.to_vec();
        self.readers
            .run(move |connection| {
                let found = ids
                    .iter()
                    .filter_map(|id| row::find_by_id(connection, id).transpose());
                found.collect()
            })
            .await
    }

    async fn find_by_hash(&self, user: &UserId, hash: &ContentHash) -> Result<Option<Photo>> {
        let (user, hash) = (user.clone(), *hash);
        self.readers
            .run(move |connection| row::find_by_hash(connection, &user, &hash))
            .await
    }

    async fn update(&self, photo: &Photo) -> Result<Photo> {
        self.update_with(photo, &[]).await
    }

    async fn list(&self, query: &PhotoQuery) -> Result<Vec<Photo>> {
        if query.limit == 0 {
            return Err(Error::invalid("the limit is 0: ask for at least 1 photo").with_field("limit"));
        }
        let query = query.clone();
        self.readers
            .run(move |connection| list::list(connection, &query))
            .await
    }

    async fn delete(&self, id: &PhotoId) -> Result<()> {
        self.delete_with(id, &[]).await
    }

    async fn count_by_state(&self, user: Option<&UserId>) -> Result<StateCounts> {
        let user = user.cloned();
        self.readers
            .run(move |connection| count(connection, user.as_ref()))
            .await
    }

    async fn count_by_tag(&self, user: &UserId, limit: usize) -> Result<Vec<TagCount>> {
        if limit == 0 {
            return Err(Error::invalid("the limit is 0: ask for at least 1 tag").with_field("limit"));
        }
        let user = user.clone();
        self.readers
            .run(move |connection| count_tags(connection, &user, limit))
            .await
    }

    async fn record(&self, name: &str) -> Result<Option<Record>> {
        let name = name.to_owned();
        self.readers
            .run(move |connection| {
                connection
                    .prepare_cached("SELECT value, version FROM records WHERE name = ?1")
                    .and_then(|mut statement| {
                        let record = |row: &rusqlite::Row<'_>| {
                            Ok(Record {
                                value: row::json(row, 0)?,
                                version: unsigned(row, 1)?,
                            })
                        };
                        statement.query_row([name], record).optional()
                    })
                    .doing("reading a record from the metadata store")
            })
            .await
    }

    async fn put_record(&self, name: &str, value: &Value, expected: Option<u64>) -> Result<u64> {
        let (name, value) = (name.to_owned(), row::to_json(value)?);
        self.writer
            .run(move |connection| put_record(connection, &name, &value, expected))
            .await
    }

    async fn delete_record(&self, name: &str) -> Result<()> {
        let name = name.to_owned();
        self.writer
            .run(move |connection| {
                connection
                    .prepare_cached("DELETE FROM records WHERE name = ?1")
                    .and_then(|mut statement| statement.execute([name]))
                    .doing("deleting a record from the metadata store")?;
                Ok(())
            })
            .await
    }

    async fn ping(&self) -> Result<()> {
        // A write to the disk, so that one that is full, or gone read-only, does not look healthy.
        self.writer
            .run(|connection| {
                connection
                    .prepare_cached("UPDATE pings SET count = count + 1")
                    .and_then(|mut statement| statement.execute([]))
                    .doing("writing to the metadata store")?;
                Ok(())
            })
            .await
    }
}

fn count(connection: &Connection, user: Option<&UserId>) -> Result<StateCounts> {
    let condition = if user.is_some() { "WHERE user_id = ?1" } else { "" };
    let sql = format!("SELECT state, sum(photos) FROM photo_counts {condition} GROUP BY state");
    let user = user.map(UserId::as_str);
    let counted: Vec<(String, u64)> = connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            statement
                .query_map(params_from_iter(user), |row| Ok((row.get(0)?, unsigned(row, 1)?)))?
                .collect()
        })
        .doing("counting photos in the metadata store")?;
    let mut counts = StateCounts::default();
    for (state, count) in counted {
        *counts.get_mut(state.parse::<PhotoState>()?) = count;
    }
    Ok(counts)
}

/// Counts from the table of tags alone; the photos being deleted, which are few, come from an index of their own.
fn count_tags(connection: &Connection, user: &UserId, limit: usize) -> Result<Vec<TagCount>> {
    let sql = "SELECT tag, count(*) AS photos FROM photo_tags
        WHERE user_id = ?1 AND photo_id NOT IN (
            SELECT id FROM photos INDEXED BY photos_unready_by_user
            WHERE user_id = ?1 AND state <> 'ready' AND state = 'deleting')
        GROUP BY tag ORDER BY photos DESC, tag LIMIT ?2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement
                .query_map(params![user.as_str(), limit], |row| {
                    Ok(TagCount {
                        tag: row.get(0)?,
                        photos: unsigned(row, 1)?,
                    })
                })?
                .collect()
        })
        .doing("counting tags in the metadata store")
}

fn put_record(connection: &Connection, name: &str, value: &str, expected: Option<u64>) -> Result<u64> {
    let writing = "writing a record to the metadata store";
    let there: Option<u64> = connection
        .prepare_cached("SELECT version FROM records WHERE name = ?1")
        .and_then(|mut statement| statement.query_row([name], |row| unsigned(row, 0)).optional())
        .doing(writing)?;
    if there != expected {
        let shown = |version: Option<u64>| version.map_or("none".to_owned(), |version| version.to_string());
        return Err(Error::conflict(format!(
            "record `{name}` was changed in between: its version is {}, not {}",
            shown(there),
            shown(expected)
        )));
    }
    let version = there.unwrap_or(0) + 1;
    connection
        .prepare_cached("INSERT OR REPLACE INTO records (name, value, version) VALUES (?1, ?2, ?3)")
        .and_then(|mut statement| statement.execute(params![name, value, signed(version)]))
        .doing(writing)?;
    Ok(version)
}
