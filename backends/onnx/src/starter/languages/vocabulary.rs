//! The vocabulary of multilingual-e5-small, and the split of a text into the likeliest of its pieces.
//!
//! The crate `tokenizers` (0.23.3) reads the same vocabulary in 1.2 s into 290 MB of memory, four times what the model
//! itself takes; here it is 6 MB and read in milliseconds. The ids are the same, which a test holds against that crate's.

use lucida_core::{Error, Result, Token};
use lucida_models::TextInput;
use lucida_models::checkpoint::Tokens;
use safetensors::{Dtype, SafeTensors};
use tokenizers::NormalizedString;

use crate::starter::files::VOCABULARY_FILE;
use crate::starter::manifest::{Manifest, broken};

/// What stands for a space within a piece.
const SPACE: char = '\u{2581}';
const START: u32 = 0;
const END: u32 = 2;
const UNKNOWN: u32 = 3;
/// By how much an unknown letter is less likely than the least likely piece, as SentencePiece has it.
const UNKNOWN_PENALTY: f32 = 10.0;

/// Pieces in the order of their bytes, so that those which a text can begin with are found by narrowing a range.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    bytes: Vec<u8>,
    /// Where each piece ends in `bytes`.
    ends: Vec<u32>,
    ids: Vec<u32>,
    /// The logarithm of each piece's probability.
    scores: Vec<f32>,
    unknown_score: f32,
    max_tokens: usize,
}

impl Vocabulary {
    /// Reads the pieces; texts are cut at `max_tokens`.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`, naming the file.
    pub(crate) fn read(manifest: &Manifest, max_tokens: usize) -> Result<Self> {
        let bytes = manifest.read_file(VOCABULARY_FILE)?;
        let damaged = || broken(&manifest.path(VOCABULARY_FILE), "holds no vocabulary");
        Self::parse(&bytes, max_tokens).ok_or_else(damaged)
    }

    fn parse(bytes: &[u8], max_tokens: usize) -> Option<Self> {
        let tensors = SafeTensors::deserialize(bytes).ok()?;
        let tensor = |name, dtype| {
            let tensor = tensors.tensor(name).ok()?;
            (tensor.dtype() == dtype && tensor.shape().len() == 1).then(|| tensor.data())
        };
        let words = |data: &[u8]| -> Vec<[u8; 4]> { data.as_chunks().0.to_vec() };
        let pieces = tensor("pieces", Dtype::U8)?.to_vec();
        let ends: Vec<_> = words(tensor("ends", Dtype::U32)?)
            .into_iter()
            .map(u32::from_le_bytes)
            .collect();
        let ids: Vec<_> = words(tensor("ids", Dtype::U32)?)
            .into_iter()
            .map(u32::from_le_bytes)
            .collect();
        let scores: Vec<_> = words(tensor("scores", Dtype::F32)?)
            .into_iter()
            .map(f32::from_le_bytes)
            .collect();
        let spelled = str::from_utf8(&pieces).ok()?;
        let fits = !ends.is_empty()
            && ends.iter().all(|&end| spelled.is_char_boundary(end as usize))
            && ends.len() == ids.len()
            && ends.len() == scores.len()
            && ends.is_sorted()
            && ends.last().and_then(|&end| usize::try_from(end).ok()) == Some(pieces.len());
        if !fits {
            return None;
        }
        let least = scores.iter().copied().fold(f32::INFINITY, f32::min);
        Some(Self {
            bytes: pieces,
            ends,
            ids,
            scores,
            unknown_score: least - UNKNOWN_PENALTY,
            max_tokens,
        })
    }

    /// Splits `prompt` and text into ids, special tokens included.
    ///
    /// # Errors
    /// `InvalidInput` (`text_too_long`) for a text with too many tokens that isn't to be cut.
    pub(crate) fn tokenize(&self, prompt: &str, input: TextInput<'_>) -> Result<Tokens> {
        let ids = self.split(prompt, input)?.into_iter().map(|(id, _)| id);
        Ok(Tokens::new(
            [START].into_iter().chain(ids).chain([END]).collect(),
            0,
        ))
    }

