//! Edits reach the record, the manifest and searches.

use std::collections::BTreeSet;
use std::time::Duration;

use lucida_core::{
    BlobKey, Error, IndexFilter, Job, JobQueue, PhotoId, PhotoState, SearchInput, SearchQuery,
};
use lucida_library::{Manifest, PhotoEdit, TagEdit, TakenAtEdit, Uploaded};
use lucida_testkit::{eventually, jpeg};

use super::RED;
use super::keeping::{details, stored, tags};
use super::support::Library;

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
