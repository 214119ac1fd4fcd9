//! What sentence-transformers gives for prompts, a pooling that leaves them out, and shorter vectors:
//! `testdata/parity/prompts.json`, which holds other settings for some of the tiny models.

use std::collections::BTreeMap;
use std::path::Path;

use lucida_core::{Embedder, Embedding, ErrorKind, Lane, Prompt, TextOptions};
use serde::Deserialize;
use serde_json::Value;

use super::parity::{Open, SAME, assert_same, folder, model_folder};

/// Makes the tests of what an engine does with prompts and lengths, from an async function that opens a model as for
/// [`crate::embedder_parity`].
#[macro_export]
macro_rules! text_options_parity {
    ($open:ident) => {
        mod text_options_parity {
            #[tokio::test(flavor = "multi_thread")]
            async fn prompts_and_shorter_vectors_are_those_of_sentence_transformers() {
                $crate::parity_texts::prompts_and_shorter_vectors(super::$open).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_long_text_is_counted_and_refused_where_it_must_not_be_cut() {
                $crate::parity_texts::a_long_text_is_refused(super::$open).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn tokens_are_turned_back_into_their_text() {
                $crate::parity_texts::tokens_are_decoded(super::$open).await;
            }
        }
    };
}

type Vectors = BTreeMap<String, Vec<f64>>;

#[derive(Deserialize)]
struct Expected {
    texts: BTreeMap<String, String>,
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    /// The settings that are different, by file.
    files: BTreeMap<String, Value>,
    default: Vectors,
    without: Vectors,
    query: Vectors,
    named: BTreeMap<String, Vectors>,
    /// With the prompt `query`, by length.
    shorter: BTreeMap<usize, Vectors>,
}

/// Each prompt, none and the default one, and vectors of each length.
pub async fn prompts_and_shorter_vectors(open: impl Open) {
    let expected: Expected =
        serde_json::from_slice(&std::fs::read(folder().join("prompts.json")).unwrap()).unwrap();
    assert!(expected.cases.len() >= 6, "only {} cases", expected.cases.len());
    for (name, case) in &expected.cases {
        let place = tempfile::tempdir().unwrap();
        copy_folder(&model_folder(&case.model), place.path());
        for (file, content) in &case.files {
            std::fs::write(place.path().join(file), content.to_string()).unwrap();
        }
        allow_lengths(&place.path().join("config.json"), case.shorter.keys());
        let embedder = open(place.path().to_path_buf(), None).await;
        let check = async |what: &str, prompt: Prompt, dimensions: Option<usize>, vectors: &Vectors| {
            eprintln!("{name}: {what}");
            let options = TextOptions {
                prompt,
                dimensions,
                truncate: true,
            };
            assert_same(
                &embed(&*embedder, &expected.texts, &options).await,
                vectors,
                |_| SAME,
            );
        };
        check("default", Prompt::Default, None, &case.default).await;
        check("without", Prompt::None, None, &case.without).await;
        check("query", Prompt::Query, None, &case.query).await;
        for (prompt, vectors) in &case.named {
            check(prompt, Prompt::Named(prompt.clone()), None, vectors).await;
        }
        for (length, vectors) in &case.shorter {
            check(&length.to_string(), Prompt::Query, Some(*length), vectors).await;
        }
        let other = TextOptions {
            dimensions: Some(9),
            ..TextOptions::default()
        };
        let refused = embedder
            .embed_texts(vec!["x".to_owned()], &other, Lane::Interactive)
            .await;
        let error = refused[0].as_ref().unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::InvalidInput, Some("dimensions"))
        );
        assert!(error.message().contains("8, 20"), "{error}");
    }
}

/// `bert`, which takes 64 tokens.
pub async fn a_long_text_is_refused(open: impl Open) {
    let embedder = open(model_folder("bert"), None).await;
    let options = TextOptions {
        truncate: false,
        ..TextOptions::default()
    };
    // 62 words and two special tokens fit.
    for words in [62, 63, 500] {
        let text = "a ".repeat(words);
        let mut results = embedder
            .embed_texts(vec![text.clone()], &options, Lane::Interactive)
            .await;
        match (words, results.remove(0)) {
            (62, result) => assert_eq!(result.unwrap().tokens, Some(64)),
            (_, result) => {
                let error = result.unwrap_err();
                assert_eq!(
                    (error.kind(), error.code()),
                    (ErrorKind::InvalidInput, "text_too_long")
                );
                assert!(
                    error.message().contains(&format!("{} tokens", words + 2)),
                    "{error}"
                );
                assert!(error.message().contains("takes 64"), "{error}");
            }
        }
        let cut = embedder
            .embed_texts(vec![text], &TextOptions::default(), Lane::Interactive)
            .await;
        assert_eq!(cut[0].as_ref().unwrap().tokens, Some(64));
    }
}

/// A WordPiece vocabulary alone, CLIP's BPE, unigrams in a `tokenizer.json`, and a SentencePiece model.
pub async fn tokens_are_decoded(open: impl Open) {
    for name in ["bert", "clip-st", "clip-st-new", "xlm-roberta", "siglip"] {
        tokens_of_one_are_decoded(&*open(model_folder(name), None).await).await;
    }
}

async fn tokens_of_one_are_decoded(embedder: &dyn Embedder) {
    let text = "a photo of a dog running on the beach".to_owned();
    let tokens = embedder
        .tokenize(vec![text.clone()], &TextOptions::default())
        .await;
    let ids: Vec<_> = tokens[0].as_ref().unwrap().iter().map(|token| token.id).collect();
    let results = embedder
        .decode_tokens(vec![ids.clone(), vec![ids[1], 4_000_000_000]])
        .await;
    assert_eq!(results[0].as_ref().unwrap(), &text);
    let error = results[1].as_ref().unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::InvalidInput, "unknown_token")
    );
    assert!(error.message().contains("4000000000"), "{error}");
}

async fn embed(
    embedder: &dyn Embedder,
    texts: &BTreeMap<String, String>,
    options: &TextOptions,
) -> BTreeMap<String, Embedding> {
    let (labels, texts): (Vec<_>, Vec<_>) = texts.clone().into_iter().unzip();
    let vectors = embedder.embed_texts(texts, options, Lane::Background).await;
    labels
        .into_iter()
        .zip(vectors.into_iter().map(|vector| vector.unwrap().embedding))
        .collect()
}

fn allow_lengths<'a>(config: &Path, lengths: impl Iterator<Item = &'a usize>) {
    let mut content: Value = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
    content["matryoshka_dimensions"] = lengths.copied().collect();
    std::fs::write(config, content.to_string()).unwrap();
}

/// Copies a folder and what is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
