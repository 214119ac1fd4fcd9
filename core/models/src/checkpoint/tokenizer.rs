//! From a text to the token ids that a model was trained with.

mod bert;
mod clip;
mod rules;
mod sentencepiece;
mod settings;

use std::borrow::Cow;
use std::path::Path;

use lucida_core::{Error, Result, Token};
use serde_json::Value;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::{Lowercase, Replace, Sequence};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    Encoding, Model as _, OffsetType, PaddingDirection, PaddingParams, PaddingStrategy, PreTokenizer as _,
    Tokenizer, TruncationParams,
};

use self::clip::CLIP_WORD_END;
pub(super) use self::rules::{Cleaning, Padding, TextRules};
use self::settings::{special, unusable};
use super::{broken, missing, read_json};
use crate::model::TextInput;

/// A text's token ids, special tokens included, cut at the model's length; padded for a model that sees its padding only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    ids: Vec<u32>,
    unpadded: usize,
    unpooled: usize,
}

impl Tokens {
    /// Makes a text of ids without padding, the first `unpooled` of which the pooling leaves out.
    ///
    /// # Panics
    /// Where nothing is left to pool.
    #[must_use]
    pub fn new(ids: Vec<u32>, unpooled: usize) -> Self {
        assert!(unpooled < ids.len(), "a text has a token besides its prompt");
        Self {
            unpadded: ids.len(),
            ids,
            unpooled,
        }
    }

    /// Returns the ids, `(tokens,)`; there is at least one.
    #[must_use]
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Returns how many of the ids are of the text, special tokens included, and not padding.
    #[must_use]
    pub const fn unpadded(&self) -> usize {
        self.unpadded
    }

    /// Returns how many of the first ids the pooling leaves out: those of the prompt, in a model whose pooling excludes it.
    #[must_use]
    pub const fn unpooled(&self) -> usize {
        self.unpooled
    }
}

/// A model's tokenizer.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    cleaning: Cleaning,
    /// The special tokens, which a text may spell out.
    specials: Vec<String>,
    max_tokens: usize,
    excludes_prompt: bool,
}

/// Above this `model_max_length` means that nobody has set one: transformers writes 10³⁰ then.
const NO_LIMIT: f64 = 1e9;

impl TextTokenizer {
    /// Reads `tokenizer.json`, else `vocab.json` and `merges.txt` (CLIP's), else `vocab.txt` (BERT's), else a SentencePiece
    /// model.
    ///
    /// # Errors
    /// `Unavailable` when all of them are missing; `Internal`, naming the file, when one can't be used.
    pub(super) fn read(folder: &Path, rules: TextRules) -> Result<Self> {
        let settings = folder.join("tokenizer_config.json");
        let settings: Value = if settings.is_file() {
            read_json(&settings)?
        } else {
            Value::Null
        };
        let (whole, bpe, pieces) = (
            folder.join("tokenizer.json"),
            folder.join("vocab.json"),
            folder.join("vocab.txt"),
        );
        let (tokenizer, path) = if whole.is_file() {
            (
                Tokenizer::from_file(&whole).map_err(|error| unusable(&whole, error))?,
                whole,
            )
        } else if bpe.is_file() {
            (clip::read(&bpe, &settings)?, bpe)
        } else if pieces.is_file() {
            (bert::read(&pieces, &settings)?, pieces)
        } else if let Some(pieces) = sentencepiece::find(folder) {
            (sentencepiece::read(&pieces, &settings)?, pieces)
        } else {
            let what = "a tokenizer, as `tokenizer.json`, `vocab.json` with `merges.txt`, `vocab.txt`, `spiece.model`, \
                        `tokenizer.model` or `sentencepiece.bpe.model`,";
            return Err(missing(&whole, what));
        };
        Self::new(tokenizer, rules, &settings, &path)
    }

