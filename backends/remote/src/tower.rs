//! The towers: what stands in for a model's computation is asking the server.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;
use lucida_core::{EmbedderInfo, Error, ErrorKind, Picture, Result};
use lucida_models::{Model, TextInput, Tower};

use crate::config::{PictureFormat, RemoteConfig};
use crate::error::{copy, malformed};
use crate::picture::PictureFile;
use crate::protocol::{FarPrompt, Speak, TextForm, Vector};
use crate::runtime::OwnRuntime;
use crate::watch::Watch;

/// What both towers share.
pub(crate) struct Link {
    pub(crate) runtime: OwnRuntime,
    pub(crate) speaker: Arc<dyn Speak>,
    /// The most inputs of one request.
    pub(crate) batch_items: usize,
    pub(crate) concurrent_requests: usize,
}

/// The model of the server, as the queue in front of it sees it.
pub(crate) struct RemoteTowers {
    pub(crate) info: EmbedderInfo,
    pub(crate) link: Arc<Link>,
    pub(crate) images: Option<Arc<Watch>>,
    pub(crate) texts: Option<Arc<Watch>>,
    pub(crate) short_side_pixels: u32,
    pub(crate) format: PictureFormat,
}

impl Model for RemoteTowers {
    type Visual = AskPictures;
    type Textual = AskTexts;

    fn describe(&self) -> EmbedderInfo {
        self.info.clone()
    }

    fn prepare_image(&self, picture: &Picture) -> Result<PictureFile> {
        PictureFile::of(picture, self.short_side_pixels, self.format)
    }

    /// A Lucida puts the prompt before the text, by its name where it has one; for another server that is done here.
    fn prepare_text(&self, text: TextInput<'_>) -> Result<RemoteText> {
        let texts = &self.info.texts;
        let default = texts
            .default_prompt
            .as_ref()
            .and_then(|name| texts.prompts.get(name));
        let named = || texts.prompts.iter().find(|(_, prompt)| *prompt == text.prompt);
        let (prompt, text_to_send) = if text.prompt == default.map_or("", String::as_str) {
            (FarPrompt::Default, text.text.to_owned())
        } else if !self.link.speaker.takes_prompts() {
            (FarPrompt::Default, format!("{}{}", text.prompt, text.text))
        } else if let Some((name, _)) = named() {
            (FarPrompt::Named(name.clone()), text.text.to_owned())
        } else {
            (FarPrompt::Text(text.prompt.to_owned()), text.text.to_owned())
        };
        Ok(RemoteText {
            text: text_to_send,
            form: TextForm {
                prompt,
                truncate: text.truncate,
            },
        })
    }

    fn load_visual(&self) -> Result<AskPictures> {
        let watch = self.images.clone().ok_or_else(no_tower)?;
        Ok(AskPictures(Asker {
            link: Arc::clone(&self.link),
            watch,
        }))
    }

    fn load_textual(&self) -> Result<AskTexts> {
        let watch = self.texts.clone().ok_or_else(no_tower)?;
        Ok(AskTexts(Asker {
            link: Arc::clone(&self.link),
            watch,
        }))
    }
}

fn no_tower() -> Error {
    Error::new(ErrorKind::Unsupported, "the remote model has no such tower")
}

/// Asks for the vectors of pictures.
pub(crate) struct AskPictures(Asker);

/// Asks for the vectors of texts.
pub(crate) struct AskTexts(Asker);

impl Tower for AskPictures {
    type Input = PictureFile;

    fn embed(&mut self, batch: &[PictureFile]) -> Vec<Result<Vector>> {
        let results = self
            .0
            .embed(batch, |_, _| true, |speaker, part| speaker.pictures(part));
        results
            .into_iter()
            .map(|result| result.map_err(of_picture))
            .collect()
    }
}

impl Tower for AskTexts {
    type Input = RemoteText;

    fn embed(&mut self, batch: &[RemoteText]) -> Vec<Result<Vector>> {
        self.0
            .embed(batch, |one, other| one.form == other.form, ask_texts)
    }
}

fn ask_texts<'a>(speaker: &'a dyn Speak, part: &'a [RemoteText]) -> Asked<'a> {
    Box::pin(async move {
        let Some(first) = part.first() else {
            return Ok(Vec::new());
        };
        let texts: Vec<_> = part.iter().map(|text| &*text.text).collect();
        speaker.texts(&texts, &first.form).await
    })
}

