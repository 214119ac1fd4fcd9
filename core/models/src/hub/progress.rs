//! How far a download is, told now and then.

use std::time::{Duration, Instant};

/// The bytes of a download over all its files.
#[derive(Debug)]
pub(super) struct Progress {
    total_bytes: u64,
    before_bytes: u64,
    told: Instant,
}

impl Progress {
    /// Long enough to keep a log short, short enough to see that something happens.
    const INTERVAL: Duration = Duration::from_secs(5);

    pub(super) const fn new(total_bytes: u64, now: Instant) -> Self {
        Self {
            total_bytes,
            before_bytes: 0,
            told: now,
        }
    }

    pub(super) const fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Takes note of how much of the current file is there, and returns the bytes of all files when it is time to
    /// tell somebody.
    pub(super) fn reach(&mut self, file_bytes: u64, now: Instant) -> Option<u64> {
        if now.duration_since(self.told) < Self::INTERVAL {
            return None;
        }
        self.told = now;
        Some(self.before_bytes + file_bytes)
    }

    /// Counts a file that is wholly there.
    pub(super) const fn finish_file(&mut self, file_bytes: u64) {
        self.before_bytes += file_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_every_few_seconds_the_bytes_of_all_files() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let mut progress = Progress::new(1000, start);
        assert_eq!(progress.reach(100, after(1)), None);
        progress.finish_file(300);
        assert_eq!(progress.reach(10, after(5)), Some(310));
        assert_eq!(progress.reach(20, after(6)), None);
        assert_eq!(progress.reach(5, after(11)), Some(305));
        assert_eq!(progress.total_bytes(), 1000);
    }
}
