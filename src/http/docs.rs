//! The OpenAPI document, made from the table of calls, and the page that shows it.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use lucida_core::{Access, BodyKind, KeyPlace};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::Config;

use super::auth::KEY_HEADER;
use super::codes::CODES;
use super::plugins::PluginCall;
use super::problem::ProblemBody;
use super::routes::Call;
use super::state::HttpState;
use super::{bounds, dto};

/// The frame of the document: everything but the calls.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lucida",
        description = "Stores photos, turns them into vectors, and finds them again by words or by another photo."
    ),
    servers((url = "/")),
    tags(
        (name = "photos", description = "The library: upload, list, get, download, edit, thumbnail, retry, delete."),
        (name = "search", description = "Find photos by words, by a photo, or by a picture."),
        (name = "embed", description = "Vectors only; nothing is stored."),
        (name = "server", description = "Models, counts, health and metrics."),
    ),
    components(schemas(ProblemBody, dto::PhotoBody)),
    security(("key" = []), ("bearer" = [])),
)]
struct Frame;

/// Writes the document of a server: its calls, those of its plugins, and the bounds that it is configured with.
pub(super) fn document(calls: &[Call], plugins: &[PluginCall], state: &HttpState) -> Bytes {
    let mut document = Frame::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document.info.description = Some(description(document.info.description.take().unwrap_or_default()));
    let components = document.components.get_or_insert_default();
    let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(KEY_HEADER)));
    components.add_security_scheme("key", key);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    for call in calls {
        components.schemas.extend(call.schemas.iter().cloned());
        document.paths.merge(call.paths.clone());
    }
    let mut document = serde_json::to_value(document).expect("the document has only strings as keys");
    let options = state.options();
    if !options.base_path.is_empty() {
        document["servers"] = json!([{ "url": options.base_path }]);
    }
    for call in calls {
        for (path, item) in &call.paths.paths {
            // The document's item of a path may have the operations of other calls as well.
            let own = serde_json::to_value(item).expect("an operation has only strings as keys");
            for method in own.as_object().into_iter().flat_map(Map::keys) {
                let operation = &mut document["paths"][path][method];
                state_rules(operation, &call.rules.access, &call.rules.body, state);
            }
        }
    }
    for PluginCall { plugin, endpoint } in plugins {
        let mut operation = endpoint.operation.clone();
        if !operation.is_object() {
            operation = Value::Object(Map::new());
        }
        if operation.get("tags").is_none() {
            operation["tags"] = json!([plugin.name()]);
        }
        state_rules(&mut operation, &endpoint.access, &endpoint.body, state);
        let path = endpoint.path.replace("{*", "{");
        let method = endpoint.method.as_str().to_ascii_lowercase();
        document["paths"][path][method] = operation;
    }
    let max_text_bytes = state.photos().embedder().describe().max_text_bytes;
    bounds::state(&mut document, options, max_text_bytes);
    document.to_string().into()
}

/// Says in an operation who may make the call, and how large its body may be.
fn state_rules(operation: &mut Value, access: &Access, body: &BodyKind, state: &HttpState) {
    match access {
        Access::Open => operation["security"] = json!([]),
        Access::Key { scope, also_in } => {
            let mut need = match scope {
                Some(scope) => format!("Needs a key with the scope `{}`.", scope.as_str()),
                None => "Needs a key.".to_owned(),
            };
            match also_in {
                None => {}
                // Writing to a string can't fail.
                Some(KeyPlace::Header(name)) => _ = write!(need, " The header `{name}` may carry it, too."),
                Some(KeyPlace::PathParameter(name)) => {
                    _ = write!(need, " `{{{name}}}` of the path may be it, too.")
                }
            }
            let text = operation["description"].as_str().unwrap_or_default();
            operation["description"] = if text.is_empty() {
                need
            } else {
                format!("{text}\n\n{need}")
            }
            .into();
        }
    }
    if let Some(size) = bounds::body_size(body, state.options())
        && let Some(body) = operation.get_mut("requestBody")
    {
        body["description"] = size.into();
    }
}

/// Adds how keys are sent, and what each problem's code means.
fn description(mut text: String) -> String {
    text.push_str(
        "\n\nSend a key as `x-api-key` or `Authorization: Bearer`, unless the server has none. Failures are \
         `application/problem+json` with a `code`.\n\n<details><summary>The codes and what they mean</summary>\n\n\
         | code | meaning |\n| --- | --- |\n",
    );
    for (code, meaning) in CODES {
        // Writing to a string can't fail.
        let _ = writeln!(text, "| `{code}` | {meaning} |");
    }
    text.push_str("\n</details>\n");
    text
}

static PAGE: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new(["../openapi.json"]);
    // The page asks nobody else: the validator is a service on the internet.
    Arc::new(
        config
            .validator_url("none")
            // Without the bar for other documents' addresses.
            .use_base_layout()
            .default_models_expand_depth(0)
            .try_it_out_enabled(true)
            .persist_authorization(false),
    )
});

/// The page styles itself with attributes; everything else comes from this server.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
     frame-ancestors 'none'",
);

/// Returns the routes of the document and its page, which need no key.
pub(super) fn routes(document: Bytes) -> Router<HttpState> {
    Router::new()
        .route(
            "/openapi.json",
            get(async move || ([(CONTENT_TYPE, "application/json")], document.clone())),
        )
        // Relative, so that a path prefix of a proxy is kept.
        .route("/docs", get(|| async { Redirect::permanent("docs/") }))
        .route("/docs/", get(|| async { page("index.html") }))
        .route(
            "/docs/{*file}",
            get(|Path(file): Path<String>| async move { page(&file) }),
        )
}

fn page(file: &str) -> Response {
    match utoipa_swagger_ui::serve(file, Arc::clone(&PAGE)) {
        Ok(Some(found)) => {
            let kind = HeaderValue::try_from(found.content_type)
                .unwrap_or(HeaderValue::from_static("application/octet-stream"));
            let head = [
                (CONTENT_TYPE, kind),
                (CONTENT_SECURITY_POLICY, POLICY),
                (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            ];
            (head, found.bytes.into_owned()).into_response()
        }
        Ok(None) | Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
