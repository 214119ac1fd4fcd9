//! What a server is asked, whatever it speaks.

mod immich;
mod lucida;
mod openai;
mod speaker;
mod tei;

use async_trait::async_trait;
use lucida_core::{Error, Fingerprint, Modalities, Result, TextInfo};
use serde::{Deserialize, Serialize};

pub(crate) use self::speaker::speaker;
use crate::picture::PictureFile;

/// A vector as the server gives it, of any length.
pub(crate) type Vector = Vec<f32>;

/// What a server says of its model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RemoteModel {
    /// The model's name there.
    pub(crate) name: String,
    /// What distinguishes the model from others, such as its name and the hash of its files.
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
    /// What the server puts before them.
    pub(crate) prompt: FarPrompt,
    /// Whether texts that are too long for the model are cut; otherwise they are refused.
    pub(crate) truncate: bool,
}

/// What the server puts before texts. Only a Lucida puts anything else than its default there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FarPrompt {
    /// Its default.
    Default,
    /// Its prompt of this name.
    Named(String),
    /// This text, or nothing where that is empty.
    Text(String),
}

impl TextForm {
    /// The server's default prompt, and texts may be cut.
    pub(crate) const PLAIN: Self = Self {
        prompt: FarPrompt::Default,
        truncate: true,
    };
}

/// The calls of one protocol. The lists are never empty and within the model's `max_items`.
#[async_trait]
pub(crate) trait Speak: Send + Sync {
    /// Asks what the model is.
    ///
    /// # Errors
    /// Those of [`crate::client::Client::ask`]; `ConfigInvalid` for a model that the server doesn't have.
    async fn describe(&self) -> Result<RemoteModel>;

    /// Returns whether the server puts a prompt before texts that a request chooses.
    fn takes_prompts(&self) -> bool {
        false
    }

    /// Embeds texts: one result for each, in order.
    ///
    /// # Errors
    /// Those of [`crate::client::Client::ask`]; `Unsupported` where the server cuts texts in any case, and they may not be.
    async fn texts(&self, texts: &[&str], form: &TextForm) -> Result<Vec<Result<Vector>>>;

    /// Embeds pictures: one result for each, in order.
    ///
    /// # Errors
    /// Those of [`crate::client::Client::ask`].
    async fn pictures(&self, pictures: &[PictureFile]) -> Result<Vec<Result<Vector>>>;
}

/// Returns the error of a tower that a protocol doesn't have.
fn no_images(protocol: &str) -> Error {
    let message = format!("the protocol `{protocol}` takes only texts");
    Error::new(lucida_core::ErrorKind::Unsupported, message)
}
