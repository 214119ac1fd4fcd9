//! The contract of [`lucida_core::Outbox`], sentence by sentence; part of the metadata store's suite.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lucida_core::{
    ErrorKind, EventId, EventKind, MetadataStore, OutboxCounts, OutboxEvent, Photo, PhotoId, PhotoState,
};

use super::metadata::{insert_new, micros, only_winner};
use super::{Fixture, photo, user};

/// The time that the tests go by, in microseconds since 1970.
const NOW: i64 = 1_720_000_000_000_000;

fn now() -> Timestamp {
    micros(NOW)
}

fn in_secs(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// Changes a photo's state, and adds an event about that for each subscriber.
async fn change(
    store: &dyn MetadataStore,
    photo: &Photo,
    (state, kind): (PhotoState, EventKind),
    subscribers: &[&str],
) -> (Photo, Vec<OutboxEvent>) {
    let mut changed = photo.clone();
    changed.state = state;
    let events = events(kind, &changed, subscribers);
    let updated = store.update_with(&changed, &events).await.unwrap();
    (updated, events)
}

fn events(kind: EventKind, photo: &Photo, subscribers: &[&str]) -> Vec<OutboxEvent> {
    let new = |subscriber: &&str| OutboxEvent::new(subscriber, kind, photo, now()).unwrap();
    subscribers.iter().map(new).collect()
}

async fn make_ready(
    store: &dyn MetadataStore,
    photo: &Photo,
    subscribers: &[&str],
) -> (Photo, Vec<OutboxEvent>) {
    change(store, photo, (PhotoState::Ready, EventKind::Ready), subscribers).await
}

/// Makes a new photo ready, and returns it with the event about that.
async fn ready(store: &dyn MetadataStore) -> (Photo, OutboxEvent) {
    let new = insert_new(store, &photo(&user("alice"))).await;
    let (photo, mut events) = make_ready(store, &new, &["hook"]).await;
    (photo, events.remove(0))
}

/// Marks a photo as deleting, and deletes it with an event about that.
async fn delete(store: &dyn MetadataStore, photo: &Photo) -> OutboxEvent {
    let mut deleting = photo.clone();
    deleting.state = PhotoState::Deleting;
    let deleting = store.update(&deleting).await.unwrap();
    let mut events = events(EventKind::Deleted, &deleting, &["hook"]);
    store.delete_with(&deleting.id, &events).await.unwrap();
    events.remove(0)
}

async fn due(store: &dyn MetadataStore, at: Timestamp) -> Vec<OutboxEvent> {
    store.due_events("hook", at, 100).await.unwrap()
}

async fn due_ids(store: &dyn MetadataStore, at: Timestamp) -> Vec<EventId> {
    due(store, at).await.iter().map(|event| event.id).collect()
}

/// An update stores the record and the event, which has the record after the change.
pub async fn an_event_is_stored_with_the_change_it_is_about(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let mut new = photo(&user("alice"));
    new.filename = Some("Ünïcode \"quoted\" $a.b 🏖️.jpeg".to_owned());
    new.attributes = [(
        "a.b$c".to_owned(),
        serde_json::json!({"$set": {"x.y": [[1], null]}}),
    )]
    .into();
    let new = insert_new(store, &new).await;
    assert_eq!(due(store, now()).await, []);
    let (updated, events) = make_ready(store, &new, &["hook"]).await;
    assert_eq!(store.get(&new.id).await.unwrap(), Some(updated.clone()));
    let stored = due(store, now()).await;
    assert_eq!(stored, events);
    assert_eq!(stored[0].photo().unwrap(), updated);
    assert_eq!(store.event(&events[0].id).await.unwrap(), Some(stored[0].clone()));
}

/// Without events an update and a deletion write nothing into the outbox.
pub async fn without_events_the_outbox_stays_empty(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let new = insert_new(store, &photo(&user("alice"))).await;
    let (updated, _) = make_ready(store, &new, &[]).await;
    let updated = store.update(&updated).await.unwrap();
    store.delete_with(&updated.id, &[]).await.unwrap();
    assert_eq!(store.get(&updated.id).await.unwrap(), None);
    assert_eq!(due(store, now()).await, []);
    assert_eq!(store.count_events("hook").await.unwrap(), OutboxCounts::default());
}

/// A refused update leaves no event, neither now nor after the change that won.
pub async fn a_refused_update_adds_no_event(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let new = insert_new(store, &photo(&user("alice"))).await;
    let mut stale = new.clone();
    store.update(&new).await.unwrap();
    stale.state = PhotoState::Ready;
    let stale_events = events(EventKind::Ready, &stale, &["hook"]);
    let refused = store.update_with(&stale, &stale_events).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let missing = photo(&user("alice"));
    let missing_events = events(EventKind::Ready, &missing, &["hook"]);
    let refused = store.update_with(&missing, &missing_events).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    for _ in 0..2 {
        assert_eq!(due(store, in_secs(3600)).await, []);
    }
    assert_eq!(store.count_events("hook").await.unwrap(), OutboxCounts::default());
    assert_eq!(store.event(&stale_events[0].id).await.unwrap(), None);
}

/// Of many that change one version exactly one event is stored.
pub async fn of_sixteen_changes_at_once_one_event_is_stored(fixture: Fixture<dyn MetadataStore>) {
    let new = insert_new(&*fixture.part, &photo(&user("alice"))).await;
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let (store, mut mine) = (Arc::clone(&fixture.part), new.clone());
            let (state, kind) = match number % 2 {
                0 => (PhotoState::Ready, EventKind::Ready),
                _ => (PhotoState::Failed, EventKind::Failed),
            };
            mine.state = state;
            tokio::spawn(async move {
                let events = events(kind, &mine, &["hook"]);
                let updated = store.update_with(&mine, &events).await;
                updated.map(|_| events[0].id)
            })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    let won = only_winner(results);
    assert_eq!(due_ids(&*fixture.part, now()).await, [won]);
}

/// The same change again, as after a lost answer, is a conflict, and its event stays a single one.
pub async fn a_repeated_change_keeps_a_single_event(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let new = insert_new(store, &photo(&user("alice"))).await;
    let (_, first) = make_ready(store, &new, &["hook"]).await;
    let mut again = new.clone();
    again.state = PhotoState::Ready;
    let repeated = store
        .update_with(&again, &events(EventKind::Ready, &again, &["hook"]))
        .await;
    assert_eq!(repeated.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(due(store, now()).await, first);
    store.delete_event(&first[0].id).await.unwrap();
    let repeated = store.update_with(&again, &first).await;
    assert_eq!(repeated.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(due(store, now()).await, []);
}

/// A deletion adds its event; the second one finds no record and adds nothing.
pub async fn a_deletion_adds_its_event_once(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let new = insert_new(store, &photo(&user("alice"))).await;
    let deleted = delete(store, &new).await;
    assert_eq!(store.get(&new.id).await.unwrap(), None);
    let stored = due(store, now()).await;
    assert_eq!(stored, std::slice::from_ref(&deleted));
    assert_eq!(stored[0].photo().unwrap().state, PhotoState::Deleting);
    store.delete_event(&deleted.id).await.unwrap();
    store.delete_with(&new.id, &[deleted]).await.unwrap();
    assert_eq!(due(store, now()).await, []);
    // Content and id are free again.
    insert_new(store, &new).await;
}

/// Each subscriber has its own events.
pub async fn events_of_two_subscribers_are_apart(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let new = insert_new(store, &photo(&user("alice"))).await;
    let (_, events) = make_ready(store, &new, &["hook", "other"]).await;
    assert_ne!(events[0].id, events[1].id);
    store.delete_event(&events[0].id).await.unwrap();
    assert_eq!(due(store, now()).await, []);
    let other = store.due_events("other", now(), 10).await.unwrap();
    assert_eq!(other, events[1..]);
    assert_eq!(store.count_events("other").await.unwrap().pending, 1);
    assert_eq!(store.due_events("Other", now(), 10).await.unwrap(), []);
}

/// The first event of a photo hides its later ones until it is deleted; other photos' events are due.
pub async fn later_events_of_a_photo_wait_for_the_first(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let (photo, first) = ready(store).await;
    let (photo, second) = change(store, &photo, (PhotoState::Failed, EventKind::Failed), &["hook"]).await;
    let (photo, third) = make_ready(store, &photo, &["hook"]).await;
    let fourth = delete(store, &photo).await;
    let (_, other) = ready(store).await;
    for id in [first.id, second[0].id, third[0].id, fourth.id] {
        let ids: BTreeSet<_> = due_ids(store, now()).await.into_iter().collect();
        assert_eq!(ids, BTreeSet::from([id, other.id]));
        store.delete_event(&id).await.unwrap();
    }
    assert_eq!(due_ids(store, now()).await, [other.id]);
}

/// A new upload under a deleted photo's id comes after the deletion.
pub async fn an_id_that_is_used_again_keeps_the_order(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let (first, ready) = ready(store).await;
    let deleted = delete(store, &first).await;
    let mut again = first.clone();
    again.state = PhotoState::Pending;
    again.created_at = first.created_at + SignedDuration::from_secs(60);
    let again = insert_new(store, &again).await;
    let (_, again) = make_ready(store, &again, &["hook"]).await;
    for id in [ready.id, deleted.id, again[0].id] {
        assert_eq!(due_ids(store, now()).await, [id]);
        store.delete_event(&id).await.unwrap();
    }
}

/// An event is due at its time, not before; what its photo has later waits with it, and what other photos have does not.
pub async fn a_postponed_event_is_due_at_its_time(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let (photo, first) = ready(store).await;
    let (_, other) = ready(store).await;
    let postponed = OutboxEvent {
        attempts: 3,
        due_at: in_secs(60),
        error: Some("the receiver answered 500 \"…\"".to_owned()),
        ..first.clone()
    };
    store.update_event(&postponed).await.unwrap();
    let deleted = delete(store, &photo).await;
    assert_eq!(due_ids(store, now()).await, [other.id]);
    assert_eq!(due_ids(store, in_secs(59)).await, [other.id]);
    assert_eq!(due_ids(store, in_secs(60)).await, [other.id, first.id]);
    assert_eq!(store.event(&first.id).await.unwrap(), Some(postponed.clone()));
    store.delete_event(&first.id).await.unwrap();
    let ids: BTreeSet<_> = due_ids(store, in_secs(60)).await.into_iter().collect();
    assert_eq!(ids, BTreeSet::from([other.id, deleted.id]));
}

/// The limit counts what is due: events that wait for others of their photo take no place.
pub async fn waiting_events_take_no_place_of_those_due(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let (mut waiting, first) = ready(store).await;
    for turn in 0..6 {
        let to = match turn % 2 {
            0 => (PhotoState::Failed, EventKind::Failed),
            _ => (PhotoState::Ready, EventKind::Ready),
        };
        waiting = change(store, &waiting, to, &["hook"]).await.0;
    }
    let postponed = OutboxEvent {
        due_at: in_secs(60),
        ..first.clone()
    };
    store.update_event(&postponed).await.unwrap();
    waiting = change(
        store,
        &waiting,
        (PhotoState::Failed, EventKind::Failed),
        &["hook"],
    )
    .await
    .0;
    assert_eq!(waiting.state, PhotoState::Failed);
    let mut others = BTreeSet::new();
    for _ in 0..5 {
        others.insert(ready(store).await.1.id);
    }
    for _ in 0..2 {
        let due = store.due_events("hook", now(), 3).await.unwrap();
        assert_eq!(due.len(), 3);
        assert!(due.iter().all(|event| others.contains(&event.id)), "{due:?}");
    }
    let due: BTreeSet<_> = due_ids(store, in_secs(60)).await.into_iter().collect();
    others.insert(first.id);
    assert_eq!(due, others);
    assert_eq!(store.due_events("hook", now(), 0).await.unwrap(), []);
}

/// A dead event is not due, holds nothing up, and is listed; reset, it is due again.
pub async fn a_dead_event_holds_nothing_up(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let (photo, first) = ready(store).await;
    let deleted = delete(store, &photo).await;
    let dead = OutboxEvent {
        attempts: 24,
        dead: true,
        error: Some("gone".to_owned()),
        ..first.clone()
    };
    store.update_event(&dead).await.unwrap();
    assert_eq!(due_ids(store, now()).await, [deleted.id]);
    assert_eq!(store.dead_events(10).await.unwrap(), std::slice::from_ref(&dead));
    assert_eq!(store.dead_events(0).await.unwrap(), []);
    let counts = store.count_events("hook").await.unwrap();
    assert_eq!((counts.pending, counts.dead), (1, 1));
    store.delete_event(&deleted.id).await.unwrap();
    let again = OutboxEvent {
        attempts: 0,
        dead: false,
        ..dead
    };
    store.update_event(&again).await.unwrap();
    assert_eq!(due_ids(store, now()).await, [first.id]);
    assert_eq!(store.dead_events(10).await.unwrap(), []);
}

/// Counts are of one subscriber, with the time of the oldest event that waits.
pub async fn events_are_counted_by_subscriber_and_state(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let new = insert_new(store, &photo(&user("alice"))).await;
    let mut changed = new.clone();
    changed.state = PhotoState::Ready;
    let late = OutboxEvent::new("hook", EventKind::Ready, &changed, in_secs(30)).unwrap();
    store.update_with(&changed, &[late]).await.unwrap();
    let (_, early) = ready(store).await;
    let counts = store.count_events("hook").await.unwrap();
    let expected = OutboxCounts {
        pending: 2,
        dead: 0,
        oldest: Some(now()),
    };
    assert_eq!(counts, expected);
    store.delete_event(&early.id).await.unwrap();
    let counts = store.count_events("hook").await.unwrap();
    assert_eq!((counts.pending, counts.oldest), (1, Some(in_secs(30))));
    assert_eq!(
        store.count_events("other").await.unwrap(),
        OutboxCounts::default()
    );
}

/// Changing or deleting an event that is not stored is fine, and stores nothing.
pub async fn a_missing_event_stays_missing(fixture: Fixture<dyn MetadataStore>) {
    let store = &*fixture.part;
    let (_, event) = ready(store).await;
    store.delete_event(&event.id).await.unwrap();
    store.delete_event(&event.id).await.unwrap();
    store.update_event(&event).await.unwrap();
    assert_eq!(store.event(&event.id).await.unwrap(), None);
    assert_eq!(due(store, now()).await, []);
    store.delete_with(&PhotoId::generate(), &[event]).await.unwrap();
    assert_eq!(due(store, now()).await, []);
}
