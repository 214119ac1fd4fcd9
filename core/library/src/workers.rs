//! The tasks that run beside the server: workers, which take jobs, the delivery of events, the reconciler, the scrub, and the
//! model switch.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::ingest::{Ingest, Worked};
use crate::outage::Outage;
use crate::plugins::Plugins;
use crate::readiness::Health;
use lucida_core::JobQueue;

/// How long a worker waits for a job before it checks whether it should stop.
const RECEIVE_WAIT: Duration = Duration::from_secs(30);

/// How long a worker waits after the queue failed, at first and at most.
const QUEUE_PAUSE_MIN: Duration = Duration::from_secs(1);
const QUEUE_PAUSE_MAX: Duration = Duration::from_secs(10);

/// The pause between two checks of an unavailable component, at first and at most.
const COMPONENT_PAUSE_MIN: Duration = Duration::from_millis(200);
const COMPONENT_PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long plugins may take for the last events at shutdown.
const EVENTS_WAIT: Duration = Duration::from_secs(5);

/// The running tasks.
#[must_use]
pub struct Workers {
    pub(crate) tasks: TaskTracker,
    pub(crate) plugins: Plugins,
}

impl Workers {
    /// Waits until all have stopped, which they do once their shutdown is cancelled.
    pub async fn finished(self) {
        self.tasks.wait().await;
        self.plugins.finish_events(EVENTS_WAIT).await;
    }
}

/// Takes jobs from the queue and works on their photos, one after the other.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) ingest: Ingest,
    pub(crate) health: Health,
}

impl Worker {
    /// Works until `shutdown` is cancelled, and finishes the photo in progress.
    pub(crate) async fn run_until(&self, shutdown: CancellationToken) {
        let mut paused = false;
        let mut outage = Outage::new(QUEUE_PAUSE_MIN, QUEUE_PAUSE_MAX);
        loop {
            if paused {
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => break,
                    () = self.wait_for_components() => {}
                }
            }
            let received = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                received = self.queue.receive(RECEIVE_WAIT) => received,
            };
            if received.is_ok() && outage.is_over() {
                info!("the queue answers again");
            }
            match received {
                Ok(Some(delivery)) => {
                    paused = self.ingest.work_on(delivery).await == Worked::ComponentUnavailable
                }
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

    /// Waits while a component is unavailable, so that jobs stay in the queue instead of failing one after the other.
    async fn wait_for_components(&self) {
        let mut pause = COMPONENT_PAUSE_MIN;
        let mut logged = false;
        loop {
            let readiness = self.health.check().await;
            let Some(failed) = readiness.parts.iter().find(|part| part.error.is_some()) else {
                if logged {
                    info!("all components are available again: working on photos");
                }
                return;
            };
            if !logged {
                let error = failed.error.as_deref();
                warn!(
                    part = failed.part,
                    error, "leaving the photos in the queue until it is available again"
                );
                logged = true;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(COMPONENT_PAUSE_MAX);
        }
    }
}
