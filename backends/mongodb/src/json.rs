//! JSON as BSON and back, without loss.
//!
//! Keys are written with `%25`, `%2E`, `%24` and `%00` for `%`, `.`, `$` and NUL, which mean something to MongoDB or are
//! refused by it. A number beyond 63 bits, which BSON lacks, is `{"%u64": "18446744073709551615"}`, and an array right
//! inside an array, which FerretDB 1 refuses, is `{"%array": [..]}`: no key of JSON is ever written so. All else is what
//! it looks like, so that it can be read and queried by hand.

use lucida_core::{Error, Result};
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Map, Number, Value};

/// The key of a number that needs 64 bits.
const U64: &str = "%u64";

/// The key of an array inside an array.
const ARRAY: &str = "%array";

const ESCAPES: [(char, &str); 4] = [('%', "%25"), ('.', "%2E"), ('$', "%24"), ('\0', "%00")];

/// Writes a JSON value as BSON.
pub(crate) fn to_bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => Bson::Boolean(*value),
        Value::Number(number) => number_to_bson(number),
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(values) => Bson::Array(values.iter().map(element_to_bson).collect()),
        Value::Object(fields) => Bson::Document(to_document(fields)),
    }
}

/// Writes JSON fields as a BSON document.
pub(crate) fn to_document<'a>(fields: impl IntoIterator<Item = (&'a String, &'a Value)>) -> Document {
    fields
        .into_iter()
        .map(|(key, value)| (escaped(key), to_bson(value)))
        .collect()
}

fn element_to_bson(value: &Value) -> Bson {
    let written = to_bson(value);
    if value.is_array() {
        Bson::Document(doc! { ARRAY: written })
    } else {
        written
    }
}

fn number_to_bson(number: &Number) -> Bson {
    match (number.as_i64(), number.as_u64()) {
        (Some(number), _) => Bson::Int64(number),
        (None, Some(number)) => Bson::Document(doc! { U64: number.to_string() }),
        (None, None) => number.as_f64().map_or(Bson::Null, Bson::Double),
    }
}

/// Reads what [`to_bson`] wrote.
pub(crate) fn from_bson(value: Bson) -> Result<Value> {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "BSON has a dozen types more, none of which is written"
    )]
    match value {
        Bson::Null => Ok(Value::Null),
        Bson::Boolean(value) => Ok(Value::Bool(value)),
        Bson::Int32(number) => Ok(number.into()),
        Bson::Int64(number) => Ok(number.into()),
        Bson::Double(number) => Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| spoilt(&format!("the number {number}"))),
        Bson::String(text) => Ok(Value::String(text)),
        Bson::Array(values) => values.into_iter().map(from_bson).collect(),
        Bson::Document(mut document) => {
            if let Some(Bson::Array(values)) = document.get_mut(ARRAY) {
                return from_bson(Bson::Array(std::mem::take(values)));
            }
            match document.get_str(U64) {
                Ok(number) => number
                    .parse::<u64>()
                    .map(Value::from)
                    .map_err(|error| spoilt("a number").with_source(error)),
                Err(_) => from_document(document).map(Value::Object),
            }
        }
        other => Err(spoilt(&format!("a BSON {:?}", other.element_type()))),
    }
}

/// Reads what [`to_document`] wrote.
pub(crate) fn from_document(document: Document) -> Result<Map<String, Value>> {
    document
        .into_iter()
        .map(|(key, value)| Ok((unescaped(&key), from_bson(value)?)))
        .collect()
}

fn spoilt(what: &str) -> Error {
    Error::internal(format!(
        "a document of the metadata store holds {what} where JSON was written: restore it from a backup"
    ))
}

fn escaped(key: &str) -> String {
    let mut written = String::with_capacity(key.len());
    for character in key.chars() {
        match ESCAPES.iter().find(|(special, _)| *special == character) {
            Some((_, escape)) => written.push_str(escape),
            None => written.push(character),
        }
    }
    written
}

fn unescaped(key: &str) -> String {
    let mut read = String::with_capacity(key.len());
    let mut rest = key;
    while let Some(next) = rest.chars().next() {
        let (character, length) = ESCAPES
            .iter()
            .find(|(_, escape)| rest.starts_with(escape))
            .map_or((next, next.len_utf8()), |(special, escape)| {
                (*special, escape.len())
            });
        read.push(character);
        rest = &rest[length..];
    }
    read
}

#[cfg(test)]
mod tests {
    use rand::prelude::*;
    use rand::rngs::StdRng;
    use serde_json::json;

    use super::*;

    fn random(random: &mut StdRng, depth: usize) -> Value {
        let text = |random: &mut StdRng| -> String {
            let length = random.random_range(0..5);
            let letters = ['%', '.', '$', '\0', '2', '5', 'E', 'u', 'é', '🏖'];
            (0..length).filter_map(|_| letters.choose(random)).collect()
        };
        match random.random_range(0..if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => random.random::<bool>().into(),
            2 => random.random::<i64>().into(),
            3 => random.random::<u64>().into(),
            4 => random.random::<f64>().into(),
            5 => text(random).into(),
            6 => (0..random.random_range(0..4))
                .map(|_| self::random(random, depth - 1))
                .collect(),
            _ => Value::Object(
                (0..random.random_range(0..4))
                    .map(|_| (text(random), self::random(random, depth - 1)))
                    .collect(),
            ),
        }
    }

    fn assert_plain(value: &Bson) {
        if let Some(document) = value.as_document() {
            for (key, value) in document {
                assert!(!key.contains(['.', '$', '\0']), "{key}");
                assert_plain(value);
            }
        }
        for element in value.as_array().into_iter().flatten() {
            assert!(element.as_array().is_none(), "{value}");
            assert_plain(element);
        }
    }

    #[test]
    fn random_json_comes_back_and_is_what_every_server_takes() {
        let seed = rand::random();
        println!("seed {seed}");
        let mut source = StdRng::seed_from_u64(seed);
        for _ in 0..2_000 {
            let value = random(&mut source, 4);
            let written = to_bson(&value);
            assert_plain(&written);
            assert_eq!(from_bson(written).unwrap(), value);
        }
    }

    #[test]
    fn what_looks_like_one_of_these_spellings_is_not_taken_for_one() {
        for value in [
            json!({"%u64": "7"}),
            json!({"%25u64": 1}),
            json!(u64::MAX),
            json!(i64::MIN),
        ] {
            assert_eq!(from_bson(to_bson(&value)).unwrap(), value);
        }
    }

    #[test]
    fn what_json_lacks_is_an_error_that_names_it() {
        for (value, name) in [(Bson::Undefined, "Undefined"), (Bson::Double(f64::NAN), "NaN")] {
            let error = from_bson(value).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
