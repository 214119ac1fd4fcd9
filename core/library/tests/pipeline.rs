//! The life of a photo on the reference parts: what is taken in becomes ready, whatever is unavailable meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "pipeline/adopt.rs"]
mod adopt;
#[path = "pipeline/check.rs"]
mod check;
#[path = "pipeline/damage.rs"]
mod damage;
#[path = "pipeline/decoded_size.rs"]
mod decoded_size;
#[path = "pipeline/deletions.rs"]
mod deletions;
#[path = "pipeline/edits.rs"]
mod edits;
#[path = "pipeline/events.rs"]
mod events;
#[path = "pipeline/faults.rs"]
mod faults;
#[path = "pipeline/keeping.rs"]
mod keeping;
#[path = "pipeline/models.rs"]
mod models;
mod support;

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use check::findings;
use lucida_core::{
    EnrichInput, Enrichment, ErrorKind, Event, Hit, Hook, Job, JobQueue, NewBlob, OnFailure, PhotoId,
    PhotoState, Plugin, Result, SearchInput, SearchQuery, Upload,
};
use lucida_library::{FindingKind, UploadDetails, Uploaded};
use lucida_testkit::{Fault, jpeg, picture};
use support::{CHECK, Library};

const RED: [u8; 3] = [220, 20, 20];
const BLUE: [u8; 3] = [20, 20, 220];

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_photo_becomes_ready_and_is_found_by_words_and_by_likeness() {
    let library = Library::new();
    let workers = library.start();
    let red = library.settle(&library.alice, &jpeg(120, 80, RED)).await;
    let blue = library.settle(&library.alice, &jpeg(120, 80, BLUE)).await;
    assert_eq!((red.state, red.width, red.height), (PhotoState::Ready, 120, 80));
    assert_eq!(
        red.fingerprint.as_ref(),
        Some(&library.parts.embedder.describe().fingerprint)
    );
    assert_eq!(
        library.found_by_text(&library.alice, "red").await,
        [red.id, blue.id]
    );
    assert_eq!(
        library.found_by_text(&library.alice, "blue").await,
        [blue.id, red.id]
    );
    assert_eq!(
        library
            .found(&library.alice, SearchInput::Photo(red.id))
            .await
            .unwrap(),
        [blue.id]
    );
    let like_blue = SearchInput::Picture(picture(60, 60, BLUE));
    assert_eq!(
        library.found(&library.alice, like_blue).await.unwrap()[0],
        blue.id
    );
    assert_eq!(library.spooled(), 0);
    library.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_are_one_photo_per_user() {
    let library = Library::new();
    let bytes = jpeg(50, 50, RED);
    let first = library.upload(&library.alice, &bytes).await.unwrap();
    let again = library.upload(&library.alice, &bytes).await.unwrap();
    assert_eq!(again, Uploaded::Existing(first.photo().clone()));
    assert!(matches!(
        library.upload(&library.bob, &bytes).await.unwrap(),
        Uploaded::New(_)
    ));
    let bytes = jpeg(60, 60, BLUE);
    let uploads = (0..12).map(|_| library.upload(&library.alice, &bytes));
    let uploads = futures::future::join_all(uploads).await;
    let new = uploads
        .iter()
        .filter(|upload| matches!(upload, Ok(Uploaded::New(_))))
        .count();
    assert_eq!(
        (new, uploads.iter().filter(|upload| upload.is_ok()).count()),
        (1, 12)
    );
    let report = library.photos.check(&CHECK, &mut |_| ()).await.unwrap();
    assert_eq!((report.photos, report.blobs), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_another_users_photo() {
    let library = Library::new();
    let workers = library.start();
    let photo = library.settle(&library.alice, &jpeg(50, 50, RED)).await;
    let kind = |result: Result<()>| result.unwrap_err().kind();
    assert_eq!(
        kind(library.photos.photo(&library.bob, &photo.id).await.map(drop)),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(library.photos.delete(&library.bob, &photo.id).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(library.photos.retry(&library.bob, &photo.id).await.map(drop)),
        ErrorKind::NotFound
    );
    let like = library.found(&library.bob, SearchInput::Photo(photo.id)).await;
    assert_eq!(kind(like.map(drop)), ErrorKind::NotFound);
    assert_eq!(library.found_by_text(&library.bob, "red").await, []);
    library.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_photo_is_refused_and_leaves_nothing() {
    let library = Library::new().with_options(|options| options.strict_names = true);
    let whole = jpeg(200, 100, RED);
    let cut = whole.slice(..whole.len() / 2);
    let cases = [
        (Bytes::new(), None, "empty_file"),
        (
            Bytes::from_static(b"not a picture at all, only text"),
            None,
            "not_an_image",
        ),
        (cut, None, "truncated_image"),
        (whole.slice(..20), None, "truncated_image"),
        (jpeg(1001, 1000, RED), None, "too_many_pixels"),
        (whole, Some("photo.png"), "type_mismatch"),
    ];
    for (bytes, filename, code) in cases {
        let details = UploadDetails {
            filename: filename.map(str::to_owned),
            ..UploadDetails::default()
        };
        let error = library
            .upload_with(&library.alice, &bytes, details)
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    assert_eq!(library.spooled(), 0);
    assert_eq!(findings(&library, false).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_wait_out_a_store_that_is_away_in_the_queue() {
    let library = Library::new();
    let mut ids = Vec::new();
    for size in 0..10 {
        let bytes = jpeg(50 + size, 50, RED);
        let uploaded = library.upload(&library.alice, &bytes).await.unwrap();
        ids.push(uploaded.photo().id);
    }
    library.storage.switch_off();
    let workers = library.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut tried = 0;
    for id in &ids {
        let photo = library.photos.photo(&library.alice, id).await.unwrap();
        assert_eq!(photo.state, PhotoState::Pending);
        if let Some(error) = photo.error {
            assert_eq!(error.code, "unavailable");
            tried += photo.attempts;
        }
    }
    assert!(
        (1..=2).contains(&tried),
        "each of two workers tries once and then leaves the photos alone, not {tried} times"
    );
    assert!(!library.photos.readiness().await.is_ready());
    library.storage.switch_on();
    for id in &ids {
        let photo = library.settled(id).await;
        assert_eq!(
            (photo.state, photo.error, photo.next_attempt_at),
            (PhotoState::Ready, None, None)
        );
    }
    assert!(library.photos.readiness().await.is_ready());
    library.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_accepted_while_the_queue_is_away_and_worked_on_later() {
    let library = Library::new();
    library.queue.switch_off();
    let id = library
        .upload(&library.alice, &jpeg(50, 50, RED))
        .await
        .unwrap()
        .photo()
        .id;
    library.queue.switch_on();
    assert_eq!(library.queue.counts().await.unwrap().ready, 0);
    let workers = library.start();
    assert_eq!(library.settled(&id).await.state, PhotoState::Ready);
    library.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_cant_be_decoded_fails_at_once_and_can_be_retried() {
    let library = Library::new();
    let workers = library.start();
    let mut bytes = Vec::new();
    let gradient = lucida_core::Picture::gradient(64, 64);
    gradient
        .pixels()
        .write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png)
        .unwrap();
    // Header and structure stay whole; the pixels' compressed data does not.
    let data = bytes.windows(4).position(|name| name == b"IDAT").unwrap();
    bytes[data + 40..data + 60].fill(0xFF);
    let photo = library.settle(&library.alice, &bytes.into()).await;
    assert_eq!((photo.state, photo.attempts), (PhotoState::Failed, 1));
    assert_eq!(photo.error.unwrap().code, "corrupt_image");
    lucida_testkit::eventually("its job is among the dead letters", async || {
        library.queue.counts().await.unwrap().dead == 1
    })
    .await;
    let retried = library.photos.retry(&library.alice, &photo.id).await.unwrap();
    assert_eq!((retried.state, retried.attempts), (PhotoState::Pending, 0));
    assert_eq!(library.settled(&photo.id).await.state, PhotoState::Failed);
    library.photos.delete(&library.alice, &photo.id).await.unwrap();
    assert_eq!(library.queue.counts().await.unwrap().dead, 0);
    library.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_model_is_tried_again_up_to_the_bound() {
    let library = Library::new();
    let workers = library.start();
    library.model.fault_on_size(77, 33, Fault::NotANumber);
    let photo = library.settle(&library.alice, &jpeg(77, 33, RED)).await;
    assert_eq!((photo.state, photo.attempts), (PhotoState::Failed, 3));
    assert_eq!(photo.error.unwrap().code, "bad_vector");
    library.model.clear_faults();
    library.photos.retry(&library.alice, &photo.id).await.unwrap();
    assert_eq!(library.settled(&photo.id).await.state, PhotoState::Ready);
    let error = library.photos.retry(&library.alice, &photo.id).await.unwrap_err();
    assert_eq!(error.code(), "not_failed");
    library.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_photo_leaves_nothing() {
    let library = Library::new();
    let workers = library.start();
    let bytes = jpeg(50, 50, RED);
    let photo = library.settle(&library.alice, &bytes).await;
    library.photos.delete(&library.alice, &photo.id).await.unwrap();
    let error = library.photos.photo(&library.alice, &photo.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let report = library.photos.check(&CHECK, &mut |_| ()).await.unwrap();
    assert_eq!((report.photos, report.points, report.blobs), (0, 0, 0));
    let again = library.settle(&library.alice, &bytes).await;
    assert_eq!(again.state, PhotoState::Ready);
    assert_ne!(again.id, photo.id);
    library.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_deleted_while_it_is_embedded_leaves_nothing() {
    let library = Library::new();
    let workers = library.start();
    library.model.hold();
    let id = library
        .upload(&library.alice, &jpeg(50, 50, RED))
        .await
        .unwrap()
        .photo()
        .id;
    library.model.wait_until_held().await;
    library.photos.delete(&library.alice, &id).await.unwrap();
    library.model.release();
    library.stop(workers).await;
    let report = library.photos.check(&CHECK, &mut |_| ()).await.unwrap();
    assert_eq!((report.photos, report.points, report.blobs), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_a_store_interrupts_is_finished_by_the_reconciler() {
    let library = Library::new();
    let workers = library.start();
    let photo = library.settle(&library.alice, &jpeg(50, 50, RED)).await;
    library.storage.switch_off();
    library.photos.delete(&library.alice, &photo.id).await.unwrap();
    assert_eq!(library.found_by_text(&library.alice, "red").await, []);
    assert!(library.parts.metadata.get(&photo.id).await.unwrap().is_some());
    library.storage.switch_on();
    lucida_testkit::eventually("the deletion is finished", async || {
        library.parts.metadata.get(&photo.id).await.unwrap().is_none()
    })
    .await;
    library.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_doubled_and_stray_jobs_do_no_harm() {
    let library = Library::new();
    let id = library
        .upload(&library.alice, &jpeg(50, 50, RED))
        .await
        .unwrap()
        .photo()
        .id;
    for photo_id in [id, id, PhotoId::generate(), id] {
        library
            .queue
            .publish(&Job { photo_id }, Duration::ZERO)
            .await
            .unwrap();
    }
    let workers = library.start();
    assert_eq!(library.settled(&id).await.state, PhotoState::Ready);
    lucida_testkit::eventually("the queue is empty", async || {
        let counts = library.queue.counts().await.unwrap();
        counts.ready + counts.in_flight + counts.delayed == 0
    })
    .await;
    library.stop(workers).await;
    assert_eq!(findings(&library, false).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_photo_gets_a_lost_job_again_and_is_not_changed_under_its_worker() {
    let library = Library::new();
    let uploaded = library.upload(&library.alice, &jpeg(50, 50, RED)).await.unwrap();
    let photo = uploaded.photo();
    let lost = library
        .queue
        .receive(Duration::from_secs(5))
        .await
        .unwrap()
        .unwrap();
    library.queue.ack(&lost).await.unwrap();

    let expected = [(FindingKind::PendingWithoutJob, true)];
    assert_eq!(findings(&library, true).await, expected);
    let metadata = &library.parts.metadata;
    // A new version would be a conflict for a worker that has the photo in hand.
    assert_eq!(metadata.get(&photo.id).await.unwrap().as_ref(), Some(photo));
    assert_eq!(library.queue.counts().await.unwrap().ready, 1);
    assert_eq!(findings(&library, true).await, []);
}

/// A plugin that takes part in everything.
struct Everywhere {
    on_failure: OnFailure,
    events: std::sync::Mutex<Vec<(&'static str, PhotoId)>>,
}

#[async_trait]
impl Plugin for Everywhere {
    fn name(&self) -> &str {
        "everywhere"
    }

    fn hooks(&self) -> &[Hook] {
        &[
            Hook::Inspect,
            Hook::Enrich,
            Hook::Query,
            Hook::Rerank,
            Hook::Event,
        ]
    }

    fn timeout(&self) -> Duration {
        // Only what never ends takes longer, also on a machine that is busy with other tests.
        Duration::from_secs(5)
    }

    fn on_failure(&self, _: Hook) -> OnFailure {
        self.on_failure
    }

    async fn inspect(&self, upload: &Upload) -> Result<()> {
        if upload.width == 13 {
            return Err(lucida_core::Error::invalid("thirteen is not taken here").with_code("superstition"));
        }
        Ok(())
    }

    async fn enrich(&self, input: &EnrichInput) -> Result<Enrichment> {
        match input.photo.width {
            14 => return Err(lucida_core::Error::internal("fourteen breaks it")),
            15 => std::future::pending().await,
            16 => panic!("sixteen panics"),
            _ => {}
        }
        let blob = NewBlob {
            content_type: "text/plain".to_owned(),
            bytes: Bytes::from_static(b"made"),
        };
        Ok(Enrichment {
            attributes: Some(serde_json::json!({ "bytes": input.original.len() })),
            tags: BTreeSet::from(["seen".to_owned()]),
            taken_at: Some("2020-02-02T20:20:20Z".parse().unwrap()),
            blobs: [("note.txt".to_owned(), blob)].into(),
        })
    }

    async fn query(&self, mut query: SearchQuery) -> Result<SearchQuery> {
        if query.input == SearchInput::Text("rot".to_owned()) {
            query.input = SearchInput::Text("red".to_owned());
        }
        // A plugin may not widen whose photos are found.
        query.filter.user_id = None;
        Ok(query)
    }

    async fn rerank(&self, query: &SearchQuery, mut hits: Vec<Hit>) -> Result<Vec<Hit>> {
        if query.limit == 7 {
            hits.reverse();
        }
        Ok(hits)
    }

    async fn event(&self, event: &Event) -> Result<()> {
        let told = match event {
            Event::Ready(photo) => ("ready", photo.id),
            Event::Failed(photo) => ("failed", photo.id),
            Event::Deleted(photo) => ("deleted", photo.id),
        };
        self.events.lock().unwrap().push(told);
        Ok(())
    }
}

fn everywhere(on_failure: OnFailure) -> Arc<Everywhere> {
    Arc::new(Everywhere {
        on_failure,
        events: std::sync::Mutex::default(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_takes_part_in_every_step() {
    let plugin = everywhere(OnFailure::Record);
    let library = Library::with_plugins(vec![plugin.clone()]);
    let workers = library.start();
    let bytes = jpeg(50, 50, RED);
    let error = library
        .upload(&library.alice, &jpeg(13, 13, RED))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "superstition");

    let photo = library.settle(&library.alice, &bytes).await;
    assert_eq!(photo.attributes["everywhere"]["bytes"], bytes.len());
    assert!(photo.tags.contains("seen"));
    assert_eq!(photo.taken_at.unwrap().to_string(), "2020-02-02T20:20:20Z");
    let (stat, blob) = library
        .photos
        .derived(&photo, "everywhere/note.txt")
        .await
        .unwrap();
    assert_eq!(
        (stat.content_type.as_str(), blob.bytes().await.unwrap().as_ref()),
        ("text/plain", &b"made"[..])
    );

    let other = library.settle(&library.alice, &jpeg(50, 50, BLUE)).await;
    library.settle(&library.bob, &jpeg(50, 50, RED)).await;
    assert_eq!(
        library.found_by_text(&library.alice, "rot").await,
        [photo.id, other.id]
    );
    let input = SearchInput::Text("rot".to_owned());
    let query = SearchQuery {
        user_id: library.alice.clone(),
        input,
        filter: Default::default(),
        limit: 7,
    };
    let hits = library.photos.search(query).await.unwrap().hits;
    assert_eq!(
        hits.iter().map(|hit| hit.photo.id).collect::<Vec<_>>(),
        [other.id, photo.id]
    );

    library.photos.delete(&library.alice, &photo.id).await.unwrap();
    library.stop(workers).await;
    let events = plugin.events.lock().unwrap().clone();
    assert_eq!(
        events
            .iter()
            .filter(|(what, id)| (*what, *id) == ("ready", photo.id))
            .count(),
        1
    );
    assert!(events.contains(&("deleted", photo.id)));
    assert_eq!(findings(&library, false).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_slow_or_panicking_plugin_loses_no_photo() {
    let library = Library::with_plugins(vec![everywhere(OnFailure::Record)]);
    let workers = library.start();
    for (side, code) in [(14, "internal"), (15, "timeout"), (16, "internal")] {
        let photo = library.settle(&library.alice, &jpeg(side, 20, RED)).await;
        assert_eq!(photo.state, PhotoState::Ready);
        assert_eq!(
            photo.attributes["everywhere"]["error"]["code"], code,
            "{:?}",
            photo.attributes
        );
    }
    library.stop(workers).await;

    let library = Library::with_plugins(vec![everywhere(OnFailure::Fail)]);
    let workers = library.start();
    let photo = library.settle(&library.alice, &jpeg(14, 20, RED)).await;
    assert_eq!((photo.state, photo.attempts), (PhotoState::Failed, 3));
    library.stop(workers).await;
}
