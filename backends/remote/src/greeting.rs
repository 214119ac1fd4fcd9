//! What a server says at start: what its model is, and the vectors of the probes. The last one of each server is kept in the
//! cache, so that a library also starts while the server is unavailable.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use lucida_core::{BuildContext, Error, ErrorKind, Result, TowerKind};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::NamedTempFile;
use tracing::warn;

use crate::client::Client;
use crate::config::RemoteConfig;
use crate::error::KEY_REFUSED;
use crate::picture::PictureFile;
use crate::protocol::{RemoteModel, Speak, Vector};
use crate::watch::embed_probe;

/// Changes when the files, or the probes, become others.
const VERSION: &str = "greeting-1";

/// The folder of the files in the cache.
const FOLDER: &str = "remote";

/// What a server says at start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub(crate) model: RemoteModel,
    /// The vector of the probe picture, where the model takes pictures.
    pub(crate) image: Option<Vector>,
    /// The vector of the probe text, where the model takes texts.
    pub(crate) text: Option<Vector>,
}

impl Greeting {
    /// Asks a server what its model is, and for a probe of each tower.
    ///
    /// # Errors
    /// Those of the calls.
    pub(crate) async fn ask(speaker: &dyn Speak, probe: &PictureFile) -> Result<Self> {
        let model = speaker.describe().await?;
        let image = match model.modalities.image {
            true => Some(embed_probe(speaker, TowerKind::Image, probe).await?),
            false => None,
        };
        let text = match model.modalities.text {
            true => Some(embed_probe(speaker, TowerKind::Text, probe).await?),
            false => None,
        };
        Ok(Self { model, image, text })
    }
}

/// The file of a server's last greeting.
#[derive(Debug, Clone)]
pub(crate) struct GreetingFile(PathBuf);

impl GreetingFile {
    /// Returns the file for a configuration: for the server, the protocol, the model, and what shapes its vectors.
    pub(crate) fn of(config: &RemoteConfig, client: &Client, context: &BuildContext) -> Self {
        let identity = json!([
            VERSION,
            client.server(),
            config.protocol,
            config.model,
            config.dimensions,
            config.openai_images,
        ]);
        let name = blake3::hash(identity.to_string().as_bytes()).to_hex();
        Self(context.cache_dir.join(FOLDER).join(format!("{name}.json")))
    }

    /// Keeps a greeting. A cache that can't be written to costs a start while the server is unavailable, and a warning.
    pub(crate) async fn keep(&self, greeting: &Greeting) {
        let (path, greeting) = (self.0.clone(), greeting.clone());
        let writing = tokio::task::spawn_blocking(move || write(&path, &greeting));
        if let Err(error) = writing.await.map_err(std::io::Error::other).flatten() {
            let path = self.0.display();
            warn!(%error, %path, "what the remote server says can't be kept: a start needs the server");
        }
    }

    /// Returns the last greeting; `None` where none is kept, or none that can be read.
    pub(crate) async fn read(&self) -> Option<Greeting> {
        let bytes = tokio::fs::read(&self.0).await.ok()?;
        serde_json::from_slice(&bytes)
            .inspect_err(|error| {
                let path = self.0.display();
                warn!(%error, %path, "what the remote server said before can't be read");
            })
            .ok()
    }
}

/// Returns whether the last greeting may stand in for a server that fails like this: it is unavailable, and may be back. A key
/// that it refuses is a fault of the configuration.
pub(crate) fn may_come_back(error: &Error) -> bool {
    let is_away = matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Overloaded
    );
    is_away && error.code() != KEY_REFUSED
}

/// Writes a file whole or not at all: several processes may share the cache.
fn write(path: &Path, greeting: &Greeting) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec(greeting)?)?;
    file.persist(path)?;
    Ok(())
}
