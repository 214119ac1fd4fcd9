//! What runs on graphics cards, computed on the processor: every tower by candle-transformers' modules. Only the kernels of a
//! card differ.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use lucida_candle::CandleEngine;
use lucida_core::{
    BuildContext, Embedder, ErrorKind, Factory as _, Lane, Picture, Result, embed_image, embed_text,
    embed_texts,
};
use lucida_models::checkpoint::{Checkpoint, CheckpointModel, TextSettings};
use lucida_models::{BatchSettings, Batched};
use lucida_testkit::parity::model_folder;
use serde_json::{Value, json};
use tempfile::TempDir;

fn start(model: &Path, text_model: Option<&Path>) -> Result<Batched<CheckpointModel<CandleEngine>>> {
    let checkpoint = Checkpoint::open("tiny", model, text_model, &TextSettings::default())?;
    let engine = CandleEngine::start_on(Device::Cpu, 2)?;
    let settings = BatchSettings {
        threads: 2,
        queue_items: 256,
        preload: false,
        idle_unload_secs: 0,
    };
    Batched::start(
        CheckpointModel::new(checkpoint, engine)?,
        &settings.options(4, 128),
    )
}

async fn open(model: PathBuf, text_model: Option<PathBuf>) -> Arc<dyn Embedder> {
    Arc::new(start(&model, text_model.as_deref()).unwrap())
}

mod parity {
    lucida_testkit::parity_tests! { open,
        a_clip_folder_of_transformers
        a_clip_folder_of_the_first_sentence_transformers
        a_clip_folder_of_the_newest_sentence_transformers
        a_multilingual_distilbert_folder
        a_bert_folder_with_a_vocabulary_alone
        a_bert_folder_with_a_dense_step_and_tanh
        a_bert_folder_with_three_poolings_at_once
        an_xlm_roberta_folder_in_shards
        a_modern_bert_folder_with_windows
        a_nomic_bert_folder_with_gated_halves
        a_qwen3_embedding_folder_pooled_at_the_last_token
        a_chinese_clip_folder
        a_siglip_folder_with_a_sentencepiece_model
        a_siglip_2_folder_of_a_fixed_resolution
        an_open_clip_folder_with_quick_gelu
        a_mobile_clip_folder
        a_text_model_of_its_own_beside_a_clip_folder
    }
}

#[tokio::test]
async fn what_the_modules_get_wrong_or_lack_is_refused_by_name_when_the_model_is_opened() {
    for (model, says) in [
        ("clip-laion", "another activation than quick-gelu"),
        ("mpnet", "MPNet"),
        ("jina-bert", "jina-bert"),
        ("openclip-xlm-roberta", "takes the mean"),
        ("gte", "GTE"),
        ("embedding-gemma", "EmbeddingGemma"),
    ] {
        let error = match start(&model_folder(model), None) {
            Ok(_) => panic!("{model} was opened"),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(
            error.message().contains(says) && error.message().contains("`onnx`"),
            "{error}"
        );
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

fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

/// What another order of the same f32 sums leaves of 1.
const SAME: f32 = 0.999_99;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_tower_with_gelu_gives_the_vectors_of_this_crate_s_own_encoder() {
    // Its text tower has gelu too, which no module has.
    let folder = copy("clip-laion");
    change(&folder.path().join("config.json"), |config| {
        let projection = config["projection_dim"].clone();
        *config = config["vision_config"].take();
        config["model_type"] = "clip_vision_model".into();
        config["projection_dim"] = projection;
    });
    let own = own(folder.path()).await;
    let modules = start(folder.path(), None).unwrap();
    assert!(!modules.describe().modalities.text);
    for (width, height) in [(300, 200), (64, 90), (224, 224), (5, 900)] {
        let picture = Arc::new(Picture::gradient(width, height));
        let [one, other] = [&*own as &dyn Embedder, &modules].map(|embedder| {
            let picture = Arc::clone(&picture);
            async move { embed_image(embedder, picture, Lane::Interactive).await.unwrap() }
        });
        let cosine: f32 = one.await.iter().zip(other.await).map(|(a, b)| a * b).sum();
        assert!(cosine > SAME, "{width} x {height}: {cosine}");
    }
}

/// Opens a model as `device = "cpu"` does.
async fn own(model: &Path) -> Arc<dyn Embedder> {
    let settings = json!({"model": model, "threads": 2, "preload": false, "hub": {"offline": true}});
    lucida_candle::factory()
        .build(&settings, &BuildContext::from_env())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_and_the_processor_give_a_model_the_same_fingerprint() {
    let own = own(&model_folder("clip")).await;
    let modules = open(model_folder("clip"), None).await;
    assert_eq!(modules.describe().fingerprint, own.describe().fingerprint);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_has_the_same_bits_whatever_is_beside_it() {
    let embedder = open(model_folder("clip"), Some(model_folder("multilingual"))).await;
    let texts = ["dog", "ein Hund läuft am Strand", "a red car by the sea"].map(str::to_owned);
    let together = embed_texts(&*embedder, texts.to_vec(), Lane::Interactive).await;
    for (text, together) in texts.into_iter().zip(together) {
        let alone = embed_text(&*embedder, text, Lane::Interactive).await;
        assert_eq!(alone.unwrap(), together.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_model_lacks_fails_its_text_alone() {
    let folder = copy("clip");
    change(&folder.path().join("tokenizer.json"), |tokenizer| {
        tokenizer["model"]["vocab"]["z</w>"] = 100_000.into();
    });
    let embedder = start(folder.path(), None).unwrap();
    let texts = ["dog", "z", "cat"].map(str::to_owned);
    let results = embed_texts(&embedder, texts.to_vec(), Lane::Interactive).await;
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    let error = results[1].as_ref().unwrap_err();
    assert!(error.message().contains("100000"), "{error}");
}
