//! JSON in: bodies and parts of forms, with every failure naming its field.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use lucida_core::{Error, ErrorKind, Result};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::options::{MAX_JSON_BYTES, STALL_TIMEOUT};
use super::problem::Problem;
use super::state::HttpState;

/// A JSON body.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<HttpState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &HttpState) -> std::result::Result<Self, Problem> {
        Ok(Self(read(request).await?))
    }
}

/// Tells whether a request says that its body is JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let essence = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Reads a JSON body.
pub(super) async fn read<T: DeserializeOwned>(request: Request) -> Result<T> {
    if !is_json(request.headers()) {
        let message = "the body must be JSON: send the header `content-type: application/json`";
        return Err(Error::new(ErrorKind::Unsupported, message).with_code("unsupported_media_type"));
    }
    let body = tokio::time::timeout(STALL_TIMEOUT, to_bytes(request.into_body(), MAX_JSON_BYTES)).await;
    let body = body.map_err(|_| stalled())?.map_err(|error| {
        if is_length_limit(&error) {
            too_large(MAX_JSON_BYTES as u64)
        } else {
            Error::invalid("the body ended too early")
                .with_code("malformed_json")
                .with_source(error)
        }
    })?;
    parse_object(&body, "")
}

pub(super) fn stalled() -> Error {
    Error::invalid("the body did not come in time: send it faster, or in one piece")
        .with_code("upload_stalled")
}

pub(super) fn too_large(max_bytes: u64) -> Error {
    Error::invalid(format!(
        "the body is larger than {max_bytes} bytes, the most that is taken"
    ))
    .with_code("payload_too_large")
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.to_string() == "length limit exceeded" {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Reads a JSON object; `prefix` is the name of the field that holds it, empty for a whole body.
///
/// A list is refused, which serde would take for the fields in their order.
pub(super) fn parse_object<T: DeserializeOwned>(bytes: &[u8], prefix: &str) -> Result<T> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        return parse(bytes, prefix);
    }
    parse::<IgnoredAny>(bytes, prefix)?;
    let what = if prefix.is_empty() { "the body" } else { prefix };
    let refused = Error::invalid(format!("{what} must be a JSON object")).with_code("invalid_field");
    Err(if prefix.is_empty() {
        refused
    } else {
        refused.with_field(prefix)
    })
}

/// Reads an object that was read as such before.
pub(super) fn from_object<T: DeserializeOwned>(object: Map<String, Value>, prefix: &str) -> Result<T> {
    let read = serde_path_to_error::deserialize(Value::Object(object));
    read.map_err(|error| wrong(prefix, &error.path().to_string(), error.inner()))
}

/// Reads JSON; `prefix` is the name of the field that holds it, empty for a whole body.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], prefix: &str) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader);
    let read = read.map_err(|error| {
        let path = error.path().to_string();
        (path, error.into_inner())
    });
    let value = read.map_err(|(path, error)| wrong(prefix, &path, &error))?;
    reader.end().map_err(|error| wrong(prefix, ".", &error))?;
    Ok(value)
}

fn wrong(prefix: &str, path: &str, error: &serde_json::Error) -> Error {
    let message = error.to_string();
    if matches!(error.classify(), Category::Syntax | Category::Eof | Category::Io) {
        let what = if prefix.is_empty() {
            "the body".to_owned()
        } else {
            format!("`{prefix}`")
        };
        let refused = Error::invalid(format!("{what} is not JSON: {message}")).with_code("malformed_json");
        return if prefix.is_empty() {
            refused
        } else {
            refused.with_field(prefix)
        };
    }
    let path = if path == "." { "" } else { path };
    for (start, code) in [
        ("unknown field `", "unknown_field"),
        ("missing field `", "missing_field"),
    ] {
        let Some(name) = message
            .strip_prefix(start)
            .and_then(|rest| rest.split('`').next())
        else {
            continue;
        };
        let inner = if path == name || path.ends_with(&format!(".{name}")) {
            path.to_owned()
        } else {
            join(path, name)
        };
        return Error::invalid(message.clone())
            .with_code(code)
            .with_field(join(prefix, &inner));
    }
    let field = join(prefix, path);
    let message = if field.is_empty() {
        message
    } else {
        format!("`{field}`: {message}")
    };
    let refused = Error::invalid(message).with_code("invalid_field");
    if field.is_empty() {
        refused
    } else {
        refused.with_field(field)
    }
}

fn join(path: &str, name: &str) -> String {
    match (path.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => path.to_owned(),
        (false, false) => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its reading is looked at")]
    struct Outer {
        number: u32,
        #[serde(default)]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its reading is looked at")]
    struct Inner {
        tags: Vec<String>,
    }

    fn refusal(text: &str, prefix: &str) -> (&'static str, Option<String>) {
        let error = parse::<Outer>(text.as_bytes(), prefix).unwrap_err();
        (error.code(), error.field().map(str::to_owned))
    }

    #[test]
    fn every_refusal_names_its_field() {
        for (text, code, field) in [
            (r#"{"number":1,"nubmer":2}"#, "unknown_field", Some("nubmer")),
            (
                r#"{"number":1,"inner":{"tags":[],"x":1}}"#,
                "unknown_field",
                Some("inner.x"),
            ),
            (r#"{"inner":{"tags":[]}}"#, "missing_field", Some("number")),
            (r#"{"number":1,"inner":{}}"#, "missing_field", Some("inner.tags")),
            (r#"{"number":"one"}"#, "invalid_field", Some("number")),
            (
                r#"{"number":1,"inner":{"tags":["a",2]}}"#,
                "invalid_field",
                Some("inner.tags[1]"),
            ),
            ("{", "malformed_json", None),
            ("", "malformed_json", None),
            (r#"{"number":1} x"#, "malformed_json", None),
        ] {
            assert_eq!(refusal(text, ""), (code, field.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn a_list_is_no_object() {
        for text in ["[1]", "1", "null", "\"{}\""] {
            let error = parse_object::<Outer>(text.as_bytes(), "metadata").unwrap_err();
            assert_eq!(
                (error.code(), error.field()),
                ("invalid_field", Some("metadata")),
                "{text}"
            );
        }
        let code = |text: &str| parse_object::<Outer>(text.as_bytes(), "").unwrap_err().code();
        assert_eq!((code("[1"), code("x")), ("malformed_json", "malformed_json"));
    }

    #[test]
    fn a_part_of_a_form_is_named_too() {
        assert_eq!(
            refusal(r#"{"number":1,"x":2}"#, "metadata").1.as_deref(),
            Some("metadata.x")
        );
        assert_eq!(refusal("{", "metadata").1.as_deref(), Some("metadata"));
    }
}
