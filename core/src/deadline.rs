//! The time that one request has. It stands still while the server waits for the client's bytes.
//!
//! Not tower-http's `timeout` (0.7.1): its time can't stand still, and work inside of a request can't ask what is left.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};

/// How soon at the earliest a deadline that stood still is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A time limit that everything done for one request shares; clones share it too.
#[derive(Debug, Clone)]
pub struct Deadline {
    /// What the setting says.
    configured: Duration,
    limit: Duration,
    started: Instant,
    pauses: Arc<Mutex<Pauses>>,
}

#[derive(Debug, Default)]
struct Pauses {
    /// How long the deadline has stood still so far, the present pause not counted.
    total: Duration,
    /// When the present pause began.
    since: Option<Instant>,
}

impl Deadline {
    /// Returns a deadline after `limit` from now.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self {
            configured: limit,
            limit,
            started: Instant::now(),
            pauses: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pauses> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a deadline so much later that stands still at the same times.
    #[must_use]
    pub fn later(&self, by: Duration) -> Self {
        Self {
            limit: self.limit + by,
            ..self.clone()
        }
    }

    /// Returns how much time is left, zero once the deadline has passed.
    #[must_use]
    pub fn left(&self) -> Duration {
        let pauses = self.lock();
        let paused = pauses.total + pauses.since.map_or(Duration::ZERO, |since| since.elapsed());
        self.limit
            .saturating_sub(self.started.elapsed().saturating_sub(paused))
    }

    /// Returns whether the deadline has passed.
    #[must_use]
    pub fn has_passed(&self) -> bool {
        self.left().is_zero()
    }

    /// Waits for the client: the deadline stands still until `waiting` is done. Pauses must not overlap.
    pub async fn paused<T>(&self, waiting: impl Future<Output = T>) -> T {
        self.lock().since = Some(Instant::now());
        let _pause = Pause(self);
        waiting.await
    }

    /// Does work until the deadline.
    ///
    /// # Errors
    /// `Timeout` when the deadline passes first, else those of the work.
    pub async fn bound<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::pin!(work);
        loop {
            let left = self.left();
            if left.is_zero() {
                return Err(self.error());
            }
            tokio::select! {
                biased;
                done = work.as_mut() => return done,
                () = tokio::time::sleep(left.max(LOOK_AGAIN)) => {}
            }
        }
    }

    /// Returns the error of a request whose deadline has passed.
    #[must_use]
    pub fn error(&self) -> Error {
        let seconds = self.configured.as_secs_f32();
        let message = format!("not done within {seconds} s (server.request_timeout_secs): try again");
        Error::new(ErrorKind::Timeout, message)
    }
}

/// Ends a pause, also when the one who waits gives up.
struct Pause<'a>(&'a Deadline);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let mut pauses = self.0.lock();
        if let Some(since) = pauses.since.take() {
            pauses.total += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_too_long_is_a_timeout_that_names_the_setting() {
        let deadline = Deadline::after(2 * SECOND);
        let quick = deadline.bound(async {
            tokio::time::sleep(SECOND).await;
            Ok(1)
        });
        assert_eq!(quick.await.unwrap(), 1);
        assert_eq!(deadline.left(), SECOND);
        let slow = deadline.bound(async {
            tokio::time::sleep(2 * SECOND).await;
            Ok(1)
        });
        let error = slow.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.message().contains("server.request_timeout_secs"), "{error}");
        assert!(deadline.has_passed());
        // Nothing is begun after it.
        assert!(deadline.bound(async { Ok(()) }).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_stands_still_while_the_client_sends() {
        let deadline = Deadline::after(2 * SECOND);
        let (clone, done) = (deadline.clone(), deadline.clone());
        let work = tokio::spawn(async move {
            clone
                .bound(async {
                    tokio::time::sleep(10 * SECOND).await;
                    Ok("done")
                })
                .await
        });
        done.paused(tokio::time::sleep(9 * SECOND)).await;
        assert_eq!(work.await.unwrap().unwrap(), "done");
        assert_eq!(deadline.left(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_is_given_up_ends() {
        let deadline = Deadline::after(2 * SECOND);
        let waiting = deadline.paused(std::future::pending::<()>());
        assert!(tokio::time::timeout(SECOND, waiting).await.is_err());
        tokio::time::sleep(SECOND).await;
        assert_eq!(deadline.left(), SECOND);
    }
}
