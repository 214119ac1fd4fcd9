//! What a program is sent, what its answers do, and what its failures cost.

#![expect(
    clippy::unwrap_used,
    reason = "what can't be made or read fails its test by panicking"
)]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use lucida_core::{
    EnrichInput, Event, Hit, Hook, ImageFormat, IndexFilter, OnFailure, Plugin, SearchInput, SearchQuery,
    Settings as _, Upload,
};
use lucida_plugin_remote::{RemoteConfig, RemotePlugin, document};
use lucida_testkit::{Fixture, jpeg, photo, picture, user};
use serde_json::{Value, json};

/// What a program was asked: hook, body, and the key.
type Asked = Arc<Mutex<Vec<(String, Value, Option<String>)>>>;

#[derive(Clone)]
struct Answers {
    answer: fn(&str) -> Response,
    asked: Asked,
}

async fn take(
    State(answers): State<Answers>,
    Path(hook): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let key = headers
        .get("authorization")
        .map(|key| key.to_str().unwrap().to_owned());
    let call = serde_json::from_slice(&body).unwrap();
    answers.asked.lock().unwrap().push((hook.clone(), call, key));
    (answers.answer)(&hook)
}

/// Starts a program that gives an answer to each hook; returns its URL and what it is asked.
async fn program(answer: fn(&str) -> Response) -> (String, Asked) {
    let asked = Asked::default();
    let state = Answers {
        answer,
        asked: Arc::clone(&asked),
    };
    let app = Router::new().route("/base/{hook}", post(take)).with_state(state);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, asked)
}

