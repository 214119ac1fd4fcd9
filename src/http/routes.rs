//! The table of the server's own calls: each with its handler, who may call it, and what its body may be.
//!
//! Method, path and description stand once, in the attribute above the handler. From the table and those attributes
//! follow the router, the OpenAPI document, the scopes and the limits.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::MethodRouter;
use lucida_core::{Access, BodyKind, Scope};
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::Schema;
use utoipa_axum::routes;

use super::entry::{Entry, Rules, enter};
use super::shape::FailureShape;
use super::state::HttpState;
use super::{content, embed, health, info, panics, photos, search, tags, tokenize, upload};

/// One call of the server's own API.
pub(super) struct Call {
    /// Its path and operation.
    pub(super) paths: Paths,
    /// The schemas that the operation refers to.
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
    /// What the server does around it.
    pub(super) rules: Rules,
    /// Its route, where that is not its path.
    route: Option<&'static str>,
    handler: MethodRouter<HttpState>,
}

type Documented = (Vec<(String, RefOr<Schema>)>, Paths, MethodRouter<HttpState>);

impl Call {
    fn new((schemas, paths, handler): Documented, access: Access) -> Self {
        Self {
            paths,
            schemas,
            handler,
            rules: Rules::new(access, BodyKind::None),
            route: None,
        }
    }

    /// Returns its routes.
    pub(super) fn routes(&self) -> impl Iterator<Item = &str> {
        let paths = self.paths.paths.keys().map(String::as_str);
        paths.map(|path| self.route.unwrap_or(path))
    }

    fn routed(mut self, route: &'static str) -> Self {
        self.route = Some(route);
        self
    }

    fn body(mut self, body: BodyKind) -> Self {
        self.rules.body = body;
        self
    }

    fn answers_at_deadline(mut self) -> Self {
        self.rules.answers_at_deadline = true;
        self
    }

    fn openai_errors(mut self) -> Self {
        self.rules.failures = FailureShape::OpenAi;
        self
    }

    fn probe(mut self) -> Self {
        self.rules.is_probe = true;
        self
    }
}

/// Returns every call.
pub(super) fn calls() -> Vec<Call> {
    let any_key = Access::Key {
        scope: None,
        also_in: None,
    };
    let (embed, read, write) = (
        || Access::scope(Scope::Embed),
        || Access::scope(Scope::Read),
        || Access::scope(Scope::Write),
    );
    let mut calls = vec![
        Call::new(routes!(upload::upload), write())
            .body(BodyKind::Form)
            .answers_at_deadline(),
        Call::new(routes!(photos::list), read()),
        Call::new(routes!(photos::get), read()),
        Call::new(routes!(photos::edit), write()).body(BodyKind::Json),
        Call::new(routes!(photos::delete), write()),
        Call::new(routes!(photos::retry), write()),
        Call::new(routes!(tags::list), read()),
        Call::new(routes!(content::original), read()),
        Call::new(routes!(content::thumbnail), read()),
        Call::new(routes!(search::search), read()).body(BodyKind::JsonOrForm),
        Call::new(routes!(embed::image), embed())
            .body(BodyKind::Form)
            .answers_at_deadline(),
        Call::new(routes!(embed::text), embed())
            .body(BodyKind::Json)
            .answers_at_deadline(),
        Call::new(routes!(tokenize::tokenize), embed()).body(BodyKind::Json),
        Call::new(routes!(info::models), any_key.clone()).openai_errors(),
        Call::new(routes!(info::model), any_key)
            .openai_errors()
            // OpenAI's clients leave the slashes of names as they are.
            .routed("/v1/models/{*id}"),
        Call::new(routes!(info::stats), read()),
    ];
    calls.extend(probes());
    calls
}

/// Returns the calls for those who watch a process.
pub(super) fn probes() -> Vec<Call> {
    vec![
        Call::new(routes!(health::alive), Access::Open).probe(),
        Call::new(routes!(health::ready), Access::Open).probe(),
        Call::new(routes!(health::metrics), Access::scope(Scope::Read)).probe(),
    ]
}

/// Makes the routes of calls.
pub(super) fn mount(calls: Vec<Call>, state: &HttpState) -> Router<HttpState> {
    let mut router = Router::new();
    for call in calls {
        let routes: Vec<_> = call.routes().map(str::to_owned).collect();
        let Call { rules, handler, .. } = call;
        let handler = handler
            .route_layer(panics::layer())
            .route_layer(from_fn_with_state(Entry::new(state, rules), enter));
        for route in routes {
            router = router.route(&route, handler.clone());
        }
    }
    router
}
