//! A change and its event stay together wherever a process ends between the writes of both.
//!
//! Each test puts the documents into the state that such an end leaves, and looks at what another process makes of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use jiff::{SignedDuration, Timestamp};
use lucida_core::{
    ErrorKind, EventId, EventKind, Inserted, MetadataStore, Outbox, OutboxEvent, Photo, PhotoState,
};
use lucida_mongodb::MongodbMetadata;
use lucida_testkit::{photo, user};
use mongodb::bson::{Document, Uuid, doc};
use mongodb::{Client, Collection};
use support::{Scratch, config, server};

struct Store {
    scratch: Scratch,
    metadata: MongodbMetadata,
    photos: Collection<Document>,
    outbox: Collection<Document>,
}

impl Store {
    /// Opens an empty one; `None` without a server.
    async fn open() -> Option<Self> {
        let scratch = Scratch::new(&server()?);
        let database = Client::with_uri_str(&scratch.uri)
            .await
            .unwrap()
            .database(&scratch.database);
        Some(Self {
            metadata: MongodbMetadata::open(config(&scratch.uri, &scratch.database))
                .await
                .unwrap(),
            photos: database.collection("photos"),
            outbox: database.collection("outbox"),
            scratch,
        })
    }

    async fn insert(&self) -> Photo {
        match self.metadata.insert(&photo(&user("alice"))).await.unwrap() {
            Inserted::New(photo) => photo,
            Inserted::Existing(photo) => panic!("{} is stored already", photo.id),
        }
    }

    async fn due(&self) -> Vec<EventId> {
        let now = Timestamp::now() + SignedDuration::from_secs(60);
        let due = self.metadata.due_events("hook", now, 10).await.unwrap();
        due.iter().map(|event| event.id).collect()
    }

    /// Counts the stored events, prepared ones too.
    async fn stored(&self) -> u64 {
        self.outbox.count_documents(doc! {}).await.unwrap()
    }

    async fn set_prepared(&self, event: &EventId) {
        let updated = self
            .outbox
            .update_one(
                doc! { "_id": bson_id(event) },
                doc! { "$set": { "state": "prepared" } },
            )
            .await
            .unwrap();
        assert_eq!(updated.matched_count, 1);
    }

    /// Sets or removes the mark of an event in the document of its photo.
    async fn mark(&self, photo: &Photo, event: &EventId, operator: &str) {
        let id = Uuid::from_bytes(*photo.id.as_uuid().as_bytes());
        let updated = self
            .photos
            .update_one(
                doc! { "_id": id },
                doc! { operator: { format!("events.{event}"): true } },
            )
            .await
            .unwrap();
        assert_eq!(updated.matched_count, 1);
    }
}

fn bson_id(event: &EventId) -> Uuid {
    Uuid::from_bytes(*event.as_uuid().as_bytes())
}

/// Returns what makes a photo ready, and the event about it.
fn readied(photo: &Photo) -> (Photo, OutboxEvent) {
    let mut ready = photo.clone();
    ready.state = PhotoState::Ready;
    let event = OutboxEvent::new("hook", EventKind::Ready, &ready, Timestamp::now()).unwrap();
    (ready, event)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_leaves_no_mark_once_its_event_waits() {
    let Some(store) = Store::open().await else { return };
    let (ready, event) = readied(&store.insert().await);
    store
        .metadata
        .update_with(&ready, std::slice::from_ref(&event))
        .await
        .unwrap();
    assert_eq!(store.due().await, [event.id]);
    let document = store.photos.find_one(doc! {}).await.unwrap().unwrap();
    assert!(document.get_document("events").unwrap().is_empty(), "{document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_change_has_happened_is_delivered_after_a_crash() {
    let Some(store) = Store::open().await else { return };
    let (ready, event) = readied(&store.insert().await);
    let ready = store
        .metadata
        .update_with(&ready, std::slice::from_ref(&event))
        .await
        .unwrap();
    store.set_prepared(&event.id).await;
    store.mark(&ready, &event.id, "$set").await;
    // Also after further changes of the photo.
    let edited = store.metadata.update(&ready).await.unwrap();
    assert_eq!(store.due().await, [event.id]);

    // And where the photo is deleted before anybody has looked.
    store.set_prepared(&event.id).await;
    store.mark(&ready, &event.id, "$set").await;
    let mut deleting = edited.clone();
    deleting.state = PhotoState::Deleting;
    let deleting = store.metadata.update(&deleting).await.unwrap();
    let deleted = OutboxEvent::new("hook", EventKind::Deleted, &deleting, Timestamp::now()).unwrap();
    store
        .metadata
        .delete_with(&deleting.id, std::slice::from_ref(&deleted))
        .await
        .unwrap();
    for id in [event.id, deleted.id] {
        assert_eq!(store.due().await, [id]);
        store.metadata.delete_event(&id).await.unwrap();
    }
    assert_eq!(store.stored().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_change_has_not_happened_is_never_delivered() {
    let Some(store) = Store::open().await else { return };
    let new = store.insert().await;
    let (ready, event) = readied(&new);
    // A process has ended right before the change: what it added is made from a change of another photo's.
    let (other, _) = readied(&store.insert().await);
    store
        .metadata
        .update_with(&other, std::slice::from_ref(&event))
        .await
        .unwrap();
    store.set_prepared(&event.id).await;
    store.mark(&other, &event.id, "$unset").await;
    // The change may still come.
    assert_eq!((store.due().await, store.stored().await), (vec![], 1));

    // It comes, by another worker.
    let ready = store
        .metadata
        .update_with(&ready, std::slice::from_ref(&event))
        .await
        .unwrap();
    assert_eq!(store.due().await, [event.id]);
    store.metadata.delete_event(&event.id).await.unwrap();

    // Another change comes in its place: it can't happen any more.
    let mut failed = ready.clone();
    failed.state = PhotoState::Failed;
    let late = OutboxEvent::new("hook", EventKind::Failed, &failed, Timestamp::now()).unwrap();
    store.metadata.update(&ready).await.unwrap();
    let conflict = store
        .metadata
        .update_with(&failed, std::slice::from_ref(&late))
        .await
        .unwrap_err();
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
    assert_eq!((store.due().await, store.stored().await), (vec![], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_interrupted_after_its_event_adds_no_second_one() {
    let Some(store) = Store::open().await else { return };
    let mut deleting = store.insert().await;
    deleting.state = PhotoState::Deleting;
    let deleting = store.metadata.update(&deleting).await.unwrap();
    let deleted =
        |photo: &Photo| OutboxEvent::new("hook", EventKind::Deleted, photo, Timestamp::now()).unwrap();
    let document = store.photos.find_one(doc! {}).await.unwrap().unwrap();
    store
        .metadata
        .delete_with(&deleting.id, &[deleted(&deleting)])
        .await
        .unwrap();
    // The record is still stored, and has changed once more.
    store.photos.insert_one(document).await.unwrap();
    let changed = store.metadata.update(&deleting).await.unwrap();
    store
        .metadata
        .delete_with(&changed.id, &[deleted(&changed)])
        .await
        .unwrap();
    assert_eq!(store.stored().await, 1);
    assert_eq!(store.metadata.get(&deleting.id).await.unwrap(), None);
    let second = MongodbMetadata::open(config(&store.scratch.uri, &store.scratch.database))
        .await
        .unwrap();
    assert_eq!(second.count_events("hook").await.unwrap().pending, 1);
}