    /// Splits `prompt` and text as [`Self::tokenize`] does, and shows the spelling of the tokens.
    ///
    /// # Errors
    /// Those of `tokenize`.
    pub(crate) fn show(&self, prompt: &str, input: TextInput<'_>) -> Result<Vec<Token>> {
        let token = |id, text: &str, special| Token {
            id,
            text: text.to_owned(),
            special,
        };
        let pieces = self.split(prompt, input)?;
        let pieces = pieces.iter().map(|(id, text)| token(*id, text, false));
        let (first, last) = (token(START, "<s>", true), token(END, "</s>", true));
        Ok([first].into_iter().chain(pieces).chain([last]).collect())
    }

    fn split(&self, prompt: &str, input: TextInput<'_>) -> Result<Vec<(u32, String)>> {
        let text = spell(&format!("{prompt}{}{}", input.prompt, input.text));
        let mut pieces = self.likeliest(&text);
        let special = 2;
        let (count, limit) = (pieces.len() + special, self.max_tokens);
        if count > limit {
            if !input.truncate {
                let message = format!("the text has {count} tokens; at most {limit} are taken");
                return Err(Error::invalid(message)
                    .with_code("text_too_long")
                    .with_field("text"));
            }
            pieces.truncate(limit - special);
        }
        Ok(pieces)
    }

    /// The split of the largest sum of scores (Viterbi).
    fn likeliest(&self, text: &str) -> Vec<(u32, String)> {
        let bytes = text.as_bytes();
        // For each byte, the best split of what is before it: its score, where its last piece starts, and the id of that.
        let mut best = vec![(f32::NEG_INFINITY, 0, UNKNOWN); bytes.len() + 1];
        best[0].0 = 0.0;
        for (start, letter) in text.char_indices() {
            let before = best[start].0;
            let mut offer = |end: usize, score: f32, id| {
                if before + score > best[end].0 {
                    best[end] = (before + score, start, id);
                }
            };
            offer(start + letter.len_utf8(), self.unknown_score, UNKNOWN);
            for (length, piece) in self.prefixes(&bytes[start..]) {
                offer(start + length, self.scores[piece], self.ids[piece]);
            }
        }
        let mut pieces: Vec<(u32, String)> = Vec::new();
        let mut end = bytes.len();
        while end > 0 {
            let (_, start, id) = best[end];
            let spelling = &text[start..end];
            match pieces.last_mut() {
                // Unknown letters in a row are one token.
                Some((UNKNOWN, following)) if id == UNKNOWN => following.insert_str(0, spelling),
                _ => pieces.push((id, spelling.to_owned())),
            }
            end = start;
        }
        pieces.reverse();
        pieces
    }

    /// The pieces that `text` begins with, each by its length in bytes and its place.
    fn prefixes<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let (mut low, mut high) = (0, self.ends.len());
        text.iter()
            .enumerate()
            .map_while(move |(depth, byte)| {
                let at = |place: usize| self.piece(place).get(depth);
                let (first, last) = (low, high);
                low = first + partition_point(last - first, |place| at(first + place) < Some(byte));
                high = low + partition_point(last - low, |place| at(low + place) == Some(byte));
                (low < high).then_some((depth + 1, low))
            })
            .filter(|&(length, place)| self.piece(place).len() == length)
    }

    fn piece(&self, place: usize) -> &[u8] {
        let end = |place: usize| self.ends[place] as usize;
        let start = place.checked_sub(1).map_or(0, end);
        &self.bytes[start..end(place)]
    }
}

