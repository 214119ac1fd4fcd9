//! Events of the outbox: each change brings its own, and a plugin gets them in order, again where it failed, and not at all
//! where it takes none.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lucida_core::{
    Backoff, Error, EventId, EventKind, Hook, OutboxEvent, PhotoId, PhotoState, Plugin, Result, Subscription,
};
use lucida_library::DeadEvents;
use lucida_testkit::{Fault, eventually, jpeg};

use super::support::Library;
use super::{BLUE, RED};

/// After how many failures an event is dead, in the test of that; in the others no number is reached.
const MAX_ATTEMPTS: u32 = 3;

/// A plugin that takes events as a test steers it.
#[derive(Default)]
struct Taker {
    /// What it was given, in order, with the outcome.
    given: Mutex<Vec<(PhotoId, EventKind, bool)>>,
    /// The ids of what it has taken.
    taken: Mutex<HashSet<EventId>>,
    /// Photos whose events it fails to take.
    fails_for: Mutex<HashSet<PhotoId>>,
    fails: AtomicBool,
    /// How many times it was called.
    calls: AtomicU64,
}

impl Taker {
    fn set_failing(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }

    /// Returns the kinds of a photo's events that it has taken.
    fn taken_of(&self, photo: &PhotoId) -> Vec<EventKind> {
        let given = self.given.lock().unwrap();
        let taken = given.iter().filter(|(id, _, taken)| id == photo && *taken);
        taken.map(|(_, kind, _)| *kind).collect()
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
}

/// The plugin of one process, whose calls go to a [`Taker`] that several may share.
struct TakingPlugin {
    taker: Arc<Taker>,
    max_attempts: u32,
}

#[async_trait]
impl Plugin for TakingPlugin {
    fn name(&self) -> &str {
        "taker"
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }

    fn subscription(&self) -> Option<Subscription> {
        Some(Subscription {
            kinds: vec![EventKind::Ready, EventKind::Failed, EventKind::Deleted],
            max_attempts: self.max_attempts,
            backoff: Backoff {
                min: Duration::from_millis(5),
                max: Duration::from_millis(20),
            },
        })
    }

