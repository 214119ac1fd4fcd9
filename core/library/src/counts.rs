//! How many photos, tags and jobs there are.

use std::sync::Arc;

use jiff::Timestamp;
use lucida_core::{
    JobQueue, MetadataStore, PhotoState, QueueCounts, Result, Stats, TagList, UserId, metrics,
};

use crate::damage::DamageLog;
use crate::events::Events;
use crate::gauge;
use crate::models::Models;

/// Counts photos, tags and jobs.
pub(crate) struct Counts {
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) models: Models,
    pub(crate) damage: DamageLog,
    pub(crate) events: Events,
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

    /// Counts a user's photos by tag, at most `limit` tags.
    ///
    /// # Errors
    /// `InvalidInput` for a limit of 0; those of the metadata store.
    pub(crate) async fn tags(&self, user: &UserId, limit: usize) -> Result<TagList> {
        let one_more = limit.saturating_add(usize::from(limit > 0));
        let mut tags = self.metadata.count_by_tag(user, one_more).await?;
        let has_more = tags.len() > limit;
        tags.truncate(limit);
        Ok(TagList { tags, has_more })
    }

    /// Sets the gauges that count photos, events and jobs; an unavailable component leaves its gauges unchanged.
    pub(crate) async fn set_gauges(&self) {
        if let Ok(counts) = self.metadata.count_by_state(None).await {
            for state in PhotoState::ALL {
                metrics::PHOTOS.set(gauge(counts.get(state)), &[state.as_str()]);
            }
        }
        if let Ok(report) = self.damage.report().await {
            report.set_gauges();
        }
        for (plugin, counts) in self.events.counts().await.unwrap_or_default() {
            let waiting = counts
                .oldest
                .map(|oldest| Timestamp::now().duration_since(oldest).as_secs_f64());
            metrics::OUTBOX_EVENTS.set(gauge(counts.pending), &[plugin, "pending"]);
            metrics::OUTBOX_EVENTS.set(gauge(counts.dead), &[plugin, "dead"]);
            metrics::OUTBOX_OLDEST.set(waiting.unwrap_or_default().max(0.0), &[plugin]);
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
