//! The task that carries out a change of the model: in one process at a time, resumed wherever it stopped.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Models;
use super::record::ModelRecord;
use super::state::ModelState;
use super::view::FRESH;
use crate::lease::Leases;
use lucida_core::{ErrorKind, JobQueue, MetadataStore, Result, VectorIndex, metrics};

/// How often the models are read.
const POLL_EVERY: Duration = FRESH;

/// The pause after a failure that waiting alone doesn't fix.
const AFTER_A_PROBLEM: Duration = Duration::from_secs(30);

/// How long other processes wait for one that died during a change.
pub(super) const LEASE_LASTS: Duration = Duration::from_secs(10);

pub(super) const LEASE: &str = "model_change";

/// Carries out changes of the model.
#[derive(Clone)]
pub(crate) struct ModelSwitch {
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) models: Models,
    pub(crate) leases: Leases,
    /// How many photos a second are given to the workers; 0 is as many as they take.
    pub(crate) photos_per_sec: u32,
}

impl ModelSwitch {
    /// Carries changes out until `shutdown` is cancelled.
    pub(crate) async fn run_until(&self, shutdown: CancellationToken) {
        loop {
            let result = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                result = self.step() => result,
            };
            let pause = match result {
                Ok(()) => POLL_EVERY,
                Err(error) if error.is_transient() => {
                    debug!(%error, "the models can't be read at the moment");
                    POLL_EVERY
                }
                Err(error) => {
                    warn!(%error, "the change of the model has stopped, trying again later");
                    self.note_problem(&error.to_string()).await;
                    AFTER_A_PROBLEM
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if let Err(error) = self.leases.release(LEASE).await {
            debug!(%error, "leaving the lease of the model's change to expire");
        }
    }

    /// Runs a request, or else what the state of the models asks for.
    async fn step(&self) -> Result<()> {
        let view = self.models.look().await?;
        let request = view.record.request.as_ref();
        if let Some(request) = request.filter(|request| request.error.is_none()) {
            self.models.control().run_request(request).await?;
            self.models.look().await?;
            return Ok(());
        }
        let Some(change) = view.state.change() else {
            show_progress(0, 0);
            return Ok(());
        };
        let Some(live) = view.live().find(|live| *live.fingerprint() == change.to) else {
            return Ok(());
        };
        // Only a process that is configured with a model fills it in: removing the model from all configurations stops
        // the change. A model that serves is completed by any process.
        let configured = &self.models.configured().describe().fingerprint;
        if change.to != *configured && !matches!(view.state, ModelState::CatchingUp(_)) {
            return Ok(());
        }
        if !self.leases.take(LEASE, LEASE_LASTS).await? {
            return Ok(());
        }
        self.fill(change, live).await
    }

    async fn note_problem(&self, problem: &str) {
        let noted = ModelRecord::change(&*self.metadata, |record| {
            if let Some(change) = &mut record.change {
                change.problem = Some(problem.to_owned());
            }
            Ok(())
        })
        .await;
        match noted {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => debug!(%error, "leaving a problem out of the models' record"),
        }
    }
}

/// Sets the gauges of a change's progress; without a change they are 0.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn show_progress(done: u64, total: u64) {
    metrics::MODEL_CHANGE_PHOTOS.set(done as f64, &["done"]);
    metrics::MODEL_CHANGE_PHOTOS.set(total as f64, &["total"]);
}
