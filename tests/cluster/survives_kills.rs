//! Whatever dies, an acknowledged photo is never lost, and what could be answered is.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lucida_test_servers::Server;
use rand::Rng;
use tokio::task::block_in_place;

use crate::cluster::Cluster;
use crate::photos::{Album, LOOK_EVERY};
use crate::process::Process;

const PHOTOS: usize = 300;
const CLIENTS: usize = 8;

/// How many photos there are before anybody dies.
const FIRST: usize = 20;

/// How long a victim stays dead.
const DEAD: Duration = Duration::from_secs(3);

/// How soon a probe has to name a store that is unavailable.
const NAMED_WITHIN: Duration = Duration::from_secs(60);

/// Who is dead now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Nobody,
    Worker,
    Api(usize),
    Storage,
    Metadata,
    Index,
    Queue,
}

impl Victim {
    /// Returns whether searches can be answered without it.
    const fn leaves_searches(self) -> bool {
        match self {
            Self::Nobody | Self::Worker | Self::Api(_) | Self::Storage | Self::Queue => true,
            Self::Metadata | Self::Index => false,
        }
    }

    /// Returns whether originals can be read without it.
    const fn leaves_originals(self) -> bool {
        match self {
            Self::Nobody | Self::Worker | Self::Api(_) | Self::Index | Self::Queue => true,
            Self::Metadata | Self::Storage => false,
        }
    }

