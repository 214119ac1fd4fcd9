//! A photo belongs to the day that the clock showed where it was taken.

use lucida_testkit::jpeg;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::camera::with_time;
use crate::process::Server;

async fn add(server: &Server, bytes: &[u8], metadata: Value) -> String {
    let form = Form::new()
        .part("file", Part::bytes(bytes.to_vec()).file_name("photo.jpg"))
        .text("metadata", metadata.to_string());
    let url = format!("{}/v1/photos?wait=true", server.url);
    let answer = server.client.post(url).multipart(form).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    let photo = answer.json::<Value>().await.unwrap();
    photo["id"].as_str().unwrap().to_owned()
}

/// Returns the photos that a list and a search find in a range, which are the same.
async fn found(server: &Server, from: &str, to: &str) -> Vec<String> {
    let sorted = |ids: Vec<&Value>| {
        let mut ids: Vec<_> = ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let page = server
        .json(&format!("/v1/photos?taken_from={from}&taken_to={to}"))
        .await;
    let photos = page["photos"].as_array().unwrap();
    let listed = sorted(photos.iter().map(|photo| &photo["id"]).collect());
    let answer = server
        .client
        .post(format!("{}/v1/search", server.url))
        .json(&json!({ "text": "a photo", "filter": { "taken_from": from, "taken_to": to } }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    let answer = answer.json::<Value>().await.unwrap();
    let hits = answer["hits"].as_array().unwrap();
    let searched = sorted(hits.iter().map(|hit| &hit["photo"]["id"]).collect());
    assert_eq!(listed, searched, "{from} to {to}");
    listed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_of_30_september_23_45_west_of_utc_is_found_on_that_day() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let evening = with_time(&jpeg(64, 48, [200, 30, 30]), "2025:09:30 23:45:00", "-04:00");
    let evening = add(&server, &evening, json!({})).await;
    // By UTC this was the day before.
    let night = json!({ "taken_at": "2025-10-01T01:15:00+02:00" });
    let night = add(&server, &jpeg(64, 48, [30, 30, 200]), night).await;
    let seen = server.json(&format!("/v1/photos/{evening}")).await;
    assert_eq!(
        (&seen["taken_at"], &seen["taken_at_local"]),
        (&json!("2025-10-01T03:45:00Z"), &json!("2025-09-30T23:45:00"))
    );
    let both = vec![evening.clone(), night.clone()];
    for (from, to, expected) in [
        ("2025-09-30", "2025-09-30", vec![evening.clone()]),
        ("2025-10-01", "2025-10-01", vec![night.clone()]),
        ("2025-09-30", "2025-10-01", both.clone()),
        (
            "2025-09-30T23:45:00",
            "2025-09-30T23:45:01",
            vec![evening.clone()],
        ),
        (
            "2025-09-30T22:00:00Z",
            "2025-10-01T00:00:00Z",
            vec![night.clone()],
        ),
        (
            "2025-10-01T00:00:00Z",
            "2025-10-02T00:00:00Z",
            vec![evening.clone()],
        ),
    ] {
        assert_eq!(found(&server, from, to).await, expected, "{from} to {to}");
    }

    // The user corrects the time; the offset is the user's from then on, also after a restart.
    let edited = server
        .client
        .patch(format!("{}/v1/photos/{evening}", server.url))
        .json(&json!({ "taken_at": "2025-10-02T00:10:00-04:00" }))
        .send()
        .await
        .unwrap();
    assert_eq!(edited.status(), 200, "{}", edited.text().await.unwrap());
    let edited = edited.json::<Value>().await.unwrap();
    assert_eq!(edited["taken_at_local"], "2025-10-02T00:10:00");
    assert!(server.stop());
    let server = Server::start(dir.path(), &[]).await;
    assert_eq!(found(&server, "2025-09-30", "2025-09-30").await, [""; 0]);
    assert_eq!(found(&server, "2025-10-02", "2025-10-02").await, [evening]);
    assert!(server.stop());
}
