//! What `Batched` makes of a model: lanes, bounds, cancelled callers, and failures that stay where they happen.

#![expect(
    clippy::unwrap_used,
    reason = "what should have worked fails its test by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use lucida_core::{
    Embedder, Embedding, ErrorKind, Lane, Picture, Result, TowerKind, embed_image, embed_text, embed_texts,
};
use lucida_models::{BatchOptions, Batched};
use lucida_testkit::{Controls, Fault, HashModel, eventually, picture};
use tokio::task::JoinHandle;

const TEXT: TowerKind = TowerKind::Text;

/// A model behind its queues, with what steers it.
struct Subject {
    embedder: Arc<Batched<HashModel>>,
    controls: Arc<Controls>,
}

fn subject() -> Subject {
    subject_with(&HashModel::options())
}

fn subject_with(options: &BatchOptions) -> Subject {
    let model = HashModel::new();
    let controls = model.controls();
    Subject {
        embedder: Arc::new(model.start_with(options)),
        controls,
    }
}

/// Texts of one word each, in one batch at most `cost` of them.
fn batches_of(cost: usize) -> BatchOptions {
    BatchOptions {
        text_batch_cost: cost,
        image_batch_cost: cost,
        ..HashModel::options()
    }
}

impl Subject {
    async fn text(&self, text: &str) -> Result<Embedding> {
        embed_text(&*self.embedder, text.to_owned(), Lane::Interactive).await
    }

    /// Sends a text on its way and returns once it waits in its lane.
    async fn queue(&self, text: &str, lane: Lane) -> JoinHandle<Result<Embedding>> {
        let before = self.embedder.waiting(TEXT, lane);
        let call = self.call(text, lane);
        eventually("the text waits", async || {
            self.embedder.waiting(TEXT, lane) > before
        })
        .await;
        call
    }

    fn call(&self, text: &str, lane: Lane) -> JoinHandle<Result<Embedding>> {
        let embedder = Arc::clone(&self.embedder);
        let text = text.to_owned();
        tokio::spawn(async move { embed_text(&*embedder, text, lane).await })
    }

    /// Occupies the text tower with one text, until `release`.
    async fn occupy(&self) -> JoinHandle<Result<Embedding>> {
        self.controls.hold();
        let call = self.call("occupying", Lane::Background);
        self.controls.wait_until_held().await;
        call
    }

    /// The batches after the occupying one.
    fn later_batches(&self) -> Vec<Vec<String>> {
        let mut batches = self.controls.batches(TEXT);
        assert_eq!(batches.remove(0), ["occupying"]);
        batches
    }
}

