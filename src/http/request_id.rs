//! The id that a request, its log lines and its problem share.
//!
//! Not tower-http's `request-id` (0.7.1): it takes over whatever the caller sends, which would go into the log unchecked.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header that carries it, both ways.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

const MAX_CHARACTERS: usize = 128;

/// An id: 1 to 128 characters of `A-Z a-z 0-9 . _ -`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// Takes the caller's id if it is one, else makes a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let sane = |value: &&HeaderValue| {
            (1..=MAX_CHARACTERS).contains(&value.len())
                && value
                    .as_bytes()
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
        };
        match headers.get(HEADER).filter(sane) {
            Some(value) => Self(value.clone()),
            None => Self::generate(),
        }
    }

    fn generate() -> Self {
        let id = Uuid::now_v7().simple().to_string();
        Self(HeaderValue::try_from(id).expect("hexadecimal digits are a header's value"))
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().expect("only ASCII was let in")
    }

    pub(super) fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_kept_and_any_other_replaced() {
        let id = |text: &str| {
            let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_str(text).unwrap())]);
            RequestId::of(&headers).to_string()
        };
        assert_eq!(id("a.B_3-"), "a.B_3-");
        for text in ["", "two words", "quote\"", &"x".repeat(129)] {
            let made = id(text);
            assert_eq!(made.len(), 32, "{text:?} gave {made}");
        }
    }
}
