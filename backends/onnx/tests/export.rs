//! ONNX files in the layouts that people publish, held against the vectors of the models that they were exported from.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lucida_core::{
    BuildContext, Embedder, ErrorKind, Factory as _, Lane, Modalities, Picture, Prompt, Result, TextOptions,
    embed_image, embed_text, embed_texts,
};
use lucida_testkit::parity::{check, check_in_space, model_folder};
use serde_json::{Value, json};

fn settings(folder: &Path, text_folder: Option<&Path>, precision: &str) -> Value {
    json!({
        "model": folder, "text_model": text_folder, "precision": precision, "device": "cpu", "threads": 2,
        "queue_items": 256, "preload": false, "idle_unload_secs": 0, "hub": {"offline": true},
    })
}

async fn build(settings: &Value) -> Result<Arc<dyn Embedder>> {
    lucida_onnx::factory()
        .build(settings, &BuildContext::from_env())
        .await
}

async fn open(folder: PathBuf, text_folder: Option<PathBuf>) -> Arc<dyn Embedder> {
    let settings = settings(&folder, text_folder.as_deref(), "fp32");
    build(&settings).await.unwrap()
}

async fn takes(model: &str) -> (bool, bool) {
    let Modalities { image, text } = open(model_folder(model), None).await.describe().modalities;
    (image, text)
}

/// A copy of a fixture's folder, to change something in.
fn copy(model: &str) -> tempfile::TempDir {
    let target = tempfile::tempdir().unwrap();
    copy_into(&model_folder(model), target.path());
    target
}