async fn done(calls: Vec<JoinHandle<Result<Embedding>>>) {
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_queued_up_is_the_next_batch_up_to_its_budget() {
    let subject = subject_with(&batches_of(3));
    let mut calls = vec![subject.occupy().await];
    for text in ["a", "b", "c", "d", "e"] {
        calls.push(subject.queue(text, Lane::Interactive).await);
    }
    subject.controls.release();
    done(calls).await;
    assert_eq!(subject.later_batches(), [vec!["a", "b", "c"], vec!["d", "e"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_overtakes_ingestion() {
    let subject = subject_with(&batches_of(2));
    let mut calls = vec![subject.occupy().await];
    for text in ["b1", "b2", "b3"] {
        calls.push(subject.queue(text, Lane::Background).await);
    }
    for text in ["i1", "i2", "i3"] {
        calls.push(subject.queue(text, Lane::Interactive).await);
    }
    subject.controls.release();
    done(calls).await;
    // And what nobody waits for keeps the next search waiting no longer than it must.
    let expected = [vec!["i1", "i2"], vec!["i3"], vec!["b1"], vec!["b2"], vec!["b3"]];
    assert_eq!(subject.later_batches(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn ingestion_alone_has_whole_batches() {
    let subject = subject_with(&batches_of(2));
    let mut calls = vec![subject.occupy().await];
    for text in ["b1", "b2", "b3"] {
        calls.push(subject.queue(text, Lane::Background).await);
    }
    subject.controls.release();
    done(calls).await;
    assert_eq!(subject.later_batches(), [vec!["b1", "b2"], vec!["b3"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_whose_caller_has_gone_is_not_computed() {
    let subject = subject();
    let mut calls = vec![subject.occupy().await];
    calls.push(subject.queue("stays", Lane::Background).await);
    let gone = subject.queue("goes", Lane::Background).await;
    let gone_too = subject.queue("goes too", Lane::Interactive).await;
    for call in [gone, gone_too] {
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
    }
    subject.controls.release();
    done(calls).await;
    assert_eq!(subject.later_batches(), [["stays"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_lane_is_overloaded_and_says_when_to_come_back() {
    let options = BatchOptions {
        queue_items: 2,
        ..batches_of(1)
    };
    let subject = subject_with(&options);
    let mut calls = vec![subject.occupy().await];
    for text in ["b1", "b2"] {
        calls.push(subject.queue(text, Lane::Background).await);
    }
    let refused = subject.call("b3", Lane::Background).await.unwrap();
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.is_transient());
    let retry_after = error.retry_after().unwrap();
    assert!(retry_after >= Duration::from_secs(1) && retry_after <= Duration::from_secs(60));
    // The other lane has its own room.
    calls.push(subject.queue("i1", Lane::Interactive).await);
    subject.controls.release();
    done(calls).await;
    assert_eq!(subject.later_batches(), [["i1"], ["b1"], ["b2"]]);
    subject.text("there is room again").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_larger_than_the_lane_fails_only_where_there_is_no_room() {
    let options = BatchOptions {
        queue_items: 4,
        ..batches_of(1)
    };
    let subject = subject_with(&options);
    let occupying = subject.occupy().await;
    let large = {
        let embedder = Arc::clone(&subject.embedder);
        let texts = (0..10).map(|number| format!("text {number}")).collect();
        tokio::spawn(async move { embed_texts(&*embedder, texts, Lane::Background).await })
    };
    eventually("the lane is full", async || {
        subject.embedder.waiting(TEXT, Lane::Background) == 4
    })
    .await;
    // None waits beyond the bound, whatever the order in which ten inputs got ready.
    let refused = subject.call("one more", Lane::Background).await.unwrap();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Overloaded);
    subject.controls.release();
    occupying.await.unwrap().unwrap();
    let results = large.await.unwrap();
    assert_eq!(results.len(), 10);
    let computed = subject.later_batches().len();
    let mut succeeded = 0;
    for (number, result) in results.into_iter().enumerate() {
        match result {
            Ok(vector) => {
                let alone = subject.text(&format!("text {number}")).await.unwrap();
                assert!(vector == alone, "text {number} got another's vector");
                succeeded += 1;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Overloaded),
        }
    }
    assert!(succeeded >= 4, "those that had room succeed: {succeeded}");
    assert_eq!(succeeded, computed);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_at_once_do_not_squeeze_past_the_bound() {
    let options = BatchOptions {
        queue_items: 3,
        ..batches_of(1)
    };
    let subject = subject_with(&options);
    let occupying = subject.occupy().await;
    let calls: Vec<_> = (0..64)
        .map(|number| subject.call(&format!("text {number}"), Lane::Background))
        .collect();
    eventually("all but three were refused", async || {
        calls.iter().filter(|call| call.is_finished()).count() == 61
    })
    .await;
    assert_eq!(subject.embedder.waiting(TEXT, Lane::Background), 3);
    subject.controls.release();
    occupying.await.unwrap().unwrap();
    let results = futures::future::join_all(calls).await;
    let succeeded = results
        .into_iter()
        .filter(|result| result.as_ref().unwrap().is_ok());
    assert_eq!(succeeded.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tower_is_loaded_when_first_needed_and_only_that_one() {
    let subject = subject();
    subject.embedder.ping().await.unwrap();
    assert_eq!(subject.controls.loads(TEXT), 0, "a ping loads nothing");
    subject.text("red").await.unwrap();
    subject.text("blue").await.unwrap();
    assert_eq!(subject.controls.loads(TEXT), 1);
    assert_eq!(subject.controls.loads(TowerKind::Image), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn preloaded_towers_are_loaded_at_start_and_pinged_for_real() {
    let options = BatchOptions {
        preload: true,
        ..HashModel::options()
    };
    let subject = subject_with(&options);
    for tower in [TEXT, TowerKind::Image] {
        eventually("the ping reaches the tower", async || {
            subject.embedder.ping().await.unwrap();
            !subject.controls.batches(tower).is_empty()
        })
        .await;
        assert_eq!(subject.controls.loads(tower), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_not_load_is_unavailable_and_comes_back() {
    let subject = subject();
    subject.controls.fail_loads(1);
    let error = subject.text("red").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.retry_after().is_some());
    assert!(error.to_string().contains("text tower is missing"), "{error}");
    let ping = subject.embedder.ping().await.unwrap_err();
    assert_eq!(ping.kind(), ErrorKind::Unavailable);
    assert!(ping.to_string().contains("text tower"), "{ping}");
    // A crowd of callers does not try again each.
    let at_once = futures::future::join_all((0..20).map(|_| subject.text("red"))).await;
    let loads = subject.controls.loads(TEXT);
    assert!(loads <= 2, "{loads} loads for {} callers", at_once.len());
    eventually("the model is back", async || subject.text("red").await.is_ok()).await;
    assert_eq!(subject.controls.loads(TEXT), 2);
    subject.embedder.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_fails_its_batch_and_no_other() {
    let subject = subject_with(&batches_of(2));
    let before = subject.text("red").await.unwrap();
    subject.controls.fault_on_text("poison", Fault::Panic);
    let occupying = subject.occupy().await;
    let mut calls = Vec::new();
    for text in ["poison", "beside it", "after it", "later"] {
        calls.push(subject.queue(text, Lane::Interactive).await);
    }
    subject.controls.release();
    occupying.await.unwrap().unwrap();
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes.push(call.await.unwrap().map_err(|error| error.kind()).err());
    }
    let failed = Some(ErrorKind::Internal);
    assert_eq!(outcomes, [failed, failed, None, None]);
    assert_eq!(subject.controls.loads(TEXT), 2, "what a panic left is not used");
    assert!(subject.text("red").await.unwrap() == before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_without_meaning_fails_its_item_alone() {
    let subject = subject();
    subject.controls.fault_on_text("broken", Fault::NotANumber);
    subject.controls.fault_on_text("empty", Fault::Zeros);
    subject.controls.fault_on_text("failing", Fault::Error);
    let texts = ["red", "broken", "green", "empty", "failing", "blue"].map(str::to_owned);
    let results = embed_texts(&*subject.embedder, texts.clone().into(), Lane::Interactive).await;
    assert_eq!(results.len(), 6);
    for at in [1, 3, 4] {
        assert_eq!(results[at].as_ref().unwrap_err().kind(), ErrorKind::Internal);
    }
    for at in [1, 3] {
        assert_eq!(results[at].as_ref().unwrap_err().code(), "bad_vector");
    }
    for at in [0, 2, 5] {
        assert!(subject.text(&texts[at]).await.unwrap() == *results[at].as_ref().unwrap());
    }
    assert_eq!(subject.controls.loads(TEXT), 1, "the tower itself is sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_tower_is_unloaded_and_loaded_again_when_needed() {
    let options = BatchOptions {
        idle_unload: Some(Duration::from_millis(20)),
        ..HashModel::options()
    };
    let subject = subject_with(&options);
    let first = subject.text("red").await.unwrap();
    eventually("the tower was unloaded in between", async || {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let again = subject.text("red").await.unwrap();
        assert!(again == first);
        subject.controls.loads(TEXT) >= 2
    })
    .await;
    // What was unloaded is well: it is only not needed.
    tokio::time::sleep(Duration::from_millis(60)).await;
    subject.embedder.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_embedder_ends_its_threads() {
    let subject = subject();
    subject.text("red").await.unwrap();
    let picture = Arc::new(Picture::gradient(20, 20));
    embed_image(&*subject.embedder, picture, Lane::Background)
        .await
        .unwrap();
    let Subject { embedder, controls } = subject;
    // The towers and the model hold one each, besides this one.
    assert!(Arc::strong_count(&controls) >= 4);
    drop(embedder);
    assert_eq!(Arc::strong_count(&controls), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_finds_the_picture_of_its_colour() {
    let subject = subject();
    let colours = [
        ("red", [220, 30, 30]),
        ("blue", [30, 50, 220]),
        ("yellow", [240, 230, 30]),
    ];
    let pictures = colours.map(|(_, colour)| picture(80, 60, colour));
    let pictures = subject
        .embedder
        .embed_images(pictures.into(), Lane::Background)
        .await;
    for (at, (word, _)) in colours.iter().enumerate() {
        let text = subject.text(word).await.unwrap();
        let cosine = |picture: &Result<Embedding>| -> f32 {
            let picture = picture.as_ref().unwrap();
            picture.iter().zip(&text).map(|(p, t)| p * t).sum()
        };
        let cosines: Vec<_> = pictures.iter().map(cosine).collect();
        let best = (0..3).max_by(|a, b| cosines[*a].total_cmp(&cosines[*b])).unwrap();
        assert_eq!(best, at, "{word}: {cosines:?}");
        assert!(cosines[at] > 0.9, "{word}: {cosines:?}");
    }
}
