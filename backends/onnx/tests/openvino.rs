//! `device = "openvino"` on the starter model: the same vectors as on ONNX Runtime's own kernels, by another route.
//!
//! Its build of ONNX Runtime comes from the per-user cache, where `lucida setup --openvino` puts it. A process
//! holds one library, so these tests have a program of their own, in which the device `cpu` uses this build too.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

use std::path::PathBuf;
use std::sync::Arc;

use lucida_core::{BuildContext, Embedder, ErrorKind, Factory as _, Lane, Picture, Result};
use lucida_testkit::parity::check;
use serde_json::{Value, json};

/// The library, if `setup` has put it there.
fn library() -> Option<PathBuf> {
    let builds = BuildContext::from_env().cache_dir.join("onnxruntime-openvino");
    std::fs::read_dir(builds).ok()?.find_map(|entry| {
        let library = entry.ok()?.path().join("libonnxruntime.so");
        library.is_file().then_some(library)
    })
}

fn is_set_up() -> bool {
    if library().is_some() {
        return true;
    }
    let message = "skipped: ONNX Runtime with OpenVINO is not there; run `lucida setup --openvino`";
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("{message}");
    false
}

fn settings(device: &str, precision: &str) -> Value {
    json!({
        "model": "starter", "precision": precision, "device": device, "library": library(), "threads": 2,
        "queue_items": 64, "preload": false, "idle_unload_secs": 0, "hub": {"offline": true},
    })
}

async fn build(settings: &Value) -> Result<Arc<dyn Embedder>> {
    lucida_onnx::factory()
        .build(settings, &BuildContext::from_env())
        .await
}

fn pictures() -> Vec<Arc<Picture>> {
    [(64, 64), (300, 20), (1, 1), (1000, 700), (259, 261)]
        .map(|(width, height)| Arc::new(Picture::gradient(width, height)))
        .into()
}

/// Of many lengths, since OpenVINO may choose a kernel by the shape.
fn texts() -> Vec<String> {
    let mut texts: Vec<_> = [1, 2, 3, 5, 8, 13, 21, 34]
        .into_iter()
        .map(|words| "sea ".repeat(words))
        .collect();
    texts.extend(["a dog on the beach", "émoji 🙂", &"long ".repeat(600)].map(str::to_owned));
    texts
}

async fn embed(embedder: &dyn Embedder) -> Vec<Vec<f32>> {
    let mut vectors = embedder.embed_images(pictures(), Lane::Background).await;
    vectors.extend(lucida_core::embed_texts(embedder, texts(), Lane::Background).await);
    vectors.into_iter().map(Result::unwrap).collect()
}

/// The smallest cosine between the vectors of the same input.
fn least_cosine(left: &[Vec<f32>], right: &[Vec<f32>]) -> f32 {
    let cosine = |(left, right): (&Vec<f32>, &Vec<f32>)| left.iter().zip(right).map(|(l, r)| l * r).sum();
    left.iter().zip(right).map(cosine).fold(f32::INFINITY, f32::min)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vectors_are_those_of_the_cpu_as_far_as_the_precision_goes() {
    /// Another order of summing.
    const FP32: f32 = 0.999_99;
    /// Eight bits of mantissa, through twelve layers of texts; where labels of a picture are about as likely, the
    /// starter's vector is a mean of others.
    const BF16: f32 = 0.99;
    if !is_set_up() {
        return;
    }
    let expected = embed(&*build(&settings("cpu", "fp32")).await.unwrap()).await;
    for (precision, tolerance) in [("fp32", FP32), ("bf16", BF16)] {
        let embedder = build(&settings("openvino", precision)).await.unwrap();
        let cosine = least_cosine(&embed(&*embedder).await, &expected);
        println!("{precision}: {cosine}");
        assert!(cosine >= tolerance, "{precision}: {cosine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_is_the_same_bit_for_bit_whatever_is_beside_it() {
    if !is_set_up() {
        return;
    }
    for precision in ["fp32", "bf16"] {
        let embedder = build(&settings("openvino", precision)).await.unwrap();
        let together = embed(&*embedder).await;
        let mut alone = Vec::new();
        for picture in pictures() {
            alone.push(lucida_core::embed_image(&*embedder, picture, Lane::Interactive).await);
        }
        for text in texts() {
            alone.push(lucida_core::embed_text(&*embedder, text, Lane::Interactive).await);
        }
        let alone: Vec<_> = alone.into_iter().map(Result::unwrap).collect();
        assert!(alone == together, "{precision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_and_exports_give_the_vectors_of_sentence_transformers() {
    if !is_set_up() {
        return;
    }
    let open = async |folder: PathBuf, text_folder: Option<PathBuf>| {
        let mut settings = settings("openvino", "fp32");
        settings["model"] = json!(folder);
        settings["text_model"] = json!(text_folder);
        build(&settings).await.unwrap()
    };
    check(open, "clip", Some("multilingual")).await;
    check(open, "clip-laion", None).await;
    check(open, "clip-onnx-optimum", None).await;
    check(open, "clip-onnx-xenova", Some("multilingual-onnx")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_the_library_was_not_built_for_is_an_error_and_not_the_cpu() {
    if !is_set_up() {
        return;
    }
    let Err(error) = build(&settings("cuda", "fp32")).await else {
        panic!("CUDA was found in a build without it");
    };
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert_eq!(error.field(), Some("device"));
    assert!(
        error.message().contains("`cuda` is not in the ONNX Runtime at"),
        "{error}"
    );
}
