//! No photo is lost by a wrong or lost metadata store.

use std::collections::BTreeSet;

use bytes::Bytes;
use lucida_core::{BlobKey, ErrorKind, Photo, PhotoId, PhotoState, Storage, UserId, stream_of};
use lucida_library::{
    CheckNews, CheckOptions, FindingKind, Manifest, RebuildNews, RebuildOptions, RebuildReport, UploadDetails,
};
use lucida_testkit::{eventually, jpeg};

use super::support::{CHECK, Library};
use super::{BLUE, RED};

pub(super) const REPAIR: CheckOptions = CheckOptions {
    repair: true,
    ..CHECK
};

pub(super) fn tags<const N: usize>(tags: [&str; N]) -> BTreeSet<String> {
    tags.map(str::to_owned).into()
}

pub(super) fn details(name: &str, its_tags: BTreeSet<String>, taken_at: Option<&str>) -> UploadDetails {
    UploadDetails {
        filename: Some(name.to_owned()),
        taken_at: taken_at.map(|time| time.parse().unwrap()),
        tags: its_tags,
    }
}

pub(super) async fn subjects(library: &Library, options: CheckOptions) -> Vec<(FindingKind, String, bool)> {
    let mut found = Vec::new();
    let mut tell = |news: CheckNews<'_>| {
        if let CheckNews::Found(finding) = news {
            found.push((finding.kind, finding.subject.clone(), finding.repaired));
        }
    };
    library.photos.check(&options, &mut tell).await.unwrap();
    found
}

pub(super) async fn rebuild(library: &Library, owner: Option<&UserId>) -> RebuildReport {
    let options = RebuildOptions {
        owner_of_unnamed: owner.cloned(),
    };
    library
        .photos
        .rebuild(&options, &mut |_: RebuildNews<'_>| ())
        .await
        .unwrap()
}

pub(super) async fn stored(library: &Library, key: &BlobKey) -> Option<Bytes> {
    match library.storage.inner.get(key, None).await {
        Ok(blob) => Some(blob.bytes().await.unwrap()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::NotFound);
            None
        }
    }
}

pub(super) async fn put(library: &Library, key: &BlobKey, bytes: impl Into<Bytes>) {
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
    tokio::time::sleep(wrong.options.reconcile_interval * 2).await;
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
    let photo = library.uploaded(&library.alice, &jpeg(50, 40, RED)).await;
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
