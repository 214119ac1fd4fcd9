//! Whether every part can be reached and the model really embeds.

use std::time::{Duration, Instant};

use super::Photos;
use lucida_core::Result;

/// How long a part may take to answer.
const PART_TIMEOUT: Duration = Duration::from_secs(3);

/// For how long the model's last answer is believed, so that probes cost no inference each.
const MODEL_FRESH: Duration = Duration::from_secs(5);

/// How one part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHealth {
    /// Which part: `storage`, `metadata`, `index`, `queue` or `embedder`.
    pub part: &'static str,
    /// What is wrong with it.
    pub error: Option<String>,
    /// What an operator should know although the part works.
    pub note: Option<String>,
}

/// How all parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// The parts, always all of them.
    pub parts: Vec<PartHealth>,
}

impl Readiness {
    /// Tells whether nothing is wrong.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.parts.iter().all(|part| part.error.is_none())
    }
}

impl Photos {
    /// Asks every part how it is, all at once.
    pub async fn readiness(&self) -> Readiness {
        let parts = self.parts();
        let index = async {
            parts.index.ping().await?;
            self.prepare().await
        };
        let (mut storage, metadata, mut index, queue, embedder) = tokio::join!(
            health("storage", parts.storage.ping()),
            health("metadata", parts.metadata.ping()),
            health("index", index),
            health("queue", parts.queue.ping()),
            self.model_health(),
        );
        if metadata.error.is_none() {
            let report = tokio::time::timeout(PART_TIMEOUT, self.storage_report()).await;
            storage.note = report.ok().and_then(Result::ok).and_then(|report| report.note());
        }
        index.note = parts.index.note();
        Readiness {
            parts: vec![storage, metadata, index, queue, embedder],
        }
    }

    async fn model_health(&self) -> PartHealth {
        let mut last = self.inner.model_health.lock().await;
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
        let health = health("embedder", self.parts().embedder.ping()).await;
        *last = Some((Instant::now(), health.error.clone()));
        health
    }
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
