//! CLIP's tokenizer, from `vocab.json` and `merges.txt`.

use std::path::Path;

use lucida_core::Result;
use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFC, Replace, Sequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as Splits;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use super::settings::{special, unusable};
use crate::checkpoint::{broken, missing};

/// What the last token of a word ends with in CLIP's vocabulary.
pub(super) const CLIP_WORD_END: &str = "</w>";

/// Makes CLIP's tokenizer of its vocabulary and merges, as transformers' `CLIPConverter` does.
pub(super) fn read(vocabulary: &Path, settings: &Value) -> Result<Tokenizer> {
    let merges = vocabulary.with_file_name("merges.txt");
    if !merges.is_file() {
        return Err(missing(&merges, "the other half of `vocab.json`"));
    }
    let fault = |error| unusable(vocabulary, error);
    let [begin, end, unknown] = ["bos_token", "eos_token", "unk_token"].map(|key| special(settings, key));
    let begin = begin.unwrap_or_else(|| "<|startoftext|>".to_owned());
    let end = end.unwrap_or_else(|| "<|endoftext|>".to_owned());
    let (words, pairs) =
        BPE::read_file(&vocabulary.to_string_lossy(), &merges.to_string_lossy()).map_err(fault)?;
    let model = BPE::builder()
        .vocab_and_merges(words, pairs)
        .continuing_subword_prefix(String::new())
        .end_of_word_suffix(CLIP_WORD_END.to_owned())
        .unk_token(unknown.unwrap_or_else(|| end.clone()))
        .build()
        .map_err(fault)?;
    let mut tokenizer = Tokenizer::new(model);
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".into()), " ");
    let normalizer = Sequence::new(vec![NFC.into(), spaces.map_err(fault)?.into(), Lowercase.into()]);
    tokenizer.with_normalizer(Some(normalizer)).map_err(fault)?;
    let pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";
    let split = Split::new(
        SplitPattern::Regex(pattern.to_owned()),
        SplitDelimiterBehavior::Removed,
        true,
    );
    tokenizer.with_pre_tokenizer(Some(Splits::new(vec![
        split.map_err(fault)?.into(),
        ByteLevel::new(false, true, true).into(),
    ])));
    let id = |token: &str| {
        let lacks = || broken(vocabulary, &format!("lacks the token `{token}`"));
        tokenizer.token_to_id(token).ok_or_else(lacks)
    };
    let (begin, end) = ((begin.clone(), id(&begin)?), (end.clone(), id(&end)?));
    let specials = [&begin.0, &end.0].map(|token| AddedToken::from(token.clone(), true));
    let frame = RobertaProcessing::new(end, begin)
        .trim_offsets(false)
        .add_prefix_space(false);
    tokenizer.with_post_processor(Some(frame));
    tokenizer.add_special_tokens(specials).map_err(fault)?;
    Ok(tokenizer)
}
