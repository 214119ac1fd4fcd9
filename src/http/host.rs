//! The `Host` header: HTTP wants exactly one, and a server behind a proxy must not see another one than the proxy did.

use axum::extract::Request;
use axum::http::Version;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use lucida_core::{Error, Result};

/// Checks that a request names one host (RFC 9112, section 3.2).
///
/// # Errors
/// `InvalidInput` (`bad_host`) for none in HTTP/1.1, for several, and for one that is not a host with an optional port.
pub(super) fn check(request: &Request) -> Result<()> {
    let refuse = |message: &str| Err(Error::invalid(message).with_code("bad_host").with_field("host"));
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => Ok(()),
        (None, _) => refuse("the request has no `Host` header; HTTP/1.1 needs one"),
        (Some(_), Some(_)) => refuse("the request has more than one `Host` header; send one"),
        (Some(host), None) => {
            let is_host = host.is_empty()
                || host
                    .to_str()
                    .is_ok_and(|host| host.parse::<Authority>().is_ok() && !host.contains('@'));
            if is_host {
                Ok(())
            } else {
                refuse("the `Host` header is not a host with an optional port, like `example.org:8080`")
            }
        }
    }
}
