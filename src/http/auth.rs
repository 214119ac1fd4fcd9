//! Who calls, and what they may do: keys with a user and scopes.
//!
//! Keys are compared by their SHA-256 digests in constant time, and always all of them, so that neither the answer
//! nor its time says which keys there are.

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lucida_core::{Caller, Error, ErrorKind, Result, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::problem::Problem;
use super::state::HttpState;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Turn texts and pictures into vectors.
    Embed,
    /// Look at photos and search them.
    Read,
    /// Upload, retry and delete photos.
    Write,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Embed, Self::Read, Self::Write];

    /// Returns the name that the configuration uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A key: what its holder may do, and as whom.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The name for logs; never shown to callers.
    pub name: String,
    /// The SHA-256 digest of the key.
    pub sha256: [u8; 32],
    /// Whose photos the holder sees.
    pub user: UserId,
    /// What the holder may do.
    pub scopes: Vec<Scope>,
}

impl ApiKey {
    /// Hashes a key the way that callers' keys are.
    #[must_use]
    pub fn digest(key: &[u8]) -> [u8; 32] {
        Sha256::digest(key).into()
    }
}

/// The header that carries a key; `Authorization: Bearer` does too.
pub(super) const KEY_HEADER: &str = "x-api-key";

/// All keys of a server.
pub(super) struct Keys {
    keys: Vec<ApiKey>,
}

impl Keys {
    pub(super) const fn new(keys: Vec<ApiKey>) -> Self {
        Self { keys }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn find(&self, presented: &[u8]) -> Option<&ApiKey> {
        let digest = ApiKey::digest(presented);
        let mut found = 0_u64;
        let mut any = Choice::from(0);
        for (number, key) in (0_u64..).zip(&self.keys) {
            let same = key.sha256.ct_eq(&digest);
            found.conditional_assign(&number, same);
            any |= same;
        }
        let position = usize::try_from(found).ok()?;
        bool::from(any).then(|| self.keys.get(position)).flatten()
    }

    /// Reports whether a valid key comes with a request.
    pub(super) fn is_shown(&self, headers: &HeaderMap) -> bool {
        presented(headers).is_some_and(|presented| self.find(presented).is_some())
    }

    /// Returns what a caller may do; everything where there are no keys.
    pub(super) fn scopes(&self, headers: &HeaderMap) -> Vec<Scope> {
        if self.keys.is_empty() {
            return Scope::ALL.to_vec();
        }
        let key = presented(headers).and_then(|presented| self.find(presented));
        key.map(|key| key.scopes.clone()).unwrap_or_default()
    }

    /// Finds out who calls, and checks that they may.
    pub(super) fn authorize(&self, headers: &HeaderMap, scope: Option<Scope>) -> Result<Caller> {
        if self.keys.is_empty() {
            check_local(headers)?;
            return Ok(Caller {
                user_id: UserId::local(),
            });
        }
        let refuse = |message| Error::new(ErrorKind::PermissionDenied, message).with_code("unauthorized");
        let Some(presented) = presented(headers) else {
            return Err(refuse(
                "this call needs a key: send it as `x-api-key` or as `Authorization: Bearer`",
            ));
        };
        let key = self
            .find(presented)
            .ok_or_else(|| refuse("the key is not valid"))?;
        if let Some(scope) = scope
            && !key.scopes.contains(&scope)
        {
            tracing::debug!(key = key.name, scope = scope.as_str(), "key lacks the scope");
            let message = format!("this call needs a key with the scope `{}`", scope.as_str());
            return Err(Error::new(ErrorKind::PermissionDenied, message).with_code("missing_scope"));
        }
        Ok(Caller {
            user_id: key.user.clone(),
        })
    }
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get(KEY_HEADER) {
        return Some(key.as_bytes());
    }
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| token.trim_ascii())
}

/// Without keys only the loopback address keeps strangers out, and a web page in the user's own browser is behind
/// it: so a page of another origin, or one whose name was made to resolve to loopback, is refused.
fn check_local(headers: &HeaderMap) -> Result<()> {
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
    if authority.eq_ignore_ascii_case(host) {
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

/// Tells what a call needs; `None` means any key.
fn needed_scope(method: &Method, route: &str) -> Option<Scope> {
    match route {
        "/embed/image" | "/embed/text" | "/v1/embeddings" => Some(Scope::Embed),
        "/v1/models" => None,
        "/v1/search" => Some(Scope::Read),
        _ if method == Method::GET || method == Method::HEAD => Some(Scope::Read),
        _ => Some(Scope::Write),
    }
}

/// Lets a request through when its key may make it, with its [`Caller`] among the extensions.
pub(super) async fn guard(State(state): State<HttpState>, mut request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("", MatchedPath::as_str);
    let scope = needed_scope(request.method(), route);
    match state.keys().authorize(request.headers(), scope) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => Problem::from(error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn keys() -> Keys {
        let key = |text: &str, user: &str, scopes: &[Scope]| ApiKey {
            name: text.to_owned(),
            sha256: ApiKey::digest(text.as_bytes()),
            user: UserId::new(user).unwrap(),
            scopes: scopes.to_vec(),
        };
        Keys::new(vec![
            key("one", "alice", &Scope::ALL),
            key("two", "bob", &[Scope::Read]),
        ])
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn each_key_stands_for_its_user_in_either_header() {
        for (pairs, user) in [
            ([("x-api-key", "one")], "alice"),
            ([("x-api-key", "two")], "bob"),
            ([("authorization", "Bearer one")], "alice"),
            ([("authorization", "bearer two")], "bob"),
        ] {
            let caller = keys().authorize(&headers(&pairs), Some(Scope::Read)).unwrap();
            assert_eq!(caller.user_id.as_str(), user);
        }
    }

    #[test]
    fn a_missing_or_wrong_key_is_unauthorized_and_a_missing_scope_is_not() {
        let code = |pairs: &[(&'static str, &str)]| {
            keys()
                .authorize(&headers(pairs), Some(Scope::Write))
                .unwrap_err()
                .code()
        };
        assert_eq!(code(&[]), "unauthorized");
        assert_eq!(code(&[("x-api-key", "")]), "unauthorized");
        assert_eq!(code(&[("x-api-key", "onE")]), "unauthorized");
        assert_eq!(code(&[("authorization", "Basic b25l")]), "unauthorized");
        assert_eq!(code(&[("x-api-key", "two")]), "missing_scope");
    }

    #[test]
    fn without_keys_other_web_pages_are_refused() {
        let allowed =
            |pairs: &[(&'static str, &str)]| Keys::new(Vec::new()).authorize(&headers(pairs), None).is_ok();
        assert!(allowed(&[]));
        assert!(allowed(&[("host", "127.0.0.1:8080")]));
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
