//! Calls that plugins bring along: at paths of their choice, and in a namespace of their own at `/v1/plugins/<name>`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use lucida_core::{BodyKind, Endpoint, Error, Plugin, PluginHost, Result, SearchLimits};
use lucida_library::Isolation;
use tracing::{Instrument, error, info};

use super::entry::{Entry, Rules, access_by_method, enter};
use super::panics;
use super::problem::Problem;
use super::routes::Call;
use super::shape::FailureShape;
use super::state::HttpState;

/// Routes of the server that are not in the table of calls.
const PAGES: [&str; 6] = [
    "/",
    "/gallery/{file}",
    "/openapi.json",
    "/docs",
    "/docs/",
    "/docs/{*file}",
];

/// A call of a plugin.
pub(super) struct PluginCall {
    /// Whose it is.
    pub(super) plugin: Arc<dyn Plugin>,
    /// The call.
    pub(super) endpoint: Endpoint,
}

fn host(state: &HttpState) -> PluginHost {
    let options = state.options();
    let search_limits = SearchLimits {
        default: options.default_search_limit,
        max: options.max_search_limit,
    };
    state
        .photos()
        .plugin_host(Arc::new(state.models().clone()), search_limits)
}

/// Returns the calls that plugins have at paths of their choice.
pub(super) fn endpoints(state: &HttpState) -> Vec<PluginCall> {
    let mut calls = Vec::new();
    for plugin in state.photos().plugins() {
        calls.extend(
            plugin
                .endpoints(host(state))
                .into_iter()
                .map(|endpoint| PluginCall {
                    plugin: Arc::clone(plugin),
                    endpoint,
                }),
        );
    }
    calls
}

/// Checks that no two calls have the same method and path, whatever their parameters are named.
///
/// # Errors
/// `ConfigInvalid`, naming the plugin, the call, and who has it already.
pub(super) fn check_collisions(calls: &[Call], plugins: &[PluginCall]) -> Result<()> {
    let own = calls.iter().flat_map(Call::routes).chain(PAGES);
    let mut taken: Vec<_> = own.map(|path| (path, None, "the server")).collect();
    for PluginCall { plugin, endpoint } in plugins {
        let (path, method) = (endpoint.path.as_str(), &endpoint.method);
        if !path.starts_with('/') {
            let message = format!(
                "plugin `{}`: the path `{path}` doesn't begin with `/`",
                plugin.name()
            );
            return Err(Error::config("plugins", message));
        }
        let collision = taken.iter().find(|(known, known_method, _)| {
            // One path may have several methods, but only under one spelling of it.
            is_same_path(known, path) && (*known != path || known_method.is_none_or(|known| known == method))
        });
        if let Some((known, _, owner)) = collision {
            let message = format!(
                "plugin `{}` wants the call {method} {path}, which {owner} has already (`{known}`): leave out one of them",
                plugin.name()
            );
            return Err(Error::config("plugins", message));
        }
        taken.push((path, Some(method), plugin.name()));
    }
    Ok(())
}

/// Returns whether two patterns can't be told apart by a router: parameters match alike whatever their names are, and
/// one for the rest of a path matches everything below.
fn is_same_path(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some(one), Some(other)) => {
                let (is_parameter, is_other_parameter) = (one.contains('{'), other.contains('{'));
                if is_parameter != is_other_parameter || (!is_parameter && one != other) {
                    return false;
                }
                if one.starts_with("{*") || other.starts_with("{*") {
                    return true;
                }
            }
        }
    }
}

/// Makes the routes of plugins' calls; they were checked for collisions before.
pub(super) fn mount(calls: Vec<PluginCall>, state: &HttpState) -> Router<HttpState> {
    let mut router = Router::new();
    if calls.iter().all(|call| call.endpoint.path != "/v1/embeddings") {
        info!(
            "no plugin answers /v1/embeddings: for OpenAI's clients add [[plugins]] with type = \"api-openai\""
        );
    }
    let mut isolations: BTreeMap<String, Isolation> = BTreeMap::new();
    for PluginCall { plugin, endpoint } in calls {
        let isolation = isolations.entry(plugin.name().to_owned()).or_default().clone();
        info!(plugin = plugin.name(), method = %endpoint.method, path = endpoint.path, "mounting a plugin's call");
        let rules = Rules {
            answers_at_deadline: true,
            failures: FailureShape::OfPlugin(plugin),
            ..Rules::new(endpoint.access, endpoint.body)
        };
        let handler = endpoint
            .handler
            .with_state(())
            .route_layer(from_fn_with_state(isolation, isolated))
            .route_layer(panics::layer())
            .route_layer(from_fn_with_state(Entry::new(state, rules), enter));
        router = router.route(&endpoint.path, handler);
    }
    router
}

/// Returns the routes that plugins have in namespaces of their own, at `/v1/plugins/<name>`.
pub(super) fn namespaces(state: &HttpState) -> Router<HttpState> {
    let mut routes = Router::new();
    let mut names = BTreeSet::new();
    for plugin in state.photos().plugins() {
        let Some(router) = plugin.router(host(state)) else {
            continue;
        };
        let name = plugin.name();
        let fits = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !fits {
            error!(
                plugin = name,
                "leaving out a plugin's routes: its name must have only A-Z a-z 0-9 - _"
            );
            continue;
        }
        if !names.insert(name) {
            error!(
                plugin = name,
                "leaving out a plugin's routes: an earlier plugin has the same name"
            );
            continue;
        }
        info!(plugin = name, "mounting a plugin's routes");
        let router = router
            .with_state(())
            .layer(from_fn_with_state(Isolation::default(), isolated));
        routes = routes.nest(&format!("/v1/plugins/{name}"), router);
    }
    if names.is_empty() {
        return routes;
    }
    routes
        .route_layer(panics::layer())
        .route_layer(from_fn_with_state(state.clone(), enter_namespace))
}

/// Runs a plugin's handler where it holds up nothing else, also when it blocks its thread.
async fn isolated(
    State(isolation): State<Isolation>,
    request: Request,
    next: Next,
) -> std::result::Result<Response, Problem> {
    match isolation.start(next.run(request).in_current_span())?.await {
        Ok(response) => Ok(response),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::internal("the plugin's call was cancelled")
                .with_source(error)
                .into()),
        },
    }
}

/// Passes a request to a plugin's namespace by the rules of its method.
async fn enter_namespace(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    let rules = Rules::new(access_by_method(request.method()), BodyKind::Any(None));
    enter(State(Entry::new(&state, rules)), request, next).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_a_router_can_not_tell_apart_are_the_same() {
        for (one, other, same) in [
            ("/predict", "/predict", true),
            ("/predict", "/predict/", false),
            ("/v1/models/{id}", "/v1/models/{model}", true),
            ("/v1/models/{id}", "/v1/models/list", false),
            ("/docs/{*file}", "/docs/{page}", true),
            ("/docs/{*file}", "/docs/{page}/more", true),
            ("/{a}/b", "/{x}/b", true),
            ("/{a}/b", "/{x}/c", false),
        ] {
            assert_eq!(is_same_path(one, other), same, "{one} {other}");
        }
    }
}
