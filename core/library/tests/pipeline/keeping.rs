//! No photo is lost: not by a wrong or lost metadata store, not by damage to originals, not by a component that fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lucida_core::{
    Backoff, BlobKey, Error, ErrorKind, IndexFilter, Job, JobQueue, Photo, PhotoError, PhotoId, PhotoState,
    SearchInput, SearchQuery, Storage, TowerKind, UserId, stream_of,
};
use lucida_library::decorate::{BreakerOptions, GuardOptions, guard_index};
use lucida_library::{
    CheckNews, CheckOptions, Damage, FindingKind, Manifest, Parts, PhotoEdit, Photos, RebuildNews,
    RebuildOptions, RebuildReport, TagEdit, TakenAtEdit, UploadDetails, Uploaded, Verify,
};
use lucida_testkit::{HashModel, eventually, jpeg};

use super::support::{CHECK, Library};
use super::{BLUE, RED};

const REPAIR: CheckOptions = CheckOptions {
    repair: true,
    ..CHECK
};

fn tags<const N: usize>(tags: [&str; N]) -> BTreeSet<String> {
    tags.map(str::to_owned).into()
}

fn details(name: &str, its_tags: BTreeSet<String>, taken_at: Option<&str>) -> UploadDetails {
    UploadDetails {
        filename: Some(name.to_owned()),
        taken_at: taken_at.map(|time| time.parse().unwrap()),
        tags: its_tags,
    }
}

async fn subjects(library: &Library, options: CheckOptions) -> Vec<(FindingKind, String, bool)> {
    let mut found = Vec::new();
    let mut tell = |news: CheckNews<'_>| {
        if let CheckNews::Found(finding) = news {
            found.push((finding.kind, finding.subject.clone(), finding.repaired));
        }
    };
    library.photos.check(&options, &mut tell).await.unwrap();
    found
}

