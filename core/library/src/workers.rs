//! The tasks that run beside the server: workers, which take jobs, the reconciler, the scrub, and the change of the model.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info, info_span, warn};

use super::Photos;
use super::ingest::Worked;
use super::outage::Outage;

/// How long a worker waits for a job before it looks whether it should stop.
const RECEIVE_WAIT: Duration = Duration::from_secs(30);

/// How long a worker waits after the queue failed, at first and at most.
const QUEUE_PAUSE_MIN: Duration = Duration::from_secs(1);
const QUEUE_PAUSE_MAX: Duration = Duration::from_secs(10);

/// How soon a part that is away is looked for again at first, and how seldom at last.
const PART_PAUSE_MIN: Duration = Duration::from_millis(200);
const PART_PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long plugins may take to hear the last events at shutdown.
const EVENTS_WAIT: Duration = Duration::from_secs(5);

/// The running workers and what runs beside them.
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
    /// Starts the workers, the reconciler, the scrub and the change of models; they stop when `shutdown` is cancelled, each
    /// worker after its photo.
    pub fn start_workers(&self, shutdown: &CancellationToken) -> Workers {
        let tasks = TaskTracker::new();
        for number in 0..self.options().workers {
            let (photos, stop) = (self.clone(), shutdown.clone());
            let span = info_span!("worker", number);
            tasks.spawn(async move { photos.work(stop).await }.instrument(span));
        }
        let (photos, stop) = (self.clone(), shutdown.clone());
        tasks.spawn(async move { photos.reconcile_until(stop).await });
        let (photos, stop) = (self.clone(), shutdown.clone());
        tasks.spawn(async move { photos.scrub_until(stop).await });
        let (photos, stop) = (self.clone(), shutdown.clone());
        tasks.spawn(async move { photos.change_models_until(stop).await });
        tasks.close();
        Workers {
            photos: self.clone(),
            tasks,
        }
    }

    async fn work(&self, shutdown: CancellationToken) {
        let mut paused = false;
        let mut outage = Outage::new(QUEUE_PAUSE_MIN, QUEUE_PAUSE_MAX);
        loop {
            if paused {
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => break,
                    () = self.until_all_is_well() => {}
                }
            }
            let received = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                received = self.parts().queue.receive(RECEIVE_WAIT) => received,
            };
            if received.is_ok() && outage.is_over() {
                info!("the queue answers again");
            }
            match received {
                Ok(Some(delivery)) => paused = self.work_on(delivery).await == Worked::PartAway,
                Ok(None) => paused = false,
                Err(error) => {
                    if outage.is_news(&error) {
                        warn!(%error, "waiting for the queue");
                    }
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(outage.pause()) => {}
                    }
                }
            }
        }
        info!("worker stopped");
    }

    /// Waits while a part is away, so that jobs stay in the queue instead of failing one after the other.
    async fn until_all_is_well(&self) {
        let mut pause = PART_PAUSE_MIN;
        let mut told = false;
        loop {
            let readiness = self.readiness().await;
            let Some(away) = readiness.parts.iter().find(|part| part.error.is_some()) else {
                if told {
                    info!("going on with the photos");
                }
                return;
            };
            if !told {
                let error = away.error.as_deref();
                warn!(
                    part = away.part,
                    error, "leaving the photos in the queue until it is back"
                );
                told = true;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PART_PAUSE_MAX);
        }
    }
}
