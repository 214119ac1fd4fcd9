//! What operators see of a model.

use lucida_core::{CollectionName, EmbedderInfo};

/// What a model is to the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelRole {
    /// Searches use it.
    Serving,
    /// Its collection is being filled; searches will use it once it is complete.
    Filling,
    /// Its collection is kept for a way back.
    Kept,
}

impl ModelRole {
    /// Returns the name that answers and reports use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Filling => "filling",
            Self::Kept => "kept",
        }
    }
}

/// A model that the library has vectors of.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelStatus {
    /// The model.
    pub info: EmbedderInfo,
    /// What it is to the library.
    pub role: ModelRole,
    /// The collection of its vectors.
    pub collection: CollectionName,
    /// How many vectors there are in it.
    pub points: u64,
    /// How many there will be, while it is being filled.
    pub photos: Option<u64>,
    /// What keeps the model from being used or its filling from going on.
    pub problem: Option<String>,
    /// Whether it is the one that this process is configured with.
    pub configured: bool,
}
