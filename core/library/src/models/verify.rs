//! Checks a filled collection before it serves: it is complete, and its vectors find their own photos.

use rand::seq::IndexedRandom;

use super::switch::ModelSwitch;
use super::view::Live;
use lucida_core::{Error, IndexFilter, PhotoId, Result};

/// How many photos are searched for.
const SAMPLE: usize = 32;

/// From how many photos on the sample is drawn, in the first page after a random one.
const PAGE: usize = 256;

/// The least cosine of a vector with itself; that of a quantized vector is a little below 1.
const SELF_SCORE: f32 = 0.98;

/// How many hits are compared: similar photos share the first places.
const HITS: usize = 10;

impl ModelSwitch {
    /// Checks a collection that should hold all ready photos except for `given_up`.
    ///
    /// # Errors
    /// `Internal` with what is wrong; those of the stores.
    pub(super) async fn verify(&self, live: &Live, given_up: u64) -> Result<()> {
        let index = &self.index;
        let before = self.metadata.count_by_state(None).await?.ready;
        let points = index.count(&live.collection).await?;
        let after = self.metadata.count_by_state(None).await?.ready;
        let least = before.min(after).saturating_sub(given_up);
        if points < least {
            return Err(Error::internal(format!(
                "the collection {} holds {points} vectors of {least}",
                live.collection
            )));
        }
        for id in self.sample(live).await? {
            self.finds_itself(live, &id).await?;
        }
        Ok(())
    }

    /// Draws some of a collection's photos.
    async fn sample(&self, live: &Live) -> Result<Vec<PhotoId>> {
        let index = &self.index;
        let first = index.ids(&live.collection, None, 1).await?;
        let Some(first) = first.first() else {
            return Ok(Vec::new());
        };
        let somewhere = PhotoId::between(first, &PhotoId::generate(), rand::random());
        let mut ids = index.ids(&live.collection, Some(&somewhere), PAGE).await?;
        if ids.len() < SAMPLE {
            ids.extend(index.ids(&live.collection, None, PAGE).await?);
        }
        Ok(ids.choose_multiple(&mut rand::rng(), SAMPLE).copied().collect())
    }

    async fn finds_itself(&self, live: &Live, id: &PhotoId) -> Result<()> {
        let index = &self.index;
        let wrong = |what: &str| Error::internal(format!("photo `{id}` in {} {what}", live.collection));
        // Deleted since it was drawn, or being deleted.
        let Some(photo) = self.metadata.get(id).await? else {
            return Ok(());
        };
        let Some(vector) = index.vector(&live.collection, id).await? else {
            return Ok(());
        };
        if vector.len() != live.embedder.describe().dimensions {
            return Err(wrong("has a vector of another length"));
        }
        let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        if !(0.99..=1.01).contains(&length) {
            return Err(wrong("has no unit vector"));
        }
        let filter = IndexFilter {
            user_id: Some(photo.user_id),
            ..IndexFilter::default()
        };
        let hits = index.search(&live.collection, &vector, &filter, HITS).await?;
        let itself = hits.iter().find(|hit| hit.photo_id == *id);
        // Ten other photos may look the same and come first.
        let alike = hits.len() == HITS && hits.iter().all(|hit| hit.score >= SELF_SCORE);
        match itself {
            Some(hit) if hit.score >= SELF_SCORE => Ok(()),
            None if alike => Ok(()),
            Some(_) | None => {
                // The photo may have been deleted meanwhile.
                match index.vector(&live.collection, id).await? {
                    Some(_) => Err(wrong("isn't found by its own vector")),
                    None => Ok(()),
                }
            }
        }
    }
}
