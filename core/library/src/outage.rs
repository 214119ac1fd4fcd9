//! An outage as its retries see it: how long to wait before the next try, and what to log.

use std::time::Duration;

use lucida_core::{Backoff, Error};

/// Failures in a row.
#[derive(Debug)]
pub(super) struct Outage {
    backoff: Backoff,
    failures: u32,
    /// The message that was logged last.
    logged: String,
}

impl Outage {
    /// Creates a counter without failures; waits begin at `min` and double up to `max`.
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self {
            backoff: Backoff {
                min,
                max: max.max(min),
            },
            failures: 0,
            logged: String::new(),
        }
    }

    /// Counts a failure, and reports whether it is worth a warning: the first of an outage, or one for another reason.
    pub(super) fn is_news(&mut self, error: &Error) -> bool {
        self.failures = self.failures.saturating_add(1);
        let message = error.to_string();
        let news = self.failures == 1 || message != self.logged;
        if news {
            self.logged = message;
        }
        news
    }

    /// Returns how long to wait before the next try.
    pub(super) fn pause(&self) -> Duration {
        self.backoff.delay(self.failures)
    }

    /// Ends the outage, and reports whether there was one.
    pub(super) fn is_over(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_outage_is_told_once_per_reason_and_tries_become_rare() {
        let mut outage = Outage::new(2 * SECOND, 60 * SECOND);
        assert!(!outage.is_over());
        let refused = || Error::unavailable("qdrant is unavailable: start it");
        let told: Vec<bool> = (0..10).map(|_| outage.is_news(&refused())).collect();
        assert_eq!(told.iter().filter(|told| **told).count(), 1, "{told:?}");
        assert!(told[0]);
        // A jitter of up to half is taken off.
        assert!(outage.pause() >= 30 * SECOND, "{:?}", outage.pause());
        assert!(outage.is_news(&Error::unavailable("another reason")));
        assert!(!outage.is_news(&Error::unavailable("another reason")));
        assert!(outage.is_over());
        assert!(!outage.is_over());
        assert!(outage.is_news(&Error::unavailable("another reason")));
        assert!(outage.pause() <= 2 * SECOND);
    }

    #[test]
    fn an_interval_below_the_first_wait_is_not_a_shorter_one() {
        let mut outage = Outage::new(2 * SECOND, SECOND);
        for _ in 0..5 {
            outage.is_news(&Error::unavailable("x"));
        }
        assert!((SECOND..=2 * SECOND).contains(&outage.pause()));
    }
}
