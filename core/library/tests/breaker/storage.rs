//! The breaker of a store.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use lucida_core::{Blob, BlobKey, BlobStat, ByteStream, Error, ErrorKind, Result, Storage, stream_of};
use lucida_library::decorate::{GuardOptions, guard_storage};
use lucida_memory::MemoryStorage;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::{FAILURES, OPEN, TIMEOUT, options};

/// What the store does with its calls.
#[derive(Clone)]
enum Mood {
    /// Serves them.
    Well,
    /// Fails them all.
    Failing(ErrorKind, Option<&'static str>),
    /// Never answers.
    Hanging,
    /// Serves each once it gets leave.
    Slow(Arc<Semaphore>),
}

const AWAY: Mood = Mood::Failing(ErrorKind::Unavailable, None);

/// A store in a mood, which counts its calls.
struct Moody {
    inner: MemoryStorage,
    mood: Mutex<Mood>,
    calls: Arc<AtomicUsize>,
}

impl Moody {
    async fn call(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mood = self.mood.lock().unwrap().clone();
        match mood {
            Mood::Well => Ok(()),
            Mood::Failing(kind, code) => {
                let error = Error::new(kind, "the store's own words");
                Err(code.into_iter().fold(error, Error::with_code))
            }
            Mood::Hanging => std::future::pending().await,
            Mood::Slow(leave) => {
                leave.acquire().await.unwrap().forget();
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Storage for Moody {
    async fn put(&self, key: &BlobKey, body: ByteStream) -> Result<u64> {
        self.call().await?;
        self.inner.put(key, body).await
    }
    async fn get(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Blob> {
        self.call().await?;
        self.inner.get(key, range).await
    }
    async fn stat(&self, key: &BlobKey) -> Result<BlobStat> {
        self.call().await?;
        self.inner.stat(key).await
    }
    async fn delete(&self, key: &BlobKey) -> Result<()> {
        self.call().await?;
        self.inner.delete(key).await
    }
    /// The blobs that there are, then the mood.
    fn list(&self, prefix: &str) -> BoxStream<'static, Result<BlobStat>> {
        let (mood, calls) = (self.mood.lock().unwrap().clone(), Arc::clone(&self.calls));
        let end = stream::once(async move {
            calls.fetch_add(1, Ordering::SeqCst);
            match mood {
                Mood::Failing(kind, _) => vec![Err(Error::new(kind, "the store's own words"))],
                Mood::Hanging => std::future::pending().await,
                Mood::Well | Mood::Slow(_) => Vec::new(),
            }
        });
        self.inner.list(prefix).chain(end.flat_map(stream::iter)).boxed()
    }
    async fn ping(&self) -> Result<()> {
        self.call().await
    }
}

/// A store behind its guard.
#[derive(Clone)]
struct Tested {
    store: Arc<Moody>,
    guarded: Arc<dyn Storage>,
}

impl Tested {
    fn new(mood: Mood) -> Self {
        Self::with(options(), mood)
    }

    fn with(options: GuardOptions, mood: Mood) -> Self {
        let store = Arc::new(Moody {
            inner: MemoryStorage::new(),
            mood: Mutex::new(mood),
            calls: Arc::default(),
        });
        let guarded = guard_storage(Arc::clone(&store) as Arc<dyn Storage>, "moody", options);
        Self { store, guarded }
    }

    /// Makes one whose breaker has just opened.
    async fn opened() -> Self {
        let tested = Self::new(AWAY);
        for _ in 0..FAILURES {
            tested.call().await.unwrap_err();
        }
        tested.assert_refuses().await;
        tested
    }

    fn set(&self, mood: Mood) {
        *self.store.mood.lock().unwrap() = mood;
    }

    fn calls(&self) -> usize {
        self.store.calls.load(Ordering::SeqCst)
    }

    async fn call(&self) -> Result<()> {
        self.guarded.delete(&key()).await
    }

    /// Checks that a call fails without that the store hears of it, or time passes; returns the refusal.
    async fn assert_refuses(&self) -> Error {
        let (calls, before) = (self.calls(), Instant::now());
        let refusal = self.call().await.unwrap_err();
        assert_eq!((self.calls(), before.elapsed()), (calls, Duration::ZERO));
        assert_eq!(refusal.kind(), ErrorKind::Unavailable);
        refusal
    }

    /// Checks that calls reach the store.
    async fn assert_asks(&self) {
        let calls = self.calls();
        let _ = self.call().await;
        assert_eq!(self.calls(), calls + 1);
    }

    async fn listed(&self) -> Result<Vec<BlobStat>> {
        self.guarded.list("").try_collect().await
    }
}

fn key() -> BlobKey {
    BlobKey::new("a").unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_dead_store_costs_its_callers_nothing() {
    let tested = Tested::new(AWAY);
    for _ in 0..FAILURES {
        let error = tested.call().await.unwrap_err();
        assert!(error.to_string().contains("the store's own words"), "{error}");
    }
    for _ in 0..100 {
        tested.assert_refuses().await;
    }
    assert_eq!(tested.calls(), 3);
    tokio::time::advance(Duration::from_millis(1_500)).await;
    let refusal = tested.assert_refuses().await;
    assert_eq!(refusal.retry_after(), Some(Duration::from_millis(3_500)));
    assert_eq!(
        refusal.to_string(),
        "storage (moody): the storage did not answer 3 times in a row: it is not asked again for 4 s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_or_refuses_us_counts_as_dead() {
    for mood in [
        Mood::Hanging,
        Mood::Failing(ErrorKind::PermissionDenied, None),
        Mood::Failing(ErrorKind::Timeout, None),
    ] {
        let tested = Tested::new(mood);
        for _ in 0..FAILURES {
            tested.call().await.unwrap_err();
        }
        tested.assert_refuses().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_many_calls_tries_and_its_answer_closes_the_breaker() {
    let tested = Tested::opened().await;
    let leave = Arc::new(Semaphore::new(0));
    tested.set(Mood::Slow(Arc::clone(&leave)));
    tokio::time::advance(OPEN).await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let tested = tested.clone();
            tokio::spawn(async move { tested.call().await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(tested.calls(), 3 + 1);
    assert_eq!(calls.iter().filter(|call| call.is_finished()).count(), 49);
    let refusal = tested.assert_refuses().await;
    assert_eq!(refusal.retry_after(), Some(Duration::from_secs(1)));
    leave.add_permits(1_000);
    let mut answered = 0;
    for call in calls {
        answered += usize::from(call.await.unwrap().is_ok());
    }
    assert_eq!(answered, 1);
    for _ in 0..10 {
        tested.call().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_try_that_fails_keeps_the_breaker_open_for_as_long_again() {
    let tested = Tested::opened().await;
    for _ in 0..3 {
        tokio::time::advance(OPEN).await;
        tested.assert_asks().await;
        let refusal = tested.assert_refuses().await;
        assert_eq!(refusal.retry_after(), Some(OPEN));
    }
    assert_eq!(tested.calls(), 3 + 3);
}

#[tokio::test(start_paused = true)]
async fn a_try_whose_caller_goes_away_leaves_its_place_to_the_next() {
    let tested = Tested::opened().await;
    tokio::time::advance(OPEN).await;
    tested.set(Mood::Hanging);
    let given_up = tokio::time::timeout(Duration::from_secs(1), tested.call()).await;
    assert!(given_up.is_err());
    tested.set(Mood::Well);
    tested.call().await.unwrap();
    tested.call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ping_always_goes_through_and_its_answer_closes_the_breaker() {
    let tested = Tested::opened().await;
    assert_eq!(
        tested.guarded.ping().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    assert_eq!(tested.calls(), 3 + 1);
    tested.assert_refuses().await;
    tested.set(Mood::Well);
    tested.guarded.ping().await.unwrap();
    tested.call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_that_fail_open_the_breaker_but_do_not_keep_it_open() {
    let tested = Tested::new(Mood::Hanging);
    let before = Instant::now();
    for _ in 0..FAILURES {
        tested.guarded.ping().await.unwrap_err();
    }
    // Whoever waits for readiness gives up after 3 s, and a call that is given up counts for nothing.
    assert!(before.elapsed() < Duration::from_secs(3) * FAILURES);
    tested.assert_refuses().await;
    // As of a store that can be read and not written.
    tested.set(AWAY);
    for _ in 0..10 {
        tokio::time::advance(OPEN / 10).await;
        tested.guarded.ping().await.unwrap_err();
    }
    tested.assert_asks().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_calls_and_a_full_disk_never_open_the_breaker() {
    for mood in [
        Mood::Failing(ErrorKind::NotFound, None),
        Mood::Failing(ErrorKind::AlreadyExists, None),
        Mood::Failing(ErrorKind::Conflict, None),
        Mood::Failing(ErrorKind::InvalidInput, None),
        Mood::Failing(ErrorKind::Unsupported, None),
        Mood::Failing(ErrorKind::ConfigInvalid, None),
        Mood::Failing(ErrorKind::Overloaded, None),
        Mood::Failing(ErrorKind::Internal, None),
        Mood::Failing(ErrorKind::Unavailable, Some("storage_full")),
    ] {
        let tested = Tested::new(mood);
        for _ in 0..20 {
            tested.assert_asks().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_failures_in_a_row_count() {
    for (answer, in_a_row) in [
        (Mood::Well, false),
        (Mood::Failing(ErrorKind::NotFound, None), false),
        (Mood::Failing(ErrorKind::Unavailable, Some("storage_full")), false),
        // These may have been said without asking the store.
        (Mood::Failing(ErrorKind::Overloaded, None), true),
        (Mood::Failing(ErrorKind::InvalidInput, None), true),
    ] {
        let tested = Tested::new(AWAY);
        for _ in 0..FAILURES - 1 {
            tested.call().await.unwrap_err();
        }
        tested.set(answer);
        tested.assert_asks().await;
        tested.set(AWAY);
        tested.call().await.unwrap_err();
        if in_a_row {
            tested.assert_refuses().await;
        } else {
            tested.assert_asks().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_stops_retrying_when_the_breaker_opens() {
    let tested = Tested::with(
        GuardOptions {
            tries: 10,
            ..options()
        },
        AWAY,
    );
    let error = tested.call().await.unwrap_err();
    assert_eq!(tested.calls(), 3);
    assert!(error.to_string().contains("the store's own words"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_breaker_opens_while_it_waits_for_its_next_try_is_not_tried_again() {
    let tested = Tested::with(
        GuardOptions {
            tries: 2,
            ..options()
        },
        AWAY,
    );
    let call = {
        let tested = tested.clone();
        tokio::spawn(async move { tested.call().await })
    };
    while tested.calls() == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..FAILURES {
        tested.guarded.ping().await.unwrap_err();
    }
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(tested.calls(), 1 + 3);
    assert!(error.to_string().contains("the store's own words"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_put_is_refused_before_its_bytes_are_read() {
    let tested = Tested::opened().await;
    let body = stream::once(async { panic!("the body is read") }).boxed();
    let refusal = tested.guarded.put(&key(), body).await.unwrap_err();
    assert_eq!(refusal.retry_after(), Some(OPEN));
    assert_eq!(tested.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_let_through_and_counts_as_a_call_does() {
    let tested = Tested::new(Mood::Well);
    tested.guarded.put(&key(), stream_of("bytes")).await.unwrap();
    assert_eq!(tested.listed().await.unwrap()[0].key, key());

    // It fails after an entry, so only the failures of others add up.
    tested.set(AWAY);
    for _ in 0..10 {
        let error = tested.listed().await.unwrap_err();
        assert_eq!(error.to_string(), "storage (moody): the store's own words");
    }
    tested.assert_asks().await;
    tested.set(Mood::Well);
    tested.call().await.unwrap();

    // With no entry before, they are failures in a row.
    tested.set(Mood::Hanging);
    let before = Instant::now();
    for _ in 0..FAILURES {
        assert_eq!(tested.listed().await.unwrap_err().kind(), ErrorKind::Timeout);
    }
    assert_eq!(before.elapsed(), TIMEOUT * FAILURES);
    let calls = tested.calls();
    let refusal = tested.listed().await.unwrap_err();
    assert_eq!((refusal.retry_after(), tested.calls()), (Some(OPEN), calls));

    tokio::time::advance(OPEN).await;
    tested.set(Mood::Well);
    assert_eq!(tested.listed().await.unwrap(), []);
    tested.call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_breaker_of_0_failures_never_opens() {
    let mut options = options();
    options.breaker.failures = 0;
    let tested = Tested::with(options, AWAY);
    for _ in 0..100 {
        tested.assert_asks().await;
    }
}
