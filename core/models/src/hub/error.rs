//! A hub's refusals and a network's failures, with what to do about each.

use lucida_core::{Error, ErrorKind};
use reqwest::{StatusCode, Url};

use super::repo::RepoId;

/// What a hub is asked for, to name it when it fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) repo: &'a RepoId,
    pub(super) revision: &'a str,
    pub(super) file: Option<&'a str>,
}

impl Asked<'_> {
    fn thing(&self) -> String {
        match self.file {
            Some(file) => format!("`{file}` of `{}`", self.repo),
            None => format!("`{}`", self.repo),
        }
    }
}

/// An answer other than success, as far as an error reports it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal<'a> {
    pub(super) status: StatusCode,
    /// The hub's own word for it, from `X-Error-Code`.
    pub(super) code: Option<&'a str>,
    /// Who gave it: the hub, or the store of large files that it sent us to.
    pub(super) from: &'a Url,
    pub(super) endpoint: &'a Url,
    pub(super) had_token: bool,
}

/// Makes the error of a refusal.
pub(super) fn refused(asked: &Asked<'_>, refusal: &Refusal<'_>) -> Error {
    let Asked { repo, revision, .. } = asked;
    let endpoint = place(refusal.endpoint);
    // What the store refuses has nothing to do with the token: it never gets it.
    let by_hub = refusal.from.origin() == refusal.endpoint.origin();
    match refusal.status {
        StatusCode::UNAUTHORIZED if by_hub && !refusal.had_token => Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "{endpoint} doesn't show `{repo}` to everybody: set hub.token (or HF_TOKEN) to a token that may \
                 read it, or check the name, since a repository that doesn't exist is answered the same"
            ),
        ),
        StatusCode::UNAUTHORIZED if by_hub => Error::new(
            ErrorKind::PermissionDenied,
            format!("{endpoint} takes the token for nothing: set hub.token (or HF_TOKEN) to a valid one"),
        ),
        StatusCode::FORBIDDEN if by_hub => Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "{endpoint} doesn't let this token read `{repo}`: accept its terms at {endpoint}/{repo}, and set \
                 hub.token (or HF_TOKEN) to a token of that account"
            ),
        ),
        StatusCode::NOT_FOUND if by_hub => match (refusal.code, asked.file) {
            (Some("RevisionNotFound"), _) => Error::not_found(format!(
                "`{repo}` at {endpoint} has no revision `{revision}`: check hub.revision"
            )),
            (_, Some(_)) => Error::not_found(format!(
                "{} at revision `{revision}` is not at {endpoint}: choose another hub.revision",
                asked.thing()
            )),
            (_, None) => Error::not_found(format!(
                "`{repo}` at revision `{revision}` is not at {endpoint}: check the model's name and hub.revision"
            )),
        },
        StatusCode::TOO_MANY_REQUESTS => Error::unavailable(format!(
            "{} answers 429 for {}: wait a while, or set hub.token (or HF_TOKEN), with which more is allowed",
            place(refusal.from),
            asked.thing()
        )),
        status => Error::unavailable(format!(
            "{} answers {} for {}: try again later, or set hub.endpoint to a mirror",
            place(refusal.from),
            status.as_u16(),
            asked.thing()
        )),
    }
}

/// Makes the error of a request that got no answer, or of an answer that broke off.
///
/// The library's own text holds the whole address, which may be one that is signed for us.
pub(super) fn disconnected(from: &Url, error: reqwest::Error) -> Error {
    Error::unavailable(format!(
        "the connection to {} failed: check the network and its proxy, set hub.endpoint to a mirror, or \
         hub.offline to use only what is downloaded",
        place(from)
    ))
    .with_source(error.without_url())
}

/// Makes the error of an answer that is not what a hub says.
pub(super) fn malformed(from: &Url, asked: &Asked<'_>, what: &str) -> Error {
    Error::unavailable(format!(
        "{} gives {what} for {}: is it a Hugging Face hub? set hub.endpoint to one",
        place(from),
        asked.thing()
    ))
}

/// An address without what may be secret in it.
fn place(url: &Url) -> String {
    url.origin().ascii_serialization()
}
