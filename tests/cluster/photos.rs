//! Photos that differ, their upload by clients that don't give up, and what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::drawn::photo;
use crate::process::{Process, upload};

const PATIENCE: Duration = Duration::from_secs(420);

/// How often what should come about is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Photos on their way into a cluster.
#[derive(Clone)]
pub(crate) struct Album {
    photos: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    /// How many may be uploaded yet.
    allowance: Arc<Semaphore>,
    /// Which photo each acknowledged id is.
    acknowledged: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Album {
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let album = Self::held_back(seed, count);
        album.allow(count);
        album
    }

    /// Makes one whose photos are uploaded as [`Album::allow`] says.
    pub(crate) fn held_back(seed: u64, count: usize) -> Self {
        let photos = (0..count as u64).map(|number| photo(seed.wrapping_add(number)));
        Self {
            photos: Arc::new(photos.collect()),
            next: Arc::default(),
            allowance: Arc::new(Semaphore::new(0)),
            acknowledged: Arc::default(),
        }
    }

    /// Lets so many more be uploaded.
    pub(crate) fn allow(&self, count: usize) {
        self.allowance.add_permits(count);
    }

    /// Starts clients that upload all photos, each to one of the servers after the other.
    pub(crate) fn upload_by(&self, clients: usize, urls: &[String]) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let (album, urls) = (self.clone(), urls.to_vec());
            tasks.spawn(async move {
                let client = reqwest::Client::builder()
                    .timeout(Duration::from_secs(30))
                    .build()
                    .unwrap();
                loop {
                    if album.next.load(Ordering::SeqCst) >= album.photos.len() {
                        return;
                    }
                    let Ok(allowed) = album.allowance.acquire().await else {
                        return;
                    };
                    allowed.forget();
                    let number = album.next.fetch_add(1, Ordering::SeqCst);
                    if number + 1 >= album.photos.len() {
                        // Nobody else need wait any more.
                        album.allowance.close();
                    }
                    let Some(photo) = album.photos.get(number) else {
                        return;
                    };
                    let id = upload_until_acknowledged(&client, &urls, number, photo).await;
                    album.acknowledged.lock().unwrap().insert(id, number);
                }
            });
        }
        tasks
    }

    pub(crate) fn acknowledged(&self) -> BTreeMap<String, usize> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Waits until so many photos are acknowledged.
    pub(crate) async fn until_acknowledged(&self, count: usize) {
        let started = Instant::now();
        while self.acknowledged.lock().unwrap().len() < count.min(self.photos.len()) {
            assert!(started.elapsed() < PATIENCE, "uploads stand still");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until every acknowledged photo is ready, and compares each original.
    pub(crate) async fn assert_all_ready(&self, api: &Process) {
        let acknowledged = self.acknowledged();
        assert_eq!(
            acknowledged.len(),
            self.photos.len(),
            "each photo has an id of its own"
        );
        for (id, number) in &acknowledged {
            api.until_ready(&format!("/v1/photos/{id}")).await;
            let original = api.get(&format!("/v1/photos/{id}/content")).await.unwrap();
            let original = original.bytes().await.unwrap();
            assert!(original == self.photos[*number], "the original of {id} differs");
        }
    }

    /// Looks whether a search for everything finds each photo once.
    pub(crate) async fn assert_each_found_once(&self, api: &Process) {
        let count = self.photos.len();
        let (status, found) = api.search("colours", count + 100).await.unwrap();
        assert_eq!(status, 200, "{found}");
        let hits = found["hits"].as_array().unwrap();
        let ids: BTreeSet<_> = hits
            .iter()
            .map(|hit| hit["photo"]["id"].as_str().unwrap())
            .collect();
        assert_eq!(
            (hits.len(), ids.len()),
            (count, count),
            "each photo is found once"
        );
    }
}

/// Sends a photo again and again, as a client does whose servers come and go, until it gets an id for it.
async fn upload_until_acknowledged(
    client: &reqwest::Client,
    urls: &[String],
    number: usize,
    photo: &[u8],
) -> String {
    let started = Instant::now();
    for url in urls.iter().cycle().skip(number) {
        // An answer cut off by a kill acknowledges nothing.
        if let Ok((status, answer)) = upload(client, url, photo).await {
            if (200..300).contains(&status) {
                return answer["id"].as_str().unwrap().to_owned();
            }
            assert!([429, 503].contains(&status), "{status}: {answer}");
        }
        assert!(started.elapsed() < PATIENCE, "no acknowledgement in time");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    unreachable!("a cycle doesn't end");
}
