//! Checkpoints run by ONNX Runtime: the embedder contract in either precision, what 8 bits cost, and the cache of them.
//!
//! The models are the tiny ones of core's parity fixtures. ONNX Runtime must be in the cache: `lucida setup`.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lucida_core::{
    BuildContext, Embedder, Factory as _, Lane, Picture, Result, embed_image, embed_text, embed_texts,
};
use lucida_onnx::{Device, Runtime};
use lucida_testkit::Fixture;
use serde_json::{Value, json};

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../core/testkit/testdata/parity/models")
        .join(name)
}

/// CLIP for pictures, a multilingual model for texts.
fn settings(precision: &str) -> Value {
    json!({
        "model": model("clip"), "text_model": model("multilingual"), "precision": precision, "device": "cpu",
        "threads": 2, "queue_items": 256, "preload": false, "idle_unload_secs": 0, "hub": {"offline": true},
    })
}

/// Opens a model whose 8-bit forms are kept in `cache`.
async fn open(settings: &Value, cache: &Path) -> Result<Arc<dyn Embedder>> {
    // The library is in the user's own cache; a process loads it once.
    Runtime::load(Device::Cpu, None, &BuildContext::from_env())?;
    let context = BuildContext {
        cache_dir: cache.to_path_buf(),
        served_as: None,
        inspection: None,
    };
    lucida_onnx::factory().build(settings, &context).await
}

async fn fixture(settings: Value) -> Fixture<dyn Embedder> {
    let cache = tempfile::tempdir().unwrap();
    let embedder = open(&settings, cache.path()).await.unwrap();
    Fixture::from_arc(embedder).keeping(cache)
}

mod fp32 {
    use super::{Embedder, Fixture, fixture, settings};

    async fn clip_and_multilingual() -> Fixture<dyn Embedder> {
        fixture(settings("fp32")).await
    }

    lucida_testkit::embedder_contract!(clip_and_multilingual);
}

mod fp32_on_many_threads {
    use super::{Embedder, Fixture, fixture, settings};

    async fn clip_and_multilingual() -> Fixture<dyn Embedder> {
        // More threads than rows or columns: the work is cut differently for each number of inputs.
        let mut settings = settings("fp32");
        settings["threads"] = 24.into();
        fixture(settings).await
    }

    lucida_testkit::embedder_contract!(clip_and_multilingual);
}

mod int8 {
    use super::{Embedder, Fixture, fixture, settings};

    async fn clip_and_multilingual() -> Fixture<dyn Embedder> {
        fixture(settings("int8")).await
    }

    lucida_testkit::embedder_contract!(clip_and_multilingual);
}

/// What rounding to 8 bits leaves of the cosine of these models' vectors; a trained one of full size keeps more, since its
/// sums are longer and its rows even out.
const INT8_COSINE: f32 = 0.99;

const TEXTS: [&str; 4] = [
    "a dog on the beach",
    "Straße bei Nacht",
    "海滩上的狗",
    "two cups of coffee, black, and a very long story about them",
];

/// Embeds some texts and pictures.
async fn vectors(embedder: &dyn Embedder) -> Vec<Vec<f32>> {
    let mut vectors = Vec::new();
    for text in TEXTS {
        vectors.push(
            embed_text(embedder, text.to_owned(), Lane::Interactive)
                .await
                .unwrap(),
        );
    }
    for (width, height) in [(300, 200), (64, 90), (224, 224)] {
        let picture = Arc::new(Picture::gradient(width, height));
        vectors.push(embed_image(embedder, picture, Lane::Interactive).await.unwrap());
    }
    vectors
}

