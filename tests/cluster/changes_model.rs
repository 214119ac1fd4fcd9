//! The model is changed while photos come and people search; what carries the change on is killed in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::block_in_place;

use crate::cluster::Cluster;
use crate::photos::{Album, LOOK_EVERY};
use crate::process::Process;

const PHOTOS: usize = 80;
const PATIENCE: Duration = Duration::from_secs(180);

/// Slow enough that there is a middle to be killed in.
const PACE: &str = "ingest.model_change_photos_per_sec=8";

/// Returns the name of the model that a search used; a search that fails ends the test.
async fn searched_by(api: &Process) -> String {
    let (status, found) = api.search("colours", 10).await.unwrap();
    assert_eq!(status, 200, "{found}");
    assert!(!found["hits"].as_array().unwrap().is_empty(), "{found}");
    found["model"].as_str().unwrap().to_owned()
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "still not so: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Returns how many vectors a model has by now, and in which role.
async fn model(api: &Process, role: &str) -> Option<(String, u64)> {
    let models = api.json("/v1/models").await;
    let models = models["data"].as_array().unwrap();
    let found = models.iter().find(|model| model["role"] == role)?;
    Some((found["id"].as_str()?.to_owned(), found["vectors"].as_u64()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_changes_while_photos_come_and_people_search_and_can_go_back() {
    let Some(cluster) = block_in_place(Cluster::start) else {
        return;
    };
    cluster.write_config("new.toml", "clip-laion");
    let old_api = cluster.api("old-api", "lucida.toml").await;
    let old_worker = cluster.worker("old-worker", "lucida.toml", &[]).await;
    old_api.ready().await;
    let library = Album::new(1, PHOTOS);
    let mut clients = library.upload_by(4, std::slice::from_ref(&old_api.url));
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    library.assert_all_ready(&old_api).await;
    let old = searched_by(&old_api).await;

    // A rolling update: the new processes come up beside the old ones.
    let mut new_worker = cluster.worker("new-worker", "new.toml", &[PACE]).await;
    let new_api = Arc::new(cluster.api("new-api", "new.toml").await);
    new_api.ready().await;
    let (new, _) = model(&new_api, "filling").await.unwrap();
    assert_ne!(old, new);
    let searching = Searching::start(&old_api, &new_api, &old, &new);
    let late = Album::new(10_000, 30);
    let mut clients = late.upload_by(2, &[old_api.url.clone(), new_api.url.clone()]);

    until("it is in the middle", async || {
        model(&new_api, "filling")
            .await
            .is_some_and(|(_, vectors)| vectors >= 20)
    })
    .await;
    new_worker.kill();
    assert_eq!(searched_by(&old_api).await, old);
    new_worker.start_again().await;

    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    until("both use the new model", async || {
        searched_by(&old_api).await == new && searched_by(&new_api).await == new
    })
    .await;
    until("it is over", async || {
        let models = new_api.json("/v1/models").await;
        models["data"]
            .as_array()
            .unwrap()
            .iter()
            .all(|model| model.get("photos").is_none())
    })
    .await;
    late.assert_all_ready(&new_api).await;
    let (name, vectors) = model(&new_api, "serving").await.unwrap();
    assert_eq!((name, vectors), (new.clone(), (PHOTOS + 30) as u64));
    let answered = searching.finish().await;
    assert!(answered > 20, "{answered} searches");

    // The old ones go, and the library can go back without them.
    assert!(old_worker.stop() && old_api.stop());
    let (done, told) = block_in_place(|| cluster.run("new.toml", &["models", "rollback"]));
    assert!(done, "{told}");
    until("it uses the old model again", async || {
        searched_by(&new_api).await == old
    })
    .await;
    let after = Album::new(20_000, 3);
    let mut clients = after.upload_by(1, std::slice::from_ref(&new_api.url));
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    after.assert_all_ready(&new_api).await;
    until("it has caught up", async || {
        model(&new_api, "serving").await == Some((old.clone(), (PHOTOS + 33) as u64))
    })
    .await;
    let (done, told) = block_in_place(|| cluster.run("new.toml", &["models", "drop", &old]));
    assert!(!done && told.contains("serves searches"), "{told}");
    let (done, told) = block_in_place(|| cluster.run("new.toml", &["models", "activate", &new]));
    assert!(done, "{told}");
    until("it uses the new model again", async || {
        searched_by(&new_api).await == new
            && model(&new_api, "serving").await == Some((new.clone(), (PHOTOS + 33) as u64))
    })
    .await;
    let (done, told) = block_in_place(|| cluster.run("new.toml", &["models", "drop", &old]));
    assert!(done, "{told}");
    let (done, told) = block_in_place(|| cluster.run("new.toml", &["models"]));
    assert!(
        done && told.lines().count() == 1 && told.contains("113 vectors"),
        "{done}: {told}"
    );
    assert!(new_worker.stop());
    let (clean, told) = block_in_place(|| cluster.run("new.toml", &["check", "--grace-secs", "0"]));
    assert!(clean, "{told}");
}

/// Searches over both servers all the time; each search is answered, by one of the two models.
struct Searching {
    done: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<usize>,
}

impl Searching {
    fn start(old_api: &Process, new_api: &Process, old: &str, new: &str) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let urls = [old_api.url.clone(), new_api.url.clone()];
        let models = [old.to_owned(), new.to_owned()];
        let (client, stop) = (old_api.client.clone(), Arc::clone(&done));
        let task = tokio::spawn(async move {
            let mut answered = 0;
            while !stop.load(Ordering::SeqCst) {
                for url in &urls {
                    let body = serde_json::json!({ "text": "colours", "limit": 10 });
                    let answer = client
                        .post(format!("{url}/v1/search"))
                        .json(&body)
                        .send()
                        .await
                        .unwrap();
                    let status = answer.status();
                    let found: serde_json::Value = answer.json().await.unwrap();
                    assert_eq!(status, 200, "{found}");
                    assert!(models.iter().any(|model| found["model"] == **model), "{found}");
                    assert_eq!(found["hits"].as_array().unwrap().len(), 10, "{found}");
                    answered += 1;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            answered
        });
        Self { done, task }
    }

    async fn finish(self) -> usize {
        self.done.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}
