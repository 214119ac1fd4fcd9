//! Notices a model that has changed behind its name, before any of its vectors is used.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lucida_core::{Error, Result, TowerKind};
use tracing::{info, warn};

use crate::client::Client;
use crate::picture::PictureFile;
use crate::probe::{PROBE_TEXT, compare};
use crate::protocol::{Speak, TextForm, Vector};

/// Watches one tower of the model.
///
/// A server that is replaced closes its connections. So vectors count once a probe has given the same vector as at start, and no
/// connection has been opened since then; behind a proxy, whose connections outlive the server, at least every interval.
pub(crate) struct Watch {
    tower: TowerKind,
    speaker: Arc<dyn Speak>,
    client: Client,
    probe: PictureFile,
    expected: Vector,
    interval: Duration,
    state: Mutex<State>,
    probing: tokio::sync::Mutex<()>,
}

struct State {
    /// When the model was last seen to be the same, and how many connections there had been by then; `None` since a failure.
    seen: Option<(Instant, u64)>,
    /// Whether the last probe gave another vector.
    changed: bool,
}

impl Watch {
    /// Watches a tower whose probe gave the vector `expected`.
    pub(crate) fn new(
        tower: TowerKind,
        (speaker, client): (Arc<dyn Speak>, Client),
        probe: PictureFile,
        expected: Vector,
        interval: Duration,
    ) -> Self {
        Self {
            tower,
            speaker,
            client,
            probe,
            expected,
            interval,
            state: Mutex::new(State {
                seen: None,
                changed: false,
            }),
            probing: tokio::sync::Mutex::default(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the model was seen to be the same within a time, on the connections that there are now.
    fn is_seen(&self, within: Duration) -> bool {
        let connections = self.client.connections();
        self.lock()
            .seen
            .is_some_and(|(at, by_then)| at.elapsed() < within && by_then == connections)
    }

    /// Notes that a call failed: the server may be another one when it answers again.
    pub(crate) fn doubt(&self) {
        self.lock().seen = None;
    }

    /// Makes sure that the model is still the same, by a probe where that isn't known.
    ///
    /// # Errors
    /// `Unavailable` (`remote_model_changed`) for another model; those of the probe.
    pub(crate) async fn check(&self) -> Result<()> {
        self.check_within(self.interval).await
    }

    /// Makes sure that the model was the same within a time.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub(crate) async fn check_within(&self, within: Duration) -> Result<()> {
        if self.is_seen(within) {
            return Ok(());
        }
        let _probing = self.probing.lock().await;
        if self.is_seen(within) {
            return Ok(());
        }
        // A connection that the probe opens, or another call meanwhile, counts as one that has not been probed.
        let connections = self.client.connections();
        let probed = embed_probe(&*self.speaker, self.tower, &self.probe).await;
        let same = probed.and_then(|vector| {
            let (same, cosine) = compare(&vector, &self.expected);
            if same { Ok(()) } else { Err(self.changed(cosine)) }
        });
        let mut state = self.lock();
        match same {
            Ok(()) => {
                if std::mem::take(&mut state.changed) {
                    info!(
                        tower = self.tower.as_str(),
                        "the remote server has the earlier model again"
                    );
                }
                state.seen = Some((Instant::now(), connections));
                Ok(())
            }
            Err(error) => {
                state.seen = None;
                if error.code() == CHANGED && !std::mem::replace(&mut state.changed, true) {
                    warn!(%error, tower = self.tower.as_str(), "nothing more is embedded");
                }
                Err(error)
            }
        }
    }

    fn changed(&self, cosine: f64) -> Error {
        let message = format!(
            "the model at {} is another one than this process started with (the cosine of its probe is {cosine:.4}): restart \
             to use the new one, or bring the earlier one back",
            self.client.server()
        );
        Error::unavailable(message).with_code(CHANGED)
    }
}

/// The code of a model that has changed behind its name.
const CHANGED: &str = "remote_model_changed";

/// Embeds the probe of a tower.
///
/// # Errors
/// Those of the call; `Unavailable` where the server gives no vector.
pub(crate) async fn embed_probe(
    speaker: &dyn Speak,
    tower: TowerKind,
    picture: &PictureFile,
) -> Result<Vector> {
    let mut results = match tower {
        TowerKind::Image => speaker.pictures(std::slice::from_ref(picture)).await?,
        TowerKind::Text => speaker.texts(&[PROBE_TEXT], &TextForm::PLAIN).await?,
    };
    match (results.pop(), results.pop()) {
        (Some(result), None) => result,
        _ => Err(Error::unavailable(
            "the server gives no vector for one input: check protocol",
        )),
    }
}