fn config(url: &str, change: Value) -> RemoteConfig {
    let mut config = json!({
        "name": "labels",
        "url": url,
        "hooks": ["inspect", "enrich", "query", "rerank", "event"],
        "timeout_secs": 5,
    });
    for (key, value) in change.as_object().unwrap() {
        config[key] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

fn plugin(url: &str) -> RemotePlugin {
    RemotePlugin::new(config(url, json!({}))).unwrap()
}

fn answered(value: Value) -> Response {
    axum::Json(value).into_response()
}

async fn fixture() -> Fixture<dyn Plugin> {
    let (url, _) = program(|_| {
        let mask = json!({"content_type": "image/png", "base64": "aGk="});
        answered(json!({"tags": ["red"], "blobs": {"mask.png": mask}}))
    })
    .await;
    let config = config(&url, json!({"hooks": ["enrich"]}));
    Fixture::new(RemotePlugin::new(config).unwrap())
}

lucida_testkit::plugin_contract!(fixture);

fn enrich_input() -> EnrichInput {
    EnrichInput {
        photo: photo(&user("alice")),
        picture: picture(640, 480, [200, 30, 30]),
        original: jpeg(640, 480, [200, 30, 30]),
    }
}

fn search() -> SearchQuery {
    SearchQuery {
        user_id: user("alice"),
        input: SearchInput::Text("hund".to_owned()),
        filter: IndexFilter::default(),
        limit: 7,
    }
}

fn hits(count: u8) -> Vec<Hit> {
    (0..count)
        .map(|number| Hit {
            score: 0.5 - f32::from(number) / 10.0,
            photo: photo(&user("alice")),
        })
        .collect()
}

#[tokio::test]
async fn a_program_sees_the_photo_and_a_jpeg_and_its_findings_are_kept() {
    let (url, asked) = program(|_| {
        answered(json!({
            "attributes": {"label": "red"},
            "tags": ["red"],
            "taken_at": "2024-05-01T10:00:00+02:00",
            "blobs": {"mask.png": {"content_type": "image/png", "base64": "aGk="}},
        }))
    })
    .await;
    let plugin = RemotePlugin::new(config(&url, json!({"picture_pixels": 320, "key": "s3cret"}))).unwrap();
    let enrichment = plugin.enrich(&enrich_input()).await.unwrap();
    assert_eq!(enrichment.attributes, Some(json!({"label": "red"})));
    assert_eq!(enrichment.tags.into_iter().collect::<Vec<_>>(), ["red"]);
    assert_eq!(enrichment.taken_at.unwrap().to_string(), "2024-05-01T08:00:00Z");
    let blob = &enrichment.blobs["mask.png"];
    assert_eq!(
        (blob.content_type.as_str(), blob.bytes.as_ref()),
        ("image/png", b"hi".as_slice())
    );

    let (hook, call, key) = asked.lock().unwrap().remove(0);
    assert_eq!((hook.as_str(), key.as_deref()), ("enrich", Some("Bearer s3cret")));
    assert_eq!(
        (&call["protocol"], &call["plugin"]),
        (&json!(1), &json!("labels"))
    );
    assert_eq!(call["photo"]["user_id"], "alice");
    assert_eq!(
        (&call["picture"]["width"], &call["picture"]["height"]),
        (&json!(320), &json!(240))
    );
    let file = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        call["picture"]["base64"].as_str().unwrap(),
    );
    let seen = image::load_from_memory(&file.unwrap()).unwrap().into_rgb8();
    assert_eq!(seen.dimensions(), (320, 240));
    let [red, green, _] = seen.get_pixel(160, 120).0;
    assert!(red > 180 && green < 50, "{red} {green}");
}

#[tokio::test]
async fn an_upload_that_a_program_refuses_is_refused_with_its_sentence() {
    let (url, asked) = program(|_| answered(json!({"refuse": "no screenshots here"}))).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("upload");
    std::fs::write(&path, jpeg(900, 600, [10, 200, 10])).unwrap();
    let upload = Upload {
        user_id: user("alice"),
        filename: Some("Screenshot.jpg".to_owned()),
        format: ImageFormat::Jpeg,
        width: 900,
        height: 600,
        size_bytes: 12_345,
        path,
    };
    let error = plugin(&url).inspect(&upload).await.unwrap_err();
    assert_eq!(error.code(), "refused_by_plugin");
    assert_eq!(error.message(), "no screenshots here");
    let (_, call, _) = asked.lock().unwrap().remove(0);
    assert_eq!(call["upload"]["filename"], "Screenshot.jpg");
    assert_eq!(
        (&call["picture"]["width"], &call["picture"]["height"]),
        (&json!(512), &json!(341))
    );
}

#[tokio::test]
async fn a_program_changes_a_search_but_never_whose_it_is() {
    let (url, asked) = program(|_| {
        answered(json!({
            "text": "dog", "tags": ["pets"], "taken_from": "2024-01-01T00:00:00Z", "taken_to": null, "limit": 500,
        }))
    })
    .await;
    let changed = plugin(&url).query(search()).await.unwrap();
    assert_eq!(changed.input, SearchInput::Text("dog".to_owned()));
    assert_eq!(changed.filter.tags, ["pets"]);
    assert_eq!(
        changed.filter.taken_from.unwrap().to_string(),
        "2024-01-01T00:00:00Z"
    );
    assert_eq!((changed.filter.taken_to, changed.limit), (None, 7));
    assert_eq!(changed.user_id, user("alice"));
    assert_eq!(asked.lock().unwrap()[0].1["query"]["text"], "hund");
}

#[tokio::test]
async fn an_empty_answer_changes_nothing() {
    let (url, _) = program(|_| StatusCode::NO_CONTENT.into_response()).await;
    let plugin = plugin(&url);
    assert_eq!(plugin.query(search()).await.unwrap(), search());
    let hits = hits(3);
    assert_eq!(plugin.rerank(&search(), hits.clone()).await.unwrap(), hits);
    plugin.event(&Event::Ready(photo(&user("alice")))).await.unwrap();
}

#[tokio::test]
async fn a_program_reorders_rescores_and_drops_hits() {
    async fn reversed(body: Bytes) -> Response {
        let call: Value = serde_json::from_slice(&body).unwrap();
        let hits: Vec<_> = call["hits"].as_array().unwrap().iter().skip(1).rev().collect();
        let order: Vec<_> = hits
            .iter()
            .map(|hit| json!({"id": hit["photo"]["id"], "score": 0.25}))
            .collect();
        answered(json!({ "hits": order }))
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/rerank", post(reversed));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let hits = hits(3);
    let ranked = plugin(&url).rerank(&search(), hits.clone()).await.unwrap();
    let ids: Vec<_> = ranked.iter().map(|hit| hit.photo.id).collect();
    assert_eq!(ids, [hits[2].photo.id, hits[1].photo.id]);
    assert!(ranked.iter().all(|hit| (hit.score - 0.25).abs() < f32::EPSILON));
}

#[tokio::test]
async fn an_answer_outside_the_protocol_is_an_error_that_says_what_is_wrong() {
    for (answer, expected) in [
        (
            (|_: &str| answered(json!({"tag": ["red"]}))) as fn(&str) -> Response,
            "unknown field `tag`",
        ),
        (|_| "not JSON".into_response(), "line 1 column"),
        (
            |_| answered(json!({"blobs": {"a": {"content_type": "image/png", "base64": "%"}}})),
            "is not base64",
        ),
        (
            |_| {
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    r#"{"error": "the model is missing"}"#,
                )
                    .into_response()
            },
            "500 Internal Server Error: the model is missing",
        ),
    ] {
        let (url, _) = program(answer).await;
        let error = plugin(&url).enrich(&enrich_input()).await.unwrap_err();
        assert_eq!(error.kind(), lucida_core::ErrorKind::Internal, "{error}");
        assert!(error.message().contains(expected), "{error}");
    }
    let (url, _) =
        program(|_| answered(json!({"hits": [{"id": "01890a5d-ac96-774b-bcce-b302099a8057"}]}))).await;
    let error = plugin(&url).rerank(&search(), hits(2)).await.unwrap_err();
    assert!(error.message().contains("which is not among the hits"), "{error}");
}

#[tokio::test]
async fn a_program_that_is_not_running_or_overloaded_is_tried_again_later() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = plugin(&url).enrich(&enrich_input()).await.unwrap_err();
    assert_eq!(error.kind(), lucida_core::ErrorKind::Unavailable, "{error}");
    assert!(
        error.message().contains("start it, or remove the plugin"),
        "{error}"
    );

    let (url, _) = program(|_| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")]).into_response()).await;
    let error = plugin(&url).enrich(&enrich_input()).await.unwrap_err();
    assert_eq!(error.kind(), lucida_core::ErrorKind::Overloaded, "{error}");
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(7)));
}

