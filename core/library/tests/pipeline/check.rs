//! What a check finds, what a repair mends, and what neither touches.

use lucida_core::{BlobKey, ErrorKind, PhotoId, PhotoState, Storage, stream_of};
use lucida_library::{CheckNews, CheckOptions, FindingKind};
use lucida_testkit::{HashModel, jpeg, point};

use super::support::{CHECK, Library};
use super::{BLUE, RED};

pub(super) async fn findings(library: &Library, repair: bool) -> Vec<(FindingKind, bool)> {
    let mut found = Vec::new();
    let mut tell = |news: CheckNews<'_>| {
        if let CheckNews::Found(finding) = news {
            found.push((finding.kind, finding.repaired));
        }
    };
    let options = CheckOptions { repair, ..CHECK };
    library.photos.check(&options, &mut tell).await.unwrap();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_reports_what_is_out_of_order_and_a_repair_mends_it() {
    let library = Library::new();
    let workers = library.start();
    let lost_point = library.settle(&library.alice, &jpeg(50, 50, RED)).await;
    let lost_blob = library.settle(&library.alice, &jpeg(60, 60, BLUE)).await;
    library.stop(workers).await;
    assert_eq!(findings(&library, false).await, []);

    let library = library.without_grace();
    let parts = &library.parts;
    let collection = &library.collection();
    parts.index.delete(collection, &[lost_point.id]).await.unwrap();
    library.storage.inner.delete(&lost_blob.blob).await.unwrap();
    let vector = parts
        .index
        .vector(collection, &lost_blob.id)
        .await
        .unwrap()
        .unwrap();
    let stranger = point(PhotoId::generate(), &library.alice, vector);
    parts.index.upsert(collection, &[stranger]).await.unwrap();
    let orphan = BlobKey::original(&PhotoId::generate());
    library
        .storage
        .inner
        .put(&orphan, stream_of("orphan"))
        .await
        .unwrap();

    let expected = [
        (FindingKind::PointMissing, true),
        (FindingKind::BlobMissing, false),
        (FindingKind::PointUnknown, true),
        (FindingKind::OriginalUnknown, false),
    ];
    let told = findings(&library, false).await;
    assert_eq!(told, expected.map(|(kind, _)| (kind, false)));
    let told = findings(&library, true).await;
    assert_eq!(told, expected);

    let library = library.with_model(HashModel::new());
    let workers = library.start();
    assert_eq!(library.settled(&lost_point.id).await.state, PhotoState::Ready);
    library.stop(workers).await;
    assert_eq!(
        findings(&library, false).await,
        [
            (FindingKind::BlobMissing, false),
            (FindingKind::OriginalUnknown, false)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_was_interrupted_goes_on_where_it_was() {
    let library = Library::new();
    let workers = library.start();
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(
            library
                .settle(&library.alice, &jpeg(50 + number, 50, RED))
                .await
                .id,
        );
    }
    library.stop(workers).await;
    // The first look at the blobs fails after the whole metadata store was compared.
    let mut looks = 0;
    library.storage.switch_off_list();
    let mut tell = |news: CheckNews<'_>| looks += u64::from(matches!(news, CheckNews::Progress(_)));
    let broken = library.photos.check(&CHECK, &mut tell).await;
    assert_eq!((broken.unwrap_err().kind(), looks), (ErrorKind::Unavailable, 1));
    library.storage.switch_on();
    // What has changed since in the part that is done is not seen again.
    let parts = &library.parts;
    parts
        .index
        .delete(&library.collection(), &ids[..1])
        .await
        .unwrap();
    let options = CheckOptions {
        resume: true,
        ..CHECK
    };
    let report = library.photos.check(&options, &mut |_| ()).await.unwrap();
    assert_eq!((report.photos, report.points, report.blobs), (4, 4, 4));
    assert!(report.is_clean(), "{report:?}");
    // It is done, so the next one begins anew whatever it is told.
    let report = library.photos.check(&options, &mut |_| ()).await.unwrap();
    assert_eq!((report.photos, report.points, report.blobs), (4, 3, 4));
    assert_eq!(report.findings.get(&FindingKind::PointMissing), Some(&1));
}
