//! JSON in: bodies and parts of forms, with every failure naming its field.
//!
//! A field that is null counts as absent: optional fields are `Option`s, or read with [`or_default`].

use std::fmt;
use std::marker::PhantomData;

use lucida_core::{Error, Result};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a field that may be absent or null, which are the same.
///
/// # Errors
/// Those of the field's type.
pub fn or_default<'de, T, D>(deserializer: D) -> std::result::Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A JSON object inside of another one. serde alone would also take a list, for the fields in their order.
#[derive(Debug, Default)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> std::result::Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// Reads a JSON object; `prefix` is the name of the field that holds it, empty for a whole body.
///
/// # Errors
/// `InvalidInput`: `malformed_json`, or the field's code with its path.
pub fn parse_object<T: DeserializeOwned>(bytes: &[u8], prefix: &str) -> Result<T> {
    parse::<Object<T>>(bytes, prefix).map(|object| object.0)
}

/// Reads a JSON object as [`parse_object`] does; null counts as absent.
///
/// # Errors
/// Those of [`parse_object`].
pub fn parse_optional_object<T: DeserializeOwned>(bytes: &[u8], prefix: &str) -> Result<Option<T>> {
    Ok(parse::<Option<Object<T>>>(bytes, prefix)?.map(|object| object.0))
}

/// Reads JSON; `prefix` is the name of the field that holds it, empty for a whole body.
///
/// # Errors
/// `InvalidInput`: `malformed_json`, or the field's code with its path.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], prefix: &str) -> Result<T> {
    // Some clients on Windows begin with it, and it says nothing.
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader);
    let read = read.map_err(|error| {
        let path = error.path().to_string();
        (path, error.into_inner())
    });
    let value = match read {
        Ok(value) => value,
        // serde_json's own categories don't do: it calls a number in the place of a name bad syntax, and stops at the
        // first wrong type before bad syntax.
        Err((path, error)) => {
            let syntax = serde_json::from_slice::<IgnoredAny>(bytes).err();
            let is_text = std::str::from_utf8(bytes).is_ok();
            return Err(match syntax {
                None if is_text => wrong_value(prefix, &path, &error),
                syntax => malformed(prefix, bytes, &syntax.unwrap_or(error)),
            });
        }
    };
    reader.end().map_err(|error| malformed(prefix, bytes, &error))?;
    Ok(value)
}

fn malformed(prefix: &str, bytes: &[u8], error: &serde_json::Error) -> Error {
    let what = named(prefix, "the body");
    let message = match bytes {
        [] => format!("{what} is empty; expected JSON"),
        [0xFE, 0xFF, ..] | [0xFF, 0xFE, ..] | [0, _, ..] | [_, 0, ..] => {
            format!("{what} is UTF-16 or UTF-32; JSON must be sent as UTF-8")
        }
        _ => match std::str::from_utf8(bytes) {
            Ok(_) => format!("{what} is not valid JSON: {error}"),
            Err(place) => {
                let place = place.valid_up_to();
                format!("{what} is not UTF-8 at byte {place}; JSON must be sent as UTF-8")
            }
        },
    };
    with_field(Error::invalid(message).with_code("malformed_json"), prefix)
}

fn wrong_value(prefix: &str, path: &str, error: &serde_json::Error) -> Error {
    let message = without_position(error);
    let path = if path == "." { "" } else { path };
    for (start, code) in [
        ("unknown field `", "unknown_field"),
        ("missing field `", "missing_field"),
        ("duplicate field `", "invalid_field"),
    ] {
        let Some(name) = message
            .strip_prefix(start)
            .and_then(|rest| rest.split('`').next())
        else {
            continue;
        };
        let inner = if path == name || path.ends_with(&format!(".{name}")) {
            path.to_owned()
        } else {
            join(path, name)
        };
        return Error::invalid(message.clone())
            .with_code(code)
            .with_field(join(prefix, &inner));
    }
    let field = join(prefix, path);
    let message = plain_words(message);
    let message = format!("{}: {message}", named(&field, "the body"));
    with_field(Error::invalid(message).with_code("invalid_field"), &field)
}

