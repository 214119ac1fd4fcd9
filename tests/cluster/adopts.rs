//! What a Python service has left in Qdrant is taken over: its vectors, and its originals under their ids.

use std::fs;

use qdrant_client::qdrant::{
    CreateCollectionBuilder, Distance, PointStruct, UpsertPointsBuilder, VectorParamsBuilder,
};
use qdrant_client::{Payload, Qdrant};
use reqwest::multipart::{Form, Part};
use serde_json::json;
use tokio::task::block_in_place;

use crate::cluster::Cluster;
use crate::drawn::photo;
use crate::process::Process;

const PHOTOS: u64 = 20;
const COLLECTION: &str = "of_the_python_service";

/// Embeds a photo as the other service did: the same model, in another program.
async fn embed(api: &Process, bytes: &[u8]) -> Vec<f32> {
    let part = Part::bytes(bytes.to_vec()).file_name("photo.jpg");
    let answer = api
        .client
        .post(format!("{}/embed/image", api.url))
        .multipart(Form::new().part("file", part))
        .send()
        .await
        .unwrap();
    let answer: serde_json::Value = answer.json().await.unwrap();
    serde_json::from_value(answer["embedding"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_the_same_model_is_taken_over_and_one_of_another_is_not() {
    let Some(cluster) = block_in_place(Cluster::start) else {
        return;
    };
    cluster.write_config("other.toml", "clip-laion");
    let api = cluster.api("api", "lucida.toml").await;
    let originals = tempfile::tempdir().unwrap();
    let mut points = Vec::new();
    for number in 0..PHOTOS {
        let bytes = photo(number);
        let id = uuid::Uuid::from_u128(u128::from(number) + 1);
        fs::write(originals.path().join(format!("{id}.jpg")), &bytes).unwrap();
        let payload = json!({ "photo_id": id.to_string(), "user_id": "local" });
        let vector = embed(&api, &bytes).await;
        // Numbers of its own for the points, and photos by their ids in the payload.
        points.push(PointStruct::new(
            number,
            vector,
            Payload::try_from(payload).unwrap(),
        ));
    }
    let qdrant = Qdrant::from_url(&cluster.qdrant.url())
        .skip_compatibility_check()
        .build()
        .unwrap();
    let dimensions = embed(&api, &photo(0)).await.len() as u64;
    let vectors = VectorParamsBuilder::new(dimensions, Distance::Cosine);
    let create = CreateCollectionBuilder::new(COLLECTION).vectors_config(vectors);
    qdrant.create_collection(create).await.unwrap();
    let write = UpsertPointsBuilder::new(COLLECTION, points).wait(true);
    qdrant.upsert_points(write).await.unwrap();

    let originals = originals.path().to_str().unwrap();
    let adopt = ["adopt", "--collection", COLLECTION, "--originals", originals];
    let (done, said) = block_in_place(|| cluster.run("other.toml", &adopt));
    assert!(!done && said.contains("isn't the model"), "{said}");
    let (done, said) = block_in_place(|| cluster.run("lucida.toml", &[&adopt[..], &["--dry-run"]].concat()));
    assert!(done && said.contains("compared 20 vectors"), "{said}");
    let none = api.json("/v1/photos").await;
    assert_eq!(
        none["photos"],
        json!([]),
        "neither a refusal nor a look takes anything over"
    );
    let (done, said) = block_in_place(|| cluster.run("lucida.toml", &adopt));
    assert!(done && said.contains("20 points: 20 taken over"), "{said}");

    let worker = cluster.worker("worker", "lucida.toml", &[]).await;
    for number in 0..PHOTOS {
        let id = uuid::Uuid::from_u128(u128::from(number) + 1);
        let photo = api.until_ready(&format!("/v1/photos/{id}")).await;
        assert_eq!(photo["filename"], format!("{id}.jpg"));
    }
    let (status, found) = api.search("colours", 100).await.unwrap();
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["hits"].as_array().unwrap().len() as u64, PHOTOS);
    assert!(worker.stop() && api.stop());
    let (clean, said) = block_in_place(|| cluster.run("lucida.toml", &["check", "--grace-secs", "0"]));
    assert!(clean && said.contains("20 photos, 20 vectors"), "{said}");
}
