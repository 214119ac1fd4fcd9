//! The call `/predict`: every task of a request, in turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::StatusCode;
use lucida_core::{Deadline, Embeddings, Error, ErrorKind, TextOptions, metrics};
use lucida_picture::ImageHeader;
use serde_json::Map;
use tracing::debug;

use crate::answer::{Answer, written};
use crate::config::PLUGIN_NAME;
use crate::request::{Form, Task, normalised, tasks};

/// What `/predict` works with.
#[derive(Clone)]
pub(crate) struct Predictor {
    pub(crate) embeddings: Arc<dyn Embeddings>,
    pub(crate) models: Arc<BTreeMap<String, String>>,
}

impl Predictor {
    /// Answers a request.
    pub(crate) async fn answer(&self, request: Request) -> Answer {
        self.predict(request).await.unwrap_or_else(|refusal| refusal)
    }

    async fn predict(&self, request: Request) -> Result<Answer, Answer> {
        let deadline = request
            .extensions()
            .get::<Deadline>()
            .cloned()
            .ok_or_else(|| Error::internal("the request has no deadline"))?;
        let form = Form::read(request).await?;
        let entries = form.entries.as_deref().ok_or_else(Answer::missing_entries)?;
        let tasks = tasks(entries).ok_or_else(Answer::bad_entries)?;
        if form.image.is_none() && form.text.is_none() {
            return Err(Answer::missing_input());
        }
        let mut results = Map::new();
        if let Some(image) = &form.image {
            let (width, height) = stored_size(image).map_err(|error| undecodable(&error))?;
            results.insert("imageHeight".to_owned(), height.into());
            results.insert("imageWidth".to_owned(), width.into());
        }
        for task in tasks {
            let vector = match (task, &form.image, &form.text) {
                (Task::Visual(model), Some(image), _) => {
                    let model = self.model(&model)?;
                    let found = self.embeddings.picture(&model, image.clone(), &deadline).await;
                    found.map_err(refused_picture)?.embedding
                }
                (Task::Textual(model), None, Some(text)) => {
                    let model = self.model(&model)?;
                    let mut found = self
                        .embeddings
                        .texts(&model, vec![text.clone()], &TextOptions::query(), &deadline)
                        .await?;
                    found
                        .pop()
                        .unwrap_or_else(|| Err(Error::internal("the embedder gave no result")))?
                        .embedding
                }
                (Task::Foreign(task), ..) => {
                    let detail = format!("{task} is not answered here: give Immich another URL for it");
                    return Err(Answer::Detail(StatusCode::NOT_IMPLEMENTED, detail.into()));
                }
                (Task::Visual(_) | Task::Textual(_), ..) => return Err(Answer::bad_entries()),
            };
            results.insert("clip".to_owned(), written(&vector)?);
        }
        Ok(Answer::Done(results))
    }

    /// Returns the server's model for a name of Immich's.
    fn model(&self, immich: &str) -> Result<String, Answer> {
        let wanted = self.models.get(immich).map_or(immich, String::as_str);
        let served: Vec<_> = self
            .embeddings
            .models()
            .into_iter()
            .map(|info| info.model)
            .collect();
        // A model of a hub is served under the name of its repository, such as `immich-app/ViT-B-32__openai`.
        let by_name = served.iter().find(|model| *model == wanted);
        let by_last_part = || served.iter().find(|model| normalised(model) == wanted);
        if let Some(model) = by_name.or_else(by_last_part) {
            return Ok(model.clone());
        }
        let known: Vec<_> = self.models.keys().cloned().chain(served).collect();
        let message = format!(
            "model `{immich}` is not served here: known are {}; add it to `models` of the plugin `{}`",
            known.join(", "),
            PLUGIN_NAME
        );
        Err(Error::not_found(message).with_code("model_not_found").into())
    }
}

/// Reads the width and height of a picture as stored, before EXIF orientation.
fn stored_size(image: &[u8]) -> Result<(u32, u32), Error> {
    let header = ImageHeader::peek(image)?;
    if header.pixels() == 0 {
        return Err(Error::invalid("the picture's header can't be read").with_code("corrupt_image"));
    }
    Ok((header.width, header.height))
}

/// Answers for a picture that failed: what is the picture's own fault gets what Immich's service answers.
fn refused_picture(error: Error) -> Answer {
    match error.kind() {
        ErrorKind::InvalidInput => undecodable(&error),
        // A format that is not read; a model without an image tower has no code.
        ErrorKind::Unsupported if error.code() != ErrorKind::Unsupported.as_str() => undecodable(&error),
        ErrorKind::Unsupported
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::ConfigInvalid
        | ErrorKind::PermissionDenied
        | ErrorKind::Conflict
        | ErrorKind::Overloaded
        | ErrorKind::Timeout
        | ErrorKind::Unavailable
        | ErrorKind::Internal => Answer::Refused(error),
    }
}

fn undecodable(error: &Error) -> Answer {
    metrics::API_INPUTS_REFUSED.increment(&[PLUGIN_NAME]);
    debug!(%error, "refusing a picture as Immich's service does");
    Answer::Detail(StatusCode::INTERNAL_SERVER_ERROR, error.message().into())
}
