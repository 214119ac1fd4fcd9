//! Where a request carries its key, and what a server without keys answers to.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use lucida_core::{Error, ErrorKind, Result};

/// The header that carries a key; `Authorization: Bearer` does too.
pub(super) const KEY_HEADER: &str = "x-api-key";

/// Returns the key that a request shows in one of the server's own headers.
pub(super) fn shown_key(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get(KEY_HEADER) {
        return Some(key.as_bytes());
    }
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// Checks a request to a server without keys. Only the loopback address keeps strangers out then, and a web page in the
/// user's own browser is behind it: so a page of another origin, or one whose name was made to resolve to loopback, is
/// refused. A page whose origin is among the allowed ones passes; `*` allows none here.
///
/// # Errors
/// `PermissionDenied` (`cross_origin`).
pub(super) fn check_local(headers: &HeaderMap, allowed_origins: &[String]) -> Result<()> {
    let host = headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let refuse =
        |message: String| Err(Error::new(ErrorKind::PermissionDenied, message).with_code("cross_origin"));
    if !host.is_empty() && !is_local_name(host) {
        return refuse(format!(
            "a server without keys answers only under a loopback name, not `{host}`: add a key in [[auth.keys]]"
        ));
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    if authority.eq_ignore_ascii_case(host) || allowed_origins.iter().any(|allowed| allowed == origin) {
        Ok(())
    } else {
        refuse(
            "a server without keys takes no calls from other web pages: add a key in [[auth.keys]]"
                .to_owned(),
        )
    }
}

fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn a_key_is_read_from_either_header() {
        for (pairs, key) in [
            (&[("x-api-key", "one")][..], Some(&b"one"[..])),
            (&[("authorization", "Bearer one")], Some(b"one")),
            (&[("authorization", "bearer  one ")], Some(b"one")),
            (&[("authorization", "Basic b25l")], None),
            (
                &[("x-api-key", "one"), ("authorization", "Bearer two")],
                Some(b"one"),
            ),
            (&[], None),
        ] {
            assert_eq!(shown_key(&headers(pairs)), key, "{pairs:?}");
        }
    }

    #[test]
    fn without_keys_other_web_pages_are_refused() {
        let allowed = |pairs: &[(&'static str, &str)]| {
            check_local(
                &headers(pairs),
                &["https://app.example".to_owned(), "*".to_owned()],
            )
            .is_ok()
        };
        assert!(allowed(&[]));
        assert!(allowed(&[("host", "127.0.0.1:8080")]));
        assert!(allowed(&[
            ("host", "127.0.0.1:8080"),
            ("origin", "https://app.example")
        ]));
        assert!(!allowed(&[
            ("host", "127.0.0.1:8080"),
            ("origin", "https://app.example.evil")
        ]));
        assert!(allowed(&[
            ("host", "[::1]:8080"),
            ("origin", "http://[::1]:8080")
        ]));
        assert!(allowed(&[
            ("host", "localhost:8080"),
            ("origin", "http://localhost:8080")
        ]));
        assert!(!allowed(&[
            ("host", "localhost:8080"),
            ("origin", "http://evil.example")
        ]));
        assert!(!allowed(&[("host", "localhost:8080"), ("origin", "null")]));
        assert!(!allowed(&[("host", "evil.example:8080")]));
    }
}
