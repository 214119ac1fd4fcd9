//! How inputs are queued and when a model is in memory.

use std::time::Duration;

/// How a [`Batched`](crate::Batched) model queues and when it is in memory.
#[derive(Debug, Clone)]
pub struct BatchOptions {
    /// The most that one batch of the image tower may cost.
    pub image_batch_cost: usize,
    /// The most that one batch of the text tower may cost.
    pub text_batch_cost: usize,
    /// How many inputs may wait in each lane of each tower.
    pub queue_items: usize,
    /// How many inputs that somebody waits for are prepared at once; in the background half as many are.
    pub preparation_threads: usize,
    /// Whether the towers are loaded at start, not when first needed.
    pub preload: bool,
    /// After how long without work a tower is unloaded; never, if `None`.
    pub idle_unload: Option<Duration>,
}
