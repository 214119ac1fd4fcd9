//! Room on the cores for what computes outside of the models: decoding, preparing.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::embedder::Lane;
use crate::error::{Error, Result};

/// How many pieces of work compute at once. The lanes have room of their own, so that a search never stands in line
/// behind an import.
#[derive(Debug)]
pub(crate) struct Room {
    interactive: Arc<Semaphore>,
    background: Arc<Semaphore>,
}

impl Room {
    /// Makes room for `threads` pieces of work that somebody waits for, and for half as many, though at least one, that
    /// nobody does: the other half of the cores stays free for who comes next.
    pub(crate) fn new(threads: usize) -> Self {
        let room = |threads: usize| Arc::new(Semaphore::new(threads.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            interactive: room(threads),
            background: room(threads / 2),
        }
    }

    /// Waits for a place, which is free again when what is returned is dropped.
    ///
    /// # Errors
    /// `Unavailable` when the server is shutting down.
    pub(crate) async fn enter(&self, lane: Lane) -> Result<OwnedSemaphorePermit> {
        let room = match lane {
            Lane::Interactive => &self.interactive,
            Lane::Background => &self.background,
        };
        let place = Arc::clone(room).acquire_owned().await;
        place.map_err(|_| Error::unavailable("the server is shutting down"))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_background_takes_half_of_the_room_and_nothing_of_what_people_wait_for() {
        let room = Room::new(4);
        let mut places = Vec::new();
        for _ in 0..2 {
            places.push(room.enter(Lane::Background).now_or_never().unwrap().unwrap());
        }
        assert!(room.enter(Lane::Background).now_or_never().is_none());
        for _ in 0..4 {
            places.push(room.enter(Lane::Interactive).now_or_never().unwrap().unwrap());
        }
        assert!(room.enter(Lane::Interactive).now_or_never().is_none());
        places.clear();
        assert!(room.enter(Lane::Background).now_or_never().is_some());
    }

    #[tokio::test]
    async fn each_lane_has_room_on_a_single_core() {
        let room = Room::new(1);
        let _place = room.enter(Lane::Background).now_or_never().unwrap().unwrap();
        assert!(room.enter(Lane::Interactive).now_or_never().is_some());
    }
}
