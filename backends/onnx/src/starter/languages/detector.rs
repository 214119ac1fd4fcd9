//! Whether a text is English, by its script and the spelling of its words: a few microseconds, since it decides on every
//! search whether the model for other languages is needed at all.

use tokenizers::NormalizedString;

/// Up to how many letters are taken together.
const LONGEST: usize = 4;
/// FNV-1a of 32 bits, over code points.
const OFFSET: u32 = 0x811c_9dc5;
const PRIME: u32 = 0x0100_0193;

/// A logistic regression over hashed n-grams of letters; `detector.py` of the crate `lucida-setup` fits it and says of what.
#[derive(Debug)]
pub(super) struct Detector {
    /// In steps of `step`.
    weights: Vec<i8>,
    step: f32,
    bias: f32,
}

impl Detector {
    /// Takes the weights of the buckets, of which there is at least one, in steps of `step`, and the bias.
    pub(super) const fn new(weights: Vec<i8>, step: f32, bias: f32) -> Self {
        Self { weights, step, bias }
    }

    /// Returns whether `text` is rather English than not.
    pub(super) fn is_english(&self, text: &str) -> bool {
        let letters = || text.chars().filter(|letter| letter.is_alphabetic());
        let latin = letters().filter(|&letter| is_latin(letter)).count();
        let foreign = letters().count() - latin;
        if latin == 0 && foreign == 0 {
            // An emoji, whose meaning the English vocabulary lacks, or a number.
            return text.is_ascii();
        }
        // One letter of a dense script says as much as several.
        latin >= 2 * foreign && self.score(text) <= 0.0
    }

    /// The score, below 0 for English.
    fn score(&self, text: &str) -> f32 {
        let mut text = NormalizedString::from(text.to_lowercase());
        text.nfc();
        let words = || {
            text.get()
                .split(|letter: char| !letter.is_alphabetic())
                .filter(|word| !word.is_empty())
        };
        #[expect(clippy::cast_precision_loss, reason = "a text has fewer than 2^24 words")]
        let root = (words().count() as f32).sqrt();
        words().map(|word| self.score_word(word)).sum::<f32>() / root.max(1.0) + self.bias
    }

    fn score_word(&self, word: &str) -> f32 {
        let letters: Vec<char> = ['<'].into_iter().chain(word.chars()).chain(['>']).collect();
        let grams = (0..letters.len())
            .flat_map(|first| (first + 1..=letters.len().min(first + LONGEST)).map(move |end| first..end));
        let (mut sum, mut count) = (0.0_f32, 0.0_f32);
        for gram in grams {
            sum += self.weight(letters[gram].iter().copied());
            count += 1.0;
        }
        // The word itself counts whole: frequent words are learnt by heart.
        sum / count.sqrt() + self.weight(['='].into_iter().chain(letters.iter().copied()))
    }

    fn weight(&self, letters: impl Iterator<Item = char>) -> f32 {
        let hash = letters.fold(OFFSET, |hash, letter| {
            (hash ^ u32::from(letter)).wrapping_mul(PRIME)
        });
        f32::from(self.weights[hash as usize % self.weights.len()]) * self.step
    }
}

fn is_latin(letter: char) -> bool {
    matches!(
        letter,
        'A'..='Z' | 'a'..='z' | 'ª' | 'º' | 'À'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{ff21}'..='\u{ff5a}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes whatever is in Latin letters for English.
    fn by_script() -> Detector {
        Detector::new(vec![0], 1.0, -1.0)
    }

    #[test]
    fn the_script_of_most_letters_decides_first() {
        for text in ["dog", "naïve café", "a trip to 東京", "IMG_2041.jpg", "2024", "?"] {
            assert!(by_script().is_english(text), "{text}");
        }
        for text in ["собака", "犬", "كلب", "東京の夜 (Tokyo)", "🐱", "Ελλάδα"] {
            assert!(!by_script().is_english(text), "{text}");
        }
    }

    #[test]
    fn the_score_of_a_text_is_the_sum_of_its_words_by_the_root_of_their_number() {
        // With one bucket each of a word's n-grams weighs the same: `<a>` has 6, and the word itself.
        let detector = Detector::new(vec![2], 0.5, -3.0);
        let word = 6.0 / 6.0_f32.sqrt() + 1.0;
        assert!((detector.score("A") - (word - 3.0)).abs() < 1e-5);
        assert!((detector.score("a, a!") - (2.0_f32.sqrt() * word - 3.0)).abs() < 1e-5);
    }
}
