//! The vectors of sentence-transformers, as every engine must give them: `testdata/parity`, whose README says how it was
//! made.
//!
//! Each test is given a function that opens a model's folder, and that of a text model of its own where there is one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::RgbImage;
use serde::Deserialize;

use lucida_core::{Embedder, Embedding, Lane, Picture, Result};
use lucida_picture::{CropRecipe, CropSize, DecodeOptions, ResizeFilter, ResizeTo, decode};

/// Makes the tests of an engine's vectors from an async function that opens a model, given its folder and perhaps that of a
/// text model.
#[macro_export]
macro_rules! embedder_parity {
    ($open:ident) => {
        mod embedder_parity {
            $crate::parity_tests! { $open,
                a_clip_folder_of_transformers
                a_clip_folder_with_gelu_in_half_precision
                a_clip_folder_of_the_first_sentence_transformers
                a_clip_folder_of_the_newest_sentence_transformers
                a_multilingual_distilbert_folder
                a_bert_folder_with_a_vocabulary_alone
                a_bert_folder_with_a_dense_step_and_tanh
                a_bert_folder_with_three_poolings_at_once
                an_xlm_roberta_folder_in_shards
                an_mpnet_folder_with_a_bias_by_distance
                a_jina_bert_folder_with_alibi
                a_modern_bert_folder_with_windows
                a_nomic_bert_folder_with_gated_halves
                a_qwen3_embedding_folder_pooled_at_the_last_token
                a_chinese_clip_folder
                a_siglip_folder_with_a_sentencepiece_model
                a_siglip_2_folder_of_a_fixed_resolution
                an_open_clip_folder_with_quick_gelu
                an_open_clip_folder_with_mean_pooling_and_an_xlm_roberta
                an_open_clip_folder_that_squashes_and_sees_its_padding
                a_text_model_of_its_own_beside_a_clip_folder
                pixels_from_any_other_recipe_are_seen
            }
        }
    };
}

/// Makes the tests of what only the engine of candle-transformers computes from the weights.
#[macro_export]
macro_rules! convolution_parity {
    ($open:ident) => {
        mod convolution_parity {
            $crate::parity_tests! { $open,
                a_mobile_clip_folder
            }
        }
    };
}

/// Makes the tests of what only the engine with graphs computes from the weights.
#[macro_export]
macro_rules! graph_parity {
    ($open:ident) => {
        mod graph_parity {
            $crate::parity_tests! { $open,
                a_gte_folder_with_stretched_rotations
                an_embedding_gemma_folder_with_two_dense_steps
            }
        }
    };
}

/// Makes one test of each named function of this suite.
#[doc(hidden)]
#[macro_export]
macro_rules! parity_tests {
    ($open:ident, $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $crate::parity::$name(super::$open).await;
            }
        )*
    };
}

/// What another order of the same f32 sums leaves of 1, and one step of rounding in some pixels: one pixel in fifty that is
/// off by one leaves 0.99998. A bilinear filter leaves 0.9993.
pub const SAME: f64 = 0.9999;

/// What two right decoders of a JPEG leave, which round the cosine transform and the chroma each in their way, and what a
/// large one leaves that is decoded at half its scale.
pub const LOSSY: f64 = 0.998;

/// The expected vectors, and what they are of.
#[derive(Debug, Deserialize)]
pub struct Expected {
    /// The pictures' files.
    pub pictures: BTreeMap<String, PictureFile>,
    /// The texts by their labels.
    pub texts: BTreeMap<String, String>,
    /// The models by their folders' names.
    pub models: BTreeMap<String, ExpectedModel>,
}

/// What is known of a picture's file.
#[derive(Debug, Deserialize)]
pub struct PictureFile {
    /// Whether two right decoders agree about every pixel.
    pub lossless: bool,
}

/// What a model gives.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ExpectedModel {
    /// The model whose numbers these are, where this one is an export of it; at most the pictures' are its own then.
    pub same_as: Option<String>,
    /// The pictures' vectors by file, of unit length; none where the model takes texts only.
    pub pictures: BTreeMap<String, Vec<f64>>,
    /// The texts' vectors by label, of unit length.
    pub texts: BTreeMap<String, Vec<f64>>,
    /// The texts' token ids by label, special ones included.
    pub token_ids: BTreeMap<String, Vec<u32>>,
    /// The number of tokens at which a text is cut.
    pub max_tokens: usize,
}

