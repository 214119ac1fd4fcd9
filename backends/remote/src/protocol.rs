//! What a server is asked, whatever it speaks.

mod immich;
mod lucida;
mod openai;
mod tei;

use std::sync::Arc;

use async_trait::async_trait;
use lucida_core::{Error, Fingerprint, Modalities, Result, TextInfo};

use crate::client::Client;
use crate::config::{Protocol, RemoteConfig};
use crate::picture::PictureFile;

/// A vector as the server gives it, of any length.
pub(crate) type Vector = Vec<f32>;

/// What a server says of its model.
#[derive(Debug, Clone)]
pub(crate) struct RemoteModel {
    /// The model's name there.
    pub(crate) name: String,
    /// What tells the model from others, such as its name and the hash of its files.
    pub(crate) identity: String,
    /// Its fingerprint, where the server is a Lucida: the same model there and here has the same one.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// What it takes.
    pub(crate) modalities: Modalities,
    /// The longest text in bytes, if the server says it.
    pub(crate) max_text_bytes: Option<usize>,
    /// What requests may say of texts there.
    pub(crate) texts: TextInfo,
    /// The most inputs of one request, if the server says it.
    pub(crate) max_items: Option<usize>,
}

/// What holds for the texts of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextForm {
    /// The prompt that the server puts before them; its default without one. Only a Lucida has any.
    pub(crate) prompt_name: Option<String>,
    /// Whether texts that are too long for the model are cut; otherwise they are refused.
    pub(crate) truncate: bool,
}

impl TextForm {
    /// The server's default prompt, and texts may be cut.
    pub(crate) const PLAIN: Self = Self {
        prompt_name: None,
        truncate: true,
    };
}

/// The calls of one protocol. The lists are never empty and within the model's `max_items`.
#[async_trait]
pub(crate) trait Speak: Send + Sync {
    /// Asks what the model is.
    ///
    /// # Errors
    /// Those of [`Client::ask`]; `ConfigInvalid` for a model that the server doesn't have.
    async fn describe(&self) -> Result<RemoteModel>;

    /// Embeds texts: one result for each, in order.
    ///
    /// # Errors
    /// Those of [`Client::ask`]; `Unsupported` where the server cuts texts in any case, and they may not be.
    async fn texts(&self, texts: &[&str], form: &TextForm) -> Result<Vec<Result<Vector>>>;

    /// Embeds pictures: one result for each, in order.
    ///
    /// # Errors
    /// Those of [`Client::ask`].
    async fn pictures(&self, pictures: &[PictureFile]) -> Result<Vec<Result<Vector>>>;
}

/// Returns what speaks the configured protocol.
pub(crate) fn speaker(config: &RemoteConfig, client: Client) -> Arc<dyn Speak> {
    let model = config.model.clone();
    match config.protocol {
        Protocol::Lucida => Arc::new(lucida::Lucida { client, model }),
        Protocol::Openai => Arc::new(openai::Openai {
            client,
            model: model.unwrap_or_default(),
            dimensions: config.dimensions,
            takes_images: config.openai_images,
        }),
        Protocol::Tei => Arc::new(tei::Tei { client, model }),
        Protocol::Immich => Arc::new(immich::Immich {
            client,
            model: model.unwrap_or_default(),
        }),
    }
}

/// Returns the error of a tower that a protocol doesn't have.
fn no_images(protocol: &str) -> Error {
    let message = format!("the protocol `{protocol}` takes only texts");
    Error::new(lucida_core::ErrorKind::Unsupported, message)
}
