//! Somebody looks through the library, and deletes from it.

use std::collections::BTreeSet;

use lucida::http::Scope;
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
        "a foreign photo is told like one that is not there: {details:?}"
    );
    let own = send(server.get(&format!("/v1/photos/{id}")).header("x-api-key", "a")).await;
    assert_eq!(own.status, 200, "and nobody else's call has touched it");
}