impl Expected {
    /// Reads `expected.json`.
    ///
    /// # Panics
    /// When it can't be read.
    #[must_use]
    pub fn read() -> Self {
        serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap()
    }

    /// Returns what a model gives, which for an export is what its original gives.
    ///
    /// # Panics
    /// For a model that is missing.
    #[must_use]
    pub fn of(&self, model: &str) -> &ExpectedModel {
        let model = &self.models[model];
        model
            .same_as
            .as_ref()
            .map_or(model, |original| &self.models[original])
    }

    /// Returns what a model gives for pictures: its own numbers, also of an export whose texts are its original's.
    ///
    /// # Panics
    /// For a model that is missing.
    #[must_use]
    pub fn pictures_of(&self, model: &str) -> &BTreeMap<String, Vec<f64>> {
        let own = &self.models[model].pictures;
        if own.is_empty() {
            &self.of(model).pictures
        } else {
            own
        }
    }
}

/// Returns the folder of the fixtures.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/parity")
}

/// Returns the folder of one of the models.
#[must_use]
pub fn model_folder(name: &str) -> PathBuf {
    folder().join("models").join(name)
}

/// What opens a model for a test.
pub trait Open: AsyncFn(PathBuf, Option<PathBuf>) -> Arc<dyn Embedder> {}
impl<F: AsyncFn(PathBuf, Option<PathBuf>) -> Arc<dyn Embedder>> Open for F {}

/// `clip`: quick-gelu, texts pooled at their largest id.
pub async fn a_clip_folder_of_transformers(open: impl Open) {
    check(open, "clip", None).await;
}

/// `clip-laion`: gelu, three widths, patches of 16, texts pooled at the end token, fp16.
pub async fn a_clip_folder_with_gelu_in_half_precision(open: impl Open) {
    check(open, "clip-laion", None).await;
}

/// `clip-st`: `0_CLIPModel`, `pytorch_model.bin`, no `tokenizer.json`.
pub async fn a_clip_folder_of_the_first_sentence_transformers(open: impl Open) {
    check(open, "clip-st", None).await;
}

/// `clip-st-new`: one `Transformer` module for both towers, `processor_config.json`.
pub async fn a_clip_folder_of_the_newest_sentence_transformers(open: impl Open) {
    check(open, "clip-st-new", None).await;
}

/// `multilingual`: the mean, then a dense step without bias or activation.
pub async fn a_multilingual_distilbert_folder(open: impl Open) {
    check(open, "multilingual", None).await;
}

/// `bert`: the first token, `vocab.txt` alone.
pub async fn a_bert_folder_with_a_vocabulary_alone(open: impl Open) {
    check(open, "bert", None).await;
}

/// `dense-tanh`: a dense step with bias and tanh, both files from PyTorch.
pub async fn a_bert_folder_with_a_dense_step_and_tanh(open: impl Open) {
    check(open, "dense-tanh", None).await;
}

/// `bert-poolings`: the weighted mean, the last token and the largest numbers, joined.
pub async fn a_bert_folder_with_three_poolings_at_once(open: impl Open) {
    check(open, "bert-poolings", None).await;
}

/// `xlm-roberta`: positions from 2, bf16 in two files.
pub async fn an_xlm_roberta_folder_in_shards(open: impl Open) {
    check(open, "xlm-roberta", None).await;
}

/// `mpnet`: positions and a learnt bias by distance, beyond its reach too.
pub async fn an_mpnet_folder_with_a_bias_by_distance(open: impl Open) {
    check(open, "mpnet", None).await;
}

/// `jina-bert`: a slope for each of six heads in place of positions, gated halves, fp16.
pub async fn a_jina_bert_folder_with_alibi(open: impl Open) {
    check(open, "jina-bert", None).await;
}

/// `modernbert`: rotations, windows in two layers of three, no norm before the first.
pub async fn a_modern_bert_folder_with_windows(open: impl Open) {
    check(open, "modernbert", None).await;
}

/// `nomic-bert`: rotations, gated halves, norms behind them, names of its own.
pub async fn a_nomic_bert_folder_with_gated_halves(open: impl Open) {
    check(open, "nomic-bert", None).await;
}