/// Puts serde's words for Rust's types into those of JSON.
fn plain_words(message: String) -> String {
    // serde_json's words for a value that can't be a variant's name.
    if message == "expected value" {
        return "wrong type: expected a string".to_owned();
    }
    let kinds = [
        ("invalid type: ", "wrong type"),
        ("invalid value: ", "wrong value"),
    ];
    let parts = kinds.iter().find_map(|(start, kind)| {
        let (found, expected) = message.strip_prefix(start)?.rsplit_once(", expected ")?;
        Some((kind, found, expected))
    });
    let Some((kind, found, expected)) = parts else {
        return message;
    };
    let found = match found.split_once(' ').unwrap_or((found, "")) {
        ("integer", number) | ("floating", number) => {
            number.trim_start_matches("point ").trim_matches('`').to_owned()
        }
        ("boolean", value) => value.trim_matches('`').to_owned(),
        ("string", _) => format!("the {found}"),
        ("sequence", _) => "a list".to_owned(),
        ("map", _) => "an object".to_owned(),
        _ => found.to_owned(),
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    format!("{kind}: {found}, expected {expected}")
}

/// Returns serde_json's message without the place in the text, which helps nobody whose client wrote the JSON.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).unwrap_or(&message).to_owned()
}

fn named(field: &str, whole: &str) -> String {
    if field.is_empty() {
        whole.to_owned()
    } else {
        format!("`{field}`")
    }
}

fn with_field(error: Error, field: &str) -> Error {
    if field.is_empty() {
        error
    } else {
        error.with_field(field)
    }
}

