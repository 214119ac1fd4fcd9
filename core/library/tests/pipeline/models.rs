//! A change of the model: the library is embedded afresh beside searches, uploads and other processes, and can go back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use lucida_core::{ErrorKind, PhotoId, PhotoState, SearchInput, SearchQuery, SearchResult};
use lucida_library::{ModelCommand, ModelControl, ModelRole, request_of_models};
use lucida_testkit::{Fault, HashModel, eventually, jpeg};

use super::support::{CHECK, Library};

const RED: [u8; 3] = [220, 20, 20];
const BLUE: [u8; 3] = [20, 20, 220];

async fn search(library: &Library, text: &str) -> SearchResult {
    let query = SearchQuery {
        user_id: library.alice.clone(),
        input: SearchInput::Text(text.to_owned()),
        filter: Default::default(),
        limit: 100,
    };
    library.photos.search(query).await.unwrap()
}

async fn serving(library: &Library) -> String {
    search(library, "red").await.model
}

async fn eventually_serves(library: &Library, model: &str) {
    eventually("searches use the other model", async || {
        serving(library).await == model
    })
    .await;
}

/// Waits until a change is over, its last sweep included.
async fn eventually_over(library: &Library) {
    eventually("the change is over", async || {
        let models = library.photos.models().await.unwrap();
        models.iter().all(|model| model.photos.is_none())
    })
    .await;
}

/// Returns how many vectors each model of the library has, by its name.
async fn points(library: &Library, model: &str) -> u64 {
    let models = library.photos.models().await.unwrap();
    let found = models.iter().find(|status| status.info.model == model);
    found.map_or(0, |status| status.points)
}

async fn command(library: &Library, command: ModelCommand) -> lucida_core::Result<String> {
    let parts = &library.parts;
    let control = ModelControl::new(Arc::clone(&parts.metadata), Arc::clone(&parts.index));
    control.run(&command).await
}

/// Uploads photos that differ, half of them red, and waits until they are ready.
async fn fill(library: &Library, sizes: std::ops::Range<u32>) -> Vec<PhotoId> {
    let mut ids = Vec::new();
    for size in sizes {
        let colour = if size % 2 == 0 { RED } else { BLUE };
        let photo = library.settle(&library.alice, &jpeg(20 + size, 30, colour)).await;
        assert_eq!(photo.state, PhotoState::Ready);
        ids.push(photo.id);
    }
    ids
}

/// Returns a library whose photos are ready, with nothing running.
async fn filled(sizes: std::ops::Range<u32>) -> (Library, Vec<PhotoId>) {
    let library = Library::new();
    let workers = library.start();
    let ids = fill(&library, sizes).await;
    library.stop(workers).await;
    (library, ids)
}

