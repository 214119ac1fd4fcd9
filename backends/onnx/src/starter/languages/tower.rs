//! multilingual-e5-small in memory: loaded for the first text that needs it, unloaded with the text tower.

use std::sync::Arc;
use std::time::Instant;

use lucida_core::{Error, ErrorKind, Result};
use lucida_models::checkpoint::Tokens;
use ort::session::Session;
use ort::value::TensorRef;
use tracing::info;

use super::Languages;
use super::bridge::Bridge;
use crate::device::{Compute, Device, Precision};
use crate::error::internal;
use crate::runtime::Runtime;
use crate::session;
use crate::starter::files::{LANGUAGES_GRAPH_FILE, LANGUAGES_WEIGHTS_FILE};
use crate::starter::manifest::Manifest;

const INPUT: &str = "input_ids";
const OUTPUT: &str = "sentence_embedding";

/// The model for other languages, which is in memory once it was needed.
pub(crate) struct LanguageTower {
    manifest: Arc<Manifest>,
    bridge: Arc<Bridge>,
    runtime: Runtime,
    compute: Compute,
    session: Option<Session>,
}

impl LanguageTower {
    /// Keeps what loading needs; loads nothing yet. The weights are 4-bit blocks, which only the processor's own kernels multiply: it is
    /// computed there on every device.
    pub(crate) fn new(languages: &Languages, runtime: &Runtime, threads: usize) -> Self {
        let compute = Compute {
            device: Device::Cpu,
            precision: Precision::Fp32,
            threads,
        };
        Self {
            manifest: Arc::clone(&languages.manifest),
            bridge: languages.bridge(),
            runtime: runtime.clone(),
            compute,
            session: None,
        }
    }

    /// Embeds one text, by itself: `(dimensions,)` f32 in MiniLM's space.
    ///
    /// # Errors
    /// `Unavailable` when the model can't be loaded, which the next text tries again; `Internal` when it can't be computed.
    pub(crate) fn embed(&mut self, tokens: &Tokens) -> Result<Vec<f32>> {
        let session = match &mut self.session {
            Some(session) => session,
            unloaded => unloaded.insert(load(&self.manifest, &self.runtime, self.compute).map_err(
                |error| {
                    let message =
                        format!("the model for other languages than English can't be loaded: {error}");
                    Error::new(ErrorKind::Unavailable, message)
                },
            )?),
        };
        let running = |error| internal("running the model for other languages", error);
        let ids: Vec<_> = tokens.ids().iter().map(|&id| i64::from(id)).collect();
        let input = TensorRef::from_array_view(([ids.len()], &ids[..])).map_err(running)?;
        let outputs = session.run(ort::inputs![INPUT => input]).map_err(running)?;
        let (shape, vector) = outputs[OUTPUT].try_extract_tensor::<f32>().map_err(running)?;
        if vector.len() != self.manifest.dimensions() {
            let message = format!("the model for other languages gave a vector of shape {shape:?}");
            return Err(Error::internal(message).with_code("bad_vector"));
        }
        Ok(self.bridge.cross(vector))
    }
}

fn load(manifest: &Manifest, runtime: &Runtime, compute: Compute) -> Result<Session> {
    let started = Instant::now();
    let graph = manifest.read_file(LANGUAGES_GRAPH_FILE)?;
    // The weights are mapped, not read: a table of words of which a text looks up a few rows is most of them.
    manifest.check_file(LANGUAGES_WEIGHTS_FILE)?;
    let name = manifest.path(LANGUAGES_GRAPH_FILE).display().to_string();
    let session = session::open_with_weights(runtime, &name, &graph, manifest.folder(), compute)?;
    info!(
        model = manifest.model(),
        elapsed_secs = started.elapsed().as_secs_f64(),
        "loaded the model for other languages than English"
    );
    Ok(session)
}
