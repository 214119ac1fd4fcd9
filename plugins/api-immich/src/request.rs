//! Immich's request: the form's parts, and the tasks in `entries`.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use lucida_core::Error;
use serde_json::Value;

use crate::answer::Answer;

/// What a request asks for.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// The tasks, as JSON.
    pub(crate) entries: Option<Bytes>,
    /// The picture's file.
    pub(crate) image: Option<Bytes>,
    /// The text.
    pub(crate) text: Option<String>,
}

impl Form {
    /// Reads a form, of either encoding. An empty field is none, as for FastAPI.
    pub(crate) async fn read(request: Request) -> Result<Self, Answer> {
        let mut form = Self::read_fields(request).await?;
        form.entries.take_if(|entries| entries.is_empty());
        form.text.take_if(|text| text.is_empty());
        Ok(form)
    }

    async fn read_fields(request: Request) -> Result<Self, Answer> {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("multipart/form-data")
        {
            Self::read_parts(request).await
        } else {
            let body = to_bytes(request.into_body(), usize::MAX).await;
            let body = body.map_err(|error| broken(&error.to_string()))?;
            Ok(Self::from_pairs(&body))
        }
    }

    async fn read_parts(request: Request) -> Result<Self, Answer> {
        let parts = Multipart::from_request(request, &()).await;
        let mut parts = parts.map_err(|error| broken(&error.body_text()))?;
        let mut form = Self::default();
        while let Some(part) = parts
            .next_field()
            .await
            .map_err(|error| broken(&error.body_text()))?
        {
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await.map_err(|error| broken(&error.body_text()))?;
            match name.as_str() {
                "entries" => form.entries = Some(bytes),
                "image" => form.image = Some(bytes),
                "text" => form.text = Some(String::from_utf8_lossy(&bytes).into_owned()),
                // As FastAPI does.
                _ => {}
            }
        }
        Ok(form)
    }

    fn from_pairs(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            match &*name {
                "entries" => form.entries = Some(value.into_owned().into()),
                "text" => form.text = Some(value.into_owned()),
                _ => {}
            }
        }
        form
    }
}

fn broken(why: &str) -> Answer {
    Answer::Refused(Error::invalid(format!("the form can't be read: {why}")).with_code("malformed_form"))
}

/// A task of `entries`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Task {
    /// Embed the picture with the model of that name.
    Visual(String),
    /// Embed the text with the model of that name.
    Textual(String),
    /// A task that is not answered here.
    Foreign(String),
}

/// Reads the tasks of `entries`; `None` if it is not a request of Immich's.
pub(crate) fn tasks(entries: &[u8]) -> Option<Vec<Task>> {
    let Value::Object(entries) = serde_json::from_slice(entries).ok()? else {
        return None;
    };
    let mut tasks = Vec::new();
    for (task, types) in entries {
        let Value::Object(types) = types else {
            return None;
        };
        match task.as_str() {
            "clip" => {
                for (kind, entry) in types {
                    let model = normalised(entry.get("modelName")?.as_str()?);
                    tasks.push(match kind.as_str() {
                        "visual" => Task::Visual(model),
                        "textual" => Task::Textual(model),
                        _ => return None,
                    });
                }
            }
            "facial-recognition" | "ocr" => tasks.push(Task::Foreign(task)),
            _ => return None,
        }
    }
    Some(tasks)
}

/// Normalises a model's name as Immich does (`clean_name` in `machine-learning/immich_ml/config.py`).
pub(crate) fn normalised(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or_default();
    last.replace([':', '\\'], "_").replace('.', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_read_as_immich_writes_them() {
        let visual = br#"{"clip":{"visual":{"modelName":"ViT-B-32__openai"}}}"#;
        assert_eq!(
            tasks(visual),
            Some(vec![Task::Visual("ViT-B-32__openai".to_owned())])
        );
        let textual = br#"{"clip":{"textual":{"modelName":"a/b:c\\d","options":{"language":"en"}}}}"#;
        assert_eq!(tasks(textual), Some(vec![Task::Textual("b_c_d".to_owned())]));
        let faces =
            br#"{"facial-recognition":{"detection":{"modelName":"buffalo_l","options":{"minScore":0.7}}}}"#;
        assert_eq!(
            tasks(faces),
            Some(vec![Task::Foreign("facial-recognition".to_owned())])
        );
        assert_eq!(normalised("immich-app/ViT.B:32__openai"), "ViTB_32__openai");
        assert_eq!(tasks(b"{}"), Some(Vec::new()));
        for wrong in [
            "",
            "[]",
            "null",
            "{",
            "{\"clip\":[]}",
            "{\"clip\":{\"visual\":{}}}",
            "{\"clip\":{\"audio\":{\"modelName\":\"a\"}}}",
            "{\"dance\":{}}",
            "{\"clip\":{\"visual\":{\"modelName\":5}}}",
        ] {
            assert_eq!(tasks(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn an_urlencoded_form_is_read() {
        let form = Form::from_pairs(b"entries=%7B%7D&text=dog+on+a%20beach&other=1");
        assert_eq!(form.entries.as_deref(), Some(&b"{}"[..]));
        assert_eq!(form.text.as_deref(), Some("dog on a beach"));
    }
}
