//! The [`MetadataStore`] on MongoDB.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use lucida_core::{
    ContentHash, Error, ErrorKind, Inserted, MetadataStore, Outbox, Photo, PhotoId, PhotoQuery, PhotoState,
    Record, Result, StateCounts, TagCount, UserId,
};
use mongodb::bson::{Document, doc};
use serde::Deserialize;
use serde_json::Value;

use crate::config::MongodbConfig;
use crate::error::{failed, is_duplicate};
use crate::layout::{Layout, StoredRecord};
use crate::photo::{StoredPhoto, signed, stored_hash, stored_id, stored_state, unsigned};
use crate::{client, json, list};

/// Keeps the metadata store in a MongoDB.
pub struct MongodbMetadata {
    pub(crate) layout: Layout,
    pub(crate) max_time: Duration,
}

impl MongodbMetadata {
    /// Connects, and makes the collections and indexes where they are missing.
    ///
    /// # Errors
    /// `ConfigInvalid` for a connection string that can't be used and for collections of another program,
    /// `Unsupported` for a metadata store that a newer Lucida wrote, `PermissionDenied` for a user that MongoDB refuses,
    /// `Unavailable` where no primary can be reached.
    pub async fn open(config: MongodbConfig) -> Result<Self> {
        let database = client::connect(&config).await?;
        let layout = Layout::new(&database, &config);
        layout.prepare().await?;
        Ok(Self {
            layout,
            max_time: Duration::from_millis(config.operation_timeout_ms),
        })
    }

    async fn find(&self, condition: Document) -> Result<Option<Photo>> {
        self.layout
            .photos
            .find_one(condition)
            .max_time(self.max_time)
            .await
            .map_err(|error| failed("reading a photo from the metadata store", &error))?
            .map(StoredPhoto::into_photo)
            .transpose()
    }

    /// Says what a photo met whose id or content is stored already.
    async fn met(&self, photo: &Photo) -> Result<Inserted> {
        if let Some(there) = self.find_by_hash(&photo.user_id, &photo.hash).await? {
            return Ok(Inserted::Existing(there));
        }
        if self.get(&photo.id).await?.is_some() {
            let message = format!("photo {} exists already, with other content", photo.id);
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        let message = format!(
            "photo {} met another of its content that is gone again: try again",
            photo.id
        );
        Err(Error::unavailable(message))
    }

    /// Counts by state the photos that meet a condition, from an index alone.
    async fn count(&self, condition: Document) -> Result<StateCounts> {
        let counted: Vec<Counted> = self
            .layout
            .photos
            .aggregate([
                doc! { "$match": condition },
                doc! { "$group": { "_id": "$state", "photos": { "$sum": 1 } } },
            ])
            .max_time(self.max_time)
            .with_type::<Counted>()
            .await
            .map_err(|error| failed("counting photos in the metadata store", &error))?
            .try_collect()
            .await
            .map_err(|error| failed("counting photos in the metadata store", &error))?;
        let mut counts = StateCounts::default();
        for Counted { state, photos } in counted {
            *counts.get_mut(state) = unsigned(photos)?;
        }
        Ok(counts)
    }

    async fn record_version(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.record(name).await?.map(|record| record.version))
    }
}

#[derive(Debug, Deserialize)]
struct Counted {
    #[serde(rename = "_id")]
    state: PhotoState,
    photos: i64,
}

#[derive(Debug, Deserialize)]
struct CountedTag {
    #[serde(rename = "_id")]
    tag: String,
    photos: i64,
}

#[async_trait]
impl MetadataStore for MongodbMetadata {
    async fn insert(&self, photo: &Photo) -> Result<Inserted> {
        let stored = StoredPhoto::new(photo, 1)?;
        match self.layout.photos.insert_one(&stored).await {
            Ok(_) => Ok(Inserted::New(stored.into_photo()?)),
            Err(error) if is_duplicate(&error) => self.met(photo).await,
            Err(error) => Err(failed("adding a photo to the metadata store", &error)),
        }
    }

    async fn get(&self, id: &PhotoId) -> Result<Option<Photo>> {
        self.find(doc! { "_id": stored_id(id) }).await
    }

    async fn get_many(&self, ids: &[PhotoId]) -> Result<Vec<Photo>> {
        let reading = |error| failed("reading photos from the metadata store", &error);
        let wanted: Vec<_> = ids.iter().map(stored_id).collect();
        let mut found: HashMap<PhotoId, Photo> = HashMap::new();
        let mut photos = self
            .layout
            .photos
            .find(doc! { "_id": { "$in": wanted } })
            .max_time(self.max_time)
            .await
            .map_err(reading)?;
        while let Some(stored) = photos.try_next().await.map_err(reading)? {
            let photo = stored.into_photo()?;
            found.insert(photo.id, photo);
        }
        Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
    }

    async fn find_by_hash(&self, user: &UserId, hash: &ContentHash) -> Result<Option<Photo>> {
        self.find(doc! { "user_id": user.as_str(), "hash": stored_hash(hash) })
            .await
    }

    async fn update(&self, photo: &Photo) -> Result<Photo> {
        self.update_with(photo, &[]).await
    }

