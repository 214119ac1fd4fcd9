//! BERT's tokenizer, from `vocab.txt`.

use std::path::Path;

use lucida_core::Result;
use serde_json::Value;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Tokenizer};

use super::settings::{special, unusable};
use crate::checkpoint::broken;

/// Makes BERT's tokenizer of its vocabulary, as transformers' `BertConverter` does.
pub(super) fn read(vocabulary: &Path, settings: &Value) -> Result<Tokenizer> {
    let fault = |error| unusable(vocabulary, error);
    let flag = |key: &str| settings.get(key).and_then(Value::as_bool);
    let named = |key: &str, usual: &str| special(settings, key).unwrap_or_else(|| usual.to_owned());
    let unknown = named("unk_token", "[UNK]");
    let model = WordPiece::from_file(&vocabulary.to_string_lossy())
        .unk_token(unknown.clone())
        .build()
        .map_err(fault)?;
    let mut tokenizer = Tokenizer::new(model);
    let normalizer = BertNormalizer::new(
        true,
        flag("tokenize_chinese_chars").unwrap_or(true),
        flag("strip_accents"),
        flag("do_lower_case").unwrap_or(true),
    );
    tokenizer.with_normalizer(Some(normalizer)).map_err(fault)?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    let framing = |token: String| match tokenizer.token_to_id(&token) {
        Some(id) => Ok((token, id)),
        None => Err(broken(vocabulary, &format!("lacks the token `{token}`"))),
    };
    let (class, separator) = (
        framing(named("cls_token", "[CLS]"))?,
        framing(named("sep_token", "[SEP]"))?,
    );
    let others = [
        unknown,
        named("pad_token", "[PAD]"),
        named("mask_token", "[MASK]"),
    ];
    let specials: Vec<_> = [class.0.clone(), separator.0.clone()]
        .into_iter()
        .chain(others)
        .filter(|token| tokenizer.token_to_id(token).is_some())
        .map(|token| AddedToken::from(token, true))
        .collect();
    tokenizer.with_post_processor(Some(BertProcessing::new(separator, class)));
    tokenizer.add_special_tokens(specials).map_err(fault)?;
    Ok(tokenizer)
}
