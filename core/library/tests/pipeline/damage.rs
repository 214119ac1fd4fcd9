//! Damage to originals is found, reported, and repaired by the same file.

use std::collections::BTreeSet;

use bytes::Bytes;
use lucida_core::{PhotoState, Storage};
use lucida_library::{CheckOptions, Damage, FindingKind, Uploaded, Verify};
use lucida_testkit::{eventually, jpeg};

use super::keeping::{REPAIR, details, put, stored, subjects};
use super::support::{CHECK, Library};
use super::{BLUE, RED};

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
    let metadata = &library.parts.metadata;
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
        let photo = library.uploaded(&library.alice, &bytes).await;
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
        eventually("the loss is reported", async || {
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
