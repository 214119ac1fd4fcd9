//! The starter model on real photos: words find them, and a vector depends on nothing but its input.
//!
//! The model and ONNX Runtime come from the per-user cache, the photos from `LUCIDA_TEST_PHOTOS`, else the same
//! cache; `lucida setup` puts all of them there. Without them the tests print why they are skipped, and fail
//! under CI.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod languages;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lucida_core::{BuildContext, DecodeSize, Embedder, Embedding, Factory as _, Lane, Picture, Result};
use lucida_picture::{DecodeOptions, decode};

/// Each word and the photos that show it.
const WORDS: [(&str, &[&str]); 10] = [
    ("cat", &["chelsea"]),
    ("coffee", &["coffee"]),
    ("rocket", &["rocket"]),
    ("motorcycle", &["motorcycle_left", "motorcycle_right"]),
    ("flower", &["flower"]),
    ("temple", &["china"]),
    ("page", &["page"]),
    ("horse", &["horse"]),
    ("grass", &["grass"]),
    ("brick wall", &["brick"]),
];
const WORDS_FOUND: usize = 8;

fn missing<T>(what: &str) -> Option<T> {
    let message = format!("skipped: {what} is not there; run `lucida setup`");
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("{message}");
    None
}

fn settings() -> serde_json::Value {
    serde_json::json!({
        "model": "starter", "precision": "fp32", "device": "cpu", "threads": 2, "queue_items": 64,
        "preload": false, "idle_unload_secs": 0, "hub": {"offline": true},
    })
}

async fn starter() -> Option<Arc<dyn Embedder>> {
    let context = BuildContext::from_env();
    if !context.cache_dir.join("models/starter/starter.json").is_file() {
        return missing("the starter model");
    }
    Some(lucida_onnx::factory().build(&settings(), &context).await.unwrap())
}

/// The photos by name, without extension.
fn photos() -> Option<BTreeMap<String, Arc<Picture>>> {
    let folder = std::env::var_os("LUCIDA_TEST_PHOTOS").map_or_else(
        || BuildContext::from_env().cache_dir.join("photos"),
        PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return missing("the folder of test photos");
    };
    let photos: BTreeMap<_, _> = entries
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_stem()?.to_str()?.to_owned();
            Some((name, read(&path)?))
        })
        .collect();
    Some(photos)
}

/// Reads JPEG and PNG; the other files there are stacks and animations.
fn read(path: &Path) -> Option<Arc<Picture>> {
    let extension = path.extension()?.to_str()?;
    if !["jpg", "png"].contains(&extension) {
        return None;
    }
    let options = DecodeOptions {
        max_pixels: 100_000_000,
        accept_truncated: false,
        size: DecodeSize::FULL,
    };
    Some(Arc::new(decode(&std::fs::read(path).unwrap(), &options).unwrap()))
}

async fn embed_all(
    embedder: &dyn Embedder,
    photos: &BTreeMap<String, Arc<Picture>>,
) -> BTreeMap<String, Embedding> {
    let vectors = embedder
        .embed_images(photos.values().cloned().collect(), Lane::Background)
        .await;
    photos
        .keys()
        .cloned()
        .zip(vectors.into_iter().map(Result::unwrap))
        .collect()
}

async fn embed_text(embedder: &dyn Embedder, text: &str) -> Embedding {
    lucida_core::embed_text(embedder, text.to_owned(), Lane::Interactive)
        .await
        .unwrap()
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn nearest<'a>(vectors: &'a BTreeMap<String, Embedding>, to: &[f32]) -> Vec<(&'a str, f32)> {
    let mut scored: Vec<_> = vectors
        .iter()
        .map(|(name, vector)| (name.as_str(), cosine(vector, to)))
        .collect();
    scored.sort_by(|left, right| right.1.total_cmp(&left.1));
    scored
}