/// A text, and how it is asked for.
pub(crate) struct RemoteText {
    text: String,
    form: TextForm,
}

/// A server refuses a picture that was decoded and written here, so it may be the picture, and it may be the server: a few tries
/// decide that.
fn of_picture(error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidInput => error.with_kind(ErrorKind::Internal),
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Unsupported
        | ErrorKind::ConfigInvalid
        | ErrorKind::PermissionDenied
        | ErrorKind::Conflict
        | ErrorKind::Overloaded
        | ErrorKind::Timeout
        | ErrorKind::Unavailable
        | ErrorKind::Internal => error,
    }
}

type Asked<'a> = futures::future::BoxFuture<'a, Result<Vec<Result<Vector>>>>;

struct Asker {
    link: Arc<Link>,
    watch: Arc<Watch>,
}

impl Asker {
    /// Embeds a batch by requests of a part each, some of them at once. Neighbours are in one request where `together` says so.
    fn embed<I: Sync>(
        &self,
        batch: &[I],
        together: impl Fn(&I, &I) -> bool,
        ask: impl for<'a> Fn(&'a dyn Speak, &'a [I]) -> Asked<'a> + Sync,
    ) -> Vec<Result<Vector>> {
        self.link.runtime.block_on(async {
            if let Err(error) = self.watch.check().await {
                return failures(&error, batch.len());
            }
            let parts = batch
                .chunk_by(together)
                .flat_map(|run| run.chunks(self.link.batch_items))
                .map(|part| self.part(part, &ask));
            let results: Vec<_> = stream::iter(parts)
                .buffered(self.link.concurrent_requests)
                .concat()
                .await;
            if results.iter().any(is_the_servers) {
                self.watch.doubt();
                return results;
            }
            // Over a connection that was opened meanwhile another server may have answered.
            match self.watch.check().await {
                Ok(()) => results,
                Err(error) => failures(&error, batch.len()),
            }
        })
    }

    /// Embeds what fits into one request.
    async fn part<I: Sync>(
        &self,
        part: &[I],
        ask: &(impl for<'a> Fn(&'a dyn Speak, &'a [I]) -> Asked<'a> + Sync),
    ) -> Vec<Result<Vector>> {
        match self.request(part, ask).await {
            Ok(results) => results,
            // One input may have failed them all.
            Err(error) if part.len() > 1 && is_an_inputs(&error) => {
                let mut results = Vec::with_capacity(part.len());
                for input in part {
                    let alone = self.request(std::slice::from_ref(input), ask).await;
                    results.extend(alone.unwrap_or_else(|error| failures(&error, 1)));
                }
                results
            }
            Err(error) => failures(&error, part.len()),
        }
    }

    async fn request<I: Sync>(
        &self,
        part: &[I],
        ask: &(impl for<'a> Fn(&'a dyn Speak, &'a [I]) -> Asked<'a> + Sync),
    ) -> Result<Vec<Result<Vector>>> {
        let results = ask(&*self.link.speaker, part).await?;
        if results.len() != part.len() {
            let what = format!("{} vectors for {} inputs", results.len(), part.len());
            return Err(malformed("the remote server", &what));
        }
        Ok(results)
    }
}

/// Returns whether a call may have failed because of one of its inputs.
fn is_an_inputs(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::Internal | ErrorKind::ConfigInvalid => true,
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Unsupported
        | ErrorKind::PermissionDenied
        | ErrorKind::Conflict
        | ErrorKind::Overloaded
        | ErrorKind::Timeout
        | ErrorKind::Unavailable => false,
    }
}

/// Returns whether a result says that something is wrong with the server.
fn is_the_servers(result: &Result<Vector>) -> bool {
    result
        .as_ref()
        .is_err_and(|error| !matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Overloaded))
}

fn failures(error: &Error, count: usize) -> Vec<Result<Vector>> {
    (0..count).map(|_| Err(copy(error))).collect()
}

impl Link {
    /// Returns the link of a configuration to a server that takes at most so many inputs at a time.
    pub(crate) fn new(
        config: &RemoteConfig,
        runtime: OwnRuntime,
        speaker: Arc<dyn Speak>,
        max_items: Option<usize>,
    ) -> Self {
        Self {
            runtime,
            speaker,
            batch_items: max_items.map_or(config.batch_items, |most| most.min(config.batch_items)),
            concurrent_requests: config.concurrent_requests,
        }
    }
}
