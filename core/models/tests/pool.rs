//! What a pool of models promises: each is opened once when it is asked, closed when it is idle, and all stay below the bound.

#![expect(
    clippy::unwrap_used,
    reason = "what should have worked fails its test by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use lucida_core::{
    EmbeddedText, Embedder, EmbedderInfo, Embedding, Error, ErrorKind, Fingerprint, Lane, Picture, Result,
    TextOptions, embed_text, embed_texts,
};
use lucida_models::{Model, ModelPool, ModelSpec};
use lucida_testkit::{HashModel, eventually};
use tokio::sync::Semaphore;

/// All computations of a model, which a test can hold.
const ALL: u32 = 1_000;

/// How often a model was opened, how many of it are in memory, and what holds its computations.
struct Counts {
    opened: AtomicUsize,
    in_memory: AtomicUsize,
    /// The most that were in memory at a time.
    most: AtomicUsize,
    computations: Semaphore,
}

impl Counts {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: AtomicUsize::new(0),
            in_memory: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            computations: Semaphore::new(ALL as usize),
        })
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    fn in_memory(&self) -> usize {
        self.in_memory.load(Ordering::SeqCst)
    }
}

struct Counting {
    info: EmbedderInfo,
    bytes: u64,
    counts: Arc<Counts>,
}

