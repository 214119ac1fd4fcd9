//! Entity tags and byte ranges, as RFC 9110 has them.

use std::ops::Range;

use axum::http::header::{IF_NONE_MATCH, IF_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue};

/// Returns whether the client has this very content already.
pub(super) fn is_fresh(headers: &HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.trim() == "*" || value.split(',').any(|tag| opaque(tag) == opaque(etag)))
}

/// Which bytes a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of them.
    Whole,
    /// These, of which there is at least one.
    Part(Range<u64>),
    /// None that there are.
    Nothing,
}

/// Reads the range of a request. Several ranges, other units and what can't be read mean the whole, which is always
/// allowed; so does an `If-Range` that names other content.
pub(super) fn wanted(headers: &HeaderMap, etag: &str, size_bytes: u64) -> Wanted {
    let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
    let Some(range) = headers.get(RANGE).and_then(text) else {
        return Wanted::Whole;
    };
    if headers
        .get(IF_RANGE)
        .is_some_and(|condition| condition.as_bytes() != etag.as_bytes())
    {
        return Wanted::Whole;
    }
    let Some((unit, spec)) = range.split_once('=') else {
        return Wanted::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    match (number(first), number(last)) {
        (Some(Number::Is(first)), Some(Number::Is(last))) if first > last => Wanted::Whole,
        (Some(Number::Is(first)), Some(_)) if first >= size_bytes => Wanted::Nothing,
        (Some(Number::Is(first)), Some(Number::Is(last))) => {
            Wanted::Part(first..last.saturating_add(1).min(size_bytes))
        }
        (Some(Number::Is(first)), Some(Number::Absent)) => Wanted::Part(first..size_bytes),
        (Some(Number::Absent), Some(Number::Is(0))) => Wanted::Nothing,
        (Some(Number::Absent), Some(Number::Is(_))) if size_bytes == 0 => Wanted::Nothing,
        (Some(Number::Absent), Some(Number::Is(suffix))) => {
            Wanted::Part(size_bytes.saturating_sub(suffix)..size_bytes)
        }
        (Some(Number::Absent), Some(Number::Absent)) | (None, _) | (_, None) => Wanted::Whole,
    }
}

enum Number {
    Is(u64),
    Absent,
}

fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Number::Absent);
    }
    // More digits than a u64 has are a number all the same.
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| Number::Is(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn a_range_is_read_as_the_standard_says() {
        for (text, expected) in [
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=90-", Wanted::Part(90..100)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=-10", Wanted::Part(90..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=99-99", Wanted::Part(99..100)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=9-0", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("lines=0-9", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ] {
            assert_eq!(
                wanted(&headers(&[(RANGE, text)]), "\"e\"", 100),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn if_range_of_other_content_asks_for_the_whole() {
        let of = |condition| {
            wanted(
                &headers(&[(RANGE, "bytes=0-0"), (IF_RANGE, condition)]),
                "\"e\"",
                100,
            )
        };
        assert_eq!(of("\"e\""), Wanted::Part(0..1));
        assert_eq!(of("\"f\""), Wanted::Whole);
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), Wanted::Whole);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (condition, expected) in [
            ("\"e\"", true),
            ("W/\"e\"", true),
            ("\"a\", \"e\"", true),
            ("*", true),
            ("\"f\"", false),
            ("", false),
        ] {
            assert_eq!(
                is_fresh(&headers(&[(IF_NONE_MATCH, condition)]), "\"e\""),
                expected,
                "{condition}"
            );
        }
    }
}
