//! What every call passes before its handler, by its rules: key, admission, deadline, and the bounds of its body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::RequestPartsExt;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{RawPathParams, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use lucida_core::{Access, BodyKind, Caller, Deadline, Error, KeyPlace, Result, Scope, UserId};
use tokio::sync::OwnedSemaphorePermit;

use super::auth::{check_local, shown_key};
use super::body;
use super::problem::Answer;
use super::shape::FailureShape;
use super::state::HttpState;

/// How long after the deadline a call is cut off that was to answer at it.
const GRACE: Duration = Duration::from_secs(2);

/// What the server does around a call.
pub(super) struct Rules {
    /// Who may call.
    pub(super) access: Access,
    /// What the body may be.
    pub(super) body: BodyKind,
    /// Whether the handler answers at the deadline itself, such as for each input.
    pub(super) answers_at_deadline: bool,
    /// Whether the call is for those who watch the server: always admitted, from any page.
    pub(super) is_probe: bool,
    /// How failures are written.
    pub(super) failures: FailureShape,
}

impl Rules {
    /// Returns the rules of a call that the server bounds and cuts off by itself, and whose failures are problems.
    pub(super) const fn new(access: Access, body: BodyKind) -> Self {
        Self {
            access,
            body,
            answers_at_deadline: false,
            is_probe: false,
            failures: FailureShape::Problem,
        }
    }
}

/// The state of [`enter`].
#[derive(Clone)]
pub(super) struct Entry {
    state: HttpState,
    rules: Arc<Rules>,
}

impl Entry {
    pub(super) fn new(state: &HttpState, rules: Rules) -> Self {
        Self {
            state: state.clone(),
            rules: Arc::new(rules),
        }
    }
}

/// Lets a request through to its handler, with its [`Caller`] and [`Deadline`] among the extensions.
pub(super) async fn enter(State(entry): State<Entry>, request: Request, next: Next) -> Response {
    let answer = entry.pass(request, next).await;
    let response = answer.unwrap_or_else(IntoResponse::into_response);
    entry.rules.failures.apply(response).await
}

impl Entry {
    async fn pass(&self, request: Request, next: Next) -> Answer<Response> {
        let (mut parts, body) = request.into_parts();
        let caller = self.caller(&mut parts).await?;
        parts.extensions.insert(caller);
        if self.rules.is_probe {
            return Ok(next.run(Request::from_parts(parts, body)).await);
        }
        // Before anything of the body is read, so that a crowd costs those who are in no more than it must.
        let permit = self.admit()?;
        let deadline = Deadline::after(self.state.options().request_timeout);
        parts.extensions.insert(deadline.clone());
        let request = Request::from_parts(parts, body);
        let (request, refused) = body::guard(request, &self.rules.body, self.state.options(), &deadline)?;
        let limit = if self.rules.answers_at_deadline {
            deadline.later(GRACE)
        } else {
            deadline
        };
        let response = limit.bound(async { Ok(next.run(request).await) }).await?;
        let is_failure = response.status().is_client_error() || response.status().is_server_error();
        if is_failure && let Some(error) = refused.take() {
            // The handler has only seen a body that broke off.
            return Err(error.into());
        }
        Ok(response.map(|inner| {
            Body::new(Admitted {
                inner,
                _permit: permit,
            })
        }))
    }

    async fn caller(&self, parts: &mut Parts) -> Result<Caller> {
        let local = |scopes: &[Scope]| Caller {
            user_id: UserId::local(),
            scopes: scopes.to_vec(),
        };
        let Access::Key { scope, also_in } = &self.rules.access else {
            return Ok(local(&[]));
        };
        let keys = self.state.keys();
        if keys.is_empty() {
            if !self.rules.is_probe {
                check_local(&parts.headers, &self.state.options().cors_origins)?;
            }
            return Ok(local(&Scope::ALL));
        }
        let elsewhere = match also_in {
            Some(KeyPlace::Header(name)) => parts.headers.get(name).map(|key| key.as_bytes().to_vec()),
            Some(KeyPlace::PathParameter(name)) => path_parameter(parts, name).await,
            None => None,
        };
        keys.authorize(shown_key(&parts.headers).or(elsewhere.as_deref()), *scope)
    }

    fn admit(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(self.state.permits()).try_acquire_owned().map_err(|_| {
            let most = self.state.options().max_concurrent_requests;
            let message = format!(
                "{most} requests are being worked on (server.max_concurrent_requests): try again in a second"
            );
            Error::overloaded(message, Duration::from_secs(1)).with_code("server_busy")
        })
    }
}

async fn path_parameter(parts: &mut Parts, name: &str) -> Option<Vec<u8>> {
    let parameters = parts.extract::<RawPathParams>().await.ok()?;
    let found = parameters.iter().find(|(known, _)| *known == name);
    found.map(|(_, key)| key.as_bytes().to_vec())
}

/// Returns who may make a call of a plugin's own namespace: `read` looks, `write` changes.
pub(super) fn access_by_method(method: &Method) -> Access {
    let looks = method == Method::GET || method == Method::HEAD;
    Access::scope(if looks { Scope::Read } else { Scope::Write })
}

/// The body of an answer, which keeps its request's place until it has been sent.
struct Admitted {
    inner: Body,
    _permit: OwnedSemaphorePermit,
}

impl HttpBody for Admitted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
