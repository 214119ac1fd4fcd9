//! Writes values, strings and keys as TOML.

/// Writes JSON as TOML in one line; `None` for what TOML lacks.
pub(super) fn inline(json: &serde_json::Value) -> Option<String> {
    if let Some(number) = json.as_i64() {
        return Some(grouped(number));
    }
    toml::Value::try_from(json).ok().map(|value| value.to_string())
}

/// Writes a string.
pub(super) fn string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Quotes a key where TOML needs it.
pub(super) fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if bare { name.to_owned() } else { string(name) }
}

/// Writes an integer with its thousands apart, as TOML allows.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.len() > 4 {
            out.push('_');
        }
        out.push(digit);
    }
    if number < 0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(8080), "8080");
        assert_eq!(grouped(33_554_432), "33_554_432");
        assert_eq!(grouped(-100_000), "-100_000");
    }

    #[test]
    fn keys_and_strings_are_quoted_as_toml_needs_it() {
        assert_eq!(key("a-b_1"), "a-b_1");
        assert_eq!(key("a b"), "\"a b\"");
        let text = "tab\t\"quote\" back\\slash";
        let read: toml::Table = format!("key = {}", string(text)).parse().unwrap();
        assert_eq!(read["key"].as_str(), Some(text));
    }
}
