//! Failures in the shape that the clients of another API know: a plugin's, or OpenAI's.

use std::sync::Arc;

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::Response;
use lucida_api::openai_error;
use lucida_core::Plugin;

use super::problem::Problem;

/// How the failures of a call are written.
#[derive(Clone)]
pub(super) enum FailureShape {
    /// As `application/problem+json`.
    Problem,
    /// As a problem that has OpenAI's `error` as well.
    OpenAi,
    /// As the clients of a plugin's call expect it.
    OfPlugin(Arc<dyn Plugin>),
}

impl FailureShape {
    /// Writes an answer's failure, if it is one.
    pub(super) async fn apply(&self, response: Response) -> Response {
        match self {
            Self::Problem => response,
            Self::OpenAi => with_openai_error(response).await,
            Self::OfPlugin(plugin) => shaped(&**plugin, response).await,
        }
    }
}

/// Adds the failure in the shape of OpenAI's API, which its clients read, to the problem.
async fn with_openai_error(response: Response) -> Response {
    match Problem::found_in(response).await {
        (Some(problem), response) => {
            let error = openai_error(&problem.failure());
            let members = [("error".to_owned(), error)].into_iter().collect();
            problem.with_members(members).attached_to(response)
        }
        (None, response) => response,
    }
}

/// Marks an answer whose body is the plugin's own, whatever it looks like.
#[derive(Clone)]
pub(super) struct Shaped;

/// Writes the body of a failure as a plugin's clients expect it; status and headers stay.
async fn shaped(plugin: &dyn Plugin, response: Response) -> Response {
    let (problem, response) = Problem::found_in(response).await;
    let Some(problem) = problem else {
        return response;
    };
    let failure = problem.failure();
    let Some(mut shaped) = plugin.failure_body(&failure) else {
        return problem
            .with_members(plugin.failure_members(&failure))
            .attached_to(response);
    };
    problem.log();
    *shaped.status_mut() = problem.status();
    for name in [RETRY_AFTER, WWW_AUTHENTICATE] {
        if let Some(value) = response.headers().get(&name) {
            shaped.headers_mut().insert(name, value.clone());
        }
    }
    shaped.extensions_mut().insert(Shaped);
    shaped
}