#[tokio::test(flavor = "multi_thread")]
async fn at_least_eight_of_ten_words_find_their_photo_first() {
    let (Some(embedder), Some(photos)) = (starter().await, photos()) else {
        return;
    };
    let vectors = embed_all(&*embedder, &photos).await;
    let mut found = 0;
    for (word, expected) in WORDS {
        let ranking = nearest(&vectors, &embed_text(&*embedder, word).await);
        println!("{word}: {:?}", &ranking[..4]);
        found += usize::from(expected.contains(&ranking[0].0));
    }
    assert!(found >= WORDS_FOUND, "{found} of {} words", WORDS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_photo_finds_the_one_most_like_it() {
    let (Some(embedder), Some(photos)) = (starter().await, photos()) else {
        return;
    };
    let mut vectors = embed_all(&*embedder, &photos).await;
    let left = vectors.remove("motorcycle_left").unwrap();
    assert_eq!(nearest(&vectors, &left)[0].0, "motorcycle_right");
}

/// The scores were computed with `onnxruntime` and Pillow from the same graphs; a hundredth of cosine leaves room
/// for the rounding of another resampler, while a squashed crop or another filter moves them by more.
#[tokio::test(flavor = "multi_thread")]
async fn scores_are_those_of_the_reference_in_python() {
    const TOLERANCE: f32 = 0.01;
    const SCORES: [(&str, &str, f32); 6] = [
        ("cat", "chelsea", 0.587),
        ("coffee", "coffee", 0.604),
        ("rocket", "rocket", 0.494),
        ("flower", "flower", 0.614),
        ("horse", "horse", 0.527),
        ("brick wall", "gravel", 0.447),
    ];
    scores_are(&SCORES, TOLERANCE).await;
}

/// Compares the scores of texts on photos with expected ones.
async fn scores_are(scores: &[(&str, &str, f32)], tolerance: f32) {
    let (Some(embedder), Some(photos)) = (starter().await, photos()) else {
        return;
    };
    let vectors = embed_all(&*embedder, &photos).await;
    for (text, name, expected) in scores {
        let score = cosine(&vectors[*name], &embed_text(&*embedder, text).await);
        eprintln!("{text} on {name}: {score} ({expected})");
        assert!(
            (score - expected).abs() < tolerance,
            "{text} on {name}: {score}, not {expected}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_is_the_same_bit_for_bit_whatever_is_beside_it() {
    let Some(embedder) = starter().await else {
        return;
    };
    let pictures: Vec<_> = [(64, 64), (300, 20), (1, 1), (1000, 700), (259, 261)]
        .into_iter()
        .map(|(width, height)| Arc::new(Picture::gradient(width, height)))
        .collect();
    let together = embedder.embed_images(pictures.clone(), Lane::Background).await;
    for (picture, beside) in pictures.into_iter().zip(together) {
        let alone = lucida_core::embed_image(&*embedder, picture, Lane::Interactive)
            .await
            .unwrap();
        assert_eq!(alone, beside.unwrap());
    }
    let texts: Vec<_> = ["cat", "a dog on the beach", "x", &"long ".repeat(600), "émoji 🙂"]
        .map(str::to_owned)
        .into();
    let together = lucida_core::embed_texts(&*embedder, texts.clone(), Lane::Background).await;
    for (text, beside) in texts.into_iter().zip(together) {
        assert_eq!(embed_text(&*embedder, &text).await, beside.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_like_meaning_are_nearer_than_others() {
    let Some(embedder) = starter().await else {
        return;
    };
    let (kitten, cat, truck) = (
        embed_text(&*embedder, "kitten").await,
        embed_text(&*embedder, "cat").await,
        embed_text(&*embedder, "truck").await,
    );
    assert!(cosine(&kitten, &cat) > cosine(&kitten, &truck) + 0.2);
    assert_eq!(kitten.len(), embedder.describe().dimensions);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_graph_is_unavailable_by_name_and_recovers_when_it_is_mended() {
    let source = BuildContext::from_env().cache_dir.join("models/starter");
    if !source.is_dir() {
        return missing("the starter model").unwrap_or_default();
    }
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let graph = folder.path().join("text.onnx");
    let whole = std::fs::read(&graph).unwrap();
    std::fs::write(&graph, &whole[..whole.len() / 2]).unwrap();

    let mut settings = settings();
    settings["model"] = folder.path().to_str().unwrap().into();
    let embedder = lucida_onnx::factory()
        .build(&settings, &BuildContext::from_env())
        .await
        .unwrap();
    let embed = || lucida_core::embed_text(&*embedder, "cat".to_owned(), Lane::Interactive);
    let error = embed().await.unwrap_err();
    assert!(error.to_string().contains("text.onnx is damaged"), "{error}");
    assert!(error.is_transient(), "{error}");

    std::fs::write(&graph, &whole).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while let Err(error) = embed().await {
        assert!(std::time::Instant::now() < deadline, "still failing: {error}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_that_was_built_without_openvino_is_an_error_and_not_the_cpu() {
    let Some(_plain_is_loaded) = starter().await else {
        return;
    };
    let mut settings = settings();
    settings["device"] = "openvino".into();
    let built = lucida_onnx::factory()
        .build(&settings, &BuildContext::from_env())
        .await;
    let error = built.err().unwrap();
    assert_eq!(error.kind(), lucida_core::ErrorKind::ConfigInvalid);
    assert_eq!(error.field(), Some("device"));
    assert!(error.message().contains("lucida setup --openvino"), "{error}");
}
