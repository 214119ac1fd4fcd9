//! What pictures may take of the machine while they are decoded: threads and memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use lucida_core::{Error, Lane, LaneSemaphore, Result};

/// Memory is counted in pieces of this many bytes.
const PIECE_BYTES: u64 = 1 << 20;

/// How many pictures are decoded at once, and how much memory they take together. Each lane has half of the memory, so
/// that a search never stands in line behind an import.
#[derive(Debug)]
pub(crate) struct DecodeBudget {
    threads: LaneSemaphore,
    interactive: Arc<Semaphore>,
    background: Arc<Semaphore>,
    /// All pieces of memory that a lane has.
    pieces: u32,
}

/// What the work on a picture holds; free again when dropped.
#[derive(Debug)]
pub(crate) struct DecodePermit {
    _thread: OwnedSemaphorePermit,
    memory: OwnedSemaphorePermit,
}

impl DecodeBudget {
    /// Divides `threads` as [`LaneSemaphore::new`] does, and `memory_bytes` in halves.
    pub(crate) fn new(threads: usize, memory_bytes: u64) -> Self {
        let pieces = u32::try_from(memory_bytes / 2 / PIECE_BYTES)
            .unwrap_or(u32::MAX)
            .clamp(1, 1 << 20);
        let memory = || Arc::new(Semaphore::new(pieces as usize));
        Self {
            threads: LaneSemaphore::new(threads),
            interactive: memory(),
            background: memory(),
            pieces,
        }
    }

    /// Waits for a thread and for `memory_bytes`; work that needs more than there is waits until it is alone.
    ///
    /// # Errors
    /// `Unavailable` when the server is shutting down.
    pub(crate) async fn enter(&self, lane: Lane, memory_bytes: u64) -> Result<DecodePermit> {
        let memory = match lane {
            Lane::Interactive => &self.interactive,
            Lane::Background => &self.background,
        };
        // Memory comes first: work that waits for it must not keep a thread from others.
        let memory = Arc::clone(memory)
            .acquire_many_owned(pieces(memory_bytes).min(self.pieces))
            .await
            .map_err(|_| Error::unavailable("the server is shutting down"))?;
        Ok(DecodePermit {
            _thread: self.threads.acquire(lane).await?,
            memory,
        })
    }
}

impl DecodePermit {
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
    u32::try_from(bytes.div_ceil(PIECE_BYTES))
        .unwrap_or(u32::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test]
    async fn pictures_wait_for_the_memory_that_they_take_and_not_for_each_other() {
        let budget = DecodeBudget::new(8, 200 * MIB);
        let enter = |bytes| budget.enter(Lane::Interactive, bytes).now_or_never();
        let large = enter(70 * MIB).unwrap().unwrap();
        assert!(enter(40 * MIB).is_none(), "110 of 100 MiB");
        let small = enter(30 * MIB).unwrap().unwrap();
        let kept = large.shrink_to(5 * MIB);
        assert!(enter(65 * MIB).is_some(), "what is decoded takes less");
        drop((small, kept));
        assert!(
            enter(5_000 * MIB).unwrap().is_ok(),
            "what needs more than all is alone"
        );
    }
}