    /// Sets a tokenizer up by the rules of its folder and by its `tokenizer_config.json`.
    fn new(mut tokenizer: Tokenizer, rules: TextRules, settings: &Value, path: &Path) -> Result<Self> {
        set_decoder(&mut tokenizer);
        if rules.cleaning == Cleaning::Lowercase {
            lowercase_first(&mut tokenizer).map_err(|error| unusable(path, error))?;
        }
        let said = settings
            .get("model_max_length")
            .and_then(Value::as_f64)
            .filter(|&length| length < NO_LIMIT);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a length below a billion; a negative one becomes 0, which is refused below"
        )]
        let said = said.map(|length| length as usize);
        let usual = rules
            .max_tokens
            .or(said)
            .unwrap_or(usize::MAX)
            .min(rules.max_positions);
        let max_tokens = match rules.limit {
            Some(limit) => rules.checked_limit(limit, usual)?,
            None => usual,
        };
        if max_tokens <= tokenizer.get_post_processor().map_or(0, special_tokens) {
            return Err(broken(
                path,
                &format!("leaves no room for a word in {max_tokens} tokens"),
            ));
        }
        let truncation = TruncationParams {
            max_length: max_tokens,
            ..TruncationParams::default()
        };
        let padding = rules
            .padding
            .map(|padding| padding_params(&tokenizer, padding, max_tokens, settings, path))
            .transpose()?;
        tokenizer
            .with_padding(padding)
            .with_truncation(Some(truncation))
            .map_err(|error| unusable(path, error))?;
        let specials = tokenizer
            .get_added_tokens_decoder()
            .into_values()
            .filter(|token| token.special && !token.content.is_empty())
            .map(|token| token.content)
            .collect();
        Ok(Self {
            tokenizer,
            cleaning: rules.cleaning,
            specials,
            max_tokens,
            excludes_prompt: rules.excludes_prompt,
        })
    }

    /// Reads the bytes of a `tokenizer.json`, whose own truncation and padding don't count. `path` is for messages.
    ///
    /// # Errors
    /// `Internal`, naming the file, when it can't be used.
    pub fn from_bytes(bytes: &[u8], path: &Path, max_tokens: usize) -> Result<Self> {
        let tokenizer = Tokenizer::from_bytes(bytes).map_err(|error| unusable(path, error))?;
        let rules = TextRules {
            max_positions: max_tokens,
            max_tokens: None,
            cleaning: Cleaning::None,
            padding: None,
            excludes_prompt: false,
            limit: None,
        };
        Self::new(tokenizer, rules, &Value::Null, path)
    }

    /// Returns at how many tokens a text is cut, special tokens counted.
    #[must_use]
    pub const fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Splits a text into tokens and shows their spelling, without padding.
    ///
    /// # Errors
    /// Those of [`TextTokenizer::tokenize`].
    pub fn show(&self, input: TextInput<'_>) -> Result<Vec<Token>> {
        let encoding = self.encode(input)?;
        let marks = encoding.get_attention_mask().iter();
        let marks = marks.zip(encoding.get_special_tokens_mask());
        let tokens = encoding.get_ids().iter().zip(marks);
        Ok(tokens
            .filter(|(_, (is_text, _))| **is_text != 0)
            .map(|(&id, (_, &special))| Token {
                id,
                text: self.tokenizer.id_to_token(id).unwrap_or_default(),
                special: special != 0,
            })
            .collect())
    }

    fn encode(&self, input: TextInput<'_>) -> Result<Encoding> {
        let text = if input.prompt.is_empty() {
            Cow::Borrowed(input.text)
        } else {
            Cow::Owned(format!("{}{}", input.prompt, input.text))
        };
        let encoding = if input.truncate {
            self.encode_text(&text)?
        } else {
            self.encode_whole(&text)?
        };
        if encoding.is_empty() {
            return Err(
                Error::invalid("the text has nothing that the model has a token for").with_code("empty_text"),
            );
        }
        Ok(encoding)
    }

    /// Splits a text, as far as the model takes it.
    fn encode_text(&self, text: &str) -> Result<Encoding> {
        let text = self.cleaning.apply(text, &self.specials);
        self.tokenizer.encode_fast(text, true).map_err(unsplit)
    }

    /// Splits a whole text. The steps are those of `Tokenizer::encode_fast`, which stops at the limit and has no count then.
    fn encode_whole(&self, text: &str) -> Result<Encoding> {
        let tokenizer = &self.tokenizer;
        let text = self.cleaning.apply(text, &self.specials);
        let mut pieces = tokenizer
            .get_added_vocabulary()
            .extract_and_normalize(tokenizer.get_normalizer(), &text);
        if let Some(splitter) = tokenizer.get_pre_tokenizer() {
            splitter.pre_tokenize(&mut pieces).map_err(unsplit)?;
        }
        tokenizer
            .get_model()
            .tokenize_in_pretokenized(&mut pieces, None)
            .map_err(unsplit)?;
        let encoding = pieces.into_encoding(None, 0, OffsetType::None).map_err(unsplit)?;
        let special = tokenizer.get_post_processor().map_or(0, special_tokens);
        let count = encoding.len() + special;
        if count > self.max_tokens {
            let message = format!(
                "the text has {count} tokens, its prompt and special tokens counted; the model takes {}: send less, or let the \
                 text be cut (`truncate`)",
                self.max_tokens
            );
            return Err(Error::invalid(message)
                .with_code("text_too_long")
                .with_field("text"));
        }
        tokenizer.post_process(encoding, None, true).map_err(unsplit)
    }

    /// Splits a text into tokens.
    ///
    /// # Errors
    /// `InvalidInput` for a text that the tokenizer can't take, or of which it leaves nothing; with the code
    /// `text_too_long` for one that has more tokens than the model takes and may not be cut.
    pub fn tokenize(&self, input: TextInput<'_>) -> Result<Tokens> {
        let encoding = self.encode(input)?;
        let unpooled = if self.excludes_prompt && !input.prompt.is_empty() {
            self.prompt_length(input.prompt)?
        } else {
            0
        };
        Ok(Tokens {
            ids: encoding.get_ids().to_vec(),
            unpadded: unpadded(&encoding),
            unpooled: unpooled.min(unpadded(&encoding).saturating_sub(1)),
        })
    }

    /// Returns how many tokens a prompt is, with the special tokens in front of it and without the one behind it, as
    /// `_get_prompt_length` of sentence-transformers counts them.
    fn prompt_length(&self, prompt: &str) -> Result<usize> {
        let encoding = self.encode_text(prompt)?;
        let length = unpadded(&encoding);
        let ends = encoding.get_special_tokens_mask()[..length]
            .last()
            .is_some_and(|&special| special != 0);
        Ok(length - usize::from(ends))
    }

    /// Turns token ids back into a text, without special tokens.
    ///
    /// # Errors
    /// `InvalidInput` (`unknown_token`) for an id that the vocabulary doesn't have.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        if let Some(id) = ids.iter().find(|&&id| self.tokenizer.id_to_token(id).is_none()) {
            let message = format!(
                "token {id} isn't in the model's vocabulary of {}: send ids of the model's own tokenizer, or the text itself",
                self.tokenizer.get_vocab_size(true)
            );
            return Err(Error::invalid(message).with_code("unknown_token"));
        }
        self.tokenizer
            .decode(ids, true)
            .map_err(|error| Error::invalid("the tokens can't be turned into a text").with_source(error))
    }
}