impl Counting {
    fn open(name: &str, bytes: u64, counts: &Arc<Counts>) -> Self {
        counts.opened.fetch_add(1, Ordering::SeqCst);
        let now = counts.in_memory.fetch_add(1, Ordering::SeqCst) + 1;
        counts.most.fetch_max(now, Ordering::SeqCst);
        Self {
            info: HashModel::named(name).describe(),
            bytes,
            counts: Arc::clone(counts),
        }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.counts.in_memory.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Embedder for Counting {
    fn describe(&self) -> &EmbedderInfo {
        &self.info
    }

    fn weight_bytes(&self) -> Option<u64> {
        Some(self.bytes)
    }

    async fn embed_images(&self, pictures: Vec<Arc<Picture>>, _: Lane) -> Vec<Result<Embedding>> {
        pictures.iter().map(|_| Ok(vec![1.0])).collect()
    }

    async fn embed_texts(&self, texts: Vec<String>, _: &TextOptions, _: Lane) -> Vec<Result<EmbeddedText>> {
        let _permit = self.counts.computations.acquire().await;
        let vector = |_| {
            Ok(EmbeddedText {
                embedding: vec![1.0],
                tokens: None,
            })
        };
        texts.iter().map(vector).collect()
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

fn spec(name: &str, bytes: u64, counts: &Arc<Counts>) -> ModelSpec {
    let (own, counts) = (name.to_owned(), Arc::clone(counts));
    ModelSpec {
        name: name.to_owned(),
        preload: false,
        idle_unload: None,
        open: Box::new(move || {
            let (name, counts) = (own.clone(), Arc::clone(&counts));
            async move {
                // Long enough for others to ask meanwhile.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(Arc::new(Counting::open(&name, bytes, &counts)) as Arc<dyn Embedder>)
            }
            .boxed()
        }),
    }
}

async fn pool(specs: Vec<ModelSpec>, max_bytes: Option<u64>) -> Arc<ModelPool> {
    Arc::new(
        ModelPool::open(specs, max_bytes)
            .await
            .map_err(|(_, error)| error)
            .unwrap(),
    )
}

async fn ask(pool: &ModelPool, name: &str) -> Result<Embedding> {
    embed_text(&**pool.get(name).unwrap(), "a text".to_owned(), Lane::Interactive).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_asks_a_closed_model_opens_it_once() {
    let counts = Counts::new();
    let pool = pool(vec![spec("a", 10, &counts)], None).await;
    assert_eq!((counts.opened(), counts.in_memory()), (1, 0));
    assert!(!pool.get("a").unwrap().is_loaded());
    let calls = (0..20).map(|_| ask(&pool, "a"));
    for result in futures::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!((counts.opened(), counts.in_memory()), (2, 1));
    assert!(pool.get("a").unwrap().is_loaded());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preloaded_model_stays_open_from_the_start() {
    let counts = Counts::new();
    let preloaded = ModelSpec {
        preload: true,
        ..spec("a", 10, &counts)
    };
    let pool = pool(vec![preloaded], None).await;
    ask(&pool, "a").await.unwrap();
    assert_eq!((counts.opened(), counts.in_memory()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_model_is_closed_and_opens_again_when_it_is_asked() {
    let (idle, busy) = (Counts::new(), Counts::new());
    let closing = ModelSpec {
        idle_unload: Some(Duration::from_millis(50)),
        ..spec("idle", 10, &idle)
    };
    let pool = pool(vec![closing, spec("busy", 10, &busy)], None).await;
    ask(&pool, "idle").await.unwrap();
    ask(&pool, "busy").await.unwrap();
    eventually("the idle model is closed", async || idle.in_memory() == 0).await;
    assert!(!pool.get("idle").unwrap().is_loaded());
    assert_eq!(busy.in_memory(), 1);
    ask(&pool, "idle").await.unwrap();
    assert_eq!(idle.opened(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_in_use_is_not_idle() {
    let counts = Counts::new();
    let closing = ModelSpec {
        idle_unload: Some(Duration::from_millis(1)),
        ..spec("a", 10, &counts)
    };
    let pool = pool(vec![closing], None).await;
    let held = counts.computations.acquire_many(ALL).await.unwrap();
    let call = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { ask(&pool, "a").await }
    });
    eventually("the model is open", async || counts.opened() == 2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(counts.in_memory(), 1);
    drop(held);
    call.await.unwrap().unwrap();
    eventually("the idle model is closed", async || counts.in_memory() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_recently_used_model_makes_room() {
    let [a, b, c] = [Counts::new(), Counts::new(), Counts::new()];
    let specs = vec![spec("a", 40, &a), spec("b", 40, &b), spec("c", 40, &c)];
    let pool = pool(specs, Some(100)).await;
    ask(&pool, "a").await.unwrap();
    ask(&pool, "b").await.unwrap();
    ask(&pool, "a").await.unwrap();
    ask(&pool, "c").await.unwrap();
    assert_eq!([a.in_memory(), b.in_memory(), c.in_memory()], [1, 0, 1]);
    ask(&pool, "b").await.unwrap();
    assert_eq!([a.in_memory(), b.in_memory(), c.in_memory()], [0, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_in_turn_and_at_once_never_exceed_the_bound() {
    let counts = Counts::new();
    let names = ["a", "b", "c", "d"];
    let specs = names.iter().map(|name| spec(name, 40, &counts)).collect();
    let pool = pool(specs, Some(100)).await;
    counts.most.store(0, Ordering::SeqCst);
    let calls = (0..40).map(|call| ask(&pool, names[call % names.len()]));
    for result in futures::future::join_all(calls).await {
        result.unwrap();
    }
    assert_eq!(counts.most.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_computes_is_finished_before_its_memory_goes_to_another() {
    let (a, b) = (Counts::new(), Counts::new());
    let pool = pool(vec![spec("a", 60, &a), spec("b", 60, &b)], Some(100)).await;
    ask(&pool, "a").await.unwrap();
    let held = a.computations.acquire_many(ALL).await.unwrap();
    let working = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { ask(&pool, "a").await }
    });
    eventually("the computation waits", async || a.in_memory() == 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let waiting = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move { ask(&pool, "b").await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((a.in_memory(), b.in_memory()), (1, 0));
    drop(held);
    working.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!((a.in_memory(), b.in_memory()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_above_the_bound_is_refused_with_both_figures() {
    let counts = Counts::new();
    let specs = vec![spec("small", 40, &counts), spec("large", 400, &counts)];
    let Err((place, error)) = ModelPool::open(specs, Some(100)).await else {
        panic!("it was taken");
    };
    assert_eq!((place, error.kind()), (1, ErrorKind::ConfigInvalid));
    for part in ["`large`", "400 bytes", "100"] {
        assert!(error.message().contains(part), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preloaded_models_that_do_not_fit_together_are_refused() {
    let counts = Counts::new();
    let preloaded = |name| ModelSpec {
        preload: true,
        ..spec(name, 60, &counts)
    };
    let Err((place, error)) = ModelPool::open(vec![preloaded("a"), preloaded("b")], Some(100)).await else {
        panic!("it was taken");
    };
    assert_eq!((place, error.field()), (1, Some("preload")));
    assert!(error.message().contains("have 60"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_models_of_one_name_are_refused() {
    let counts = Counts::new();
    let specs = vec![spec("a", 1, &counts), spec("a", 1, &counts)];
    let Err((place, error)) = ModelPool::open(specs, None).await else {
        panic!("it was taken");
    };
    assert_eq!((place, error.field()), (1, Some("name")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_can_not_be_opened_again_fails_its_inputs_and_is_tried_again() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counts = Counts::new();
    let open = {
        let (tries, counts) = (Arc::clone(&tries), Arc::clone(&counts));
        move || {
            let attempt = tries.fetch_add(1, Ordering::SeqCst);
            let counts = Arc::clone(&counts);
            async move {
                if attempt == 1 {
                    return Err(Error::unavailable("the folder is missing"));
                }
                Ok(Arc::new(Counting::open("a", 10, &counts)) as Arc<dyn Embedder>)
            }
            .boxed()
        }
    };
    let failing = ModelSpec {
        open: Box::new(open),
        ..spec("a", 10, &counts)
    };
    let pool = pool(vec![failing], Some(10)).await;
    let model = pool.get("a").unwrap();
    let texts = vec!["x".to_owned(), "y".to_owned()];
    let results = embed_texts(&**model, texts, Lane::Interactive).await;
    assert_eq!(results.len(), 2);
    for result in results {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains("model `a` can't be opened"), "{error}");
    }
    ask(&pool, "a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_files_changed_is_not_used() {
    let counts = Counts::new();
    let opened = Arc::new(AtomicUsize::new(0));
    let open = {
        let counts = Arc::clone(&counts);
        move || {
            let other = opened.fetch_add(1, Ordering::SeqCst) > 0;
            let mut model = Counting::open("a", 10, &counts);
            if other {
                model.info.fingerprint = Fingerprint::derive("other", b"weights", "1");
            }
            async move { Ok(Arc::new(model) as Arc<dyn Embedder>) }.boxed()
        }
    };
    let changing = ModelSpec {
        open: Box::new(open),
        ..spec("a", 10, &counts)
    };
    let pool = pool(vec![changing], None).await;
    let error = ask(&pool, "a").await.unwrap_err();
    assert!(error.message().contains("have changed"), "{error}");
    assert_eq!(counts.in_memory(), 0);
}