async fn assert_clean(library: &Library) {
    let report = library.photos.check(&CHECK, &mut |_| ()).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_use_the_old_model_until_the_new_one_has_seen_everything() {
    let (library, ids) = filled(0..10).await;

    let other = library.with_model(HashModel::named("other"));
    other.model.hold();
    let workers = other.start();
    other.model.wait_until_held().await;
    assert_eq!(serving(&other).await, "hash");
    let found = search(&other, "red").await;
    assert_eq!(found.hits.len(), 10, "found by the old model alone");
    let models = other.photos.models().await.unwrap();
    let roles: Vec<_> = models
        .iter()
        .map(|model| {
            (
                model.info.model.as_str(),
                model.role,
                model.photos,
                model.configured,
            )
        })
        .collect();
    assert_eq!(
        roles,
        [
            ("hash", ModelRole::Serving, None, false),
            ("other", ModelRole::Filling, Some(10), true)
        ]
    );
    other.model.release();
    eventually_serves(&other, "other").await;
    eventually_over(&other).await;
    let found = search(&other, "red").await;
    assert_eq!(found.hits.len(), 10);
    let red: BTreeSet<_> = found.hits[..5].iter().map(|hit| hit.photo.id).collect();
    assert_eq!(red, ids.iter().step_by(2).copied().collect());
    for hit in found.hits {
        let fingerprint = &other.parts.embedder.describe().fingerprint;
        assert_eq!(hit.photo.fingerprint.as_ref(), Some(fingerprint));
    }
    assert_eq!(points(&other, "hash").await, 10, "kept for a way back");
    assert_clean(&other).await;
    other.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_search_fails_and_none_mixes_two_models_while_photos_come_and_the_model_changes() {
    let library = Library::new();
    let workers = library.start();
    fill(&library, 0..30).await;
    // The score of a text and a photo tells whose vectors were compared.
    let expected = |name: &str| {
        let model = HashModel::named(name).start();
        async move {
            let text = lucida_core::embed_text(&model, "red".to_owned(), lucida_core::Lane::Interactive);
            let text = text.await.unwrap();
            move |vector: &[f32]| -> f32 { text.iter().zip(vector).map(|(a, b)| a * b).sum() }
        }
    };
    let scores = [
        ("hash", expected("hash").await),
        ("other", expected("other").await),
    ];

    // Another process, configured with the new model; the old one goes on beside it.
    let other = library.with_model(HashModel::named("other"));
    let other_workers = other.start();
    let done = Arc::new(AtomicBool::new(false));
    let searches = Arc::new(AtomicU64::new(0));
    let searching = async {
        while !done.load(Ordering::SeqCst) {
            for process in [&library, &other] {
                let found = search(process, "red").await;
                assert!(found.hits.len() >= 30, "{} of {}", found.hits.len(), found.model);
                let (_, score) = scores.iter().find(|(name, _)| *name == found.model).unwrap();
                let models = process.photos.models().await.unwrap();
                let collection = &models
                    .iter()
                    .find(|model| model.info.model == found.model)
                    .unwrap()
                    .collection;
                for hit in &found.hits[..3] {
                    let index = &process.parts.index;
                    let vector = index.vector(collection, &hit.photo.id).await.unwrap().unwrap();
                    assert!(
                        (hit.score - score(&vector)).abs() < 1e-4,
                        "a score of another model"
                    );
                }
                searches.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let uploading = async {
        let mut size = 100;
        while serving(&library).await != "other" || serving(&other).await != "other" {
            let uploader = if size % 2 == 0 { &library } else { &other };
            fill(uploader, size..size + 1).await;
            size += 1;
        }
        eventually_over(&other).await;
        done.store(true, Ordering::SeqCst);
        u64::from(size - 100)
    };
    let ((), uploaded) = tokio::join!(searching, uploading);
    assert!(searches.load(Ordering::SeqCst) > 10);
    assert_eq!(
        search(&library, "red").await.hits.len() as u64,
        (30 + uploaded).min(100)
    );
    assert_eq!(points(&other, "other").await, 30 + uploaded);
    assert_clean(&library).await;
    assert_clean(&other).await;
    library.stop(workers).await;
    other.stop(other_workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_goes_on_where_it_was_after_its_process_is_gone() {
    let (library, _) = filled(0..20).await;

    for _ in 0..2 {
        let other = library.with_model(HashModel::named("other"));
        other.model.set_delay(Duration::from_millis(300));
        let process = tokio::runtime::Runtime::new().unwrap();
        let workers = {
            let _entered = process.enter();
            other.start()
        };
        let before = points(&other, "other").await;
        eventually("it has come further", async || {
            points(&other, "other").await > before
        })
        .await;
        // Everything stops where it is, and the lease stays behind, as with a killed process.
        process.shutdown_background();
        drop(workers);
        assert_eq!(serving(&library).await, "hash");
    }
    let other = library.with_model(HashModel::named("other"));
    let workers = other.start();
    eventually_serves(&other, "other").await;
    eventually_over(&other).await;
    assert_eq!(points(&other, "other").await, 20);
    assert_clean(&other).await;
    other.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_serves_the_old_model_at_once_and_catches_up() {
    let library = Library::new();
    let workers = library.start();
    fill(&library, 0..4).await;
    let error = command(&library, ModelCommand::Rollback).await.unwrap_err();
    assert_eq!(error.code(), "no_previous_model");
    library.stop(workers).await;

    let other = library.with_model(HashModel::named("other"));
    let workers = other.start();
    eventually_serves(&other, "other").await;
    eventually_over(&other).await;
    fill(&other, 10..13).await;
    assert_eq!(
        points(&other, "hash").await,
        4,
        "what no longer serves gets nothing"
    );

    command(&other, ModelCommand::Rollback).await.unwrap();
    eventually_serves(&other, "hash").await;
    eventually_over(&other).await;
    assert_eq!(search(&other, "red").await.hits.len(), 7);
    // It stays so: a restart of a server that is configured with the other one doesn't turn it around.
    other.stop(workers).await;
    let other = library.with_model(HashModel::named("other"));
    let workers = other.start();
    fill(&other, 20..22).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(serving(&other).await, "hash");
    let error = command(&other, ModelCommand::Drop("hash".to_owned()))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Conflict, "model_serves")
    );
    // And forth again, by the beginning of its fingerprint.
    let fingerprint = other.parts.embedder.describe().fingerprint.to_string();
    command(&other, ModelCommand::Activate(fingerprint[..8].to_owned()))
        .await
        .unwrap();
    eventually_serves(&other, "other").await;
    eventually_over(&other).await;
    assert_eq!(search(&other, "red").await.hits.len(), 9);
    command(&other, ModelCommand::Drop("hash".to_owned()))
        .await
        .unwrap();
    let models = other.photos.models().await.unwrap();
    assert_eq!(models.len(), 1);
    assert_eq!(other.parts.index.collections().await.unwrap().len(), 1);
    let error = command(&other, ModelCommand::Rollback).await.unwrap_err();
    assert_eq!(error.code(), "no_previous_model");
    let error = command(&other, ModelCommand::Activate("hash".to_owned()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "model_not_found");
    other.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_dropped_during_the_last_sweep_is_not_one_to_go_back_to() {
    let (library, _) = filled(0..2).await;
    let other = library.with_model(HashModel::named("other"));
    let workers = other.start();
    eventually_serves(&other, "other").await;
    command(&other, ModelCommand::Drop("hash".to_owned()))
        .await
        .unwrap();
    eventually_over(&other).await;
    let error = command(&other, ModelCommand::Rollback).await.unwrap_err();
    assert_eq!(error.code(), "no_previous_model");
    other.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_the_new_model_cant_embed_does_not_stop_the_change() {
    let (library, ids) = filled(0..4).await;
    let other = library.with_model(HashModel::named("other"));
    other.model.fault_on_size(21, 30, Fault::NotANumber);
    let workers = other.start();
    eventually_serves(&other, "other").await;
    eventually_over(&other).await;
    assert_eq!(search(&other, "red").await.hits.len(), 3);
    let lost = other.photos.photo(&other.alice, &ids[1]).await.unwrap();
    assert_eq!(lost.state, PhotoState::Ready, "the old model still finds it");
    assert_eq!(lost.error.unwrap().code, "bad_vector");
    other.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_nobody_is_configured_with_any_more_stands_still() {
    let library = Library::new();
    let workers = library.start();
    fill(&library, 0..4).await;
    let other = library.with_model(HashModel::named("other"));
    other.photos.prepare().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(serving(&library).await, "hash");
    assert_eq!(points(&library, "other").await, 0);
    // New photos go into both, so that the change can be taken up again.
    fill(&library, 10..11).await;
    assert_eq!(points(&library, "other").await, 1);
    // Activating what serves gives the change up.
    command(&library, ModelCommand::Activate("hash".to_owned()))
        .await
        .unwrap();
    eventually("nothing goes into it any more", async || {
        let size = 100 + u32::try_from(search(&library, "red").await.hits.len()).unwrap();
        let before = points(&library, "other").await;
        fill(&library, size..size + 1).await;
        points(&library, "other").await == before
    })
    .await;
    library.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_gone_is_told_and_the_configured_one_takes_over() {
    let library = Library::new().with_model(HashModel::named("gone"));
    let workers = library.start();
    let ids = fill(&library, 0..2).await;
    library.stop(workers).await;
    let other = library.with_model(HashModel::named("other"));
    let models = other.photos.models().await.unwrap();
    let problem = models[0].problem.as_ref().unwrap();
    assert!(problem.contains("folder is not there"), "{problem}");
    assert_eq!(serving(&other).await, "other");
    let workers = other.start();
    eventually("it has seen everything", async || {
        search(&other, "red").await.hits.len() == ids.len()
    })
    .await;
    eventually_over(&other).await;
    assert_eq!(other.photos.models().await.unwrap()[0].problem, None);
    other.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_does_what_somebody_without_the_index_asks_for() {
    let (library, _) = filled(0..2).await;
    let other = library.with_model(HashModel::named("other"));
    let workers = other.start();
    eventually_serves(&other, "other").await;
    eventually_over(&other).await;
    let metadata = &*other.parts.metadata;
    let patience = Duration::from_secs(120);
    request_of_models(metadata, ModelCommand::Rollback, patience)
        .await
        .unwrap();
    eventually_serves(&other, "hash").await;
    let drop_serving = ModelCommand::Drop("hash".to_owned());
    let error = request_of_models(metadata, drop_serving, patience)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("serves searches"), "{error}");
    other.stop(workers).await;
    let error = request_of_models(metadata, ModelCommand::Rollback, Duration::from_secs(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}
