//! What a search looks for, and what it finds.

use std::sync::Arc;

use crate::id::{PhotoId, UserId};
use crate::index::IndexFilter;
use crate::photo::Photo;
use crate::picture::Picture;

/// What a search looks for, which plugins may change before it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchQuery {
    /// Who searches.
    pub user_id: UserId,
    /// What for.
    pub input: SearchInput,
    /// Among which photos; its `user_id` is set to the searcher after all plugins.
    pub filter: IndexFilter,
    /// How many hits at most.
    pub limit: usize,
}

/// What a search looks for.
#[derive(Debug, Clone, PartialEq)]
pub enum SearchInput {
    /// Words.
    Text(String),
    /// Photos like this one.
    Photo(PhotoId),
    /// Photos like a picture that was sent along.
    Picture(Arc<Picture>),
}

/// A photo found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The cosine, -1 to 1, or what a reranking plugin made of it; higher is better.
    pub score: f32,
    /// The photo.
    pub photo: Photo,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchResult {
    /// The photos, best first.
    pub hits: Vec<Hit>,
    /// The model that compared them.
    pub model: String,
}

/// How many hits a search returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchLimits {
    /// The number where a request names none: `search.default_limit`.
    pub default: usize,
    /// The most that a request may ask for: `search.max_limit`.
    pub max: usize,
}