fn copy_into(source: &Path, target: &Path) {
    for entry in std::fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let copy = target.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir(&copy).unwrap();
            copy_into(&path, &copy);
        } else {
            std::fs::copy(&path, &copy).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_towers_in_one_file_of_optimum() {
    assert_eq!(takes("clip-onnx-optimum").await, (true, true));
    check(open, "clip-onnx-optimum", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_each_tower_as_for_transformers_js() {
    assert_eq!(takes("clip-onnx-xenova").await, (true, true));
    check(open, "clip-onnx-xenova", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_for_each_tower_as_qdrant_has_them() {
    assert_eq!(takes("clip-onnx-qdrant-vision").await, (true, false));
    assert_eq!(takes("clip-onnx-qdrant-text").await, (false, true));
    check(open, "clip-onnx-qdrant-text", None).await;
    check(open, "clip-onnx-qdrant-vision", Some("clip-onnx-qdrant-text")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exports_of_immich_with_short_and_with_long_tokens() {
    assert_eq!(takes("immich-clip").await, (true, true));
    check(open, "immich-clip", None).await;
    check(open, "immich-padded", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_immich_that_takes_a_mask_is_told_where_its_texts_end() {
    check(open, "immich-xlm-roberta", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_alone_is_pooled_as_its_sentence_transformers_folder_says() {
    assert_eq!(takes("multilingual-onnx").await, (false, true));
    check(open, "multilingual-onnx", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_of_a_family_that_only_an_export_computes() {
    assert_eq!(takes("modernbert-onnx").await, (false, true));
    check(open, "modernbert-onnx", None).await;
    let folder = copy("modernbert-onnx");
    let config = folder.path().join("config.json");
    let other = std::fs::read_to_string(&config)
        .unwrap()
        .replace("\"modernbert\"", "\"deberta-v2\"");
    std::fs::write(config, other).unwrap();
    // The graph is whichever it is: of an encoder that isn't known only the length of its rows counts.
    let vectors = build(&settings(folder.path(), None, "fp32")).await;
    assert!(vectors.is_ok(), "{:?}", vectors.err());
    std::fs::remove_dir_all(folder.path().join("onnx")).unwrap();
    let error = build(&settings(folder.path(), None, "fp32")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.message().contains("`deberta-v2`") && error.message().contains("`onnx/`"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tower_from_an_export_and_the_other_from_weights() {
    check(open, "clip-onnx-qdrant-vision", Some("multilingual")).await;
    check(open, "clip", Some("multilingual-onnx")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_named_visual_and_textual_are_taken() {
    let folder = copy("clip-onnx-xenova");
    for (from, to) in [("vision_model", "visual"), ("text_model", "textual")] {
        let from = folder.path().join("onnx").join(format!("{from}.onnx"));
        std::fs::rename(from, folder.path().join(format!("{to}.onnx"))).unwrap();
    }
    let named = async |_: PathBuf, _: Option<PathBuf>| open(folder.path().to_path_buf(), None).await;
    check(named, "clip-onnx-xenova", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jina_clip_of_the_first_version_with_a_file_for_each_tower() {
    assert_eq!(takes("jina-clip-v1").await, (true, true));
    check(open, "jina-clip-v1", None).await;
    let folder = model_folder("jina-clip-v1");
    let rounded = build(&settings(&folder, None, "int8")).await.unwrap();
    let exact = open(folder, None).await;
    let picture = Arc::new(Picture::gradient(300, 200));
    let [rounded, exact] = [
        embed_image(&*rounded, Arc::clone(&picture), Lane::Interactive).await,
        embed_image(&*exact, picture, Lane::Interactive).await,
    ]
    .map(Result::unwrap);
    assert!(rounded != exact && cosine(&rounded, &exact) > INT8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jina_clip_of_the_second_version_with_both_towers_in_one_file_and_weights_beside_it() {
    assert_eq!(takes("jina-clip-v2").await, (true, true));
    check(open, "jina-clip-v2", None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jina_clip_has_the_prompt_of_its_task_and_vectors_of_the_lengths_that_it_was_trained_for() {
    let embedder = open(model_folder("jina-clip-v2"), None).await;
    let text = "beautiful sunset over the beach".to_owned();
    let embed = async |text: &str, options: TextOptions| {
        let mut vectors = embedder
            .embed_texts(vec![text.to_owned()], &options, Lane::Interactive)
            .await;
        vectors.remove(0).unwrap().embedding
    };
    let query = TextOptions {
        prompt: Prompt::Query,
        ..TextOptions::default()
    };
    let prompted = embed(
        &format!("Represent the query for retrieving evidence documents: {text}"),
        TextOptions::default(),
    )
    .await;
    assert_eq!(embed(&text, query.clone()).await, prompted);
    assert_ne!(embed(&text, TextOptions::default()).await, prompted);
    let named = Prompt::Named("retrieval.query".to_owned());
    let named = TextOptions {
        prompt: named,
        ..TextOptions::default()
    };
    assert_eq!(embed(&text, named).await, prompted);

    let shorter = TextOptions {
        dimensions: Some(8),
        ..query.clone()
    };
    let shorter = embed(&text, shorter).await;
    let length = prompted[..8]
        .iter()
        .map(|number| number * number)
        .sum::<f32>()
        .sqrt();
    assert_eq!(shorter.len(), 8);
    for (given, whole) in shorter.iter().zip(prompted.iter()) {
        assert!((given - whole / length).abs() < 1e-6);
    }
    let other = TextOptions {
        dimensions: Some(7),
        ..query
    };
    let refused = embedder.embed_texts(vec![text], &other, Lane::Interactive).await;
    let error = refused[0].as_ref().unwrap_err();
    assert!(error.message().contains("was trained for 4, 8"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jina_clip_without_its_export_says_which_file_is_missing_and_where_it_is_published() {
    let folder = copy("jina-clip-v1");
    for file in ["text_model.onnx", "text_model_quantized.onnx"] {
        std::fs::remove_file(folder.path().join("onnx").join(file)).unwrap();
    }
    let error = refused(&settings(folder.path(), None, "fp32")).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.message().contains("lacks `onnx/text_model.onnx` of it")
            && error.message().contains("`jinaai/jina-clip-v1`"),
        "{error}"
    );

    let folder = copy("jina-clip-v2");
    std::fs::remove_file(folder.path().join("onnx/model.onnx_data")).unwrap();
    let error = refused(&settings(folder.path(), None, "fp32")).await;
    assert!(error.message().contains("model.onnx_data"), "{error}");
    std::fs::remove_dir_all(folder.path().join("onnx")).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), "").unwrap();
    let error = refused(&settings(folder.path(), None, "fp32")).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    for part in [
        "`onnx/model.onnx` and `onnx/model.onnx_data`",
        "`jinaai/jina-clip-v2`",
    ] {
        assert!(error.message().contains(part), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nomic_vision_export_beside_its_text_model_in_their_shared_space() {
    assert_eq!(takes("nomic-vision").await, (true, false));
    check_in_space(open, "nomic-vision", Some("nomic-bert"), "nomic-vision").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_beside_nomic_s_pictures_are_centred_where_their_tower_is_an_export_too() {
    // Whichever encoder the graph is of: its rows are as long, and its vocabulary is the same.
    let texts = copy("nomic-bert");
    std::fs::remove_file(texts.path().join("model.safetensors")).unwrap();
    std::fs::create_dir(texts.path().join("onnx")).unwrap();
    let graph = "onnx/model.onnx";
    std::fs::copy(
        model_folder("modernbert-onnx").join(graph),
        texts.path().join(graph),
    )
    .unwrap();
    let embed = async |embedder: Arc<dyn Embedder>| {
        embed_text(&*embedder, "a dog on the beach".to_owned(), Lane::Interactive)
            .await
            .unwrap()
    };
    let alone = embed(open(texts.path().to_path_buf(), None).await).await;
    let beside = embed(open(model_folder("nomic-vision"), Some(texts.path().to_path_buf())).await).await;
    let mean = alone.iter().sum::<f32>() / alone.len() as f32;
    let centred: Vec<_> = alone.iter().map(|number| number - mean).collect();
    let length = cosine(&centred, &centred).sqrt();
    assert!(length < 0.9999, "centring changes nothing: {length}");
    for (given, number) in beside.iter().zip(&centred) {
        assert!(
            (given - number / length).abs() < 1e-6,
            "{given} and {}",
            number / length
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_the_first_nomic_models_are_not_centred() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("nomic-embed-vision-v1");
    std::fs::create_dir(&folder).unwrap();
    copy_into(&model_folder("nomic-vision"), &folder);
    let named = async |_: PathBuf, texts: Option<PathBuf>| open(folder.clone(), texts).await;
    check(named, "nomic-vision", Some("nomic-bert")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_among_nomic_s_pictures_has_the_prompt_of_its_text_model() {
    let embedder = open(model_folder("nomic-vision"), Some(model_folder("nomic-bert"))).await;
    let texts = &embedder.describe().texts;
    assert_eq!(texts.prompt(&Prompt::Query).unwrap(), "search_query: ");
    assert_eq!(texts.prompt(&Prompt::Document).unwrap(), "search_document: ");
    let options = TextOptions {
        prompt: Prompt::Query,
        ..TextOptions::default()
    };
    let query = embedder
        .embed_texts(vec!["a dog".to_owned()], &options, Lane::Interactive)
        .await;
    let plain = embed_text(&*embedder, "search_query: a dog".to_owned(), Lane::Interactive)
        .await
        .unwrap();
    assert_eq!(query[0].as_ref().unwrap().embedding, plain);
}

#[tokio::test(flavor = "multi_thread")]
async fn nomic_s_pictures_are_refused_beside_texts_of_another_space() {
    let settings = settings(&model_folder("nomic-vision"), Some(&model_folder("bert")), "fp32");
    let error = refused(&settings).await;
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::ConfigInvalid, Some("text_model"))
    );
    assert!(
        error.message().contains("nomic-ai/nomic-embed-text-v1.5"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mobile_clip_for_transformers_js_whose_configuration_says_nothing_of_its_towers() {
    assert_eq!(takes("mobileclip-onnx-xenova").await, (true, true));
    check(open, "mobileclip-onnx-xenova", None).await;
}

/// What int8 leaves of the cosine of the tiny random models, once per model; theirs is within 0.01 of fp32's.
const INT8: f32 = 0.98;

#[tokio::test(flavor = "multi_thread")]
async fn an_int8_export_gives_the_same_bits_whatever_is_beside_it() {
    let folder = model_folder("clip-onnx-xenova");
    let exact = open(folder.clone(), None).await;
    let rounded = build(&settings(&folder, None, "int8")).await.unwrap();
    assert_ne!(exact.describe().fingerprint, rounded.describe().fingerprint);

    let pictures: Vec<_> = [(64, 64), (300, 20), (1, 1), (1000, 700), (223, 225)]
        .map(|(width, height)| Arc::new(Picture::gradient(width, height)))
        .into();
    let together = rounded.embed_images(pictures.clone(), Lane::Background).await;
    for (picture, beside) in pictures.into_iter().zip(together) {
        let beside = beside.unwrap();
        let alone = embed_image(&*rounded, Arc::clone(&picture), Lane::Interactive)
            .await
            .unwrap();
        assert_eq!(alone, beside);
        let exact = embed_image(&*exact, picture, Lane::Interactive).await.unwrap();
        assert!(
            alone != exact && cosine(&alone, &exact) > INT8,
            "{}",
            cosine(&alone, &exact)
        );
    }
    let texts: Vec<_> = ["cat", "a dog on the beach", "x", &"long ".repeat(600), "émoji 🙂"]
        .map(str::to_owned)
        .into();
    let together = embed_texts(&*rounded, texts.clone(), Lane::Background).await;
    for (text, beside) in texts.into_iter().zip(together) {
        let beside = beside.unwrap();
        let alone = embed_text(&*rounded, text.clone(), Lane::Interactive)
            .await
            .unwrap();
        assert_eq!(alone, beside);
        let exact = embed_text(&*exact, text, Lane::Interactive).await.unwrap();
        assert!(
            alone != exact && cosine(&alone, &exact) > INT8,
            "{}",
            cosine(&alone, &exact)
        );
    }
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

async fn refused(settings: &Value) -> lucida_core::Error {
    match build(settings).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_precision_that_was_not_exported_names_those_that_were() {
    let error = refused(&settings(&model_folder("clip-onnx-optimum"), None, "int8")).await;
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert_eq!(error.field(), Some("precision"));
    assert!(error.message().contains("onnx/model.onnx (fp32)"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_of_another_tower_is_refused_with_what_it_takes_and_gives() {
    let folder = copy("clip-onnx-xenova");
    let onnx = folder.path().join("onnx");
    std::fs::copy(onnx.join("text_model.onnx"), onnx.join("vision_model.onnx")).unwrap();
    let error = refused(&settings(folder.path(), None, "fp32")).await;
    for part in [
        "vision_model.onnx takes no pictures",
        "`input_ids` int64 (?, ?)",
        "`text_embeds` float (?, 32)",
    ] {
        assert!(error.message().contains(part), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_does_not_fit_the_configuration_is_refused() {
    let folder = copy("clip-onnx-qdrant-vision");
    let config = folder.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        text.replace("\"projection_dim\": 32", "\"projection_dim\": 48"),
    )
    .unwrap();
    let error = refused(&settings(folder.path(), None, "fp32")).await;
    assert!(
        error
            .message()
            .contains("`image_embeds`, which is not a vector of 48 floats"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_ends_early_is_refused_by_name() {
    let folder = copy("clip-onnx-qdrant-vision");
    let graph = folder.path().join("model.onnx");
    let whole = std::fs::read(&graph).unwrap();
    std::fs::write(&graph, &whole[..whole.len() / 2]).unwrap();
    let error = refused(&settings(folder.path(), None, "fp32")).await;
    assert!(
        error
            .message()
            .contains("model.onnx is not an ONNX graph, or is damaged"),
        "{error}"
    );
}
