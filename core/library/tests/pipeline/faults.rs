//! No photo fails for the fault of a component.

use std::sync::Arc;
use std::time::Duration;

use lucida_core::{Backoff, Error, ErrorKind, PhotoError, PhotoState, TowerKind};
use lucida_library::decorate::{BreakerOptions, GuardOptions, guard_index};
use lucida_library::{Parts, Photos};
use lucida_testkit::{HashModel, eventually, jpeg};

use super::RED;
use super::support::Library;

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_takes_only_texts_cant_be_a_librarys_model() {
    let library = Library::new();
    let parts = Parts {
        embedder: Arc::new(HashModel::named("texts").without(TowerKind::Image).start()),
        ..library.parts.clone()
    };
    let refused = Photos::new(parts, library.options.clone());
    let error = refused.err().unwrap();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::ConfigInvalid, Some("embedder"))
    );
    assert!(error.to_string().contains("`texts` takes only texts"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_versions_wrong_verdict_is_taken_back() {
    let library = Library::new();
    for code in ["unsupported", "blob_missing", "timeout"] {
        let bytes = jpeg(50, 50 + u32::try_from(code.len()).unwrap(), RED);
        let mut photo = library.uploaded(&library.alice, &bytes).await;
        photo.state = PhotoState::Failed;
        photo.error = Some(PhotoError {
            code: code.to_owned(),
            message: "given up".to_owned(),
            own_faults: 0,
        });
        library.parts.metadata.update(&photo).await.unwrap();
        let workers = library.again();
        let running = workers.start();
        eventually("it is ready", async || {
            workers
                .photos
                .photo(&library.alice, &photo.id)
                .await
                .unwrap()
                .state
                == PhotoState::Ready
        })
        .await;
        workers.stop(running).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_lists_what_an_index_that_works_notes() {
    let library = Library::new().with_failing_upserts(|| Error::internal("the index can't write"));
    let timeout = Duration::from_secs(60);
    let options = GuardOptions {
        timeout,
        put_timeout: timeout,
        tries: 1,
        backoff: Backoff {
            min: timeout,
            max: timeout,
        },
        breaker: BreakerOptions {
            failures: 1,
            open: timeout,
        },
    };
    // Behind its guard, as in a server.
    let index = guard_index(Arc::clone(&library.parts.index), "test", options);
    let library = library.with_parts(|parts| parts.index = index);
    let readiness = library.photos.readiness().await;
    assert!(readiness.is_ready(), "{readiness:?}");
    let notes = readiness
        .parts
        .iter()
        .map(|part| (part.part, part.note.as_deref()));
    let notes: Vec<_> = notes.filter(|(_, note)| note.is_some()).collect();
    assert_eq!(notes, [("index", Some("every write fails"))]);
}

/// Whatever a store, the queue or the index answers, and however often: the photo waits and is ready in the end.
#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_a_component_ever_fails_a_photo() {
    const KINDS: [ErrorKind; 11] = [
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::InvalidInput,
        ErrorKind::Unsupported,
        ErrorKind::ConfigInvalid,
        ErrorKind::PermissionDenied,
        ErrorKind::Conflict,
        ErrorKind::Overloaded,
        ErrorKind::Timeout,
        ErrorKind::Unavailable,
        ErrorKind::Internal,
    ];
    for kind in KINDS {
        let library = Library::new();
        let faulty = library.with_failing_upserts(move || Error::new(kind, "the index can't write"));
        let workers = faulty.start();
        let bytes = jpeg(50, 50, RED);
        let id = faulty.upload(&faulty.alice, &bytes).await.unwrap().photo().id;
        eventually(
            "it was tried more often than a photo's own faults are",
            async || {
                let photo = faulty.photos.photo(&faulty.alice, &id).await.unwrap();
                assert_eq!(photo.state, PhotoState::Pending, "{kind}");
                photo.attempts > 5
            },
        )
        .await;
        faulty.stop(workers).await;
        let workers = library.start();
        assert_eq!(library.settled(&id).await.state, PhotoState::Ready, "{kind}");
        library.stop(workers).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_component_leave_a_photo_all_of_its_own_tries() {
    let library = Library::new();
    let faulty = library.with_failing_upserts(|| Error::internal("the index can't write"));
    let workers = faulty.start();
    let id = faulty
        .upload(&faulty.alice, &jpeg(77, 33, RED))
        .await
        .unwrap()
        .photo()
        .id;
    eventually("it was tried often", async || {
        faulty.photos.photo(&faulty.alice, &id).await.unwrap().attempts > 5
    })
    .await;
    faulty.stop(workers).await;
    library
        .model
        .fault_on_size(77, 33, lucida_testkit::Fault::NotANumber);
    let before = library.photos.photo(&library.alice, &id).await.unwrap().attempts;
    let workers = library.start();
    let failed = library.settled(&id).await;
    assert_eq!(
        (
            failed.state,
            failed.attempts - before,
            failed.error.unwrap().own_faults
        ),
        (PhotoState::Failed, 3, 3)
    );
    library.stop(workers).await;
}
