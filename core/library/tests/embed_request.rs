//! One request with many inputs shares the model's queue with others, and has one deadline.

use std::sync::Arc;
use std::time::Duration;

use lucida_core::{Deadline, EmbeddedText, Embedder, Error, ErrorKind, Lane, Result, TextOptions, TowerKind};
use lucida_library::EmbedRequest;
use lucida_models::{BatchOptions, Batched};
use lucida_testkit::{Controls, HashModel, eventually};

const PATIENT: Duration = Duration::from_secs(120);

fn model(queue_items: usize) -> (Arc<Batched<HashModel>>, Arc<Controls>) {
    let model = HashModel::new();
    let controls = model.controls();
    let options = BatchOptions {
        queue_items,
        ..HashModel::options()
    };
    (Arc::new(model.start_with(&options)), controls)
}

fn request(model: &Arc<Batched<HashModel>>, limit: Duration) -> EmbedRequest {
    EmbedRequest::new(Arc::clone(model) as Arc<dyn Embedder>, Deadline::after(limit))
}

fn kinds(results: &[Result<EmbeddedText>]) -> Vec<Option<ErrorKind>> {
    results
        .iter()
        .map(|result| result.as_ref().err().map(Error::kind))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_many_times_larger_than_the_queue_is_embedded_whole() {
    for queue_items in [1, 7, 256] {
        let (model, _) = model(queue_items);
        let texts: Vec<_> = (0..300).map(|number| format!("text {number}")).collect();
        let results = request(&model, PATIENT)
            .texts(texts.clone(), &TextOptions::default())
            .await
            .unwrap();
        assert_eq!(results.len(), 300);
        for (text, result) in texts.into_iter().zip(results) {
            let alone = request(&model, PATIENT)
                .text(text, &TextOptions::default())
                .await
                .unwrap();
            assert_eq!(result.unwrap(), alone);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_others_have_filled_refuses_the_whole_request_at_once() {
    let (model, controls) = model(2);
    controls.hold();
    let others = {
        let model = Arc::clone(&model);
        tokio::spawn(async move {
            // One batch of eight at most is at the hold, and two inputs wait.
            let texts = (0..20).map(|number| format!("other {number}")).collect();
            request(&model, PATIENT)
                .texts(texts, &TextOptions::default())
                .await
        })
    };
    eventually("the queue is full", async || {
        model.waiting(TowerKind::Text, Lane::Interactive) == 2
    })
    .await;
    let texts = (0..20).map(|number| format!("text {number}")).collect();
    let error = request(&model, PATIENT)
        .texts(texts, &TextOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.retry_after().is_some());
    controls.release();
    assert!(others.await.unwrap().unwrap().iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_cuts_off_what_is_left_and_keeps_what_is_done() {
    let (model, controls) = model(4);
    let request = request(&model, Duration::from_secs(2));
    let first = request
        .texts(vec!["done".to_owned()], &TextOptions::default())
        .await
        .unwrap();
    assert_eq!(kinds(&first), [None]);
    controls.hold();
    let rest = (0..100).map(|number| format!("text {number}")).collect();
    let rest = request.texts(rest, &TextOptions::default()).await.unwrap();
    assert_eq!(kinds(&rest), [Some(ErrorKind::Timeout); 100]);
    controls.release();
}
