//! Somebody looks for the photos of a day.

use lucida_testkit::jpeg;
use serde_json::{Value, json};

use crate::server::{Reply, Server, send};

async fn list(server: &Server, query: &str) -> Reply {
    send(server.get(&format!("/v1/photos?{query}"))).await
}

async fn search(server: &Server, filter: Value) -> Reply {
    let body = json!({ "text": "red", "filter": filter });
    server.post_json("/v1/search", body).await
}

/// Asks a list and a search for a range; both find the photo or neither.
async fn is_found(server: &Server, from: &str, to: &str) -> bool {
    let query = format!("taken_from={from}&taken_to={to}").replace('+', "%2B");
    let page = list(server, &query).await.json();
    let listed = !page["photos"].as_array().unwrap().is_empty();
    let filter = json!({ "taken_from": from, "taken_to": to });
    let answer = search(server, filter).await.json();
    let found = !answer["hits"].as_array().unwrap().is_empty();
    assert_eq!(listed, found, "{from} to {to}");
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_that_of_the_place_where_the_photo_was_taken() {
    let server = Server::start().await;
    let taken = json!({ "taken_at": "2025-09-30T23:45:00-04:00" });
    let id = server.add(&jpeg(48, 48, [220, 30, 30]), taken).await;
    let photo = server.photo(&id).await;
    assert_eq!(
        (&photo["taken_at"], &photo["taken_at_local"]),
        (&json!("2025-10-01T03:45:00Z"), &json!("2025-09-30T23:45:00"))
    );
    let path = format!("/v1/photos/{id}");
    let moment = json!({ "taken_at": "2025-10-01T03:45:00Z" });
    for (changes, local, on_30_september) in [
        (json!({}), json!("2025-09-30T23:45:00"), true),
        // Where the offset is unknown, the day is that of UTC.
        (moment, Value::Null, false),
        (
            json!({ "taken_at": "2025-09-30T23:45:00-04:00" }),
            json!("2025-09-30T23:45:00"),
            true,
        ),
        (
            json!({ "taken_at": "2025-10-01T12:45:00+09:00" }),
            json!("2025-10-01T12:45:00"),
            false,
        ),
    ] {
        let edited = server.patch_json(&path, changes.clone()).await.json();
        assert_eq!(edited["taken_at"], "2025-10-01T03:45:00Z", "{changes}");
        assert_eq!(edited["taken_at_local"], local, "{changes}");
        for (from, to, expected) in [
            ("2025-09-30", "2025-09-30", on_30_september),
            ("2025-10-01", "2025-10-01", !on_30_september),
            ("2025-09-30T12:00", "2025-09-30T23:59:59", on_30_september),
            ("2025-10-01T03:45:00Z", "2025-10-01T03:45:01Z", true),
            ("2025-10-01T05:45:00+02:00", "2025-10-02", true),
            ("2025-09-30T00:00:00Z", "2025-10-01T00:00:00Z", false),
        ] {
            assert_eq!(
                is_found(&server, from, to).await,
                expected,
                "{changes}: {from} to {to}"
            );
        }
    }
    let cleared = server
        .patch_json(&path, json!({ "clear_taken_at": true }))
        .await
        .json();
    assert_eq!(
        (&cleared["taken_at"], &cleared["taken_at_local"]),
        (&Value::Null, &Value::Null)
    );
    assert!(!is_found(&server, "2000-01-01", "2099-12-31").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_day_follow_each_other() {
    let server = Server::start().await;
    for shade in 0..3 {
        let taken = json!({ "taken_at": "2025-09-30T23:45:00-04:00" });
        server.add(&jpeg(48, 48, [shade * 40, 30, 30]), taken).await;
    }
    let day = "taken_from=2025-09-30&taken_to=2025-09-30&limit=2";
    let first = list(&server, day).await.json();
    assert_eq!(first["photos"].as_array().unwrap().len(), 2);
    let cursor = first["next_cursor"].as_str().unwrap();
    let last = list(&server, &format!("{day}&cursor={cursor}")).await.json();
    assert_eq!(last["photos"].as_array().unwrap().len(), 1);
    let other = format!("taken_from=2025-09-30&taken_to=2025-10-01&limit=2&cursor={cursor}");
    list(&server, &other)
        .await
        .problem_of(422, "invalid_cursor", "cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn days_in_the_wrong_order_and_what_is_no_day_are_refused() {
    let server = Server::start().await;
    for (from, to, field, named) in [
        (
            "2025-10-01",
            "2025-09-30",
            "taken_to",
            "(2025-09-30) must be after",
        ),
        ("2025-09-31", "2025-10-01", "taken_from", "2024-06-30"),
        ("2025-09-30", "tomorrow", "taken_to", "2024-06-30T12:00:00Z"),
    ] {
        let query = format!("taken_from={from}&taken_to={to}");
        let problem = list(&server, &query)
            .await
            .problem_of(422, "invalid_field", field);
        assert!(problem["detail"].as_str().unwrap().contains(named), "{problem}");
        let filter = json!({ "taken_from": from, "taken_to": to });
        let problem =
            search(&server, filter)
                .await
                .problem_of(422, "invalid_field", &format!("filter.{field}"));
        assert!(problem["detail"].as_str().unwrap().contains(named), "{problem}");
    }
}
