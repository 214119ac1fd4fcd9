//! How many photos and jobs there are.

use std::sync::Arc;

use lucida_core::{JobQueue, MetadataStore, PhotoState, QueueCounts, Result, StateCounts, UserId, metrics};

use crate::damage::DamageLog;
use crate::gauge;
use crate::models::Models;

/// The counts of a user's photos, and the model that serves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The user's photos by state.
    pub photos: StateCounts,
    /// The jobs of all users.
    pub queue: QueueCounts,
    /// The name of the model that searches use.
    pub model: String,
}

/// Counts photos and jobs.
pub(crate) struct Counts {
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) models: Models,
    pub(crate) damage: DamageLog,
}

impl Counts {
    /// Counts a user's photos and all jobs.
    ///
    /// # Errors
    /// Those of the metadata store and the queue.
    pub(crate) async fn of_user(&self, user: &UserId) -> Result<Stats> {
        let view = self.models.view().await?;
        Ok(Stats {
            photos: self.metadata.count_by_state(Some(user)).await?,
            queue: self.queue.counts().await?,
            model: view.serving.embedder.describe().model.clone(),
        })
    }

    /// Sets the gauges that count photos and jobs; an unavailable component leaves its gauges unchanged.
    pub(crate) async fn set_gauges(&self) {
        if let Ok(counts) = self.metadata.count_by_state(None).await {
            for state in PhotoState::ALL {
                metrics::PHOTOS.set(gauge(counts.get(state)), &[state.as_str()]);
            }
        }
        if let Ok(report) = self.damage.report().await {
            report.set_gauges();
        }
        if let Ok(counts) = self.queue.counts().await {
            let QueueCounts {
                ready,
                delayed,
                in_flight,
                dead,
            } = counts;
            for (state, count) in [
                ("ready", ready),
                ("delayed", delayed),
                ("in_flight", in_flight),
                ("dead", dead),
            ] {
                metrics::QUEUE_JOBS.set(gauge(count), &[state]);
            }
        }
    }
}
