//! Deleted photos stay deleted, and what an interrupted upload or deletion leaves goes only while no photo needs it.

use lucida_core::{BlobKey, PhotoId, UserId};
use lucida_library::{FindingKind, Manifest};
use lucida_testkit::jpeg;

use super::RED;
use super::keeping::{REPAIR, put, rebuild, stored, subjects};
use super::support::Library;

/// At every step of a deletion the process may die, and the metadata store may be lost right after.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_photo_never_comes_back_wherever_its_deletion_was_interrupted() {
    for steps in 0..5 {
        let library = Library::new();
        let photo = library.uploaded(&library.alice, &jpeg(50, 50, RED)).await;
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
        assert_eq!(library.parts.metadata.get(&photo.id).await.unwrap(), None);
        assert_eq!(stored(&library, &photo.blob).await, None, "after {steps} steps");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_store_from_before_a_deletion_forgets_the_photo_again() {
    let library = Library::new();
    let bytes = jpeg(50, 50, RED);
    let photo = library.uploaded(&library.alice, &bytes).await;
    library.photos.delete(&library.alice, &photo.id).await.unwrap();
    let restored = library.with_empty_metadata();
    let metadata = &restored.parts.metadata;
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
    let photo = library.uploaded(&library.alice, &bytes).await;
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
    let photo = library.uploaded(&library.alice, &jpeg(50, 50, RED)).await;
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
