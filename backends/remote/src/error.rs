//! What a server's refusal or silence means here.
//!
//! The server is a component: whatever it does fails no photo, except that it can't embed this one input.

use std::time::Duration;

use lucida_core::{Error, ErrorKind};
use reqwest::StatusCode;
use serde_json::Value;

/// How long callers wait where a server that is overloaded doesn't say it.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The longest that is waited because a server says so.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// How much of a server's own words is kept, in characters.
const MAX_DETAIL_CHARS: usize = 300;

/// The code of a server that refuses the key.
pub(crate) const KEY_REFUSED: &str = "remote_key_refused";

/// What makes a call fail as a whole, or one of its inputs.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    /// What the server says, if anything.
    pub(crate) detail: String,
}

impl Refusal {
    /// Turns it into Lucida's error; `url` is the call's.
    pub(crate) fn into_error(self, url: &str) -> Error {
        let Self {
            status,
            retry_after,
            detail,
        } = self;
        let wait = retry_after.map(|wait| wait.min(MAX_RETRY_AFTER));
        let says = |message: &str| {
            let said = if detail.is_empty() {
                String::new()
            } else {
                format!(": {detail}")
            };
            format!("{url} answers {}: {message}{said}", status.as_u16())
        };
        match status.as_u16() {
            429 => Error::overloaded(says("it is overloaded"), wait.unwrap_or(RETRY_AFTER)),
            401 | 403 => {
                Error::unavailable(says("it refuses the key: set key or key_file")).with_code(KEY_REFUSED)
            }
            404 | 405 => Error::unavailable(says(
                "it has no such call or model: check url, protocol and model",
            )),
            300..=399 => Error::unavailable(says("set url to the address that it redirects to")),
            408 => Error::new(ErrorKind::Timeout, says("it was too slow")),
            413 => Error::new(
                ErrorKind::ConfigInvalid,
                says("the request is too large: lower batch_items or image_short_side_pixels"),
            ),
            502..=504 => {
                let error = Error::unavailable(says("it is unavailable"));
                match wait {
                    Some(wait) => error.with_retry_after(wait),
                    None => error,
                }
            }
            400..=499 => Error::invalid(says("it refuses the input")).with_code("remote_refused"),
            _ => Error::internal(says("it failed")).with_code("remote_failed"),
        }
    }
}

/// Finds a server's own words in the body of its refusal: those of problem+json, FastAPI, OpenAI, TEI, or the plain text.
pub(crate) fn detail(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let parsed = serde_json::from_slice::<Value>(body).ok();
    let found = parsed.as_ref().and_then(|body| {
        let fields = [
            &body["detail"],
            &body["error"]["message"],
            &body["error"],
            &body["message"],
        ];
        fields.into_iter().find_map(Value::as_str)
    });
    let words = found.unwrap_or(&text);
    let one_line: Vec<_> = words.split_whitespace().collect();
    one_line.join(" ").chars().take(MAX_DETAIL_CHARS).collect()
}

/// Turns a failure to get any answer into Lucida's error.
pub(crate) fn no_answer(url: &str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_timeout() && !error.is_connect() {
        let message = format!("{url} gave no answer in time (request_timeout_ms)");
        return Error::new(ErrorKind::Timeout, message).with_source(error);
    }
    if error.is_builder() {
        return Error::internal(format!("a request to {url} can't be made")).with_source(error);
    }
    Error::unavailable(format!(
        "{url} is unavailable: start it, or set url to another one"
    ))
    .with_source(error)
}

/// Returns the error of an answer that isn't what the protocol says.
pub(crate) fn malformed(url: &str, what: &str) -> Error {
    let message = format!("{url} answers with {what}: check that protocol is what the server speaks");
    Error::unavailable(message).with_code("remote_malformed")
}

/// Copies an error, for each input of a call that failed as a whole.
pub(crate) fn copy(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message()).with_code(error.code());
    match error.retry_after() {
        Some(wait) => copy.with_retry_after(wait),
        None => copy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_server_are_found_in_each_protocols_shape() {
        for (body, found) in [
            (r#"{"detail":"no such model"}"#, "no such model"),
            (r#"{"error":{"message":"bad key","type":"x"}}"#, "bad key"),
            (
                r#"{"error":"Model is overloaded","error_type":"Overloaded"}"#,
                "Model is overloaded",
            ),
            (
                r#"{"detail":[{"loc":["body"]}]}"#,
                r#"{"detail":[{"loc":["body"]}]}"#,
            ),
            ("upstream\n is  down", "upstream is down"),
            ("", ""),
        ] {
            assert_eq!(detail(body.as_bytes()), found);
        }
    }

    #[test]
    fn a_status_decides_whether_it_is_tried_again() {
        let kind = |status: u16| {
            let refusal = Refusal {
                status: StatusCode::from_u16(status).unwrap(),
                retry_after: Some(Duration::from_secs(7)),
                detail: "why".to_owned(),
            };
            let error = refusal.into_error("http://gpu");
            assert!(
                error.message().contains("http://gpu") && error.message().contains("why"),
                "{error}"
            );
            (error.kind(), error.retry_after())
        };
        let wait = Some(Duration::from_secs(7));
        assert_eq!(kind(429), (ErrorKind::Overloaded, wait));
        assert_eq!(kind(503), (ErrorKind::Unavailable, wait));
        for status in [301, 401, 403, 404, 502, 504] {
            assert_eq!(kind(status).0, ErrorKind::Unavailable, "{status}");
        }
        assert_eq!(kind(413).0, ErrorKind::ConfigInvalid);
        assert_eq!(kind(422).0, ErrorKind::InvalidInput);
        assert_eq!(kind(500).0, ErrorKind::Internal);
    }
}