async fn rebuild(library: &Library, owner: Option<&UserId>) -> RebuildReport {
    let options = RebuildOptions {
        owner_of_unnamed: owner.cloned(),
    };
    library
        .photos
        .rebuild(&options, &mut |_: RebuildNews<'_>| ())
        .await
        .unwrap()
}

async fn stored(library: &Library, key: &BlobKey) -> Option<Bytes> {
    match library.storage.inner.get(key, None).await {
        Ok(blob) => Some(blob.bytes().await.unwrap()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            None
        }
    }
}

async fn put(library: &Library, key: &BlobKey, bytes: impl Into<Bytes>) {
    library.storage.inner.put(key, stream_of(bytes)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_library_survives_a_server_with_another_metadata_store() {
    let library = Library::new();
    for number in 0..10_u32 {
        library
            .upload(&library.alice, &jpeg(50 + number, 50, RED))
            .await
            .unwrap();
    }
    let wrong = library.with_empty_metadata();
    // What is younger than the reconciler's interval may be an upload under way.
    tokio::time::sleep(wrong.photos.options().reconcile_interval * 2).await;
    let workers = wrong.start();
    eventually("the server has counted them", async || {
        wrong.photos.storage_report().await.unwrap().unknown_originals == 10
    })
    .await;
    let storage = wrong.photos.readiness().await.parts.remove(0);
    assert_eq!((storage.part, storage.error), ("storage", None));
    assert_eq!(
        storage.note.as_deref(),
        Some("originals that no record names: 10; `lucida check` lists them")
    );
    wrong.stop(workers).await;
    let report = wrong.photos.check(&REPAIR, &mut |_| ()).await.unwrap();
    assert_eq!((report.unknown_originals, report.unrepaired), (10, 10));
    let report = library.photos.check(&CHECK, &mut |_| ()).await.unwrap();
    assert_eq!((report.photos, report.blobs, report.unrepaired), (10, 10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_originals_are_deleted_only_by_their_exact_number() {
    let library = Library::new();
    for number in 0..3_u32 {
        library
            .upload(&library.alice, &jpeg(50 + number, 50, RED))
            .await
            .unwrap();
    }
    let wrong = library.with_empty_metadata();
    let forget = |count| CheckOptions {
        forget_unknown: Some(count),
        ..REPAIR
    };
    for count in [0, 2, 4] {
        let error = wrong.photos.check(&forget(count), &mut |_| ()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(
            error
                .to_string()
                .contains("found 3 originals that no record names"),
            "{error}"
        );
    }
    let report = library.photos.check(&CHECK, &mut |_| ()).await.unwrap();
    assert_eq!(report.count(FindingKind::BlobMissing), 0);
    let report = wrong.photos.check(&forget(3), &mut |_| ()).await.unwrap();
    assert_eq!(
        (report.unknown_originals, report.unrepaired, report.blobs),
        (0, 0, 3)
    );
    let report = library.photos.check(&CHECK, &mut |_| ()).await.unwrap();
    assert_eq!(report.count(FindingKind::BlobMissing), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_metadata_store_is_made_again_from_the_originals() {
    let library = Library::new();
    let workers = library.start();
    let trip = details("Größe.jpg", tags(["trip"]), Some("2020-02-02T21:20:20+01:00"));
    let red = library
        .upload_with(&library.alice, &jpeg(50, 50, RED), trip)
        .await
        .unwrap()
        .photo()
        .id;
    let red = library.settled(&red).await;
    assert_eq!(red.taken_at_local, Some("2020-02-02T21:20:20".parse().unwrap()));
    let blue = library.settle(&library.bob, &jpeg(60, 60, BLUE)).await;
    let gone = library.settle(&library.bob, &jpeg(70, 70, BLUE)).await;
    library.photos.delete(&library.bob, &gone.id).await.unwrap();
    library.stop(workers).await;

    let lost = library.with_empty_metadata();
    let report = rebuild(&lost, None).await;
    assert_eq!((report.originals, report.recorded, report.unnamed), (2, 2, 0));
    let again = rebuild(&lost, None).await;
    assert_eq!((again.recorded, again.known), (0, 2));
    let workers = lost.start();
    let settled = lost.settled(&red.id).await;
    let comparable = |photo: &Photo| {
        let Photo {
            id,
            user_id,
            state,
            filename,
            content_type,
            size_bytes,
            hash,
            created_at,
            taken_at,
            taken_at_local,
            tags,
            ..
        } = photo.clone();
        (
            (id, user_id, state, filename, content_type),
            (size_bytes, hash, created_at, taken_at, taken_at_local, tags),
        )
    };
    assert_eq!(comparable(&settled), comparable(&red));
    assert_eq!(lost.settled(&blue.id).await.state, PhotoState::Ready);
    assert_eq!(lost.found_by_text(&lost.alice, "red").await, [red.id]);
    assert_eq!(lost.found_by_text(&lost.bob, "blue").await, [blue.id]);
    lost.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_without_a_manifest_is_taken_back_in_for_a_named_owner_only() {
    let library = Library::new();
    let photo = library
        .upload(&library.alice, &jpeg(50, 40, RED))
        .await
        .unwrap()
        .photo()
        .clone();
    let manifest = BlobKey::manifest(&photo.id);
    library.storage.inner.delete(&manifest).await.unwrap();
    let text = BlobKey::original(&PhotoId::generate());
    put(&library, &text, "not a picture").await;
    let stray = BlobKey::new("originals/00/README").unwrap();
    put(&library, &stray, "a stray file").await;

    let lost = library.with_empty_metadata();
    let report = rebuild(&lost, None).await;
    assert_eq!((report.recorded, report.unnamed, report.refused), (0, 2, 1));
    let report = rebuild(&lost, Some(&lost.bob)).await;
    assert_eq!((report.recorded, report.unnamed, report.refused), (1, 0, 2));
    let taken = lost.photos.photo(&lost.bob, &photo.id).await.unwrap();
    assert_eq!(
        (taken.hash, taken.width, taken.height, taken.content_type.as_str()),
        (photo.hash, 50, 40, "image/jpeg")
    );
    let written = Manifest::read(&stored(&lost, &manifest).await.unwrap()).unwrap();
    assert_eq!((written.user_id, written.hash), (lost.bob.clone(), photo.hash));
    assert!(stored(&lost, &text).await.is_some() && stored(&lost, &stray).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_of_an_earlier_version_get_their_manifests() {
    let library = Library::new();
    let trip = details("a.jpg", tags(["trip"]), None);
    let photo = library
        .upload_with(&library.alice, &jpeg(50, 50, RED), trip)
        .await
        .unwrap()
        .photo()
        .clone();
    let key = BlobKey::manifest(&photo.id);
    library.storage.inner.delete(&key).await.unwrap();
    let missing = |repaired| (FindingKind::ManifestMissing, photo.id.to_string(), repaired);
    assert_eq!(subjects(&library, CHECK).await, [missing(false)]);
    assert_eq!(subjects(&library, REPAIR).await, [missing(true)]);
    assert_eq!(subjects(&library, CHECK).await, []);
    let written = Manifest::read(&stored(&library, &key).await.unwrap()).unwrap();
    assert_eq!(written, Manifest::of(&photo));
}

/// At every step of a deletion the process may die, and the metadata store may be lost right after.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_photo_never_comes_back_wherever_its_deletion_was_interrupted() {
    for steps in 0..5 {
        let library = Library::new();
        let photo = library
            .upload(&library.alice, &jpeg(50, 50, RED))
            .await
            .unwrap()
            .photo()
            .clone();
        library.storage.fail_after(steps);
        library.photos.delete(&library.alice, &photo.id).await.unwrap();
        library.storage.switch_on();
        let tombstone = stored(&library, &BlobKey::tombstone(&photo.id)).await.is_some();
        let lost = library.with_empty_metadata();
        let report = rebuild(&lost, None).await;
        let kept = stored(&lost, &photo.blob).await.is_some();
        // Until the tombstone is written the record alone knows of the deletion.
        assert_eq!(report.recorded, u64::from(!tombstone), "after {steps} steps");
        if tombstone {
            assert_eq!(report.deleted, u64::from(kept));
            let report = lost.photos.check(&REPAIR, &mut |_| ()).await.unwrap();
            assert_eq!(
                (report.photos, report.unknown_originals, report.unrepaired),
                (0, 0, 0)
            );
            assert_eq!(stored(&lost, &photo.blob).await, None);
            assert_eq!(stored(&lost, &BlobKey::manifest(&photo.id)).await, None);
        }
        // And with the record the deletion goes on.
        let report = library.without_grace().photos.check(&REPAIR, &mut |_| ()).await;
        assert_eq!(report.unwrap().unrepaired, 0);
        assert_eq!(
            library.photos.parts().metadata.get(&photo.id).await.unwrap(),
            None
        );
        assert_eq!(stored(&library, &photo.blob).await, None, "after {steps} steps");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_store_from_before_a_deletion_forgets_the_photo_again() {
    let library = Library::new();
    let bytes = jpeg(50, 50, RED);
    let photo = library
        .upload(&library.alice, &bytes)
        .await
        .unwrap()
        .photo()
        .clone();
    library.photos.delete(&library.alice, &photo.id).await.unwrap();
    let restored = library.with_empty_metadata();
    let metadata = &restored.photos.parts().metadata;
    metadata.insert(&photo).await.unwrap();
    let found = subjects(&restored, REPAIR).await;
    assert!(
        found.contains(&(FindingKind::DeletionUnfinished, photo.id.to_string(), true)),
        "{found:?}"
    );
    assert_eq!(metadata.get(&photo.id).await.unwrap(), None);
    // The same bytes may come back as a new photo, which a rebuild keeps.
    let again = restored.upload(&restored.alice, &bytes).await.unwrap();
    let lost = restored.with_empty_metadata();
    assert_eq!(rebuild(&lost, None).await.recorded, 1);
    assert!(lost.photos.photo(&lost.alice, &again.photo().id).await.is_ok());
}

/// An upload that died before its record, whose client then sent the same file again.
#[tokio::test(flavor = "multi_thread")]
async fn the_leftover_of_an_interrupted_upload_goes_only_while_its_bytes_are_safe() {
    let library = Library::new();
    let bytes = jpeg(50, 50, RED);
    let photo = library
        .upload(&library.alice, &bytes)
        .await
        .unwrap()
        .photo()
        .clone();
    let leftover = |owner: &UserId| Manifest {
        id: PhotoId::generate(),
        user_id: owner.clone(),
        ..Manifest::of(&photo)
    };
    let (same, other) = (leftover(&library.alice), leftover(&library.bob));
    for manifest in [&same, &other] {
        put(
            &library,
            &BlobKey::manifest(&manifest.id),
            manifest.write().unwrap(),
        )
        .await;
        put(&library, &BlobKey::original(&manifest.id), bytes.clone()).await;
    }
    let library = library.without_grace();
    // While the photo's own original is damaged, the leftover may be the last good copy.
    put(&library, &photo.blob, "damaged").await;
    let report = library.photos.check(&REPAIR, &mut |_| ()).await.unwrap();
    assert_eq!(
        (
            report.unknown_originals,
            report.count(FindingKind::OriginalDuplicate)
        ),
        (2, 0)
    );
    put(&library, &photo.blob, bytes.clone()).await;
    let report = library.photos.check(&REPAIR, &mut |_| ()).await.unwrap();
    assert_eq!(
        (
            report.unknown_originals,
            report.count(FindingKind::OriginalDuplicate)
        ),
        (1, 1)
    );
    assert_eq!(stored(&library, &BlobKey::original(&same.id)).await, None);
    assert_eq!(stored(&library, &BlobKey::manifest(&same.id)).await, None);
    assert_eq!(stored(&library, &BlobKey::original(&other.id)).await, Some(bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_of_originals_that_no_record_names_stay_with_them() {
    let library = Library::new();
    let photo = library
        .upload(&library.alice, &jpeg(50, 50, RED))
        .await
        .unwrap()
        .photo()
        .clone();
    let with_original = BlobKey::derived(&photo.id, "thumbnail", "320.jpg").unwrap();
    let without = BlobKey::derived(&PhotoId::generate(), "thumbnail", "320.jpg").unwrap();
    put(&library, &with_original, "preview").await;
    put(&library, &without, "preview").await;
    let wrong = library.with_empty_metadata();
    let report = wrong.photos.check(&REPAIR, &mut |_| ()).await.unwrap();
    assert_eq!(
        (report.unknown_originals, report.count(FindingKind::BlobUnknown)),
        (1, 1)
    );
    assert!(stored(&library, &with_original).await.is_some());
    assert_eq!(stored(&library, &without).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_originals_is_found_named_and_mended_by_the_same_file() {
    let library = Library::new();
    let workers = library.start();
    let files: Vec<Bytes> = (0..4).map(|number| jpeg(50 + number, 50, RED)).collect();
    let mut photos = Vec::new();
    for (number, bytes) in files.iter().enumerate() {
        let name = details(&format!("{number}.jpg"), BTreeSet::new(), None);
        let id = library
            .upload_with(&library.alice, bytes, name)
            .await
            .unwrap()
            .photo()
            .id;
        photos.push(library.settled(&id).await);
    }
    library.stop(workers).await;
    library.storage.inner.delete(&photos[0].blob).await.unwrap();
    put(&library, &photos[1].blob, files[1].slice(..files[1].len() / 2)).await;
    let mut flipped = files[2].to_vec();
    flipped[100] ^= 1;
    put(&library, &photos[2].blob, flipped).await;

    let named = |kind, at: usize| (kind, format!("{} ({at}.jpg)", photos[at].id), false);
    let seen_by_size = [
        named(FindingKind::BlobMissing, 0),
        named(FindingKind::BlobWrongSize, 1),
    ];
    assert_eq!(subjects(&library, CHECK).await, seen_by_size);
    let verify = CheckOptions {
        verify: Some(Verify { bytes_per_sec: 0 }),
        ..REPAIR
    };
    let [missing, short] = seen_by_size.clone();
    let seen_by_hash = [missing, short, named(FindingKind::BlobWrongBytes, 2)];
    assert_eq!(subjects(&library, verify).await, seen_by_hash);
    // A check without --verify doesn't forget what only reading has shown.
    assert_eq!(subjects(&library, REPAIR).await, seen_by_size);
    let report = library.photos.storage_report().await.unwrap();
    assert_eq!(
        report.damaged.into_iter().collect::<Vec<_>>(),
        [
            (photos[0].id, Damage::Missing),
            (photos[1].id, Damage::WrongSize),
            (photos[2].id, Damage::WrongBytes),
        ]
    );

    for at in 0..4 {
        let again = library.upload(&library.alice, &files[at]).await.unwrap();
        assert_eq!(again, Uploaded::Existing(photos[at].clone()));
        assert_eq!(
            stored(&library, &photos[at].blob).await.as_ref(),
            Some(&files[at])
        );
    }
    assert_eq!(subjects(&library, verify).await, []);
    assert_eq!(library.photos.storage_report().await.unwrap().note(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrub_finds_a_flipped_byte_in_the_background() {
    let library = Library::new().with_options(|options| options.scrub_bytes_per_sec = 100 << 20);
    let workers = library.start();
    let bytes = jpeg(50, 50, RED);
    let photo = library.settle(&library.alice, &bytes).await;
    library.settle(&library.alice, &jpeg(60, 50, RED)).await;
    library.stop(workers).await;
    let mut flipped = bytes.to_vec();
    flipped[100] ^= 1;
    put(&library, &photo.blob, flipped).await;
    let metadata = &library.photos.parts().metadata;
    metadata.delete_record("scrub").await.unwrap();
    let library = library.again();
    let workers = library.start();
    eventually("the damage is known", async || {
        let report = library.photos.storage_report().await.unwrap();
        report.damaged.get(&photo.id) == Some(&Damage::WrongBytes)
    })
    .await;
    library.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_that_waits_for_its_lost_bytes_is_ready_once_they_are_uploaded_again() {
    let library = Library::new();
    let bytes = jpeg(50, 50, RED);
    for lose in ["missing", "cut", "flipped"] {
        let bytes = if lose == "missing" {
            bytes.clone()
        } else {
            jpeg(51, 50, BLUE)
        };
        let photo = library
            .upload(&library.alice, &bytes)
            .await
            .unwrap()
            .photo()
            .clone();
        let mut wrong = bytes.to_vec();
        match lose {
            "missing" => library.storage.inner.delete(&photo.blob).await.unwrap(),
            "cut" => put(&library, &photo.blob, bytes.slice(..30)).await,
            _ => {
                wrong[40..60].fill(7);
                put(&library, &photo.blob, wrong).await;
            }
        }
        let library = library.again();
        let workers = library.start();
        eventually("the loss is told", async || {
            let now = library.photos.photo(&library.alice, &photo.id).await.unwrap();
            now.error.is_some_and(|error| error.code.starts_with("blob_")) && now.attempts > 3
        })
        .await;
        let now = library.photos.photo(&library.alice, &photo.id).await.unwrap();
        assert_eq!(now.state, PhotoState::Pending, "{lose}: no fault of the photo's");
        library.upload(&library.alice, &bytes).await.unwrap();
        assert_eq!(
            library.settled(&photo.id).await.state,
            PhotoState::Ready,
            "{lose}"
        );
        library.stop(workers).await;
        library.photos.delete(&library.alice, &photo.id).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_takes_only_texts_cant_be_a_librarys_model() {
    let library = Library::new();
    let parts = Parts {
        embedder: Arc::new(HashModel::named("texts").without(TowerKind::Image).start()),
        ..library.photos.parts().clone()
    };
    let refused = Photos::new(parts, library.photos.options().clone());
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
        let mut photo = library
            .upload(&library.alice, &bytes)
            .await
            .unwrap()
            .photo()
            .clone();
        photo.state = PhotoState::Failed;
        photo.error = Some(PhotoError {
            code: code.to_owned(),
            message: "given up".to_owned(),
            own_faults: 0,
        });
        library.photos.parts().metadata.update(&photo).await.unwrap();
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
    let parts = library.photos.parts().clone();
    let index = guard_index(Arc::clone(&parts.index), "test", options);
    let parts = Parts { index, ..parts };
    let photos = Photos::new(parts, library.photos.options().clone()).unwrap();
    let readiness = photos.readiness().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_again_merges_its_tags_and_sets_an_unknown_time() {
    let library = Library::new();
    let workers = library.start();
    let bytes = jpeg(50, 50, RED);
    let first = details("a.jpg", tags(["sea"]), None);
    let id = library
        .upload_with(&library.alice, &bytes, first)
        .await
        .unwrap()
        .photo()
        .id;
    library.settled(&id).await;
    let second = details("b.jpg", tags(["sun"]), Some("2020-02-02T21:20:20+01:00"));
    let third = details("c.jpg", tags(["sea"]), Some("2021-01-01T00:00:00Z"));
    for details in [second, third] {
        let again = library
            .upload_with(&library.alice, &bytes, details)
            .await
            .unwrap();
        let Uploaded::Existing(photo) = again else {
            panic!("{again:?}")
        };
        assert_eq!(photo.id, id);
        assert_eq!(photo.tags, tags(["sea", "sun"]));
        assert_eq!(photo.taken_at.unwrap().to_string(), "2020-02-02T20:20:20Z");
        assert_eq!(photo.taken_at_local, Some("2020-02-02T21:20:20".parse().unwrap()));
        assert_eq!(photo.filename.as_deref(), Some("a.jpg"));
    }
    let written = stored(&library, &BlobKey::manifest(&id)).await.unwrap();
    assert_eq!(Manifest::read(&written).unwrap().tags, tags(["sea", "sun"]));
    library.stop(workers).await;
}

async fn found_with_tag(library: &Library, tag: &str) -> Vec<PhotoId> {
    let query = SearchQuery {
        user_id: library.alice.clone(),
        input: SearchInput::Text("red".to_owned()),
        filter: IndexFilter {
            tags: vec![tag.to_owned()],
            ..IndexFilter::default()
        },
        limit: 10,
    };
    let hits = library.photos.search(query).await.unwrap().hits;
    hits.into_iter().map(|hit| hit.photo.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_reaches_searches_and_manifest_even_if_it_is_interrupted() {
    let library = Library::new();
    let workers = library.start();
    let photo = library.settle(&library.alice, &jpeg(50, 50, RED)).await;
    let edit = |tag: &str| PhotoEdit {
        tags: TagEdit::Replace(tags([tag])),
        taken_at: TakenAtEdit::Set("2020-02-02T20:20:20Z".parse().unwrap()),
    };
    let edited = library
        .photos
        .edit(&library.alice, &photo.id, &edit("one"))
        .await
        .unwrap();
    assert_eq!((edited.state, edited.tags), (PhotoState::Ready, tags(["one"])));
    assert_eq!(found_with_tag(&library, "one").await, [photo.id]);
    library.stop(workers).await;

    // The record is written, and then the process dies: the job that went before does the rest.
    let faulty = library.with_failing_upserts(|| Error::unavailable("the index is unavailable"));
    let edited = faulty
        .photos
        .edit(&faulty.alice, &photo.id, &edit("two"))
        .await
        .unwrap();
    assert_eq!(edited.tags, tags(["two"]));
    assert_eq!(found_with_tag(&library, "two").await, []);
    assert!(library.queue.counts().await.unwrap().delayed > 0);
    let job = Job { photo_id: photo.id };
    library.queue.publish(&job, Duration::ZERO).await.unwrap();
    let library = library.again();
    let workers = library.start();
    eventually("searches go by the edit", async || {
        found_with_tag(&library, "two").await == [photo.id]
            && found_with_tag(&library, "one").await.is_empty()
    })
    .await;
    library.stop(workers).await;
    let written = stored(&library, &BlobKey::manifest(&photo.id)).await.unwrap();
    let written = Manifest::read(&written).unwrap();
    assert_eq!(
        (written.tags, written.taken_at.map(|time| time.to_string())),
        (tags(["two"]), Some("2020-02-02T20:20:20Z".to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_at_once_and_during_ingestion_all_arrive() {
    let library = Library::new();
    library.model.hold();
    let workers = library.start();
    let id = library
        .upload(&library.alice, &jpeg(50, 50, RED))
        .await
        .unwrap()
        .photo()
        .id;
    library.model.wait_until_held().await;
    let add = |number: u32| {
        let edit = PhotoEdit {
            tags: TagEdit::Change {
                add: BTreeSet::from([format!("tag-{number}")]),
                remove: BTreeSet::new(),
            },
            taken_at: TakenAtEdit::Keep,
        };
        let (photos, alice) = (library.photos.clone(), library.alice.clone());
        async move { photos.edit(&alice, &id, &edit).await.unwrap() }
    };
    futures::future::join_all((0..4).map(add)).await;
    library.model.release();
    assert_eq!(library.settled(&id).await.state, PhotoState::Ready);
    futures::future::join_all((4..8).map(add)).await;
    for number in 0..8 {
        assert_eq!(
            found_with_tag(&library, &format!("tag-{number}")).await,
            [id],
            "{number}"
        );
    }
    let written = stored(&library, &BlobKey::manifest(&id)).await.unwrap();
    assert_eq!(Manifest::read(&written).unwrap().tags.len(), 8);
    library.stop(workers).await;
}
