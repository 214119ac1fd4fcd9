//! Waiting for what is promised to come about, without saying when.

use std::time::{Duration, Instant};

/// After this long a thing that should have come about has failed to.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// Asks again and again until the answer is yes.
///
/// # Panics
/// When it does not become true within five minutes: a busy machine is slow, not wrong.
pub async fn eventually(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_true().await {
        assert!(started.elapsed() < PATIENCE, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