/// The number of the first `0..length` for which `holds`, which no later one does after one that doesn't.
fn partition_point(length: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, length);
    while low < high {
        let middle = usize::midpoint(low, high);
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Writes a text as the pieces are written: NFKC, one mark for each run of spaces and one before the first word.
///
/// The rules are those of `nmt_nfkc`, the normalisation that SentencePiece trained the vocabulary with.
fn spell(text: &str) -> String {
    let kept: String = text.chars().filter(|&letter| !is_dropped(letter)).collect();
    let spaced: String = kept
        .chars()
        .map(|letter| if is_space(letter) { ' ' } else { letter })
        .collect();
    let mut normal = NormalizedString::from(spaced);
    normal.nfkc();
    let mut spelled = String::new();
    for word in normal.get().split(' ').filter(|word| !word.is_empty()) {
        spelled.push(SPACE);
        spelled.push_str(word);
    }
    spelled
}

/// The control characters that the normalisation drops.
fn is_dropped(letter: char) -> bool {
    matches!(letter, '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{8f}' | '\u{9f}')
}

/// The characters that the normalisation takes for spaces, besides those that NFKC does.
fn is_space(letter: char) -> bool {
    matches!(
        letter,
        '\t' | '\n' | '\u{c}' | '\r' | '\u{1680}' | '\u{200b}'
            ..='\u{200f}' | '\u{2028}' | '\u{2029}' | SPACE | '\u{feff}' | '\u{fffd}'
    )
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn vocabulary(pieces: &[(&str, u32, f32)], max_tokens: usize) -> Vocabulary {
        let mut pieces = pieces.to_vec();
        pieces.sort_by(|left, right| left.0.as_bytes().cmp(right.0.as_bytes()));
        let bytes: Vec<u8> = pieces.iter().flat_map(|(text, ..)| text.bytes()).collect();
        let mut end = 0;
        let ends: Vec<u8> = pieces
            .iter()
            .flat_map(|(text, ..)| {
                end += u32::try_from(text.len()).unwrap();
                end.to_le_bytes()
            })
            .collect();
        let ids: Vec<u8> = pieces.iter().flat_map(|(_, id, _)| id.to_le_bytes()).collect();
        let scores: Vec<u8> = pieces
            .iter()
            .flat_map(|(.., score)| score.to_le_bytes())
            .collect();
        let count = vec![pieces.len()];
        let tensors = [
            (
                "pieces",
                TensorView::new(Dtype::U8, vec![bytes.len()], &bytes).unwrap(),
            ),
            ("ends", TensorView::new(Dtype::U32, count.clone(), &ends).unwrap()),
            ("ids", TensorView::new(Dtype::U32, count.clone(), &ids).unwrap()),
            ("scores", TensorView::new(Dtype::F32, count, &scores).unwrap()),
        ];
        let file = safetensors::serialize(tensors, None).unwrap();
        Vocabulary::parse(&file, max_tokens).unwrap()
    }

    fn small() -> Vocabulary {
        let pieces = [
            ("▁", 4, -3.0),
            ("▁h", 5, -5.0),
            ("▁ha", 6, -6.0),
            ("▁hat", 7, -9.0),
            ("t", 8, -2.0),
            ("a", 9, -4.0),
            ("ü", 10, -4.0),
        ];
        vocabulary(&pieces, 64)
    }

    fn ids(vocabulary: &Vocabulary, text: &str) -> Vec<u32> {
        vocabulary
            .tokenize("", TextInput::plain(text))
            .unwrap()
            .ids()
            .to_vec()
    }

    #[test]
    fn the_likeliest_split_wins_and_not_the_longest_pieces() {
        assert_eq!(ids(&small(), "hat"), [START, 6, 8, END]);
        assert_eq!(ids(&small(), "ha"), [START, 6, END]);
        assert_eq!(ids(&small(), "at ü"), [START, 4, 9, 8, 4, 10, END]);
    }

    #[test]
    fn unknown_letters_in_a_row_are_one_token() {
        assert_eq!(ids(&small(), "xyzt"), [START, 4, UNKNOWN, 8, END]);
        let shown = small().show("", TextInput::plain("xyzt")).unwrap();
        let spelled: Vec<_> = shown.iter().map(|token| token.text.as_str()).collect();
        assert_eq!(spelled, ["<s>", "▁", "xyz", "t", "</s>"]);
    }

    #[test]
    fn spaces_widths_and_accents_are_made_alike() {
        for text in [" hat ", "hat\u{200b}", "ｈａｔ", "h\u{1}at\n"] {
            assert_eq!(spell(text), "▁hat", "{text:?}");
        }
        assert_eq!(spell("u\u{308}  ü"), "▁ü▁ü");
    }

    #[test]
    fn a_text_over_the_limit_is_cut_or_refused_with_its_count() {
        let vocabulary = vocabulary(&[("▁a", 5, -1.0)], 4);
        assert_eq!(ids(&vocabulary, "a a a"), [START, 5, 5, END]);
        let whole = TextInput {
            truncate: false,
            ..TextInput::plain("a a a")
        };
        let error = vocabulary.tokenize("", whole).unwrap_err();
        assert_eq!(error.code(), "text_too_long");
        assert!(error.message().contains("5 tokens"), "{error}");
    }

    #[test]
    fn a_file_whose_tensors_do_not_fit_is_no_vocabulary() {
        let bytes = [0_u8; 8];
        let view = || TensorView::new(Dtype::U32, vec![2], &bytes).unwrap();
        let file = safetensors::serialize([("ends", view()), ("ids", view())], None).unwrap();
        assert!(Vocabulary::parse(&file, 64).is_none());
    }
}
