//! Somebody looks through the library, edits photos, and deletes from it.

use std::collections::BTreeSet;

use lucida_core::Scope;
use lucida_testkit::jpeg;
use serde_json::{Value, json};

use crate::server::{Reply, Server, Setup, file_form, send};

/// Uploads photos of different greys; returns their ids, the latest first.
async fn fill(server: &Server, count: u8) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let metadata = json!({
            "tags": if number % 2 == 0 { json!(["even", "all"]) } else { json!(["all"]) },
            "taken_at": format!("2024-01-{:02}T12:00:00Z", number + 1),
        });
        ids.push(server.add(&jpeg(32, 32, [number * 9, 0, 0]), metadata).await);
    }
    ids.reverse();
    ids
}

async fn list(server: &Server, query: &str) -> Reply {
    send(server.get(&format!("/v1/photos{query}"))).await
}

fn ids(page: &Value) -> Vec<String> {
    page["photos"]
        .as_array()
        .unwrap()
        .iter()
        .map(|photo| photo["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_while_photos_come_and_go() {
    let server = Server::start().await;
    let all = fill(&server, 7).await;
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = list(&server, &query).await.json();
        seen.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        query = format!("?limit=2&cursor={cursor}");
        if seen.len() == 2 {
            // The photo that the cursor names goes, and a new one comes.
            assert_eq!(
                send(server.delete(&format!("/v1/photos/{}", seen[1])))
                    .await
                    .status,
                204
            );
            server.add(&jpeg(32, 32, [0, 0, 250]), json!({})).await;
        }
    }
    assert_eq!(seen, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_the_list() {
    let server = Server::start().await;
    let all = fill(&server, 5).await;
    for (query, expected) in [
        ("?tag=even", vec![&all[0], &all[2], &all[4]]),
        ("?tag=even&tag=all", vec![&all[0], &all[2], &all[4]]),
        ("?tag=none", vec![]),
        ("?taken_from=2024-01-04T00:00:00Z", vec![&all[0], &all[1]]),
        ("?taken_to=2024-01-02T12:00:00Z", vec![&all[4]]),
        (
            "?taken_from=2024-01-02T00:00:00Z&taken_to=2024-01-03T00:00:00Z",
            vec![&all[3]],
        ),
        ("?state=ready&limit=1", vec![&all[0]]),
        ("?state=failed", vec![]),
        ("?state=failed&state=ready&limit=200", all.iter().collect()),
    ] {
        let page = list(&server, query).await.json();
        assert_eq!(ids(&page).iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_parameter_is_refused_by_name_and_bound() {
    let server = Server::start().await;
    for (query, code, field, named) in [
        ("?limit=0", "invalid_field", "limit", "1 to 200"),
        ("?limit=201", "invalid_field", "limit", "1 to 200"),
        ("?limit=many", "invalid_field", "limit", "1 to 200"),
        ("?limit=1&limit=2", "invalid_field", "limit", "more than once"),
        (
            "?state=deleting",
            "invalid_field",
            "state",
            "pending, ready or failed",
        ),
        (
            "?state=asleep",
            "invalid_field",
            "state",
            "pending, ready or failed",
        ),
        (
            "?taken_from=june",
            "invalid_field",
            "taken_from",
            "2024-06-30T12:00:00Z",
        ),
        (
            "?taken_from=2024-02-01T00:00:00Z&taken_to=2024-01-01T00:00:00Z",
            "invalid_field",
            "taken_to",
            "after",
        ),
        ("?tag=", "invalid_field", "tag", "1 to 200"),
        ("?colour=red", "unknown_field", "colour", "expected"),
        ("?cursor=", "invalid_cursor", "cursor", "again"),
        ("?cursor=AAAA", "invalid_cursor", "cursor", "again"),
    ] {
        let problem = list(&server, query).await.problem_of(422, code, field);
        assert!(
            problem["detail"].as_str().unwrap().contains(named),
            "{query}: {problem}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_is_refused_by_any_other_list() {
    let server = Setup::new()
        .key("a", "alice", &Scope::ALL)
        .key("b", "bob", &Scope::ALL)
        .start()
        .await;
    let as_user = |key: &'static str, path: String| server.get(&path).header("x-api-key", key);
    for number in 0..3 {
        let form = file_form(&jpeg(32, 32, [number * 80, 0, 0]), "a.jpg");
        let reply = send(
            server
                .post("/v1/photos?wait=true")
                .header("x-api-key", "a")
                .multipart(form),
        )
        .await;
        assert_eq!(reply.status, 201);
    }
    let page = send(as_user("a", "/v1/photos?limit=1".to_owned())).await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let own = send(as_user("a", format!("/v1/photos?cursor={cursor}")))
        .await
        .json();
    assert_eq!(own["photos"].as_array().unwrap().len(), 2);
    let filtered = format!("/v1/photos?state=ready&cursor={cursor}");
    send(as_user("a", filtered))
        .await
        .problem_of(422, "invalid_cursor", "cursor");
    let foreign = format!("/v1/photos?cursor={cursor}");
    send(as_user("b", foreign))
        .await
        .problem_of(422, "invalid_cursor", "cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_photo_is_gone_everywhere() {
    let server = Server::start().await;
    let photo = jpeg(48, 48, [220, 30, 30]);
    let id = server.add(&photo, json!({})).await;
    let path = format!("/v1/photos/{id}");
    let reply = send(server.delete(&path)).await;
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    send(server.delete(&path)).await.problem(404, "photo_not_found");
    send(server.get(&path)).await.problem(404, "photo_not_found");
    send(server.get(&format!("{path}/content")))
        .await
        .problem(404, "photo_not_found");
    assert_eq!(list(&server, "").await.json()["photos"], json!([]));
    let found = server
        .post_json("/v1/search", json!({"text": "red"}))
        .await
        .json();
    assert_eq!(found["hits"], json!([]));
    assert_ne!(
        server.add(&photo, json!({})).await,
        id,
        "the same bytes may come back, as a new photo"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_id_of_ones_own_is_not_found_whatever_it_looks_like() {
    let server = Setup::new()
        .key("a", "alice", &Scope::ALL)
        .key("b", "bob", &Scope::ALL)
        .start()
        .await;
    let form = file_form(&jpeg(32, 32, [9, 9, 9]), "a.jpg");
    let reply = send(
        server
            .post("/v1/photos?wait=true")
            .header("x-api-key", "a")
            .multipart(form),
    )
    .await;
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    let upper = id.to_uppercase();
    let mut details = BTreeSet::new();
    for (given, key) in [
        (id.as_str(), "b"),
        (upper.as_str(), "a"),
        ("01890a5d-ac96-774b-bcce-b302099a8057", "a"),
        ("1", "a"),
        ("%FF", "a"),
        ("..%2F..%2Fetc%2Fpasswd", "a"),
    ] {
        let path = format!("/v1/photos/{given}");
        for request in [
            server.get(&path),
            server.get(&format!("{path}/content")),
            server.get(&format!("{path}/thumbnail")),
            server.delete(&path),
            server.post(&format!("{path}/retry")),
        ] {
            let problem = send(request.header("x-api-key", key))
                .await
                .problem(404, "photo_not_found");
            details.insert(problem["detail"].as_str().unwrap().replace(given, "_"));
        }
    }
    assert!(
        details.len() <= 3,
        "a foreign photo is answered like a missing one: {details:?}"
    );
    let own = send(server.get(&format!("/v1/photos/{id}")).header("x-api-key", "a")).await;
    assert_eq!(own.status, 200, "and nobody else's call has touched it");
}

async fn found_by(server: &Server, filter: Value) -> Vec<String> {
    let query = json!({ "text": "red", "filter": filter });
    let found = server.post_json("/v1/search", query).await.json();
    let hits = found["hits"].as_array().unwrap();
    hits.iter()
        .map(|hit| hit["photo"]["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_time_are_edited_and_searches_go_by_the_edit_at_once() {
    let server = Server::start().await;
    let metadata = json!({ "tags": ["sea", "old"], "taken_at": "2024-01-01T00:00:00Z" });
    let id = server.add(&jpeg(48, 48, [220, 30, 30]), metadata).await;
    let path = format!("/v1/photos/{id}");
    for (changes, tags, taken_at) in [
        (json!({}), json!(["old", "sea"]), json!("2024-01-01T00:00:00Z")),
        (
            json!({ "tags": null, "add_tags": null, "taken_at": null, "clear_taken_at": null }),
            json!(["old", "sea"]),
            json!("2024-01-01T00:00:00Z"),
        ),
        (
            json!({ "add_tags": ["sun", " sea "], "remove_tags": ["old", "unknown"] }),
            json!(["sea", "sun"]),
            json!("2024-01-01T00:00:00Z"),
        ),
        (
            json!({ "taken_at": "2023-05-05T12:00:00+02:00" }),
            json!(["sea", "sun"]),
            json!("2023-05-05T10:00:00Z"),
        ),
        (
            json!({ "clear_taken_at": true }),
            json!(["sea", "sun"]),
            Value::Null,
        ),
        (
            json!({ "tags": ["new"], "taken_at": "2020-02-02T20:20:20Z" }),
            json!(["new"]),
            json!("2020-02-02T20:20:20Z"),
        ),
    ] {
        let edited = server.patch_json(&path, changes.clone()).await.json();
        assert_eq!(
            (&edited["tags"], &edited["taken_at"], &edited["state"]),
            (&tags, &taken_at, &json!("ready")),
            "{changes}"
        );
        assert_eq!(server.photo(&id).await, edited);
        assert_eq!(
            found_by(&server, json!({ "tags": tags })).await,
            std::slice::from_ref(&id),
            "{changes}"
        );
    }
    assert_eq!(found_by(&server, json!({ "tags": ["sea"] })).await, [""; 0]);
    let day = json!({ "taken_from": "2020-02-02T00:00:00Z", "taken_to": "2020-02-03T00:00:00Z" });
    assert_eq!(found_by(&server, day).await, std::slice::from_ref(&id));
    let page = list(&server, "?tag=new").await.json();
    assert_eq!(ids(&page), [id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_edit_is_refused_by_name_and_changes_nothing() {
    let server = Server::start().await;
    let id = server
        .add(&jpeg(48, 48, [220, 30, 30]), json!({ "tags": ["sea"] }))
        .await;
    let path = format!("/v1/photos/{id}");
    let many: Vec<_> = (0..65).map(|number| format!("tag {number}")).collect();
    for (changes, code, field) in [
        (
            json!({ "tags": ["a"], "add_tags": ["b"] }),
            "invalid_field",
            "add_tags",
        ),
        (
            json!({ "tags": [], "remove_tags": ["b"] }),
            "invalid_field",
            "remove_tags",
        ),
        (
            json!({ "taken_at": "2020-02-02T20:20:20Z", "clear_taken_at": true }),
            "invalid_field",
            "clear_taken_at",
        ),
        (json!({ "taken_at": "yesterday" }), "invalid_field", "taken_at"),
        (json!({ "add_tags": [""] }), "invalid_field", "add_tags"),
        (json!({ "tags": many }), "invalid_field", "tags"),
        (json!({ "filename": "b.jpg" }), "unknown_field", "filename"),
    ] {
        server
            .patch_json(&path, changes)
            .await
            .problem_of(422, code, field);
    }
    assert_eq!(server.photo(&id).await["tags"], json!(["sea"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_photo_cant_be_edited_and_a_read_only_key_edits_none() {
    let server = Setup::new()
        .key("a", "alice", &Scope::ALL)
        .key("r", "alice", &[Scope::Read])
        .key("b", "bob", &Scope::ALL)
        .start()
        .await;
    let form = file_form(&jpeg(32, 32, [9, 9, 9]), "a.jpg");
    let upload = server.post("/v1/photos?wait=true").header("x-api-key", "a");
    let id = send(upload.multipart(form)).await.json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let patch = |key: &'static str| {
        let request = server.request(reqwest::Method::PATCH, &format!("/v1/photos/{id}"));
        send(
            request
                .header("x-api-key", key)
                .json(&json!({ "tags": ["mine"] })),
        )
    };
    patch("b").await.problem(404, "photo_not_found");
    patch("r").await.problem(403, "missing_scope");
    assert_eq!(patch("a").await.json()["tags"], json!(["mine"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_again_with_other_tags_answers_with_the_photo_as_it_is() {
    let server = Server::start().await;
    let photo = jpeg(48, 48, [220, 30, 30]);
    let id = server.add(&photo, json!({ "tags": ["sea"] })).await;
    let metadata = json!({ "tags": ["sun"], "taken_at": "2020-02-02T20:20:20Z" });
    let form = file_form(&photo, "b.jpg").text("metadata", metadata.to_string());
    let again = send(server.post("/v1/photos").multipart(form)).await;
    assert_eq!(again.status, 200);
    let again = again.json();
    assert_eq!(
        (
            &again["id"],
            &again["tags"],
            &again["taken_at"],
            &again["filename"]
        ),
        (
            &json!(id),
            &json!(["sea", "sun"]),
            &json!("2020-02-02T20:20:20Z"),
            &json!("photo.jpg")
        )
    );
    assert_eq!(found_by(&server, json!({ "tags": ["sun"] })).await, [id]);
}
