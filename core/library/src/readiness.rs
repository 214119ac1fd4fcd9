//! Readiness: every component answers, and the model embeds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::damage::DamageLog;
use crate::events::Events;
use crate::models::Models;
use lucida_core::{JobQueue, MetadataStore, OutboxCounts, Result, Storage, VectorIndex};

/// How long a component may take to answer.
const PART_TIMEOUT: Duration = Duration::from_secs(3);

/// For how long the model's last answer is used, so that not each probe costs an inference.
const MODEL_FRESH: Duration = Duration::from_secs(5);

/// The health of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHealth {
    /// Which component: `storage`, `metadata`, `index`, `queue` or `embedder`.
    pub part: &'static str,
    /// Why it can't be used.
    pub error: Option<String>,
    /// What an operator should know although the component works.
    pub note: Option<String>,
}

/// The health of all components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// The components, always all of them.
    pub parts: Vec<PartHealth>,
}

impl Readiness {
    /// Returns whether every component can be used.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.parts.iter().all(|part| part.error.is_none())
    }
}

/// When the model was last asked, and its error.
type LastOfModel = Option<(Instant, Option<String>)>;

/// Checks the health of all components.
#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) index: Arc<dyn VectorIndex>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) models: Models,
    pub(crate) damage: DamageLog,
    pub(crate) events: Events,
    pub(crate) last_of_model: Arc<Mutex<LastOfModel>>,
}

impl Health {
    /// Asks every component, all at once.
    pub(crate) async fn check(&self) -> Readiness {
        let index = async {
            self.index.ping().await?;
            self.models.prepare().await
        };
        let (mut storage, mut metadata, mut index, queue, embedder) = tokio::join!(
            health("storage", self.storage.ping()),
            health("metadata", self.metadata.ping()),
            health("index", index),
            health("queue", self.queue.ping()),
            self.model_health(),
        );
        if metadata.error.is_none() {
            let report = tokio::time::timeout(PART_TIMEOUT, self.damage.report()).await;
            storage.note = report.ok().and_then(Result::ok).and_then(|report| report.note());
            let counts = tokio::time::timeout(PART_TIMEOUT, self.events.counts()).await;
            metadata.note = counts
                .ok()
                .and_then(Result::ok)
                .and_then(|counts| note_of_events(&counts));
        }
        index.note = self.index.note();
        Readiness {
            parts: vec![storage, metadata, index, queue, embedder],
        }
    }

    async fn model_health(&self) -> PartHealth {
        let mut last = self.last_of_model.lock().await;
        if let Some((at, error)) = &*last
            && at.elapsed() < MODEL_FRESH
            && error.is_none()
        {
            return PartHealth {
                part: "embedder",
                error: None,
                note: None,
            };
        }
        let health = health("embedder", self.models.configured().ping()).await;
        *last = Some((Instant::now(), health.error.clone()));
        health
    }
}

/// Says which plugins have not taken their events.
fn note_of_events(counts: &[(&str, OutboxCounts)]) -> Option<String> {
    let dead = counts.iter().filter(|(_, counts)| counts.dead > 0);
    let plugins: Vec<_> = dead
        .map(|(plugin, counts)| format!("{} of plugin `{plugin}`", counts.dead))
        .collect();
    (!plugins.is_empty()).then(|| {
        format!(
            "events were given up ({}): `lucida events` lists them",
            plugins.join(", ")
        )
    })
}

async fn health(part: &'static str, ping: impl Future<Output = Result<()>>) -> PartHealth {
    let error = match tokio::time::timeout(PART_TIMEOUT, ping).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no answer within {} s", PART_TIMEOUT.as_secs())),
    };
    PartHealth {
        part,
        error,
        note: None,
    }
}
