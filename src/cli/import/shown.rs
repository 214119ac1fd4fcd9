//! File names as they are printed: what would break a line or turn a terminal's text around is escaped.

use std::fmt::Write as _;
use std::path::Path;

/// Returns a path for people: control and bidirectional characters as escapes, bytes that are not UTF-8 as `\xNN`.
pub(super) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(&printable(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a string can't fail.
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

/// Returns a text on one line, with control and bidirectional characters as escapes.
pub(super) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || turns_text_around(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Returns whether a character changes the direction or the line of the text around it.
const fn turns_text_around(character: char) -> bool {
    matches!(
        character,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newline_in_a_name_stays_on_its_line_and_cannot_colour_a_terminal() {
        assert_eq!(shown(Path::new("a\nb\u{1b}[31m.jpg")), "a\\nb\\u{1b}[31m.jpg");
        assert_eq!(shown(Path::new("x\u{202e}gpj.exe")), "x\\u{202e}gpj.exe");
        assert_eq!(shown(Path::new("Käse €/日本.jpg")), "Käse €/日本.jpg");
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_utf_8_shows_its_bytes() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        let name = OsStr::from_bytes(b"caf\xe9.jpg");
        assert_eq!(shown(Path::new(name)), "caf\\xE9.jpg");
    }
}
