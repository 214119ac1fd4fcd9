//! Somebody finds photos again.

use lucida_core::Scope;
use lucida_testkit::jpeg;
use reqwest::multipart::Part;
use serde_json::{Value, json};

use crate::server::{Server, Setup, file_form, file_part, send};

const RED: [u8; 3] = [220, 30, 30];
const GREEN: [u8; 3] = [30, 180, 40];
const BLUE: [u8; 3] = [30, 50, 220];

fn ids(found: &Value) -> Vec<String> {
    let hits = found["hits"].as_array().unwrap();
    hits.iter()
        .map(|hit| hit["photo"]["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn words_a_photo_and_a_picture_find_the_photos_like_them() {
    let server = Server::start().await;
    let red = server.add(&jpeg(64, 64, RED), json!({})).await;
    let reddish = server.add(&jpeg(64, 64, [200, 40, 40]), json!({})).await;
    let blue = server.add(&jpeg(64, 64, BLUE), json!({})).await;

    let found = server
        .post_json("/v1/search", json!({"text": "blue"}))
        .await
        .json();
    assert_eq!(ids(&found)[0], blue);
    assert_eq!(found["model"], "hash");
    assert_eq!(found["hits"][0]["photo"]["state"], "ready");
    let scores: Vec<_> = found["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");

    let like_red = server
        .post_json("/v1/search", json!({"photo_id": red}))
        .await
        .json();
    assert_eq!(
        ids(&like_red),
        [reddish, blue.clone()],
        "the photo itself is left out"
    );

    let form = file_form(&jpeg(50, 70, BLUE), "q.jpg").text("limit", "1");
    let by_picture = send(server.post("/v1/search").multipart(form)).await.json();
    assert_eq!(ids(&by_picture), [blue]);
    server.assert_spool_is_clean().await;
    assert_eq!(
        send(server.get("/v1/photos")).await.json()["photos"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_holds_before_the_search() {
    let server = Server::start().await;
    let old = server
        .add(
            &jpeg(64, 64, RED),
            json!({"tags": ["a", "b"], "taken_at": "2020-05-01T00:00:00Z"}),
        )
        .await;
    let new = server
        .add(
            &jpeg(64, 64, BLUE),
            json!({"tags": ["a"], "taken_at": "2024-05-01T00:00:00Z"}),
        )
        .await;
    let untold = server.add(&jpeg(64, 64, GREEN), json!({})).await;
    for (filter, expected) in [
        (json!({}), vec![&old, &new, &untold]),
        (json!({"tags": ["a"]}), vec![&old, &new]),
        (json!({"tags": ["a", "b"]}), vec![&old]),
        (json!({"taken_from": "2022-01-01T00:00:00Z"}), vec![&new]),
        (json!({"taken_to": "2022-01-01T00:00:00Z"}), vec![&old]),
        (
            json!({"taken_from": "2020-05-01T02:00:00+02:00", "taken_to": "2020-05-01T00:00:01Z"}),
            vec![&old],
        ),
        (json!({"tags": ["none"]}), vec![]),
    ] {
        let found = server
            .post_json("/v1/search", json!({"text": "red", "filter": filter}))
            .await
            .json();
        let mut found = ids(&found);
        found.sort();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter}");

        let form = file_form(&jpeg(50, 50, RED), "q.jpg").part("filter", Part::text(filter.to_string()));
        let mut found = ids(&send(server.post("/v1/search").multipart(form)).await.json());
        found.sort();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_search_is_refused_by_field_and_bound() {
    let server = Server::start().await;
    for (body, status, code, field, named) in [
        (json!({"text": ""}), 422, "empty_text", "text", "1 to 8192 bytes"),
        (
            json!({"text": "  \n"}),
            422,
            "empty_text",
            "text",
            "1 to 8192 bytes",
        ),
        (
            json!({"text": "x".repeat(100_000)}),
            422,
            "text_too_long",
            "text",
            "1 to 8192",
        ),
        (
            json!({"text": "x", "limit": 0}),
            422,
            "invalid_field",
            "limit",
            "1 to 100",
        ),
        (
            json!({"text": "x", "limit": 10_000}),
            422,
            "invalid_field",
            "limit",
            "1 to 100",
        ),
        (
            json!({"text": "x", "limit": -1}),
            422,
            "invalid_field",
            "limit",
            "limit",
        ),
        (json!({"text": 5}), 422, "invalid_field", "text", "string"),
        (json!({}), 422, "missing_field", "text", "photo_id"),
        (
            json!({"text": "x", "photo_id": "y"}),
            422,
            "invalid_field",
            "photo_id",
            "not both",
        ),
        (
            json!({"text": "x", "limt": 5}),
            422,
            "unknown_field",
            "limt",
            "limit",
        ),
        (
            json!({"text": "x", "filter": {"tag": []}}),
            422,
            "unknown_field",
            "filter.tag",
            "tags",
        ),
        (
            json!({"text": "x", "filter": {"taken_to": "soon"}}),
            422,
            "invalid_field",
            "filter.taken_to",
            "filter.taken_to",
        ),
        (
            json!({"text": "x", "filter": [null, null, []]}),
            422,
            "invalid_field",
            "filter",
            "object",
        ),
        (
            json!({"text": "x", "filter": {"tags": [""]}}),
            422,
            "invalid_field",
            "filter.tags",
            "1 to 200",
        ),
        (
            json!({"photo_id": "nonsense"}),
            404,
            "photo_not_found",
            "photo_id",
            "nonsense",
        ),
    ] {
        let problem = server
            .post_json("/v1/search", body.clone())
            .await
            .problem_of(status, code, field);
        assert!(
            problem["detail"].as_str().unwrap().contains(named),
            "{named}: {problem}"
        );
    }
    let missing = json!({"photo_id": "01890a5d-ac96-774b-bcce-b302099a8057"});
    server
        .post_json("/v1/search", missing)
        .await
        .problem(404, "photo_not_found");
    send(server.post("/v1/search?limit=5").json(&json!({"text": "x"})))
        .await
        .problem_of(422, "unknown_field", "limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_is_refused() {
    let server = Server::start().await;
    let body =
        |kind: &str, body: &'static str| server.post("/v1/search").header("content-type", kind).body(body);
    send(body("application/json", "{\"text\": "))
        .await
        .problem(400, "malformed_json");
    send(body("application/json", ""))
        .await
        .problem(400, "malformed_json");
    send(body("application/json", "[]"))
        .await
        .problem(422, "invalid_field");
    send(body("application/x-www-form-urlencoded", "text=dog"))
        .await
        .problem(415, "unsupported_media_type");
    send(server.post("/v1/search"))
        .await
        .problem(415, "unsupported_media_type");
    let huge = json!({"text": "x".repeat(3_000_000)});
    server
        .post_json("/v1/search", huge)
        .await
        .problem(413, "payload_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_picture_to_search_by_is_told_apart() {
    let server = Server::start().await;
    let picture = jpeg(64, 64, RED);
    for (form, status, code, field) in [
        (file_form(b"words", "q.jpg"), 415, "not_an_image", "file"),
        (file_form(b"", "q.jpg"), 422, "empty_file", "file"),
        (
            file_form(&picture[..picture.len() / 2], "q.jpg"),
            422,
            "truncated_image",
            "file",
        ),
        (
            file_form(&jpeg(1200, 1200, RED), "q.jpg"),
            422,
            "too_many_pixels",
            "file",
        ),
        (
            file_form(&picture, "q.jpg").part("file", file_part(&picture, "q.jpg")),
            422,
            "duplicate_part",
            "file",
        ),
        (
            file_form(&picture, "q.jpg").text("limit", "0"),
            422,
            "invalid_field",
            "limit",
        ),
        (
            file_form(&picture, "q.jpg").text("limit", "ten"),
            400,
            "malformed_json",
            "limit",
        ),
        (
            file_form(&picture, "q.jpg").text("filter", "{\"x\":1}"),
            422,
            "unknown_field",
            "filter.x",
        ),
        (
            file_form(&picture, "q.jpg").text("text", "dog"),
            422,
            "unknown_field",
            "text",
        ),
        (
            reqwest::multipart::Form::new().text("limit", "5"),
            422,
            "missing_field",
            "file",
        ),
    ] {
        send(server.post("/v1/search").multipart(form))
            .await
            .problem_of(status, code, field);
    }
    server.assert_spool_is_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_finds_anothers_photos() {
    let server = Setup::new()
        .key("a", "alice", &Scope::ALL)
        .key("b", "bob", &Scope::ALL)
        .start()
        .await;
    let photo = jpeg(64, 64, RED);
    let form = file_form(&photo, "a.jpg");
    let reply = send(
        server
            .post("/v1/photos?wait=true")
            .header("x-api-key", "a")
            .multipart(form),
    )
    .await;
    let id = reply.json()["id"].as_str().unwrap().to_owned();

    let search =
        |key: &'static str, body: Value| send(server.post("/v1/search").header("x-api-key", key).json(&body));
    assert_eq!(
        ids(&search("a", json!({"text": "red"})).await.json()),
        [id.as_str()]
    );
    assert!(ids(&search("b", json!({"text": "red"})).await.json()).is_empty());
    search("b", json!({"photo_id": id}))
        .await
        .problem(404, "photo_not_found");

    let same = file_form(&photo, "b.jpg");
    let reply = send(
        server
            .post("/v1/photos?wait=true")
            .header("x-api-key", "b")
            .multipart(same),
    )
    .await;
    assert_eq!(
        reply.status, 201,
        "the same bytes of another user are another photo"
    );
    assert_ne!(reply.json()["id"], id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_without_a_vector_can_not_be_searched_by_yet() {
    let server = Server::start().await;
    server.model.hold();
    let reply = send(
        server
            .post("/v1/photos")
            .multipart(file_form(&jpeg(64, 64, RED), "a.jpg")),
    )
    .await;
    let id = reply.json()["id"].clone();
    server
        .post_json("/v1/search", json!({"photo_id": id}))
        .await
        .problem(409, "not_ready");
    server.model.release();
}
