//! A photo that was acknowledged is never lost, however often the server is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::drawn::photo;
use crate::process::{self, Server, run};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const PHOTOS: usize = 200;
const KILLS: usize = 30;
const CLIENTS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn thirty_kills_during_a_parallel_upload_lose_nothing() {
    let seed = std::env::var("LUCIDA_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    println!("seed: LUCIDA_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();

    let photos: Vec<Vec<u8>> = (0..PHOTOS as u64)
        .map(|number| photo(seed.wrapping_add(number)))
        .collect();
    let photos = Arc::new(photos);
    let acknowledged = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    let mut server = Server::start(dir.path(), &[]).await;
    let url = Arc::new(Mutex::new(server.url.clone()));

    // Each start of the server sets some uploads free, so that they last as long as the kills do.
    let allowance = Arc::new(Semaphore::new(PHOTOS / (KILLS + 1)));
    let next = Arc::new(Mutex::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (photos, acknowledged) = (Arc::clone(&photos), Arc::clone(&acknowledged));
        let (allowance, next, url) = (Arc::clone(&allowance), Arc::clone(&next), Arc::clone(&url));
        clients.spawn(async move {
            let client = reqwest::Client::builder()
                .timeout(Duration::from_secs(20))
                .build()
                .unwrap();
            loop {
                allowance.acquire().await.unwrap().forget();
                let number = {
                    let mut next = next.lock().unwrap();
                    *next += 1;
                    *next - 1
                };
                if number >= PHOTOS {
                    return;
                }
                let id = upload_until_acknowledged(&client, &url, &photos[number]).await;
                acknowledged.lock().unwrap().insert(id, number);
            }
        });
    }

    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(random.random_range(5..700))).await;
        server.kill();
        server = Server::start(dir.path(), &[]).await;
        url.lock().unwrap().clone_from(&server.url);
        allowance.add_permits(PHOTOS.div_ceil(KILLS));
    }
    // The rest, and one more for each client to see that there is none left.
    allowance.add_permits(PHOTOS + CLIENTS);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }

    let acknowledged = acknowledged.lock().unwrap().clone();
    assert_eq!(acknowledged.len(), PHOTOS, "each photo has an id of its own");
    let started = Instant::now();
    for (id, number) in &acknowledged {
        loop {
            let photo = server.json(&format!("/v1/photos/{id}")).await;
            if photo["state"] == "ready" {
                break;
            }
            assert_eq!(photo["state"], "pending", "{photo}");
            assert!(started.elapsed() < PATIENCE, "not ready in time: {photo}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let original = server
            .get(&format!("/v1/photos/{id}/content"))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        assert!(original == photos[*number], "the original of {id} differs");
    }
    let found = server.search_text("colours", PHOTOS).await;
    let found: Vec<_> = found["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| hit["photo"]["id"].clone())
        .collect();
    let once: BTreeSet<_> = found.iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(
        (found.len(), once.len()),
        (PHOTOS, PHOTOS),
        "each photo is found once"
    );
    assert!(server.stop(), "the server did not stop cleanly");

    let check = run(dir.path(), &[], &["check"]);
    let told = String::from_utf8_lossy(&check.stdout);
    assert!(
        check.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&check.stderr)
    );
}

/// Sends a photo again and again, as a client does that lost its server, until it gets an id for it.
async fn upload_until_acknowledged(client: &reqwest::Client, url: &Mutex<String>, photo: &[u8]) -> String {
    let started = Instant::now();
    loop {
        let to = url.lock().unwrap().clone();
        if let Ok(answer) = process::upload(client, &to, photo.to_vec(), "photo.jpg", false).await {
            let status = answer.status();
            if status.is_success() {
                // An answer cut off by a kill acknowledges nothing.
                if let Ok(photo) = answer.json::<serde_json::Value>().await {
                    return photo["id"].as_str().unwrap().to_owned();
                }
            } else {
                assert!(
                    [429, 503].contains(&status.as_u16()),
                    "{status}: {:?}",
                    answer.text().await
                );
            }
        }
        assert!(started.elapsed() < PATIENCE, "no acknowledgement in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
