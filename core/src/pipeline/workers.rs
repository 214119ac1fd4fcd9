//! The tasks that run beside the server: workers, which take jobs, and the reconciler.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info, info_span, warn};

use super::Photos;

/// How long a worker waits for a job before it looks whether it should stop.
const RECEIVE_WAIT: Duration = Duration::from_secs(30);

/// How long a worker waits after the queue failed.
const QUEUE_PAUSE: Duration = Duration::from_secs(1);

/// How long plugins may take to hear the last events at shutdown.
const EVENTS_WAIT: Duration = Duration::from_secs(5);

/// The running workers and the reconciler.
#[must_use]
pub struct Workers {
    photos: Photos,
    tasks: TaskTracker,
}

impl Workers {
    /// Waits until all have stopped, which they do once their shutdown is cancelled.
    pub async fn finished(self) {
        self.tasks.wait().await;
        self.photos.finish_telling(EVENTS_WAIT).await;
    }
}

impl Photos {
    /// Starts the workers and the reconciler; they stop when `shutdown` is cancelled, each after the photo that it
    /// works on.
    pub fn start_workers(&self, shutdown: &CancellationToken) -> Workers {
        let tasks = TaskTracker::new();
        for number in 0..self.options().workers {
            let (photos, stop) = (self.clone(), shutdown.clone());
            let span = info_span!("worker", number);
            tasks.spawn(async move { photos.work(stop).await }.instrument(span));
        }
        let (photos, stop) = (self.clone(), shutdown.clone());
        tasks.spawn(async move { photos.reconcile_until(stop).await });
        tasks.close();
        Workers {
            photos: self.clone(),
            tasks,
        }
    }

    async fn work(&self, shutdown: CancellationToken) {
        loop {
            let received = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                received = self.parts().queue.receive(RECEIVE_WAIT) => received,
            };
            match received {
                Ok(Some(delivery)) => self.work_on(delivery).await,
                Ok(None) => {}
                Err(error) => {
                    warn!(%error, "waiting for the queue");
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(QUEUE_PAUSE) => {}
                    }
                }
            }
        }
        info!("worker stopped");
    }
}