/// `qwen3-embedding`: causal, the last token, more queries than keys, norms of the heads, bf16.
pub async fn a_qwen3_embedding_folder_pooled_at_the_last_token(open: impl Open) {
    check(open, "qwen3-embedding", None).await;
}

/// `gte`: rotations stretched by `rope_scaling`, the first token, bf16.
pub async fn a_gte_folder_with_stretched_rotations(open: impl Open) {
    check(open, "gte", None).await;
}

/// `embedding-gemma`: windows without a causal mask, norms on both sides of each half, two dense steps, bf16.
pub async fn an_embedding_gemma_folder_with_two_dense_steps(open: impl Open) {
    check(open, "embedding-gemma", None).await;
}

/// `chinese-clip`: the whole picture squashed, a BERT for texts with `vocab.txt` alone; `pytorch_model.bin`.
pub async fn a_chinese_clip_folder(open: impl Open) {
    check(open, "chinese-clip", None).await;
}

/// `siglip`: the whole picture squashed by a bicubic filter, attention pooling, texts without punctuation, padded to 64.
pub async fn a_siglip_folder_with_a_sentencepiece_model(open: impl Open) {
    check(open, "siglip", None).await;
}

/// `siglip2`: a bilinear filter, Gemma's tokens, fp16.
pub async fn a_siglip_2_folder_of_a_fixed_resolution(open: impl Open) {
    check(open, "siglip2", None).await;
}

/// `openclip-quickgelu`: OpenCLIP's names in safetensors, fused query, key and value, a class token.
pub async fn an_open_clip_folder_with_quick_gelu(open: impl Open) {
    check(open, "openclip-quickgelu", None).await;
}

/// `openclip-xlm-roberta`: the mean of the patches, a norm after it and none in front; a text tower of Hugging Face with a
/// projection of two steps; `open_clip_pytorch_model.bin`.
pub async fn an_open_clip_folder_with_mean_pooling_and_an_xlm_roberta(open: impl Open) {
    check(open, "openclip-xlm-roberta", None).await;
}

/// `openclip-padded`: a picture squashed by a bilinear filter, texts canonicalised and padded, no causal mask, pooled at the
/// last place, a projection with a bias.
pub async fn an_open_clip_folder_that_squashes_and_sees_its_padding(open: impl Open) {
    check(open, "openclip-padded", None).await;
}

/// `mobileclip`: convolutions in branches, attention in the last stage, the mean; texts without a causal mask; fp16.
pub async fn a_mobile_clip_folder(open: impl Open) {
    check(open, "mobileclip", None).await;
}

/// The pair that people come with: pictures by `clip`, texts by `multilingual`.
pub async fn a_text_model_of_its_own_beside_a_clip_folder(open: impl Open) {
    check(open, "clip", Some("multilingual")).await;
}

/// Opens one of the fixtures' models, perhaps with another's texts, and compares whatever it takes.
pub async fn check(open: impl Open, model: &str, text_model: Option<&str>) {
    check_in_space(open, model, text_model, text_model.unwrap_or(model)).await;
}

/// Does the same where a pair's texts are expected to be those of the model `space`, and not what the text model gives by
/// itself.
pub async fn check_in_space(open: impl Open, model: &str, text_model: Option<&str>, space: &str) {
    let expected = Expected::read();
    let embedder = open(model_folder(model), text_model.map(model_folder)).await;
    let embedder = &*embedder;
    let takes = embedder.describe().modalities;
    let pictures = expected.pictures_of(model);
    // Towers are exported one by one as well; every other model has those that it was made with.
    if expected.models[model].same_as.is_none() {
        assert_eq!(takes.image, !pictures.is_empty());
        assert!(takes.text);
    }
    if takes.image {
        let given = embed_pictures(embedder, &pictures.keys().collect::<Vec<_>>(), |picture| picture).await;
        assert_eq!(given.len(), expected.pictures.len());
        let bound = |file: &str| {
            if expected.pictures[file].lossless {
                SAME
            } else {
                LOSSY
            }
        };
        assert_same(&given, pictures, bound);
        let cosines = cosines(&given, pictures);
        for (kind, lossless) in [("lossless pictures", true), ("JPEG and lossy WebP", false)] {
            let of_kind = |(file, _): &&(String, f64)| expected.pictures[file].lossless == lossless;
            print_distance(model, kind, cosines.iter().filter(of_kind));
        }
    }
    if takes.text {
        let texts = &expected.of(space).texts;
        let given = embed_texts(embedder, &expected.texts).await;
        assert!(given.len() >= 40, "only {} texts", given.len());
        assert_same(&given, texts, |_| SAME);
        print_distance(space, "texts", cosines(&given, texts).iter());
    }
}

