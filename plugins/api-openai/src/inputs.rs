//! The inputs of a request: texts, token ids, and pictures as `data:` URIs or by their URLs.
//!
//! `input` is a text, or a list of token ids, or a list whose items are texts, lists of token ids, or content parts
//! (`{"type": "text", "text": …}`, `{"type": "image_url", "image_url": {"url": …}}`). `messages` is one input in vLLM's form: a
//! chat message whose content is a text or one content part.

use axum::body::Bytes;
use lucida_api::field::invalid;
use lucida_api::{MAX_INPUTS, is_fetched, picture_in_data_uri};
use lucida_core::{Error, Result};
use serde_json::{Map, Value};

use crate::request::{EmbeddingsRequest, Modality};

/// One input, and the name of its place in the request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestInput {
    /// The place, such as `input[2]`.
    pub(crate) field: String,
    /// What is there.
    pub(crate) content: Content,
}

/// What an input is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A text.
    Text(String),
    /// A text, split by the model's tokenizer.
    Tokens(Vec<u32>),
    /// A picture's file.
    Picture(Bytes),
    /// The URL of a picture, which has to be fetched.
    Url(String),
}

/// Reads the inputs of a request.
///
/// # Errors
/// `InvalidInput`, with the field.
pub(crate) fn inputs_of(request: &EmbeddingsRequest) -> Result<Vec<RequestInput>> {
    let inputs = match (&request.input, &request.messages) {
        (Value::Null, Value::Null) => {
            return Err(Error::invalid("missing field `input`")
                .with_code("missing_field")
                .with_field("input"));
        }
        (input, Value::Null) => of_input(input, request.modality)?,
        (Value::Null, messages) => vec![of_messages(messages)?],
        _ => return Err(invalid("messages", "give either `input` or `messages`, not both")),
    };
    if !(1..=MAX_INPUTS).contains(&inputs.len()) {
        let message = format!(
            "`input` has {} inputs; 1 to {MAX_INPUTS} are allowed",
            inputs.len()
        );
        return Err(invalid("input", message));
    }
    Ok(inputs)
}

fn of_input(input: &Value, modality: Modality) -> Result<Vec<RequestInput>> {
    const FIELD: &str = "input";
    let Value::Array(items) = input else {
        return Ok(vec![of_item(FIELD.to_owned(), input, modality)?]);
    };
    // A list of numbers is one text.
    if items.first().is_some_and(Value::is_number) {
        return Ok(vec![of_item(FIELD.to_owned(), input, modality)?]);
    }
    // Before the pictures of more inputs than allowed are decoded.
    let items = items.iter().take(MAX_INPUTS + 1).enumerate();
    let items = items.map(|(place, item)| of_item(format!("{FIELD}[{place}]"), item, modality));
    items.collect::<Result<Vec<_>>>()
}

fn of_item(field: String, item: &Value, modality: Modality) -> Result<RequestInput> {
    let content = match (item, modality) {
        (Value::String(text), Modality::Text) => Content::Text(text.clone()),
        (Value::String(uri), Modality::Image) => picture(&field, uri)?,
        (Value::Array(ids), Modality::Text) => Content::Tokens(token_ids(&field, ids)?),
        (Value::Object(part), _) => of_part(&field, part)?,
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_), _) => {
            let message = format!(
                "`{field}` must be a text, a list of token ids, or a content part of the type `text` or `image_url`"
            );
            return Err(invalid(field, message));
        }
    };
    Ok(RequestInput { field, content })
}

/// Reads a message in vLLM's form.
fn of_messages(messages: &Value) -> Result<RequestInput> {
    let refuse = |field: &str, message: &str| Err(invalid(field, message));
    let Value::Array(messages) = messages else {
        return refuse("messages", "`messages` must be a list with one message");
    };
    let [Value::Object(message)] = messages.as_slice() else {
        return refuse(
            "messages",
            "`messages` must have one message: its content is embedded, not a conversation",
        );
    };
    let field = "messages[0].content";
    let content = match message.get("content") {
        Some(Value::String(text)) => Content::Text(text.clone()),
        Some(Value::Array(parts)) => match parts.as_slice() {
            [Value::Object(part)] => of_part(&format!("{field}[0]"), part)?,
            _ => {
                return refuse(
                    field,
                    "the content must have one part: a text or a picture; they are embedded apart, in one space",
                );
            }
        },
        Some(_) | None => return refuse(field, "the content must be a text or a list with one part"),
    };
    Ok(RequestInput {
        field: field.to_owned(),
        content,
    })
}

