//! Tags as they are stored and compared: one spelling for each, whichever way they came in.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};

/// How many tags a photo may be given at once, and a filter may name.
pub const MAX_TAGS: usize = 64;

/// How long a tag may be, in bytes of UTF-8 after normalization.
pub const MAX_TAG_BYTES: usize = 200;

/// Brings a tag into its stored form: Unicode NFC, without white space around it.
///
/// # Errors
/// `InvalidInput` for a tag that is empty or too long, or has a control character or one that changes the direction
/// of the text.
pub fn clean_tag(tag: &str) -> Result<String> {
    let tag: String = tag.trim().nfc().collect();
    if tag.is_empty() {
        return Err(Error::invalid(format!(
            "a tag is empty; it must have 1 to {MAX_TAG_BYTES} bytes"
        )));
    }
    if tag.len() > MAX_TAG_BYTES {
        let length = tag.len();
        return Err(Error::invalid(format!(
            "a tag has {length} bytes; it must have 1 to {MAX_TAG_BYTES}"
        )));
    }
    if let Some(hidden) = tag.chars().find(|&character| is_hidden(character)) {
        let number = u32::from(hidden);
        return Err(Error::invalid(format!(
            "a tag has the character U+{number:04X}; control characters and marks of direction are not allowed in tags"
        )));
    }
    Ok(tag)
}

/// Turns a name, such as that of a folder, into a tag that [`clean_tag`] accepts: without hidden characters, and cut to
/// [`MAX_TAG_BYTES`]. Returns `None` when nothing is left.
#[must_use]
pub fn tag_from_name(name: &str) -> Option<String> {
    let visible: String = name
        .chars()
        .filter(|&character| !is_hidden(character))
        .nfc()
        .collect();
    let visible = visible.trim();
    clean_tag(&visible[..visible.floor_char_boundary(MAX_TAG_BYTES)]).ok()
}

/// Brings a set of tags into its stored form; a tag that is given twice counts once.
///
/// # Errors
/// `InvalidInput` (`invalid_field`) about `field` for more than [`MAX_TAGS`] tags, and for those that [`clean_tag`]
/// refuses.
pub fn clean_tags<T: AsRef<str>>(field: &str, tags: impl IntoIterator<Item = T>) -> Result<BTreeSet<String>> {
    let refuse = |what: &str| {
        Error::invalid(format!("`{field}`: {what}"))
            .with_code("invalid_field")
            .with_field(field)
    };
    let mut clean = BTreeSet::new();
    for tag in tags {
        clean.insert(clean_tag(tag.as_ref()).map_err(|error| refuse(error.message()))?);
    }
    if clean.len() > MAX_TAGS {
        let given = clean.len();
        return Err(refuse(&format!("{given} tags; at most {MAX_TAGS} are allowed")));
    }
    Ok(clean)
}

/// Returns whether a character is invisible in a way that makes two tags look alike or a line run backwards: control
/// characters, line separators, the byte order mark, and the marks, embeddings, overrides and isolates of direction.
/// Joiners stay: scripts and emoji need them.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061C}'
                | '\u{200E}'
                | '\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2066}'..='\u{206F}'
                | '\u{FEFF}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_one_spelling() {
        for (given, stored) in [
            ("  sea side ", "sea side"),
            ("Cafe\u{301}", "Café"),
            ("\u{a0}Köln\u{3000}", "Köln"),
            ("ko\u{308}ln", "köln"),
            (
                "\u{1F469}\u{200D}\u{1F469}\u{200D}\u{1F467}",
                "\u{1F469}\u{200D}\u{1F469}\u{200D}\u{1F467}",
            ),
            ("שלום", "שלום"),
        ] {
            assert_eq!(clean_tag(given).unwrap(), stored, "{given:?}");
        }
        let set = clean_tags("tags", ["é", "e\u{301}", " é "]).unwrap();
        assert_eq!(set, BTreeSet::from(["é".to_owned()]));
    }

    #[test]
    fn a_tag_that_hides_something_is_refused_by_its_character() {
        for (given, named) in [
            ("a\u{202E}gpj.b", "U+202E"),
            ("a\u{200F}", "U+200F"),
            ("a\tb", "U+0009"),
            ("a\u{85}b", "U+0085"),
            ("a\u{2066}b", "U+2066"),
            ("a\u{FEFF}b", "U+FEFF"),
            ("a\0", "U+0000"),
        ] {
            let error = clean_tags("filter.tags", [given]).unwrap_err();
            assert!(error.message().contains(named), "{given:?}: {error}");
            assert_eq!(
                (error.code(), error.field()),
                ("invalid_field", Some("filter.tags"))
            );
        }
    }

    #[test]
    fn any_name_with_something_to_see_becomes_a_clean_tag() {
        let long = "ü".repeat(150);
        for (name, tag) in [
            (" Summer\n2024 ", "Summer2024"),
            ("\u{202E}gpj\u{202C}.\u{200F}a\u{FEFF}", "gpj.a"),
            ("Cafe\u{301}", "Café"),
            (long.as_str(), &long[..MAX_TAG_BYTES]),
        ] {
            assert_eq!(tag_from_name(name).as_deref(), Some(tag), "{name:?}");
            assert_eq!(clean_tag(tag).unwrap(), tag);
        }
        for nothing in ["", "\t", " \u{2066}\u{2069} "] {
            assert_eq!(tag_from_name(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn bounds_count_what_is_stored() {
        // Normalization makes one character of two bytes out of three bytes.
        let decomposed = "e\u{301}".repeat(MAX_TAG_BYTES / 2);
        assert_eq!(clean_tag(&decomposed).unwrap().len(), MAX_TAG_BYTES);
        assert!(clean_tag(&"x".repeat(MAX_TAG_BYTES + 1)).is_err());
        assert!(clean_tag(" \u{a0} ").is_err());
        let many = |count: usize| clean_tags("tags", (0..count).map(|number| number.to_string()));
        assert_eq!(many(MAX_TAGS).unwrap().len(), MAX_TAGS);
        assert!(many(MAX_TAGS + 1).unwrap_err().message().contains("at most 64"));
        let same = clean_tags("tags", std::iter::repeat_n("a", 1000)).unwrap();
        assert_eq!(same.len(), 1);
    }
}
