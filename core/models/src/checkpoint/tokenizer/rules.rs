//! What a model's folder says of its texts beyond the tokenizer itself.

use std::borrow::Cow;
use std::cmp::Reverse;

use lucida_core::{Error, Result};

/// What a model's folder says of its texts beyond the tokenizer itself.
#[derive(Debug, Clone, Copy)]
pub(in crate::checkpoint) struct TextRules {
    /// How many tokens there are positions for.
    pub(in crate::checkpoint) max_positions: usize,
    /// A bound that sentence-transformers' own configuration sets.
    pub(in crate::checkpoint) max_tokens: Option<usize>,
    /// What is done to a text first, special tokens aside, whatever the tokenizer does by itself.
    pub(in crate::checkpoint) cleaning: Cleaning,
    /// With which token a text is filled up to the model's length, for a model that sees its padding.
    pub(in crate::checkpoint) padding: Option<Padding>,
    /// Whether the pooling leaves out the tokens of a prompt.
    pub(in crate::checkpoint) excludes_prompt: bool,
    /// The limit that the configuration sets in place of the folder's.
    pub(in crate::checkpoint) limit: Option<usize>,
}

impl TextRules {
    /// Checks a limit that a configuration sets; `usual` is that of the folder.
    pub(super) fn checked_limit(&self, limit: usize, usual: usize) -> Result<usize> {
        if self.padding.is_some() && limit != usual {
            let message = format!(
                "is {limit}, and the model was trained with texts that are filled up to {usual} tokens"
            );
            return Err(Error::config("max_tokens", message));
        }
        if limit > self.max_positions {
            let message = format!(
                "is {limit}, and the model has positions for {} tokens",
                self.max_positions
            );
            return Err(Error::config("max_tokens", message));
        }
        Ok(limit)
    }
}

/// What is done to a text before its tokenizer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::checkpoint) enum Cleaning {
    /// Nothing.
    None,
    /// Its letters become small.
    Lowercase,
    /// Its letters become small, ASCII punctuation is removed and white space is joined, as transformers'
    /// `SiglipTokenizer.canonicalize_text` does.
    Canonical,
    /// `_` becomes a space first, and then the same is done to the whole text, special tokens included, as OpenCLIP's
    /// `canonicalize_text` does.
    OpenClip,
}

/// Where the token comes from that fills up a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::checkpoint) enum Padding {
    /// The tokenizer's own `pad_token`.
    Own,
    /// The token 0.
    Zero,
}

impl Cleaning {
    /// Changes a text before it is split; `specials` are the tokenizer's special tokens.
    pub(super) fn apply<'a>(self, text: &'a str, specials: &[String]) -> Cow<'a, str> {
        match self {
            // The tokenizer itself makes letters small, special tokens aside.
            Self::None | Self::Lowercase => Cow::Borrowed(text),
            Self::OpenClip => Cow::Owned(canonical(&text.replace('_', " "))),
            Self::Canonical => Cow::Owned(canonical_between(text, specials)),
        }
    }
}

/// Makes letters small, removes ASCII punctuation and joins white space.
fn canonical(text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|letter| !letter.is_ascii_punctuation())
        .collect();
    let text = text.to_lowercase();
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}

/// Does that to what is between special tokens.
fn canonical_between(mut text: &str, specials: &[String]) -> String {
    let mut result = String::new();
    loop {
        let next = specials
            .iter()
            .filter_map(|special| Some((text.find(special.as_str())?, special)))
            .min_by_key(|(place, special)| (*place, Reverse(special.len())));
        let Some((place, special)) = next else {
            return result + &canonical(text);
        };
        result.push_str(&canonical(&text[..place]));
        result.push_str(special);
        text = &text[place + special.len()..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_canonical_around_the_special_tokens_that_it_spells_out() {
        let specials = ["</s>".to_owned(), "<unk>".to_owned()];
        let clean = |cleaning: Cleaning, text: &str| cleaning.apply(text, &specials).into_owned();
        assert_eq!(
            clean(Cleaning::Canonical, "  (Hello)\tWORLD_x!! "),
            "hello worldx"
        );
        assert_eq!(clean(Cleaning::Canonical, "A, </s> B. <unk>"), "a</s>b<unk>");
        assert_eq!(clean(Cleaning::OpenClip, "A_b, </s> B."), "a b s b");
        assert_eq!(clean(Cleaning::None, " A_b "), " A_b ");
    }
}
