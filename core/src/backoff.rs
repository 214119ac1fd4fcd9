//! How long to wait before the next try.

use std::time::Duration;

use rand::Rng;

/// Exponential backoff with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first failure.
    pub min: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Backoff {
    /// Returns the wait after so many failures (1 is the first): `min` doubled each time up to `max`, of which
    /// at least half and at most all is waited, so that what failed together does not come back together.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.min.saturating_mul(1 << doublings).min(self.max);
        whole.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_bound_and_is_never_below_half() {
        let backoff = Backoff {
            min: Duration::from_secs(1),
            max: Duration::from_secs(60),
        };
        for (failures, whole) in [(0, 1), (1, 1), (2, 2), (3, 4), (7, 60), (500, 60)] {
            for _ in 0..100 {
                let delay = backoff.delay(failures).as_secs_f64();
                let whole = f64::from(whole);
                assert!(
                    (whole / 2.0..=whole).contains(&delay),
                    "{failures} failures: {delay} s"
                );
            }
        }
    }
}
