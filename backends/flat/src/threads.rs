//! How a search of many chunks is split over cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::lock::lock;

/// How many chunks a thread takes at a time.
const STRIDE: usize = 4;

/// Lends searches threads beside their own: as many as are configured less one, over all searches together.
///
/// Each search goes on in its own thread whatever the others do, so that none waits for a long one.
#[derive(Debug)]
pub(crate) struct Threads {
    spare: AtomicUsize,
}

/// Threads lent to a search until it drops them.
pub(crate) struct Lent<'a> {
    threads: &'a Threads,
    count: usize,
}

impl Threads {
    /// Lends up to this many threads.
    pub(crate) const fn new(spare: usize) -> Self {
        Self {
            spare: AtomicUsize::new(spare),
        }
    }

    fn lend(&self, most: usize) -> Lent<'_> {
        let mut count = 0;
        let taken = self
            .spare
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |spare| {
                count = spare.min(most);
                Some(spare - count)
            });
        debug_assert!(taken.is_ok());
        Lent { threads: self, count }
    }

    /// Does `work` on each of `parts` numbers, in several threads where the parts are worth it, and returns what each
    /// thread has made of its numbers.
    ///
    /// # Panics
    /// When `work` does.
    pub(crate) fn split<T: Send>(
        &self,
        parts: usize,
        parts_per_thread: usize,
        make: impl Fn() -> T + Sync,
        work: impl Fn(&mut T, usize) + Sync,
    ) -> Vec<T> {
        let helpers = (parts / parts_per_thread.max(1)).saturating_sub(1);
        let lent = self.lend(helpers);
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::with_capacity(lent.count + 1));
        let run = || {
            let mut made = make();
            loop {
                let start = next.fetch_add(STRIDE, Ordering::Relaxed);
                if start >= parts {
                    break;
                }
                for part in start..(start + STRIDE).min(parts) {
                    work(&mut made, part);
                }
            }
            lock(&done).push(made);
        };
        if lent.count == 0 {
            run();
        } else {
            thread::scope(|scope| {
                for _ in 0..lent.count {
                    // Without one more thread, those that there are do its share.
                    let _ = thread::Builder::new()
                        .name("index-search".to_owned())
                        .spawn_scoped(scope, run);
                }
                run();
            });
        }
        drop(lent);
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.threads.spare.fetch_add(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_worked_on_once_and_threads_come_back() {
        let threads = Threads::new(3);
        for parts in [0, 1, 5, 100, 1_000] {
            let made = threads.split(parts, 10, Vec::new, Vec::push);
            let mut all: Vec<usize> = made.into_iter().flatten().collect();
            all.sort_unstable();
            assert_eq!(all, (0..parts).collect::<Vec<_>>());
            assert_eq!(threads.spare.load(Ordering::Relaxed), 3);
        }
    }

    #[test]
    fn a_second_search_goes_on_when_the_first_has_all_threads() {
        let threads = Threads::new(2);
        let all = threads.lend(2);
        let made = threads.split(100, 1, || 0, |sum, part| *sum += part);
        assert_eq!(made, [4_950]);
        drop(all);
        assert_eq!(threads.spare.load(Ordering::Relaxed), 2);
    }
}
