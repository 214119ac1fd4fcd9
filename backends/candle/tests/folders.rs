//! What the embedder says of folders that it can't run, and of those that it runs in another way.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;
use std::sync::Arc;

use lucida_core::{
    BuildContext, Embedder, Error, ErrorKind, Factory as _, Lane, Result, embed_text, embed_texts,
};
use lucida_testkit::parity::model_folder;
use tempfile::TempDir;

async fn open(model: &Path, text_model: Option<&Path>, threads: usize) -> Result<Arc<dyn Embedder>> {
    let settings = serde_json::json!({
        "model": model, "text_model": text_model, "threads": threads, "queue_items": 8, "preload": false,
        "idle_unload_secs": 0, "hub": {"offline": true},
    });
    lucida_candle::factory()
        .build(&settings, &BuildContext::from_env())
        .await
}

async fn refusal(model: &Path, text_model: Option<&Path>) -> Error {
    match open(model, text_model, 1).await {
        Ok(_) => panic!("{} was opened", model.display()),
        Err(error) => error,
    }
}

/// Copies one of the models, without its sub-folders.
fn copy(name: &str) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(model_folder(name)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

/// Replaces a text of a file by another of its length.
fn replace(path: &Path, old: &str, new: &str) {
    assert_eq!(old.len(), new.len());
    let mut bytes = std::fs::read(path).unwrap();
    let place = bytes
        .windows(old.len())
        .position(|part| part == old.as_bytes())
        .unwrap();
    bytes[place..place + old.len()].copy_from_slice(new.as_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_tensor_that_is_missing_is_named_when_the_model_is_opened() {
    let folder = copy("clip");
    let name = "vision_model.encoder.layers.1.mlp.fc2.bias";
    replace(
        &folder.path().join("model.safetensors"),
        name,
        &name.replace("bias", "Bias"),
    );
    let error = refusal(folder.path(), None).await;
    assert!(error.message().contains(name), "{error}");
}

#[tokio::test]
async fn a_file_of_weights_that_was_cut_short_is_named_when_the_model_is_opened() {
    let folder = copy("clip");
    let path = folder.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    let error = refusal(folder.path(), None).await;
    assert!(error.message().contains("model.safetensors"), "{error}");
}

#[tokio::test]
async fn a_folder_that_only_onnx_runtime_runs_says_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("starter.json"), "{}").unwrap();
    let error = refusal(folder.path(), None).await;
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::Unsupported, Some("model"))
    );
    assert!(error.message().contains("`onnx`"), "{error}");
}

#[tokio::test]
async fn an_export_of_immich_is_refused_with_the_engine_that_runs_it() {
    let folder = tempfile::tempdir().unwrap();
    let export = model_folder("immich-clip");
    std::fs::copy(export.join("config.json"), folder.path().join("config.json")).unwrap();
    std::fs::create_dir(folder.path().join("visual")).unwrap();
    let settings = "visual/preprocess_cfg.json";
    std::fs::copy(export.join(settings), folder.path().join(settings)).unwrap();
    let error = refusal(folder.path(), None).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.message().contains("Immich") && error.message().contains("`onnx`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_text_model_of_another_space_is_refused() {
    let error = refusal(&model_folder("clip-laion"), Some(&model_folder("multilingual"))).await;
    assert_eq!(error.field(), Some("text_model"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_model_lacks_fails_its_text_alone() {
    // The tokenizer's first tokens are moved beyond the end of the table.
    let folder = copy("clip");
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    tokenizer["model"]["vocab"]["z</w>"] = 100_000.into();
    std::fs::write(&path, tokenizer.to_string()).unwrap();
    let embedder = open(folder.path(), None, 1).await.unwrap();
    let texts = ["dog", "z", "cat"].map(str::to_owned);
    let results = embed_texts(&*embedder, texts.into(), Lane::Interactive).await;
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    // In a batch with others, whenever it had company, and in one of its own.
    let alone = embed_text(&*embedder, "z".to_owned(), Lane::Interactive).await;
    for result in [&results[1], &alone] {
        let error = result.as_ref().unwrap_err();
        assert!(error.message().contains("100000"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_threads_changes_no_bit() {
    let mut vectors = Vec::new();
    for threads in [1, 2, 5] {
        let embedder = open(&model_folder("xlm-roberta"), None, threads).await.unwrap();
        vectors.push(
            embed_text(&*embedder, "ein Hund am Strand".to_owned(), Lane::Interactive)
                .await
                .unwrap(),
        );
    }
    assert!(vectors[0] == vectors[1] && vectors[1] == vectors[2]);
}

#[tokio::test]
async fn a_family_without_a_module_is_refused_with_the_engine_that_computes_it() {
    for (name, family) in [("gte", "GTE"), ("embedding-gemma", "EmbeddingGemma")] {
        let error = refusal(&model_folder(name), None).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.message().contains(family) && error.message().contains("`onnx`"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_family_that_is_run_from_its_export_alone_is_refused_with_the_engine_that_runs_it() {
    for (name, texts, family) in [
        ("jina-clip-v1", None, "`jina_clip`"),
        ("jina-clip-v2", None, "`jina_clip`"),
        ("nomic-vision", Some("nomic-bert"), "`NomicVisionModel`"),
    ] {
        let texts = texts.map(model_folder);
        let error = refusal(&model_folder(name), texts.as_deref()).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.message().contains(family) && error.message().contains("`onnx`"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_folder_with_an_export_alone_is_refused_with_the_engine_that_runs_it() {
    let error = refusal(&model_folder("modernbert-onnx"), None).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("`onnx`"), "{error}");
}
