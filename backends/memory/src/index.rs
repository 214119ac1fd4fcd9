//! Vectors in memory, compared one by one: exact, and quick enough for some ten thousand.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;

use lucida_core::{
    CollectionName, Error, ForeignCollection, ForeignPage, ForeignPoint, IndexFilter, PhotoId, Point, Result,
    ScoredId, VectorIndex,
};

#[derive(Debug, Default)]
struct Collection {
    dimensions: usize,
    points: BTreeMap<PhotoId, Point>,
}

impl Collection {
    fn check(&self, vector: &[f32]) -> Result<()> {
        if vector.len() == self.dimensions {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "the vector has {} dimensions, the collection {}",
            vector.len(),
            self.dimensions
        )))
    }
}

#[derive(Debug, Default)]
struct Collections {
    by_name: BTreeMap<CollectionName, Collection>,
    alias: Option<CollectionName>,
}

impl Collections {
    fn get(&self, name: &CollectionName) -> Result<&Collection> {
        self.by_name.get(name).ok_or_else(|| not_found(name))
    }
}

/// A [`VectorIndex`] that forgets when the process ends.
#[derive(Debug)]
pub struct MemoryIndex {
    alias_name: String,
    collections: RwLock<Collections>,
}

impl Default for MemoryIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryIndex {
    /// Makes an empty index under the usual alias.
    #[must_use]
    pub fn new() -> Self {
        Self {
            alias_name: "photo_embeddings".to_owned(),
            collections: RwLock::default(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Collections> {
        self.collections.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Collections> {
        self.collections.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The points of a collection, as they were when it was opened to be read.
struct Copied {
    dimensions: usize,
    points: Vec<Point>,
}

#[async_trait]
impl ForeignCollection for Copied {
    fn dimensions(&self) -> usize {
        self.dimensions
    }

    async fn count(&self) -> Result<u64> {
        Ok(self.points.len() as u64)
    }

    async fn read(&self, from: Option<&str>, limit: usize) -> Result<ForeignPage> {
        let place = |_| Error::invalid("no page gave this place to go on");
        let from: usize = from.map_or(Ok(0), |from| from.parse().map_err(place))?;
        let to = from.saturating_add(limit).min(self.points.len());
        let page = self.points.get(from..to).unwrap_or_default();
        let points = page.iter().map(|point| ForeignPoint {
            id: point.photo_id.to_string(),
            photo_id: Some(point.photo_id.to_string()),
            user_id: Some(point.user_id.to_string()),
            vector: Some(point.vector.clone()),
        });
        Ok(ForeignPage {
            points: points.collect(),
            next: (to < self.points.len()).then(|| to.to_string()),
        })
    }
}

fn not_found(name: &CollectionName) -> Error {
    Error::not_found(format!("collection `{name}` not found"))
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let pairs = || left.iter().zip(right);
    let dot: f32 = pairs().map(|(l, r)| l * r).sum();
    let norms: f32 = [left, right]
        .map(|vector| vector.iter().map(|x| x * x).sum::<f32>().sqrt())
        .iter()
        .product();
    if norms > 0.0 { dot / norms } else { 0.0 }
}

#[async_trait]
impl VectorIndex for MemoryIndex {
    async fn ensure(&self, collection: &CollectionName, dimensions: usize) -> Result<()> {
        let mut collections = self.write();
        let there = collections
            .by_name
            .entry(collection.clone())
            .or_insert_with(|| Collection {
                dimensions,
                points: BTreeMap::new(),
            });
        if there.dimensions == dimensions {
            return Ok(());
        }
        Err(Error::conflict(format!(
            "collection `{collection}` has {} dimensions, not {dimensions}",
            there.dimensions
        )))
    }

    async fn upsert(&self, collection: &CollectionName, points: &[Point]) -> Result<()> {
        let mut collections = self.write();
        let there = collections
            .by_name
            .get_mut(collection)
            .ok_or_else(|| not_found(collection))?;
        for point in points {
            there.check(&point.vector)?;
        }
        for point in points {
            there.points.insert(point.photo_id, point.clone());
        }
        Ok(())
    }

    async fn search(
        &self,
        collection: &CollectionName,
        vector: &[f32],
        filter: &IndexFilter,
        limit: usize,
    ) -> Result<Vec<ScoredId>> {
        let collections = self.read();
        let there = collections.get(collection)?;
        there.check(vector)?;
        let mut hits: Vec<_> = there
            .points
            .values()
            .filter(|point| filter.matches(point))
            .map(|point| ScoredId {
                photo_id: point.photo_id,
                score: cosine(vector, &point.vector),
            })
            .collect();
        hits.sort_by(|left, right| right.score.total_cmp(&left.score));
        hits.truncate(limit);
        Ok(hits)
    }

    async fn vector(&self, collection: &CollectionName, id: &PhotoId) -> Result<Option<Vec<f32>>> {
        let collections = self.read();
        let point = collections.get(collection)?.points.get(id);
        Ok(point.map(|point| point.vector.clone()))
    }

    async fn delete(&self, collection: &CollectionName, ids: &[PhotoId]) -> Result<()> {
        if let Some(there) = self.write().by_name.get_mut(collection) {
            for id in ids {
                there.points.remove(id);
            }
        }
        Ok(())
    }

    async fn count(&self, collection: &CollectionName) -> Result<u64> {
        Ok(self.read().get(collection)?.points.len() as u64)
    }

    async fn ids(
        &self,
        collection: &CollectionName,
        after: Option<&PhotoId>,
        limit: usize,
    ) -> Result<Vec<PhotoId>> {
        let collections = self.read();
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(*id));
        let rest = collections
            .get(collection)?
            .points
            .range((start, Bound::Unbounded));
        Ok(rest.take(limit).map(|(id, _)| *id).collect())
    }

    async fn collections(&self) -> Result<Vec<CollectionName>> {
        Ok(self.read().by_name.keys().cloned().collect())
    }

    async fn alias(&self) -> Result<Option<CollectionName>> {
        Ok(self.read().alias.clone())
    }

    async fn set_alias(&self, collection: &CollectionName) -> Result<()> {
        let mut collections = self.write();
        collections.get(collection)?;
        collections.alias = Some(collection.clone());
        Ok(())
    }

    fn alias_name(&self) -> &str {
        &self.alias_name
    }

    async fn drop_collection(&self, collection: &CollectionName) -> Result<()> {
        let mut collections = self.write();
        if collections.alias.as_ref() == Some(collection) {
            return Err(Error::conflict(format!(
                "collection `{collection}` is in use: point the alias `{}` to another one first",
                self.alias_name
            )));
        }
        collections.by_name.remove(collection);
        Ok(())
    }

    /// Reads its own collections as if another program had made them.
    async fn foreign(&self, name: &str) -> Result<Box<dyn ForeignCollection>> {
        let collections = self.read();
        let collection = collections.get(&CollectionName::new(name)?)?;
        Ok(Box::new(Copied {
            dimensions: collection.dimensions,
            points: collection.points.values().cloned().collect(),
        }))
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
