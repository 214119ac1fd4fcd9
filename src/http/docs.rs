//! The OpenAPI document, made from the code, and the page that shows it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, Modify, OpenApi};
use utoipa_swagger_ui::Config;

use super::auth::KEY_HEADER;
use super::bounds;
use super::codes::CODES;
use super::problem::{CONTENT_TYPE_PROBLEM, ProblemBody};
use super::state::HttpState;
use super::{content, dto, embed, health, info, openai, photos, search, upload};

/// The whole surface.
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
    paths(
        upload::upload,
        photos::list,
        photos::get,
        photos::edit,
        photos::delete,
        photos::retry,
        content::original,
        content::thumbnail,
        search::search,
        embed::image,
        embed::text,
        openai::embeddings,
        info::models,
        info::stats,
        health::alive,
        health::ready,
        health::metrics,
    ),
    components(schemas(ProblemBody, dto::PhotoBody)),
    security(("key" = []), ("bearer" = [])),
    modifiers(&Details)
)]
struct Document;

/// What can't be said in attributes: how keys are sent, and what each problem's code means.
struct Details;

impl Modify for Details {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        document.info.version = env!("CARGO_PKG_VERSION").to_owned();
        let mut text = document.info.description.take().unwrap_or_default();
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
        document.info.description = Some(text);
        let components = document.components.get_or_insert_default();
        let key = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(KEY_HEADER)));
        components.add_security_scheme("key", key);
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The failures that any call may have.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let problem = |description: &str| {
            let schema = Ref::from_schema_name("ProblemBody");
            let content = ContentBuilder::new().schema(Some(schema)).build();
            RefOr::T(
                ResponseBuilder::new()
                    .description(description)
                    .content(CONTENT_TYPE_PROBLEM, content)
                    .build(),
            )
        };
        [
            ("401", "There is no key, or it is not valid."),
            ("403", "The key lacks the scope."),
            ("422", "The input is wrong; `field` names what."),
            (
                "429",
                "Too much work is waiting; `Retry-After` says when to come back.",
            ),
            (
                "503",
                "A part of the server is away or took too long; `Retry-After` says when to come back.",
            ),
            ("default", "Any other failure; `code` says which."),
        ]
        .into_iter()
        .map(|(status, description)| (status.to_owned(), problem(description)))
        .collect()
    }
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
pub(super) fn routes(state: &HttpState) -> Router<HttpState> {
    let document: Bytes = document(state).into();
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

/// Writes the document of a server, with the bounds that it is configured with.
fn document(state: &HttpState) -> String {
    let mut document =
        serde_json::to_value(Document::openapi()).expect("the document has only strings as keys");
    let max_text_bytes = state.photos().parts().embedder.describe().max_text_bytes;
    bounds::state(&mut document, state.options(), max_text_bytes);
    document.to_string()
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