#[tokio::test]
async fn a_program_is_called_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("program.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let app = Router::new().route("/query", post(async || answered(json!({"text": "cat"}))));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let plugin = plugin(&format!("unix:{}", path.display()));
    let changed = plugin.query(search()).await.unwrap();
    assert_eq!(changed.input, SearchInput::Text("cat".to_owned()));
}

#[test]
fn settings_that_can_not_work_are_refused_by_name() {
    let good = "http://127.0.0.1:9000";
    for (url, change, field, expected) in [
        ("localhost:9000", json!({}), "url", "can't be called"),
        ("no url", json!({}), "url", "is not a URL"),
        ("unix:", json!({}), "url", "names no socket"),
        (good, json!({"name": "a/b"}), "name", "can't be a plugin's name"),
        (good, json!({"hooks": []}), "hooks", "no hook is named"),
        (
            good,
            json!({"hooks": ["event", "event"]}),
            "hooks[1]",
            "named twice",
        ),
        (
            good,
            json!({"picture_pixels": 5}),
            "picture_pixels",
            "5 is out of range",
        ),
        (good, json!({"timeout_secs": 0}), "timeout_secs", "out of range"),
    ] {
        let error = config(url, change).validate().unwrap_err();
        assert_eq!(error.field(), Some(field), "{error}");
        assert!(error.message().contains(expected), "{error}");
    }
    let config = config(good, json!({"on_failure": "fail", "picture_pixels": 0}));
    config.validate().unwrap();
    let plugin = RemotePlugin::new(config).unwrap();
    assert_eq!(plugin.on_failure(Hook::Enrich), OnFailure::Fail);
}

/// `LUCIDA_WRITE=1 cargo test -p lucida-plugin-remote` writes the document anew.
#[test]
fn the_document_of_the_protocol_is_the_one_in_the_folder() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let document = format!("{:#}\n", document());
    if std::env::var_os("LUCIDA_WRITE").is_some() {
        std::fs::write(path, &document).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), document);
}