    async fn deliver(&self, event: &OutboxEvent) -> Result<()> {
        let taker = &self.taker;
        taker.calls.fetch_add(1, Ordering::SeqCst);
        let photo = event.photo()?;
        assert_eq!(photo.id, event.photo_id);
        let fails =
            taker.fails.load(Ordering::SeqCst) || taker.fails_for.lock().unwrap().contains(&event.photo_id);
        taker
            .given
            .lock()
            .unwrap()
            .push((event.photo_id, event.kind, !fails));
        if fails {
            return Err(Error::unavailable("the receiver is closed"));
        }
        taker.taken.lock().unwrap().insert(event.id);
        Ok(())
    }
}

fn taking(max_attempts: u32) -> (Arc<dyn Plugin>, Arc<Taker>) {
    let taker = Arc::new(Taker::default());
    let plugin = TakingPlugin {
        taker: Arc::clone(&taker),
        max_attempts,
    };
    (Arc::new(plugin), taker)
}

fn library(max_attempts: u32) -> (Library, Arc<Taker>) {
    let (plugin, taker) = taking(max_attempts);
    (Library::with_plugins(vec![plugin]), taker)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_gets_what_happened_to_each_photo_in_order() {
    let (library, taker) = library(u32::MAX);
    let workers = library.start();
    let photo = library.settle(&library.alice, &jpeg(120, 80, RED)).await;
    library.model.fault_on_size(77, 33, Fault::NotANumber);
    let broken = library.settle(&library.alice, &jpeg(77, 33, RED)).await;
    assert_eq!(broken.state, PhotoState::Failed);
    library.photos.delete(&library.alice, &photo.id).await.unwrap();
    library.photos.delete(&library.alice, &broken.id).await.unwrap();
    eventually("all events are taken", async || {
        taker.taken_of(&photo.id) == [EventKind::Ready, EventKind::Deleted]
            && taker.taken_of(&broken.id) == [EventKind::Failed, EventKind::Deleted]
    })
    .await;
    eventually("the outbox is empty", async || {
        library
            .parts
            .metadata
            .count_events("taker")
            .await
            .unwrap()
            .pending
            == 0
    })
    .await;
    library.stop(workers).await;
    assert_eq!(taker.calls(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_plugin_that_takes_events_nothing_is_stored() {
    let library = Library::new();
    let workers = library.start();
    let photo = library.settle(&library.alice, &jpeg(120, 80, RED)).await;
    library.photos.delete(&library.alice, &photo.id).await.unwrap();
    library.stop(workers).await;
    let (plugin, taker) = taking(u32::MAX);
    let other = library.again().with_parts(|parts| parts.plugins = vec![plugin]);
    assert_eq!(
        other.parts.metadata.count_events("taker").await.unwrap().pending,
        0
    );
    let workers = other.start();
    let photo = other.settle(&other.alice, &jpeg(120, 80, BLUE)).await;
    eventually("the event is taken", async || {
        taker.taken_of(&photo.id) == [EventKind::Ready]
    })
    .await;
    other.stop(workers).await;
    assert_eq!(taker.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_closed_receiver_arrive_later_and_in_order() {
    let (library, taker) = library(u32::MAX);
    let workers = library.start();
    taker.set_failing(true);
    let first = library.settle(&library.alice, &jpeg(120, 80, RED)).await;
    eventually("it was tried", async || taker.calls() > 0).await;
    library.stop(workers).await;
    library.photos.delete(&library.alice, &first.id).await.unwrap();
    taker.set_failing(false);
    // Another process takes over.
    let next = library.again();
    let workers = next.start();
    eventually("both events are taken", async || {
        taker.taken_of(&first.id) == [EventKind::Ready, EventKind::Deleted]
    })
    .await;
    next.stop(workers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_never_taken_is_dead_and_holds_no_other_photo_up() {
    let (library, taker) = library(MAX_ATTEMPTS);
    let queued = library.uploaded(&library.alice, &jpeg(120, 80, RED)).await;
    taker.fails_for.lock().unwrap().insert(queued.id);
    let workers = library.start();
    library.settled(&queued.id).await;
    let other = library.settle(&library.alice, &jpeg(120, 80, BLUE)).await;
    eventually("the other photo's event is taken", async || {
        taker.taken_of(&other.id) == [EventKind::Ready]
    })
    .await;
    let dead = DeadEvents::new(Arc::clone(&library.parts.metadata));
    eventually("the event is dead", async || {
        dead.list(10).await.unwrap().len() == 1
    })
    .await;
    let event = dead.list(10).await.unwrap().remove(0);
    assert_eq!(
        (event.photo_id, event.kind, event.attempts),
        (queued.id, EventKind::Ready, MAX_ATTEMPTS)
    );
    assert!(
        event.error.as_ref().unwrap().contains("the receiver is closed"),
        "{event:?}"
    );
    assert_eq!(
        library.photos.dead_events(10).await.unwrap(),
        std::slice::from_ref(&event)
    );
    let readiness = library.photos.readiness().await;
    let part = readiness
        .parts
        .iter()
        .find(|part| part.part == "metadata")
        .unwrap();
    let note = part.note.as_ref().unwrap();
    assert!(
        note.contains("1 of plugin `taker`") && part.error.is_none(),
        "{note}"
    );

    // What comes later is not held up by it, and it is delivered again on request.
    library.photos.delete(&library.alice, &queued.id).await.unwrap();
    taker.fails_for.lock().unwrap().clear();
    eventually("the deletion is taken", async || {
        taker.taken_of(&queued.id) == [EventKind::Deleted]
    })
    .await;
    let unknown: EventId = "00000000-0000-8000-8000-000000000000".parse().unwrap();
    dead.retry(&unknown).await.unwrap_err();
    dead.retry(&event.id).await.unwrap();
    eventually("the event is taken", async || {
        taker.taken_of(&queued.id) == [EventKind::Deleted, EventKind::Ready]
    })
    .await;
    library.stop(workers).await;
    assert_eq!(dead.list(10).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_processes_one_delivers_what_all_of_them_do() {
    let (library, taker) = library(u32::MAX);
    let second = library.again();
    let (workers, more_workers) = (library.start(), second.start());
    let mut photos = Vec::new();
    for number in 0..12_u8 {
        let on = if number % 2 == 0 { &library } else { &second };
        photos.push(
            on.uploaded(&on.alice, &jpeg(100 + u32::from(number), 80, RED))
                .await
                .id,
        );
    }
    for id in &photos {
        library.settled(id).await;
        library.photos.delete(&library.alice, id).await.unwrap();
    }
    eventually("all events are taken", async || {
        photos
            .iter()
            .all(|id| taker.taken_of(id) == [EventKind::Ready, EventKind::Deleted])
    })
    .await;
    library.stop(workers).await;
    second.stop(more_workers).await;
    assert_eq!(taker.calls(), 24);
    assert_eq!(taker.taken.lock().unwrap().len(), 24);
}
