//! The metadata store in memory.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::Value;

use lucida_core::{
    ContentHash, Error, ErrorKind, Inserted, MetadataStore, Order, Photo, PhotoId, PhotoQuery, PhotoState,
    Record, Result, StateCounts, TagCount, UserId,
};

use crate::records::{Records, kept};

/// A [`MetadataStore`] that forgets when the process ends.
#[derive(Debug, Default)]
pub struct MemoryMetadata {
    records: Mutex<Records>,
}

impl MemoryMetadata {
    /// Returns an empty metadata store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl MetadataStore for MemoryMetadata {
    async fn insert(&self, photo: &Photo) -> Result<Inserted> {
        let mut store = self.lock();
        let content = (photo.user_id.clone(), photo.hash);
        if let Some(there) = store.by_content.get(&content).and_then(|id| store.photos.get(id)) {
            return Ok(Inserted::Existing(there.clone()));
        }
        if store.photos.contains_key(&photo.id) {
            let message = format!("photo {} exists already, with another content", photo.id);
            return Err(Error::new(ErrorKind::AlreadyExists, message));
        }
        let mut new = kept(photo.clone());
        new.version = 1;
        store.by_content.insert(content, new.id);
        store.photos.insert(new.id, new.clone());
        Ok(Inserted::New(new))
    }

    async fn get(&self, id: &PhotoId) -> Result<Option<Photo>> {
        Ok(self.lock().photos.get(id).cloned())
    }

    async fn get_many(&self, ids: &[PhotoId]) -> Result<Vec<Photo>> {
        let store = self.lock();
        Ok(ids
            .iter()
            .filter_map(|id| store.photos.get(id).cloned())
            .collect())
    }

    async fn find_by_hash(&self, user: &UserId, hash: &ContentHash) -> Result<Option<Photo>> {
        let store = self.lock();
        let id = store.by_content.get(&(user.clone(), *hash));
        Ok(id.and_then(|id| store.photos.get(id)).cloned())
    }

    async fn update(&self, photo: &Photo) -> Result<Photo> {
        self.lock().update(photo)
    }

    async fn list(&self, query: &PhotoQuery) -> Result<Vec<Photo>> {
        if query.limit == 0 {
            return Err(Error::invalid("the limit is 0: ask for at least 1 photo").with_field("limit"));
        }
        let store = self.lock();
        let after = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let matching = |photo: &&Photo| query.filter.matches(photo);
        Ok(match query.order {
            Order::OldestFirst => {
                let rest = store.photos.range((after, Bound::Unbounded));
                let rest = rest.map(|(_, photo)| photo).filter(matching);
                rest.take(query.limit).cloned().collect()
            }
            Order::NewestFirst => {
                let rest = store.photos.range((Bound::Unbounded, after)).rev();
                let rest = rest.map(|(_, photo)| photo).filter(matching);
                rest.take(query.limit).cloned().collect()
            }
        })
    }

    async fn delete(&self, id: &PhotoId) -> Result<()> {
        self.lock().delete(id);
        Ok(())
    }

    async fn count_by_state(&self, user: Option<&UserId>) -> Result<StateCounts> {
        let mut counts = StateCounts::default();
        for photo in self.lock().photos.values() {
            if user.is_none_or(|user| *user == photo.user_id) {
                *counts.get_mut(photo.state) += 1;
            }
        }
        Ok(counts)
    }

    async fn count_by_tag(&self, user: &UserId, limit: usize) -> Result<Vec<TagCount>> {
        if limit == 0 {
            return Err(Error::invalid("the limit is 0: ask for at least 1 tag").with_field("limit"));
        }
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for photo in self.lock().photos.values() {
            if photo.user_id == *user && photo.state != PhotoState::Deleting {
                for tag in &photo.tags {
                    *counts.entry(tag.clone()).or_default() += 1;
                }
            }
        }
        let mut counts: Vec<_> = counts
            .into_iter()
            .map(|(tag, photos)| TagCount { tag, photos })
            .collect();
        // Stable: tags with as many photos stay in their order.
        counts.sort_by_key(|count| Reverse(count.photos));
        counts.truncate(limit);
        Ok(counts)
    }

    async fn record(&self, name: &str) -> Result<Option<Record>> {
        Ok(self.lock().named.get(name).cloned())
    }

    async fn put_record(&self, name: &str, value: &Value, expected: Option<u64>) -> Result<u64> {
        let mut store = self.lock();
        let there = store.named.get(name).map(|record| record.version);
        if there != expected {
            return Err(Error::conflict(format!(
                "record `{name}` was changed in between: it has version {}, not {}",
                there.unwrap_or(0),
                expected.unwrap_or(0)
            )));
        }
        let version = there.unwrap_or(0) + 1;
        let record = Record {
            value: value.clone(),
            version,
        };
        store.named.insert(name.to_owned(), record);
        Ok(version)
    }

    async fn delete_record(&self, name: &str) -> Result<()> {
        self.lock().named.remove(name);
        Ok(())
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
