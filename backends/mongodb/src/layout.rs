//! The layout of the metadata store in its database: the collections, their indexes, and a document that names the layout.

use std::time::Duration;

use lucida_core::{Error, ErrorKind, Result};
use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Collection, Database, IndexModel};
use serde::{Deserialize, Serialize};

use crate::config::MongodbConfig;
use crate::error::{failed, is_duplicate};
use crate::event::StoredEvent;
use crate::photo::StoredPhoto;
use crate::upgrade;

/// The layout that this build reads and writes. One that was released never changes: count it up, and bring an older
/// one to it in [`Layout::prepare`].
const LAYOUT: i64 = 1;

/// The id of the layout's document.
const LEDGER: &str = "ledger";

/// Says which layout the database has.
#[derive(Debug, Serialize, Deserialize)]
struct StoredLayout {
    #[serde(rename = "_id")]
    id: String,
    layout: i64,
    /// Whether the photos have the field `taken_at_local`, which is younger than the layout.
    #[serde(default)]
    has_local_times: bool,
    /// Counts the health checks, which write here.
    pings: i64,
}

/// A named record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredRecord {
    #[serde(rename = "_id")]
    pub(crate) name: String,
    pub(crate) value: mongodb::bson::Bson,
    pub(crate) version: i64,
}

/// The metadata store's collections.
pub(crate) struct Layout {
    pub(crate) photos: Collection<StoredPhoto>,
    pub(crate) records: Collection<StoredRecord>,
    pub(crate) outbox: Collection<StoredEvent>,
    layout: Collection<StoredLayout>,
    max_time: Duration,
}

impl Layout {
    /// Names the collections.
    pub(crate) fn new(database: &Database, config: &MongodbConfig) -> Self {
        let name = |noun: &str| format!("{}{noun}", config.collection_prefix);
        Self {
            photos: database.collection(&name("photos")),
            records: database.collection(&name("records")),
            outbox: database.collection(&name("outbox")),
            layout: database.collection(&name("layout")),
            max_time: Duration::from_millis(config.operation_timeout_ms),
        }
    }

    /// Creates missing collections and indexes, and upgrades what an earlier version wrote; several processes may do so at
    /// once.
    ///
    /// # Errors
    /// `Unsupported` for a layout of another version; `ConfigInvalid` for collections of another program; `Unavailable`
    /// and `PermissionDenied` by the server.
    pub(crate) async fn prepare(&self) -> Result<()> {
        let StoredLayout {
            layout,
            has_local_times,
            ..
        } = match self.read().await? {
            Some(layout) => layout,
            None => self.claim().await?,
        };
        if layout != LAYOUT {
            let message = format!(
                "the metadata store in database `{}` has layout {layout}, and this build knows {LAYOUT}: run the newer Lucida \
                 that wrote it, or restore a backup from before",
                self.layout.namespace().db
            );
            return Err(Error::new(ErrorKind::Unsupported, message).with_field("database"));
        }
        // One by one: FerretDB 1.24 fails on several that exist already.
        for index in indexes() {
            self.photos
                .create_index(index)
                .await
                .map_err(|error| failed("making the indexes of the metadata store", &error))?;
        }
        for index in outbox_indexes() {
            self.outbox
                .create_index(index)
                .await
                .map_err(|error| failed("creating the indexes of the outbox", &error))?;
        }
        if !has_local_times {
            self.add_local_times().await?;
        }
        Ok(())
    }

    /// Gives the photos of an earlier version their local times; several processes may do so at once.
    async fn add_local_times(&self) -> Result<()> {
        upgrade::fill_local_times(&self.photos).await?;
        self.layout
            .update_one(
                doc! { "_id": LEDGER },
                doc! { "$set": { "has_local_times": true } },
            )
            .await
            .map_err(|error| failed("recording the layout of the metadata store", &error))?;
        Ok(())
    }

    async fn read(&self) -> Result<Option<StoredLayout>> {
        self.layout
            .find_one(doc! { "_id": LEDGER })
            .max_time(self.max_time)
            .await
            .map_err(|error| failed("reading the layout of the metadata store", &error))
    }

    /// Claims an empty database for the metadata store, and returns its layout.
    async fn claim(&self) -> Result<StoredLayout> {
        let photos = self.photos.clone_with_type::<Document>();
        let foreign = photos
            .find_one(doc! {})
            .max_time(self.max_time)
            .await
            .map_err(|error| failed("looking into the collection of photos", &error))?
            .is_some();
        // Another process may have made the metadata store since, and those are its first photos.
        if let Some(layout) = self.read().await? {
            return Ok(layout);
        }
        if foreign {
            let namespace = self.photos.namespace();
            let message = format!(
                "collection `{}` of database `{}` holds another program's documents: set metadata.mongodb.database or \
                 metadata.mongodb.collection_prefix to what is the metadata store's own",
                namespace.coll, namespace.db
            );
            return Err(Error::config("database", message));
        }
        let made = StoredLayout {
            id: LEDGER.to_owned(),
            layout: LAYOUT,
            has_local_times: true,
            pings: 0,
        };
        match self.layout.insert_one(&made).await {
            Ok(_) => Ok(made),
            Err(error) if is_duplicate(&error) => self.read().await?.ok_or_else(|| {
                Error::unavailable("the metadata store is being made by another process: try again")
            }),
            Err(error) => Err(failed("making the metadata store", &error)),
        }
    }

    /// Writes to the layout's document, so that a database that is full, read-only, emptied or of a newer layout by
    /// now does not look healthy.
    ///
    /// # Errors
    /// `Unavailable` when the layout is gone; those of the server.
    pub(crate) async fn ping(&self) -> Result<()> {
        let updated = self
            .layout
            .update_one(
                doc! { "_id": LEDGER, "layout": LAYOUT },
                doc! { "$inc": { "pings": 1_i64 } },
            )
            .await
            .map_err(|error| failed("writing to the metadata store", &error))?;
        if updated.matched_count == 0 {
            let message = format!(
                "database `{}` holds no metadata store of layout {LAYOUT} any more: it was dropped, or a newer Lucida changed it",
                self.layout.namespace().db
            );
            return Err(Error::unavailable(message));
        }
        Ok(())
    }
}

/// Returns the indexes of the photos; the README says which query each serves.
fn indexes() -> [IndexModel; 6] {
    [
        index("content", doc! { "user_id": 1, "hash": 1 }, true),
        index("user_state", doc! { "user_id": 1, "state": 1, "_id": 1 }, false),
        index("user_tag", doc! { "user_id": 1, "tags": 1, "_id": 1 }, false),
        index("user_taken", doc! { "user_id": 1, "taken_at": 1 }, false),
        index("user_local", doc! { "user_id": 1, "taken_at_local": 1 }, false),
        index("state", doc! { "state": 1, "_id": 1 }, false),
    ]
}

/// Returns the indexes of the outbox.
fn outbox_indexes() -> [IndexModel; 3] {
    [
        index(
            "due",
            doc! { "subscriber": 1, "state": 1, "due_at": 1, "_id": 1 },
            false,
        ),
        index(
            "photo",
            doc! { "photo_id": 1, "subscriber": 1, "state": 1 },
            false,
        ),
        index("state", doc! { "state": 1, "created_at": 1 }, false),
    ]
}

fn index(name: &str, keys: Document, unique: bool) -> IndexModel {
    let options = IndexOptions::builder()
        .name(name.to_owned())
        .unique(unique.then_some(true))
        .build();
    IndexModel::builder().keys(keys).options(options).build()
}