    /// The part that a probe names.
    const fn part(self) -> Option<&'static str> {
        match self {
            Self::Nobody | Self::Worker | Self::Api(_) => None,
            Self::Storage => Some("storage"),
            Self::Metadata => Some("metadata"),
            Self::Index => Some("index"),
            Self::Queue => Some("queue"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_photo_outlives_the_death_of_every_process_and_server() {
    let Some(mut cluster) = block_in_place(Cluster::start) else {
        return;
    };
    let seed = rand::rng().random();
    println!("seed of the photos: {seed}");
    let mut apis = Vec::new();
    let mut workers = Vec::new();
    for number in 0..2 {
        apis.push(cluster.api(&format!("api-{number}"), "lucida.toml").await);
        workers.push(
            cluster
                .worker(&format!("worker-{number}"), "lucida.toml", &[])
                .await,
        );
    }
    for api in &apis {
        api.ready().await;
    }
    let album = Album::held_back(seed, PHOTOS);
    let urls: Vec<_> = apis.iter().map(|api| api.url.clone()).collect();
    let mut clients = album.upload_by(CLIENTS, &urls);
    album.allow(FIRST);
    album.until_acknowledged(FIRST).await;

    let readers = Readers::start(&album, &urls);
    let victims = [
        Victim::Worker,
        Victim::Queue,
        Victim::Api(0),
        Victim::Storage,
        Victim::Index,
        Victim::Metadata,
        Victim::Api(1),
    ];
    for victim in victims {
        // The others come while it is dead.
        album.allow((PHOTOS - FIRST).div_ceil(victims.len()));
        tokio::time::sleep(LOOK_EVERY).await;
        println!("killing {victim:?} after {} photos", album.acknowledged().len());
        match victim {
            Victim::Nobody => {}
            Victim::Worker => kill_process(&readers, victim, &mut workers[0]).await,
            Victim::Api(number) => kill_process(&readers, victim, &mut apis[number]).await,
            Victim::Storage => kill_server(&readers, victim, &mut cluster.minio, &apis[0]).await,
            Victim::Metadata => kill_server(&readers, victim, &mut cluster.ferretdb, &apis[0]).await,
            Victim::Index => kill_server(&readers, victim, &mut cluster.qdrant, &apis[0]).await,
            Victim::Queue => kill_server(&readers, victim, &mut cluster.rabbitmq, &apis[0]).await,
        }
        for api in &apis {
            api.ready().await;
        }
        readers.set(Victim::Nobody);
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    album.assert_all_ready(&apis[0]).await;
    let (searches, originals) = readers.finish().await;
    println!("answered meanwhile: {searches} searches, {originals} originals");
    assert!(searches > 20 && originals > 20);
    for api in &apis {
        album.assert_each_found_once(api).await;
    }
    for process in workers.into_iter().chain(apis) {
        assert!(process.stop(), "a process did not stop cleanly");
    }
    let (clean, told) = block_in_place(|| cluster.run("lucida.toml", &["check", "--grace-secs", "0"]));
    assert!(clean && told.contains("300 photos, 300 vectors"), "{told}");
    assert!(told.contains(" 0 findings"), "{told}");
}

async fn kill_process(readers: &Readers, victim: Victim, process: &mut Process) {
    readers.set(victim);
    process.kill();
    tokio::time::sleep(DEAD).await;
    process.start_again().await;
}

async fn kill_server(readers: &Readers, victim: Victim, server: &mut Server, api: &Process) {
    readers.set(victim);
    block_in_place(|| server.kill()).unwrap();
    let part = victim.part().unwrap();
    let killed = Instant::now();
    loop {
        let answer = api.get("/readyz").await.unwrap();
        let (status, body) = (answer.status().as_u16(), answer.text().await.unwrap());
        if status == 503 && body.contains(&format!("not ready: {part}")) {
            break;
        }
        assert!(
            killed.elapsed() < NAMED_WITHIN,
            "{part} is dead, and the probe says {body}"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
    tokio::time::sleep(DEAD.saturating_sub(killed.elapsed())).await;
    block_in_place(|| server.start_again()).unwrap();
}

/// Searches and reads originals all the time, and fails where an answer is missing that could have been given.
struct Readers {
    victim: Arc<Mutex<(usize, Victim)>>,
    done: Arc<AtomicBool>,
    searches: Arc<AtomicUsize>,
    originals: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Readers {
    fn start(album: &Album, urls: &[String]) -> Self {
        let victim = Arc::new(Mutex::new((0, Victim::Nobody)));
        let done = Arc::new(AtomicBool::new(false));
        let (searches, originals) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap();
        let reading = {
            let (victim, done) = (Arc::clone(&victim), Arc::clone(&done));
            let (searches, originals) = (Arc::clone(&searches), Arc::clone(&originals));
            let (album, urls) = (album.clone(), urls.to_vec());
            async move {
                let now = || *victim.lock().unwrap();
                for turn in 0.. {
                    let alive = |victim| match victim {
                        Victim::Api(dead) => &urls[1 - dead],
                        Victim::Nobody
                        | Victim::Worker
                        | Victim::Storage
                        | Victim::Metadata
                        | Victim::Index
                        | Victim::Queue => &urls[turn % 2],
                    };
                    if done.load(Ordering::SeqCst) {
                        return;
                    }
                    let before = now();
                    let url = alive(before.1);
                    let body = serde_json::json!({ "text": "colours", "limit": 10 });
                    let answer = client.post(format!("{url}/v1/search")).json(&body).send().await;
                    match body_of(answer).await {
                        Ok(_) => drop(searches.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => {
                            // Whoever died in the middle of it may have been needed.
                            let excused = now() != before || !before.1.leaves_searches();
                            assert!(excused, "a search with {before:?} dead: {error}");
                        }
                    }
                    let before = now();
                    let url = alive(before.1);
                    let id = album.acknowledged().into_keys().nth(turn % 10).unwrap();
                    let answer = client.get(format!("{url}/v1/photos/{id}/content")).send().await;
                    match body_of(answer).await {
                        Ok(_) => drop(originals.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => {
                            let excused = now() != before || !before.1.leaves_originals();
                            assert!(excused, "an original with {before:?} dead: {error}");
                        }
                    }
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        };
        Self {
            victim,
            done,
            searches,
            originals,
            task: tokio::spawn(reading),
        }
    }

    /// Says who is dead from now on.
    fn set(&self, victim: Victim) {
        let mut now = self.victim.lock().unwrap();
        *now = (now.0 + 1, victim);
    }

    /// Stops, and returns how many searches and originals were answered.
    async fn finish(self) -> (usize, usize) {
        self.done.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        (count(&self.searches), count(&self.originals))
    }
}

/// Returns what was answered with success, else why not.
async fn body_of(answer: reqwest::Result<reqwest::Response>) -> Result<Vec<u8>, String> {
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|error| format!("{error:?}"))?;
    if status.is_success() {
        Ok(body.to_vec())
    } else {
        Err(String::from_utf8_lossy(&body).into_owned())
    }
}