/// Prints how far the farthest vector of a kind is from its expected one, for the tables in the engines' READMEs.
fn print_distance<'a>(model: &str, kind: &str, cosines: impl Iterator<Item = &'a (String, f64)>) {
    let smallest = cosines.map(|(_, cosine)| *cosine).fold(1.0, f64::min);
    eprintln!("parity: {model}, {kind}: {:.0e}", (1.0 - smallest).max(0.0));
}

/// The comparison would not be worth much if it let another recipe pass: squashed, bilinear and without antialias, most
/// pictures are told apart, and the right pixels are not.
pub async fn pixels_from_any_other_recipe_are_seen(open: impl Open) {
    const SIDE: u32 = 224;
    let expected = Expected::read();
    let embedder = open(model_folder("clip"), None).await;
    let files: Vec<_> = expected
        .pictures
        .iter()
        // A picture of few pixels looks the same by most recipes.
        .filter(|(file, picture)| {
            picture.lossless && !["one-pixel.png", "three-pixels.png"].contains(&file.as_str())
        })
        .map(|(file, _)| file)
        .collect();
    let recipe = |resize, filter| CropRecipe {
        resize: Some(resize),
        filter,
        crop: Some(CropSize {
            width: SIDE,
            height: SIDE,
        }),
    };
    let short_side = ResizeTo::ShortSide(SIDE);
    let right = recipe(short_side, ResizeFilter::Bicubic);
    let bilinear = recipe(short_side, ResizeFilter::Bilinear);
    let whole = ResizeTo::Exact {
        width: SIDE,
        height: SIDE,
    };
    let squashed = recipe(whole, ResizeFilter::Bicubic);
    let vectors = &expected.models["clip"].pictures;
    let apart = async |prepare: &dyn Fn(Picture) -> Picture| {
        let given = embed_pictures(&*embedder, &files, prepare).await;
        told_apart(&given, vectors, |_| SAME)
    };
    let seen = apart(&|picture| right.apply(&picture).unwrap()).await;
    assert!(seen.is_empty(), "the right pixels are told apart: {seen:?}");
    for (name, seen) in [
        (
            "squashed",
            apart(&|picture| squashed.apply(&picture).unwrap()).await,
        ),
        (
            "bilinear",
            apart(&|picture| bilinear.apply(&picture).unwrap()).await,
        ),
        (
            "without antialias",
            apart(&|picture| without_antialias(&picture, SIDE)).await,
        ),
    ] {
        eprintln!(
            "{name}: {} of {} are told apart: {seen:?}",
            seen.len(),
            files.len()
        );
        assert!(
            seen.len() * 2 > files.len(),
            "{name}: only {seen:?} are told apart"
        );
    }
}

/// Resizes the short side and crops the centre by looking at the 16 pixels around each place alone, however many a pixel
/// of the result covers.
fn without_antialias(picture: &Picture, side: u32) -> Picture {
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    let scale = width.min(height) / f64::from(side);
    let place =
        |at: u32, length: f64| (length + (2.0 * f64::from(at) + 1.0 - f64::from(side)) * scale) / 2.0 - 0.5;
    let weight = |distance: f64| match distance.abs() {
        x if x < 1.0 => 1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0,
        x if x < 2.0 => -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0,
        _ => 0.0,
    };
    let taps = |place: f64, length: f64| {
        let first = place.floor() - 1.0;
        (0..4).map(move |tap| {
            let at = first + f64::from(tap);
            (at.clamp(0.0, length - 1.0) as u32, weight(place - at))
        })
    };
    let pixels = RgbImage::from_fn(side, side, |x, y| {
        let mut sums = [0.0; 3];
        for (row, down) in taps(place(y, height), height) {
            for (column, across) in taps(place(x, width), width) {
                let pixel = picture.pixels().get_pixel(column, row);
                for (sum, value) in sums.iter_mut().zip(pixel.0) {
                    *sum += f64::from(value) * down * across;
                }
            }
        }
        image::Rgb(sums.map(|sum| sum.round().clamp(0.0, 255.0) as u8))
    });
    Picture::new(pixels).unwrap()
}

