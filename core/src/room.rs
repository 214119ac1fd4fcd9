//! What pictures may take of the machine while they are decoded and prepared: cores and memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::embedder::Lane;
use crate::error::{Error, Result};

/// Memory is counted in pieces of this many bytes.
const PIECE_BYTES: u64 = 1 << 20;

/// How many pieces of work compute at once, and how much memory they take together. The lanes have semaphores of their
/// own, so that a search never stands in line behind an import.
#[derive(Debug)]
pub(crate) struct Room {
    interactive: LaneRoom,
    background: LaneRoom,
}

#[derive(Debug)]
struct LaneRoom {
    threads: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    /// All pieces of memory that the lane has.
    pieces: u32,
}

/// What a piece of work holds; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    /// The thread.
    _thread: OwnedSemaphorePermit,
    memory: OwnedSemaphorePermit,
}

impl Room {
    /// Makes room for `threads` pieces of work that somebody waits for, and for half as many, though at least one, that
    /// nobody does: the other half of the cores stays free for who comes next. Each lane has half of the memory.
    pub(crate) fn new(threads: usize, memory_bytes: u64) -> Self {
        let pieces = u32::try_from(memory_bytes / 2 / PIECE_BYTES).unwrap_or(u32::MAX).clamp(1, 1 << 20);
        let lane = |threads: usize| LaneRoom {
            threads: Arc::new(Semaphore::new(threads.clamp(1, Semaphore::MAX_PERMITS))),
            memory: Arc::new(Semaphore::new(pieces as usize)),
            pieces,
        };
        Self {
            interactive: lane(threads),
            background: lane(threads / 2),
        }
    }

    /// Waits for a thread and for `memory_bytes`; work that needs more than there is waits until it is alone.
    ///
    /// # Errors
    /// `Unavailable` when the server is shutting down.
    pub(crate) async fn enter(&self, lane: Lane, memory_bytes: u64) -> Result<Place> {
        let room = match lane {
            Lane::Interactive => &self.interactive,
            Lane::Background => &self.background,
        };
        let closed = |_| Error::unavailable("the server is shutting down");
        // Memory comes first: work that waits for it must not keep a thread from others.
        let memory = Arc::clone(&room.memory)
            .acquire_many_owned(pieces(memory_bytes).min(room.pieces))
            .await
            .map_err(closed)?;
        let thread = Arc::clone(&room.threads).acquire_owned().await.map_err(closed)?;
        Ok(Place {
            _thread: thread,
            memory,
        })
    }
}

impl Place {
    /// Ends the work: gives back the thread and all memory but `memory_bytes`, for what it has made.
    pub(crate) fn shrink_to(self, memory_bytes: u64) -> OwnedSemaphorePermit {
        let mut memory = self.memory;
        let kept = (pieces(memory_bytes) as usize).min(memory.num_permits());
        drop(memory.split(memory.num_permits() - kept));
        memory
    }
}

/// Returns how many pieces cover so many bytes, at least one.
fn pieces(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test]
    async fn the_background_takes_half_of_the_threads_and_nothing_of_what_people_wait_for() {
        let room = Room::new(4, 1 << 30);
        let enter = |lane| room.enter(lane, MIB).now_or_never();
        let mut places = Vec::new();
        for _ in 0..2 {
            places.push(enter(Lane::Background).unwrap().unwrap());
        }
        assert!(enter(Lane::Background).is_none());
        for _ in 0..4 {
            places.push(enter(Lane::Interactive).unwrap().unwrap());
        }
        assert!(enter(Lane::Interactive).is_none());
        places.clear();
        assert!(enter(Lane::Background).is_some());
    }

    #[tokio::test]
    async fn each_lane_has_a_thread_on_a_single_core() {
        let room = Room::new(1, 1 << 30);
        let _place = room.enter(Lane::Background, MIB).now_or_never().unwrap().unwrap();
        assert!(room.enter(Lane::Interactive, MIB).now_or_never().is_some());
    }

    #[tokio::test]
    async fn pictures_wait_for_the_memory_that_they_take_and_not_for_each_other() {
        let room = Room::new(8, 200 * MIB);
        let enter = |bytes| room.enter(Lane::Interactive, bytes).now_or_never();
        let large = enter(70 * MIB).unwrap().unwrap();
        assert!(enter(40 * MIB).is_none(), "110 of 100 MiB");
        let small = enter(30 * MIB).unwrap().unwrap();
        let kept = large.shrink_to(5 * MIB);
        assert!(enter(65 * MIB).is_some(), "what is decoded takes less");
        drop((small, kept));
        assert!(enter(5_000 * MIB).unwrap().is_ok(), "what needs more than all is alone");
    }
}
