//! Bounds how much computes at once outside of the models: decoding, preparing.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::embedder::Lane;
use crate::error::{Error, Result};

/// A semaphore with separate permits for each lane, so that a search never waits behind an import.
#[derive(Debug)]
pub struct LaneSemaphore {
    interactive: Arc<Semaphore>,
    background: Arc<Semaphore>,
}

impl LaneSemaphore {
    /// Creates `threads` permits for the interactive lane and half as many, but at least one, for the background: the
    /// other half of the cores stays free for interactive work.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let permits = |threads: usize| Arc::new(Semaphore::new(threads.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            interactive: permits(threads),
            background: permits(threads / 2),
        }
    }

    /// Waits for a permit, which is released when it is dropped.
    ///
    /// # Errors
    /// `Unavailable` when the server is shutting down.
    pub async fn acquire(&self, lane: Lane) -> Result<OwnedSemaphorePermit> {
        let semaphore = match lane {
            Lane::Interactive => &self.interactive,
            Lane::Background => &self.background,
        };
        let permit = Arc::clone(semaphore).acquire_owned().await;
        permit.map_err(|_| Error::unavailable("the server is shutting down"))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_background_gets_half_of_the_permits_and_none_of_the_interactive_ones() {
        let semaphore = LaneSemaphore::new(4);
        let mut permits = Vec::new();
        for _ in 0..2 {
            permits.push(
                semaphore
                    .acquire(Lane::Background)
                    .now_or_never()
                    .unwrap()
                    .unwrap(),
            );
        }
        assert!(semaphore.acquire(Lane::Background).now_or_never().is_none());
        for _ in 0..4 {
            permits.push(
                semaphore
                    .acquire(Lane::Interactive)
                    .now_or_never()
                    .unwrap()
                    .unwrap(),
            );
        }
        assert!(semaphore.acquire(Lane::Interactive).now_or_never().is_none());
        permits.clear();
        assert!(semaphore.acquire(Lane::Background).now_or_never().is_some());
    }

    #[tokio::test]
    async fn each_lane_has_a_permit_on_a_single_core() {
        let semaphore = LaneSemaphore::new(1);
        let _permit = semaphore
            .acquire(Lane::Background)
            .now_or_never()
            .unwrap()
            .unwrap();
        assert!(semaphore.acquire(Lane::Interactive).now_or_never().is_some());
    }
}