fn unsplit(error: tokenizers::Error) -> Error {
    Error::invalid("the text can't be split into tokens").with_source(error)
}

/// Returns how many tokens of an encoding are not padding.
fn unpadded(encoding: &Encoding) -> usize {
    encoding
        .get_attention_mask()
        .iter()
        .filter(|&&mask| mask != 0)
        .count()
}

/// Sets the decoder of tokenizers that come without one, or with one that leaves CLIP's mark for the end of a word in the
/// text, as transformers' `CLIPTokenizerFast` corrects it.
fn set_decoder(tokenizer: &mut Tokenizer) {
    let decoder: Option<DecoderWrapper> = match tokenizer.get_model() {
        ModelWrapper::BPE(model) if model.end_of_word_suffix.as_deref() == Some(CLIP_WORD_END) => {
            let spaces = Replace::new(CLIP_WORD_END, " ");
            let steps = spaces.map(|spaces| {
                DecoderSequence::new(vec![
                    ByteLevel::default().into(),
                    spaces.into(),
                    Strip::new(' ', 0, 1).into(),
                ])
            });
            steps.ok().map(Into::into)
        }
        ModelWrapper::WordPiece(model) if tokenizer.get_decoder().is_none() => {
            Some(WordPieceDecoder::new(model.continuing_subword_prefix.clone(), true).into())
        }
        ModelWrapper::BPE(_)
        | ModelWrapper::WordPiece(_)
        | ModelWrapper::WordLevel(_)
        | ModelWrapper::Unigram(_) => None,
    };
    if decoder.is_some() {
        tokenizer.with_decoder(decoder);
    }
}

/// Puts the lowercasing before whatever else is done to a text.
fn lowercase_first(tokenizer: &mut Tokenizer) -> tokenizers::Result<()> {
    let own = tokenizer.get_normalizer().cloned();
    let steps = std::iter::once(Lowercase.into()).chain(own).collect();
    tokenizer.with_normalizer(Some(Sequence::new(steps)))?;
    Ok(())
}

/// Fills every text up to `length` tokens.
fn padding_params(
    tokenizer: &Tokenizer,
    padding: Padding,
    length: usize,
    settings: &Value,
    path: &Path,
) -> Result<PaddingParams> {
    let (pad_id, pad_token) = match padding {
        Padding::Zero => (0, tokenizer.id_to_token(0).unwrap_or_default()),
        Padding::Own => {
            let own = special(settings, "pad_token").or_else(|| {
                let own = tokenizer.get_padding()?;
                Some(own.pad_token.clone())
            });
            let token = own.unwrap_or_else(|| "</s>".to_owned());
            let id = tokenizer
                .token_to_id(&token)
                .ok_or_else(|| broken(path, &format!("lacks the token `{token}`, which fills up texts")))?;
            (id, token)
        }
    };
    let is_left = settings.get("padding_side").and_then(Value::as_str) == Some("left");
    Ok(PaddingParams {
        strategy: PaddingStrategy::Fixed(length),
        direction: if is_left {
            PaddingDirection::Left
        } else {
            PaddingDirection::Right
        },
        pad_to_multiple_of: None,
        pad_id,
        pad_type_id: 0,
        pad_token,
    })
}

fn special_tokens(processor: &impl tokenizers::PostProcessor) -> usize {
    processor.added_tokens(false)
}
