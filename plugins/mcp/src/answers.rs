//! What the tools answer, as JSON.

use std::collections::BTreeSet;

use lucida_core::{Hit, SearchResult, Stats};
use serde::Serialize;

/// The photos that a search found: of each only what distinguishes it, since an agent pays for every word.
#[derive(Debug, Serialize)]
pub(crate) struct FoundPhotos {
    /// The photos, best first.
    hits: Vec<FoundPhoto>,
    /// The model that compared them.
    model: String,
}

#[derive(Debug, Serialize)]
struct FoundPhoto {
    id: String,
    /// The cosine, or what a reranking plugin made of it, with four decimals.
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    /// By the clock where it was taken, else in UTC with `Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    taken: Option<String>,
    width: u32,
    height: u32,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<String>,
}

impl From<Hit> for FoundPhoto {
    fn from(Hit { score, photo }: Hit) -> Self {
        let moment = photo.taken_at.map(|moment| moment.to_string());
        Self {
            id: photo.id.to_string(),
            score: (f64::from(score) * 1e4).round() / 1e4,
            filename: photo.filename,
            taken: photo.taken_at_local.map(|local| local.to_string()).or(moment),
            width: photo.width,
            height: photo.height,
            tags: photo.tags,
        }
    }
}

impl From<SearchResult> for FoundPhotos {
    fn from(result: SearchResult) -> Self {
        Self {
            hits: result.hits.into_iter().map(FoundPhoto::from).collect(),
            model: result.model,
        }
    }
}

/// How many photos the caller has.
#[derive(Debug, Serialize)]
pub(crate) struct Counts {
    photos: Photos,
    /// The model that searches use.
    model: String,
}

#[derive(Debug, Serialize)]
struct Photos {
    /// Found by searches.
    ready: u64,
    /// Waiting to be embedded.
    pending: u64,
    /// Given up.
    failed: u64,
}

impl From<Stats> for Counts {
    fn from(stats: Stats) -> Self {
        Self {
            photos: Photos {
                ready: stats.photos.ready,
                pending: stats.photos.pending,
                failed: stats.photos.failed,
            },
            model: stats.model,
        }
    }
}