/// Decodes pictures as the server does, and embeds what `prepare` makes of each.
async fn embed_pictures(
    embedder: &dyn Embedder,
    files: &[&String],
    prepare: impl Fn(Picture) -> Picture,
) -> BTreeMap<String, Embedding> {
    let options = DecodeOptions {
        max_pixels: 100_000_000,
        accept_truncated: false,
        size: embedder.describe().decode_size,
    };
    let (files, pictures): (Vec<_>, Vec<_>) = files
        .iter()
        .map(|&file| {
            let bytes = std::fs::read(folder().join("pictures").join(file)).unwrap();
            let picture = decode(&bytes, &options).unwrap_or_else(|error| panic!("{file}: {error}"));
            (file.clone(), Arc::new(prepare(picture)))
        })
        .unzip();
    let vectors = embedder.embed_images(pictures, Lane::Background).await;
    named(files, vectors)
}

/// Embeds texts as the server does, which refuses those without a word.
async fn embed_texts(
    embedder: &dyn Embedder,
    texts: &BTreeMap<String, String>,
) -> BTreeMap<String, Embedding> {
    let (labels, texts): (Vec<_>, Vec<_>) = texts
        .iter()
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(label, text)| (label.clone(), text.clone()))
        .unzip();
    let vectors = lucida_core::embed_texts(embedder, texts, Lane::Background).await;
    named(labels, vectors)
}

fn named(names: Vec<String>, vectors: Vec<Result<Embedding>>) -> BTreeMap<String, Embedding> {
    assert_eq!(names.len(), vectors.len());
    let name = |(name, vector): (String, Result<Embedding>)| match vector {
        Ok(vector) => (name, vector),
        Err(error) => panic!("{name}: {error}"),
    };
    names.into_iter().zip(vectors).map(name).collect()
}

/// Checks every vector, and prints the smallest cosine.
pub(crate) fn assert_same(
    given: &BTreeMap<String, Embedding>,
    expected: &BTreeMap<String, Vec<f64>>,
    bound: impl Fn(&str) -> f64,
) {
    let smallest = cosines(given, expected)
        .into_iter()
        .min_by(|one, other| one.1.total_cmp(&other.1));
    eprintln!("the smallest cosine is {smallest:?}");
    let apart = told_apart(given, expected, bound);
    assert!(
        apart.is_empty(),
        "not the vectors of the family's own library: {apart:?}"
    );
}

/// Returns the names and the cosines of those that are below their bound.
fn told_apart(
    given: &BTreeMap<String, Embedding>,
    expected: &BTreeMap<String, Vec<f64>>,
    bound: impl Fn(&str) -> f64,
) -> Vec<(String, f64)> {
    let mut cosines = cosines(given, expected);
    cosines.retain(|(name, cosine)| cosine.is_nan() || *cosine < bound(name));
    cosines
}

/// Compares vectors once the mean of the expected ones is taken from both: the vectors of a random model share a large
/// part, which would hide every fault.
fn cosines(given: &BTreeMap<String, Embedding>, expected: &BTreeMap<String, Vec<f64>>) -> Vec<(String, f64)> {
    let dimensions = expected.values().next().map_or(0, Vec::len);
    let mean: Vec<_> = (0..dimensions)
        .map(|at| expected.values().map(|vector| vector[at]).sum::<f64>() / expected.len() as f64)
        .collect();
    let centred = |vector: Vec<f64>| -> Vec<f64> {
        assert_eq!(vector.len(), dimensions);
        vector
            .iter()
            .zip(&mean)
            .map(|(number, mean)| number - mean)
            .collect()
    };
    let product =
        |one: &[f64], other: &[f64]| -> f64 { one.iter().zip(other).map(|(one, other)| one * other).sum() };
    let cosine = |(name, given): (&String, &Embedding)| {
        let given = centred(given.iter().copied().map(f64::from).collect());
        let expected = centred(expected[name].clone());
        let lengths = product(&given, &given) * product(&expected, &expected);
        (name.clone(), product(&given, &expected) / lengths.sqrt())
    };
    given.iter().map(cosine).collect()
}
