//! Group commit: one sync of the journal for all the writes that were waiting for one.

use std::fs::File;
use std::sync::{Arc, Condvar, Mutex};

use lucida_core::{Error, Result};

use crate::lock::lock;

/// Knows which appended records are durable.
#[derive(Debug)]
pub(crate) struct GroupCommit {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug)]
struct Progress {
    /// The journal's file, which has all records that aren't durable yet.
    file: Arc<File>,
    /// How many records were ever appended, and how many of them are durable.
    appended: u64,
    durable: u64,
    syncing: bool,
    /// After a failed sync the system may have dropped what it couldn't write, and would call a second sync fine.
    failed: bool,
}

impl GroupCommit {
    /// Starts with a journal whose records are all durable.
    pub(crate) fn new(file: Arc<File>) -> Self {
        Self {
            progress: Mutex::new(Progress {
                file,
                appended: 0,
                durable: 0,
                syncing: false,
                failed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Counts a record just appended and returns its number. To be called in the order of appending.
    pub(crate) fn appended(&self) -> u64 {
        let mut progress = lock(&self.progress);
        progress.appended += 1;
        progress.appended
    }

    /// Returns once record `number` is durable; the first that comes syncs for all that wait.
    ///
    /// # Errors
    /// Those of the sync, and `Unavailable` after one failed until [`Self::restart`].
    pub(crate) fn wait(&self, number: u64) -> Result<()> {
        let mut progress = lock(&self.progress);
        loop {
            if progress.durable >= number {
                return Ok(());
            }
            if progress.failed {
                return Err(Error::unavailable(
                    "the index's journal can't be written: look at the disk; the index tries again by itself",
                ));
            }
            if !progress.syncing {
                break;
            }
            progress = self
                .changed
                .wait(progress)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        progress.syncing = true;
        let reached = progress.appended;
        let file = Arc::clone(&progress.file);
        drop(progress);

        let synced = file.sync_data();

        let mut progress = lock(&self.progress);
        progress.syncing = false;
        match &synced {
            Ok(()) => progress.durable = progress.durable.max(reached),
            Err(_) => progress.failed = progress.durable < reached,
        }
        self.changed.notify_all();
        drop(progress);
        synced.map_err(|error| Error::from(error).context("syncing the index's journal"))
    }

    /// Notes that all records appended so far are in the engine's flushed data, and that further ones go to `file`.
    pub(crate) fn restart(&self, file: Arc<File>) {
        let mut progress = lock(&self.progress);
        progress.file = file;
        progress.durable = progress.appended;
        progress.failed = false;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_failed_sync_fails_every_write_until_the_journal_is_restarted() {
        // A sync of the read end of a pipe is refused by the system.
        let (reader, _writer) = std::io::pipe().unwrap();
        let unsyncable = File::from(std::os::fd::OwnedFd::from(reader));
        let commit = GroupCommit::new(Arc::new(unsyncable));
        let (first, second) = (commit.appended(), commit.appended());
        assert!(commit.wait(first).is_err());
        assert!(commit.wait(second).is_err());
        commit.restart(Arc::new(tempfile::tempfile().unwrap()));
        commit.wait(second).unwrap();
        let third = commit.appended();
        commit.wait(third).unwrap();
    }

    #[test]
    fn many_writers_at_once_all_become_durable() {
        let commit = GroupCommit::new(Arc::new(tempfile::tempfile().unwrap()));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        commit.wait(commit.appended()).unwrap();
                    }
                });
            }
        });
        let progress = lock(&commit.progress);
        assert_eq!((progress.appended, progress.durable), (400, 400));
    }
}
