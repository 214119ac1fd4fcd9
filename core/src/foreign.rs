//! Vectors that another program made, read so that a library can take them over.

use async_trait::async_trait;

use crate::error::Result;

/// A point as another program wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignPoint {
    /// The index's id for it, for messages.
    pub id: String,
    /// `photo_id` of its payload.
    pub photo_id: Option<String>,
    /// `user_id` of its payload.
    pub user_id: Option<String>,
    /// The vector, `(dimensions,)` f32, of any length; `None` where the point has none.
    pub vector: Option<Vec<f32>>,
}

/// Some points, in an order of the index's own.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignPage {
    /// The points.
    pub points: Vec<ForeignPoint>,
    /// Where to go on; `None` after the last page.
    pub next: Option<String>,
}

/// A collection that another program made. It is only read.
#[async_trait]
pub trait ForeignCollection: Send + Sync {
    /// Returns the length of its vectors.
    fn dimensions(&self) -> usize;

    /// Counts its points.
    ///
    /// # Errors
    /// Those of the index.
    async fn count(&self) -> Result<u64>;

    /// Reads a page of points, from where an earlier page said to go on.
    ///
    /// # Errors
    /// `InvalidInput` for a place that no page gave; those of the index.
    async fn read(&self, from: Option<&str>, limit: usize) -> Result<ForeignPage>;
}