/// Reads a content part. What its picture should be in detail is not used.
fn of_part(field: &str, part: &Map<String, Value>) -> Result<Content> {
    match part.get("type").and_then(Value::as_str) {
        Some("text") => match part.get("text") {
            Some(Value::String(text)) => Ok(Content::Text(text.clone())),
            Some(_) | None => Err(invalid(
                format!("{field}.text"),
                format!("`{field}.text` must be a text"),
            )),
        },
        Some("image_url") => {
            let image = part.get("image_url");
            let (field, uri) = match image {
                Some(Value::Object(image)) => (format!("{field}.image_url.url"), image.get("url")),
                image => (format!("{field}.image_url"), image),
            };
            match uri {
                Some(Value::String(uri)) => picture(&field, uri),
                Some(_) | None => {
                    let message = format!("`{field}` must be a URI like `data:image/jpeg;base64,…`");
                    Err(invalid(field, message))
                }
            }
        }
        Some(_) | None => Err(invalid(
            format!("{field}.type"),
            format!("`{field}.type` must be `text` or `image_url`"),
        )),
    }
}

fn picture(field: &str, uri: &str) -> Result<Content> {
    if is_fetched(uri) {
        Ok(Content::Url(uri.to_owned()))
    } else {
        picture_in_data_uri(field, uri).map(Content::Picture)
    }
}

fn token_ids(field: &str, ids: &[Value]) -> Result<Vec<u32>> {
    let id = |id: &Value| id.as_u64().and_then(|id| u32::try_from(id).ok());
    ids.iter().map(id).collect::<Option<Vec<_>>>().ok_or_else(|| {
        let message = format!("`{field}` must be a list of token ids, which are whole numbers from 0");
        invalid(field, message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Vec<RequestInput>> {
        inputs_of(&serde_json::from_value(body.clone()).unwrap())
    }

    fn text(text: &str) -> Content {
        Content::Text(text.to_owned())
    }

    #[test]
    fn each_form_of_an_input_is_read() {
        let picture = || Content::Picture(Bytes::from_static(&[0xFF, 0xD8]));
        let uri = "data:image/jpeg;base64,/9g=";
        let part = json!({"type": "image_url", "image_url": {"url": uri, "detail": "low"}});
        for (body, expected) in [
            (json!({"input": "a"}), vec![("input", text("a"))]),
            (
                json!({"input": ["a", "b"], "messages": null}),
                vec![("input[0]", text("a")), ("input[1]", text("b"))],
            ),
            (
                json!({"input": [1, 2]}),
                vec![("input", Content::Tokens(vec![1, 2]))],
            ),
            (
                json!({"input": [[1, 2], [3], "a"]}),
                vec![
                    ("input[0]", Content::Tokens(vec![1, 2])),
                    ("input[1]", Content::Tokens(vec![3])),
                    ("input[2]", text("a")),
                ],
            ),
            (
                json!({"input": uri, "modality": "image"}),
                vec![("input", picture())],
            ),
            (
                json!({"input": [uri], "modality": "image"}),
                vec![("input[0]", picture())],
            ),
            (json!({"input": uri}), vec![("input", text(uri))]),
            (
                json!({"input": [part, {"type": "text", "text": "a"}, {"type": "image_url", "image_url": uri}]}),
                vec![
                    ("input[0]", picture()),
                    ("input[1]", text("a")),
                    ("input[2]", picture()),
                ],
            ),
            (
                json!({"messages": [{"role": "user", "content": [part]}]}),
                vec![("messages[0].content", picture())],
            ),
            (
                json!({"messages": [{"role": "user", "content": "a"}]}),
                vec![("messages[0].content", text("a"))],
            ),
            (
                json!({"input": "https://example.com/a.jpg", "modality": "image"}),
                vec![("input", Content::Url("https://example.com/a.jpg".to_owned()))],
            ),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(field, content)| RequestInput {
                    field: field.to_owned(),
                    content,
                })
                .collect();
            assert_eq!(read(&body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn what_is_no_input_is_refused_with_its_place() {
        for (body, field, words) in [
            (json!({}), "input", "missing"),
            (json!({"input": []}), "input", "0 inputs"),
            (json!({"input": 5}), "input", "must be a text"),
            (json!({"input": ["a", 5]}), "input[1]", "must be a text"),
            (json!({"input": [1, "a"]}), "input", "token ids"),
            (json!({"input": [[1, -2]]}), "input[0]", "token ids"),
            (json!({"input": [[4_294_967_296_u64]]}), "input[0]", "token ids"),
            (
                json!({"input": ["a.jpg"], "modality": "image"}),
                "input[0]",
                "data:",
            ),
            (
                json!({"input": [[1]], "modality": "image"}),
                "input[0]",
                "content part",
            ),
            (
                json!({"input": [{"type": "audio"}]}),
                "input[0].type",
                "image_url",
            ),
            (json!({"input": [{"type": "text"}]}), "input[0].text", "a text"),
            (json!({"input": "a", "messages": []}), "messages", "not both"),
            (json!({"messages": []}), "messages", "one message"),
            (
                json!({"messages": [{"content": ["a", "b"]}]}),
                "messages[0].content",
                "one part",
            ),
        ] {
            let error = read(&body).unwrap_err();
            assert_eq!(error.field(), Some(field), "{body}: {error}");
            assert!(error.message().contains(words), "{body}: {error}");
        }
    }
}
