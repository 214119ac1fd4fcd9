//! What every embedder's settings say of threads, queue and memory.

use std::num::NonZeroUsize;
use std::time::Duration;

use lucida_core::{Error, Result};

use super::options::BatchOptions;

/// More than any machine has cores; a number above it is a slip.
const MAX_THREADS: usize = 1024;

/// The settings that each embedder has under these names, checked and resolved in one place.
#[derive(Debug, Clone, Copy)]
pub struct BatchSettings {
    /// How many threads compute one batch, and how many inputs are prepared at once; 0 is one for each core.
    pub threads: usize,
    /// How many inputs may wait in each lane of each tower.
    pub queue_items: usize,
    /// Whether the towers are loaded at start, not when first needed.
    pub preload: bool,
    /// After how many seconds without work a tower is unloaded; 0 is never.
    pub idle_unload_secs: u64,
}

impl BatchSettings {
    /// Checks what types can't say, without any I/O.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the key.
    pub fn validate(&self) -> Result<()> {
        if self.queue_items == 0 {
            return Err(Error::config("queue_items", "is 0: let at least 1 input wait"));
        }
        if self.threads > MAX_THREADS {
            let message = format!("{} threads are more than {MAX_THREADS}", self.threads);
            return Err(Error::config("threads", message));
        }
        Ok(())
    }

    /// Returns the number of threads, with 0 resolved to the cores of this machine.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        match NonZeroUsize::new(self.threads) {
            Some(threads) => threads.get(),
            None => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        }
    }

    /// Returns how inputs are queued, with what one batch of each tower may cost.
    #[must_use]
    pub fn options(&self, image_batch_cost: usize, text_batch_cost: usize) -> BatchOptions {
        BatchOptions {
            image_batch_cost,
            text_batch_cost,
            queue_items: self.queue_items,
            preparation_threads: self.thread_count(),
            preload: self.preload,
            idle_unload: (self.idle_unload_secs > 0).then(|| Duration::from_secs(self.idle_unload_secs)),
        }
    }
}