#[tokio::test(flavor = "multi_thread")]
async fn int8_stays_close_to_fp32_and_tells_that_it_is_another_space() {
    let cache = tempfile::tempdir().unwrap();
    let exact = open(&settings("fp32"), cache.path()).await.unwrap();
    let rounded = open(&settings("int8"), cache.path()).await.unwrap();
    assert_ne!(exact.describe().fingerprint, rounded.describe().fingerprint);
    let pairs = vectors(&*exact).await.into_iter().zip(vectors(&*rounded).await);
    for (exact, rounded) in pairs {
        let cosine: f32 = exact.iter().zip(&rounded).map(|(a, b)| a * b).sum();
        assert!(cosine > INT8_COSINE, "the cosine is {cosine}");
        assert!(exact != rounded, "nothing was rounded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_of_a_siglip_is_rounded_to_int8_and_stays_close_to_fp32() {
    let cache = tempfile::tempdir().unwrap();
    for name in ["siglip", "siglip2"] {
        let settings = |precision: &str| {
            json!({
                "model": model(name), "precision": precision, "threads": 2, "preload": false, "hub": {"offline": true},
            })
        };
        let exact = open(&settings("fp32"), cache.path()).await.unwrap();
        let rounded = open(&settings("int8"), cache.path()).await.unwrap();
        let pairs = vectors(&*exact).await.into_iter().zip(vectors(&*rounded).await);
        for (exact, rounded) in pairs {
            let cosine: f32 = exact.iter().zip(&rounded).map(|(a, b)| a * b).sum();
            assert!(cosine > INT8_COSINE, "{name}: the cosine is {cosine}");
            assert!(exact != rounded, "nothing was rounded");
        }
        let alone = embed_text(&*rounded, TEXTS[1].to_owned(), Lane::Interactive).await;
        let beside = embed_texts(&*rounded, TEXTS.map(str::to_owned).into(), Lane::Interactive).await;
        assert_eq!(alone.unwrap(), *beside[1].as_ref().unwrap());
    }
}

/// The files of 8-bit weights, by name, each with when it was made.
fn files(cache: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
    let mut files: Vec<_> = std::fs::read_dir(cache.join("int8"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let modified = path.metadata().unwrap().modified().unwrap();
            (path, modified)
        })
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn the_8_bit_form_is_made_once_and_made_anew_when_damaged() {
    let cache = tempfile::tempdir().unwrap();
    let embed = async || vectors(&*open(&settings("int8"), cache.path()).await.unwrap()).await;
    let first = embed().await;
    let made = files(cache.path());
    assert_eq!(made.len(), 2, "one file for each tower: {made:?}");
    assert!(embed().await == first);
    assert_eq!(files(cache.path()), made, "made anew without need");

    for (path, _) in &made {
        let whole = std::fs::read(path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [&flipped[..], &whole[..whole.len() / 2], b""] {
            std::fs::write(path, damaged).unwrap();
            assert!(embed().await == first);
            assert!(std::fs::read(path).unwrap() == whole);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_may_make_the_8_bit_form_at_once() {
    let cache = tempfile::tempdir().unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let cache = cache.path().to_path_buf();
            tokio::spawn(async move { vectors(&*open(&settings("int8"), &cache).await.unwrap()).await })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    assert!(all.iter().all(|vectors| *vectors == all[0]));
    assert_eq!(files(cache.path()).len(), 2, "something was left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_model_in_another_space_is_refused_by_its_key() {
    let cache = tempfile::tempdir().unwrap();
    let mut settings = settings("fp32");
    settings["model"] = json!(model("clip-laion"));
    let Err(error) = open(&settings, cache.path()).await else {
        panic!("a text model of other dimensions was taken");
    };
    assert_eq!(error.field(), Some("text_model"), "{error}");
}

/// What the order of f32 sums leaves between two ways to a number of unit vectors.
const ROUNDING: f32 = 1e-5;

/// `multilingual` without its dense step, pooled in five ways at once; returns the folder.
fn pooled_in_every_way() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(model("multilingual")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let modules = std::fs::read(folder.path().join("modules.json")).unwrap();
    let mut modules: Vec<Value> = serde_json::from_slice(&modules).unwrap();
    modules.truncate(2);
    let pooling = folder.path().join("1_Pooling");
    std::fs::create_dir(&pooling).unwrap();
    let modes = ["mean", "max", "mean_sqrt_len_tokens", "cls", "lasttoken"];
    for (path, value) in [
        (folder.path().join("modules.json"), json!(modules)),
        (pooling.join("config.json"), json!({ "pooling_mode": modes })),
    ] {
        std::fs::write(path, value.to_string()).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_pooled_in_several_ways_has_them_end_to_end() {
    let folder = pooled_in_every_way();
    let cache = tempfile::tempdir().unwrap();
    let mut settings = settings("fp32");
    settings["model"] = json!(folder.path());
    settings["text_model"] = Value::Null;
    let embedder = open(&settings, cache.path()).await.unwrap();
    assert!(!embedder.describe().modalities.image);
    // One token between the first and the last, so that the rows can be told from their mean.
    let vector = embed_text(&*embedder, "x".to_owned(), Lane::Interactive)
        .await
        .unwrap();
    let ways: Vec<_> = vector.chunks_exact(vector.len() / 5).collect();
    let [mean, max, mean_sqrt, first, last] = ways[..] else {
        panic!("{} ways", ways.len());
    };
    for at in 0..mean.len() {
        let middle = 3.0 * mean[at] - first[at] - last[at];
        let expected = (first[at].max(middle).max(last[at]), mean[at] * 3.0_f32.sqrt());
        assert!(
            (max[at] - expected.0).abs() < ROUNDING,
            "the largest of column {at}"
        );
        assert!(
            (mean_sqrt[at] - expected.1).abs() < ROUNDING,
            "the sum of column {at}"
        );
    }
    assert_ne!(first, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_has_the_same_bits_alone_and_beside_others_in_every_family() {
    let cache = tempfile::tempdir().unwrap();
    let texts = [
        "a dog on the beach",
        "cat",
        "ein Hund läuft am Strand, große Straße, schöne Grüße",
    ];
    for name in [
        "embedding-gemma",
        "gte",
        "jina-bert",
        "modernbert",
        "mpnet",
        "nomic-bert",
        "qwen3-embedding",
    ] {
        let mut settings = settings("fp32");
        settings["model"] = json!(model(name));
        settings["text_model"] = Value::Null;
        let embedder = open(&settings, cache.path()).await.unwrap();
        let together = embed_texts(&*embedder, texts.map(str::to_owned).into(), Lane::Background).await;
        for (text, vector) in texts.iter().zip(together) {
            let alone = embed_text(&*embedder, (*text).to_owned(), Lane::Interactive).await;
            assert_eq!(alone.unwrap(), vector.unwrap(), "{name}: {text}");
        }
    }
}

#[tokio::test]
async fn a_mobile_clip_is_refused_with_the_engine_that_computes_it() {
    let cache = tempfile::tempdir().unwrap();
    let mut settings = settings("fp32");
    settings["model"] = json!(model("mobileclip"));
    settings["text_model"] = Value::Null;
    let error = open(&settings, cache.path()).await.err().unwrap();
    assert_eq!(error.kind(), lucida_core::ErrorKind::Unsupported);
    assert!(error.message().contains("`candle`"), "{error}");
}