fn join(path: &str, name: &str) -> String {
    match (path.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => path.to_owned(),
        (false, false) => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        number: u32,
        #[serde(default)]
        inner: Option<Object<Inner>>,
        #[serde(default, deserialize_with = "or_default")]
        kind: Kind,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        #[default]
        Plain,
        Fancy,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its reading is looked at")]
    struct Inner {
        tags: Vec<String>,
    }

    fn refusal(text: &str, prefix: &str) -> (&'static str, Option<String>) {
        let error = parse::<Outer>(text.as_bytes(), prefix).unwrap_err();
        (error.code(), error.field().map(str::to_owned))
    }

    #[test]
    fn every_refusal_names_its_field() {
        for (text, code, field) in [
            (r#"{"number":1,"nubmer":2}"#, "unknown_field", Some("nubmer")),
            (
                r#"{"number":1,"inner":{"tags":[],"x":1}}"#,
                "unknown_field",
                Some("inner.x"),
            ),
            (r#"{"inner":{"tags":[]}}"#, "missing_field", Some("number")),
            (r#"{"number":1,"inner":{}}"#, "missing_field", Some("inner.tags")),
            (r#"{"number":"one"}"#, "invalid_field", Some("number")),
            (
                r#"{"number":1,"inner":{"tags":["a",2]}}"#,
                "invalid_field",
                Some("inner.tags[1]"),
            ),
            ("{", "malformed_json", None),
            ("", "malformed_json", None),
            (r#"{"number":1} x"#, "malformed_json", None),
            (r#"{"number":1,"kind":5}"#, "invalid_field", Some("kind")),
            (r#"{"number":1,"kind":["fancy"]}"#, "invalid_field", Some("kind")),
            (r#"{"number":1,"kind":"odd"}"#, "invalid_field", Some("kind")),
            (r#"{"number":1,"inner":[["a"]]}"#, "invalid_field", Some("inner")),
            (r#"{"number":1e999}"#, "invalid_field", Some("number")),
            (
                r#"{"number":99999999999999999999}"#,
                "invalid_field",
                Some("number"),
            ),
            (r#"{"number":1,"number":2}"#, "invalid_field", Some("number")),
            (
                r#"{"number":1,"inner":{"tags":["a"],"tags":["b"]}}"#,
                "invalid_field",
                Some("inner.tags"),
            ),
        ] {
            assert_eq!(refusal(text, ""), (code, field.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn a_list_is_no_object() {
        for text in ["[1]", "1", "null", "\"{}\""] {
            let error = parse_object::<Outer>(text.as_bytes(), "metadata").unwrap_err();
            assert_eq!(
                (error.code(), error.field()),
                ("invalid_field", Some("metadata")),
                "{text}"
            );
        }
        let code = |text: &str| parse_object::<Outer>(text.as_bytes(), "").unwrap_err().code();
        assert_eq!((code("[1"), code("x")), ("malformed_json", "malformed_json"));
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let read = |text: &str| parse_object::<Outer>(text.as_bytes(), "").unwrap();
        let nulls = read(r#"{"number":1,"inner":null,"kind":null}"#);
        assert!(nulls.inner.is_none());
        assert_eq!(nulls.kind, read(r#"{"number":1}"#).kind);
        assert_eq!(read(r#"{"number":1,"kind":"fancy"}"#).kind, Kind::Fancy);
    }

    #[test]
    fn other_encodings_are_named_and_a_byte_order_mark_is_skipped() {
        let text = r#"{"number":1}"#;
        let mut marked = BYTE_ORDER_MARK.to_vec();
        marked.extend_from_slice(text.as_bytes());
        assert_eq!(parse_object::<Outer>(&marked, "").unwrap().number, 1);
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = [&b"\xFF\xFE"[..], &little].concat();
        let latin_1 = b"{\"number\":1,\"kind\":\"\xFC\"}".to_vec();
        for bytes in [little, big, marked, latin_1] {
            let error = parse_object::<Outer>(&bytes, "").unwrap_err();
            assert_eq!(error.code(), "malformed_json");
            assert!(error.message().contains("UTF-8"), "{error}");
        }
    }

    #[test]
    fn a_wrong_type_is_called_a_wrong_type() {
        for (text, message) in [
            (
                r#"{"number":"one"}"#,
                "`number`: wrong type: the string \"one\", expected a whole number, 0 or more",
            ),
            (
                r#"{"number":1.5}"#,
                "`number`: wrong type: 1.5, expected a whole number, 0 or more",
            ),
            (
                r#"{"number":-1}"#,
                "`number`: wrong value: -1, expected a whole number, 0 or more",
            ),
            (
                r#"{"number":true}"#,
                "`number`: wrong type: true, expected a whole number, 0 or more",
            ),
            (
                r#"{"number":1,"inner":{"tags":"a, expected b"}}"#,
                "`inner.tags`: wrong type: the string \"a, expected b\", expected a list",
            ),
            (
                r#"{"number":1,"inner":{"tags":{}}}"#,
                "`inner.tags`: wrong type: an object, expected a list",
            ),
            (
                r#"{"number":1,"inner":{"tags":[null]}}"#,
                "`inner.tags[0]`: wrong type: null, expected a string",
            ),
            (
                r#"{"number":1,"inner":[]}"#,
                "`inner`: wrong type: a list, expected an object",
            ),
            (
                r#"{"number":1,"kind":5}"#,
                "`kind`: wrong type: expected a string",
            ),
            ("[1]", "the body: wrong type: a list, expected an object"),
        ] {
            let error = parse_object::<Outer>(text.as_bytes(), "").unwrap_err();
            assert_eq!(error.message(), message);
        }
    }

    #[test]
    fn deep_nesting_is_an_answer() {
        let deep = format!("{{\"number\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        let error = parse_object::<Outer>(deep.as_bytes(), "").unwrap_err();
        assert_eq!((error.code(), error.field()), ("invalid_field", Some("number")));
    }

    #[test]
    fn a_part_of_a_form_is_named_too() {
        assert_eq!(
            refusal(r#"{"number":1,"x":2}"#, "metadata").1.as_deref(),
            Some("metadata.x")
        );
        assert_eq!(refusal("{", "metadata").1.as_deref(), Some("metadata"));
    }
}