    async fn list(&self, query: &PhotoQuery) -> Result<Vec<Photo>> {
        if query.limit == 0 {
            return Err(Error::invalid("the limit is 0: ask for at least 1 photo").with_field("limit"));
        }
        let listing = |error| failed("listing photos in the metadata store", &error);
        let stored: Vec<StoredPhoto> = self
            .layout
            .photos
            .find(list::conditions(query))
            .sort(list::order(query))
            .limit(i64::try_from(query.limit).unwrap_or(i64::MAX))
            // In one answer, if it fits into one.
            .batch_size(u32::try_from(query.limit).unwrap_or(u32::MAX))
            .max_time(self.max_time)
            .await
            .map_err(listing)?
            .try_collect()
            .await
            .map_err(listing)?;
        stored.into_iter().map(StoredPhoto::into_photo).collect()
    }

    async fn delete(&self, id: &PhotoId) -> Result<()> {
        self.delete_with(id, &[]).await
    }

    async fn count_by_state(&self, user: Option<&UserId>) -> Result<StateCounts> {
        let states = |states: &[PhotoState]| doc! { "$in": states.iter().copied().map(stored_state).collect::<Vec<_>>() };
        if let Some(user) = user {
            return self
                .count(doc! { "user_id": user.as_str(), "state": states(&PhotoState::ALL) })
                .await;
        }
        // Nearly all photos are ready, and this is asked every few seconds: instead of walking over all of them, the
        // ready ones are what the others leave of the number that MongoDB keeps by itself.
        let others = [PhotoState::Pending, PhotoState::Failed, PhotoState::Deleting];
        let mut counts = self.count(doc! { "state": states(&others) }).await?;
        let all = self
            .layout
            .photos
            .estimated_document_count()
            .max_time(self.max_time)
            .await
            .map_err(|error| failed("counting photos in the metadata store", &error))?;
        counts.ready = all.saturating_sub(counts.pending + counts.failed + counts.deleting);
        Ok(counts)
    }

    async fn count_by_tag(&self, user: &UserId, limit: usize) -> Result<Vec<TagCount>> {
        if limit == 0 {
            return Err(Error::invalid("the limit is 0: ask for at least 1 tag").with_field("limit"));
        }
        let counting = |error| failed("counting tags in the metadata store", &error);
        let shown = [PhotoState::Pending, PhotoState::Ready, PhotoState::Failed].map(stored_state);
        let counted: Vec<CountedTag> = self
            .layout
            .photos
            .aggregate([
                doc! { "$match": { "user_id": user.as_str(), "state": { "$in": shown.to_vec() } } },
                doc! { "$unwind": "$tags" },
                doc! { "$group": { "_id": "$tags", "photos": { "$sum": 1 } } },
                doc! { "$sort": { "photos": -1, "_id": 1 } },
                doc! { "$limit": i64::try_from(limit).unwrap_or(i64::MAX) },
            ])
            .max_time(self.max_time)
            .with_type::<CountedTag>()
            .await
            .map_err(counting)?
            .try_collect()
            .await
            .map_err(counting)?;
        let counts = counted.into_iter().map(|CountedTag { tag, photos }| {
            Ok(TagCount {
                tag,
                photos: unsigned(photos)?,
            })
        });
        counts.collect()
    }

    async fn record(&self, name: &str) -> Result<Option<Record>> {
        let found = self
            .layout
            .records
            .find_one(doc! { "_id": name })
            .max_time(self.max_time)
            .await
            .map_err(|error| failed("reading a record from the metadata store", &error))?;
        found
            .map(|stored| {
                Ok(Record {
                    value: json::from_bson(stored.value)?,
                    version: unsigned(stored.version)?,
                })
            })
            .transpose()
    }

    async fn put_record(&self, name: &str, value: &Value, expected: Option<u64>) -> Result<u64> {
        let writing = |error| failed("writing a record to the metadata store", &error);
        let version = expected.unwrap_or(0).saturating_add(1);
        let written = match expected {
            None => {
                let record = StoredRecord {
                    name: name.to_owned(),
                    value: json::to_bson(value),
                    version: signed("version", version)?,
                };
                match self.layout.records.insert_one(record).await {
                    Ok(_) => true,
                    Err(error) if is_duplicate(&error) => false,
                    Err(error) => return Err(writing(error)),
                }
            }
            Some(expected) => {
                let change = doc! { "value": json::to_bson(value), "version": signed("version", version)? };
                let updated = self
                    .layout
                    .records
                    .update_one(
                        doc! { "_id": name, "version": signed("version", expected)? },
                        doc! { "$set": change },
                    )
                    .await
                    .map_err(writing)?;
                updated.matched_count > 0
            }
        };
        if written {
            return Ok(version);
        }
        let shown = |version: Option<u64>| version.map_or("none".to_owned(), |version| version.to_string());
        Err(Error::conflict(format!(
            "record `{name}` was changed in between: its version is {}, not {}",
            shown(self.record_version(name).await?),
            shown(expected)
        )))
    }

    async fn delete_record(&self, name: &str) -> Result<()> {
        self.layout
            .records
            .delete_one(doc! { "_id": name })
            .await
            .map_err(|error| failed("deleting a record from the metadata store", &error))?;
        Ok(())
    }

    async fn ping(&self) -> Result<()> {
        self.layout.ping().await
    }
}
