//! SentencePiece models without a `tokenizer.json`: `spiece.model`, `tokenizer.model`, `sentencepiece.bpe.model`.
//!
//! Unigram models become the tokenizer that transformers' `SpmConverter` makes of them (`convert_slow_tokenizer.py`).

use std::path::{Path, PathBuf};

use lucida_core::Result;
use prost::Message;
use serde_json::Value;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{NormalizerWrapper, Precompiled, Replace, Sequence, Strip};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer};

use super::settings::{special, unusable};
use crate::checkpoint::{broken, missing, unsupported};

/// The file of XLM-R and its relatives, whose tokens are numbered as fairseq did.
const FAIRSEQ: &str = "sentencepiece.bpe.model";

/// The names that these models have.
const NAMES: [&str; 3] = ["spiece.model", "tokenizer.model", FAIRSEQ];

/// `sentencepiece_model.proto`, as far as it is read.
#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct Piece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
}

/// `TrainerSpec.ModelType.UNIGRAM`.
const UNIGRAM: i32 = 1;

/// `SentencePiece.Type`: unknown, control and user-defined pieces are never made of a text's letters.
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;

/// Finds a folder's SentencePiece model.
pub(super) fn find(folder: &Path) -> Option<PathBuf> {
    NAMES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

/// Makes a tokenizer of one.
///
/// # Errors
/// `Internal` for a damaged file, naming it; `Unsupported` for a model that isn't a unigram.
pub(super) fn read(path: &Path, settings: &Value) -> Result<Tokenizer> {
    let bytes =
        std::fs::read(path).map_err(|error| missing(path, "the model's tokenizer").with_source(error))?;
    let model = ModelProto::decode(&bytes[..])
        .map_err(|error| broken(path, "is not a SentencePiece model").with_source(error))?;
    let trainer = model.trainer_spec.unwrap_or_default();
    let kind = trainer.model_type.unwrap_or(UNIGRAM);
    if kind != UNIGRAM {
        return Err(unsupported(
            path,
            "is a SentencePiece model of another type than unigram: put its `tokenizer.json` beside it, which \
             transformers writes when it saves the tokenizer",
        ));
    }
    let is_fairseq = path.file_name().is_some_and(|name| name == FAIRSEQ);
    let pieces = model.pieces.iter().map(|piece| {
        let text = piece.piece.clone().unwrap_or_default();
        (text, f64::from(piece.score.unwrap_or_default()))
    });
    let vocabulary: Vec<_> = if is_fairseq {
        let first = ["<s>", "<pad>", "</s>", "<unk>"].map(|token| (token.to_owned(), 0.0));
        let last = ("<mask>".to_owned(), 0.0);
        first.into_iter().chain(pieces.skip(3)).chain([last]).collect()
    } else {
        pieces.collect()
    };
    let unknown = if is_fairseq {
        Some(3)
    } else {
        model.pieces.iter().position(|piece| piece.kind == Some(UNKNOWN))
    };
    let fault = |error| unusable(path, error);
    let unigram =
        Unigram::from(vocabulary, unknown, trainer.byte_fallback.unwrap_or(false)).map_err(fault)?;
    let mut tokenizer = Tokenizer::new(unigram);

    let mut steps: Vec<NormalizerWrapper> = Vec::new();
    let map = model.normalizer_spec.and_then(|spec| spec.precompiled_charsmap);
    if let Some(map) = map.filter(|map| !map.is_empty()) {
        let map = Precompiled::from(&map).map_err(|error| fault(Box::new(error)))?;
        steps.push(map.into());
    }
    steps.push(Strip::new(false, true).into());
    let spaces = Replace::new(ReplacePattern::Regex(" {2,}".into()), "\u{2581}").map_err(fault)?;
    steps.push(spaces.into());
    tokenizer
        .with_normalizer(Some(Sequence::new(steps)))
        .map_err(fault)?;
    // XLM-R puts the sign of a space before what follows a special token too.
    let prefix = if is_fairseq {
        PrependScheme::Always
    } else {
        PrependScheme::First
    };
    let spaces = Metaspace::new('\u{2581}', prefix, true);
    tokenizer.with_pre_tokenizer(Some(spaces.clone()));
    tokenizer.with_decoder(Some(spaces));

    let end = special(settings, "eos_token").unwrap_or_else(|| "</s>".to_owned());
    let begin = is_fairseq.then(|| special(settings, "bos_token").unwrap_or_else(|| "<s>".to_owned()));
    let id = |token: &str| {
        tokenizer
            .token_to_id(token)
            .ok_or_else(|| broken(path, &format!("lacks the token `{token}`")))
    };
    let mut specials = vec![(end.clone(), id(&end)?)];
    let mut template = format!("$A {end}");
    if let Some(begin) = begin {
        template = format!("{begin} {template}");
        specials.push((begin.clone(), id(&begin)?));
    }
    let frame = TemplateProcessing::builder()
        .try_single(template)
        .map_err(|error| broken(path, &format!("can't frame a text: {error}")))?
        .special_tokens(specials)
        .build()
        .map_err(|error| fault(Box::new(error)))?;
    tokenizer.with_post_processor(Some(frame));
    let control = model
        .pieces
        .iter()
        .filter(|piece| matches!(piece.kind, Some(UNKNOWN | CONTROL)))
        .filter_map(|piece| piece.piece.clone())
        .filter(|token| tokenizer.token_to_id(token).is_some())
        .map(|token| AddedToken::from(token, true))
        .collect::<Vec<_>>();
    tokenizer.add_special_tokens(control).map_err(fault)?;
    Ok(tokenizer)
}
