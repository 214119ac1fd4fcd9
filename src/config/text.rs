//! Turns texts into values of the type that their key wants.

use bytesize::ByteSize;
use figment::value::Value;
use jiff::{Span, SpanRelativeTo};

use super::toml;
use crate::schema::{Unit, ValueKind};

/// Reads the text of a variable, a flag or another source whose values are all texts; `None` where it can't be what its
/// key wants. Lists and tables are TOML or JSON.
pub(super) fn typed(text: &str, kind: &ValueKind) -> Option<Value> {
    let trimmed = text.trim();
    let parsed = || toml::value(trimmed).or_else(|| json(trimmed));
    match kind {
        ValueKind::Text { .. } | ValueKind::Choice(_) => Some(Value::from(text)),
        ValueKind::Integer { .. } => toml::value(trimmed)
            .filter(|value| matches!(value, Value::Num(_, number) if number.to_i128().is_some()))
            .or_else(|| quoted(text, kind)),
        ValueKind::Number => toml::value(trimmed).filter(|value| matches!(value, Value::Num(..))),
        ValueKind::Boolean => match trimmed {
            "1" => Some(Value::from(true)),
            "0" => Some(Value::from(false)),
            _ => quoted(text, kind),
        },
        ValueKind::List(_) => parsed().filter(|value| matches!(value, Value::Array(..))),
        ValueKind::Table(_) | ValueKind::Map(_) | ValueKind::Part(_) | ValueKind::Entry(_) => {
            parsed().filter(|value| matches!(value, Value::Dict(..)))
        }
        ValueKind::Any => Some(parsed().unwrap_or_else(|| Value::from(text))),
    }
}

/// Reads a string that a file has where TOML lacks a way to write it: a size, a duration, `yes` and `no`.
pub(super) fn quoted(text: &str, kind: &ValueKind) -> Option<Value> {
    let text = text.trim();
    match kind {
        ValueKind::Integer { unit: Some(unit), .. } => with_unit(text, *unit).map(Value::from),
        ValueKind::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(Value::from(true)),
            "false" | "no" | "off" => Some(Value::from(false)),
            _ => None,
        },
        ValueKind::Table(_)
        | ValueKind::Map(_)
        | ValueKind::List(_)
        | ValueKind::Text { .. }
        | ValueKind::Choice(_)
        | ValueKind::Integer { unit: None, .. }
        | ValueKind::Number
        | ValueKind::Part(_)
        | ValueKind::Entry(_)
        | ValueKind::Any => None,
    }
}

/// Reads a number with its unit; `None` for a number without one, and for what is not a whole number of the key's unit.
fn with_unit(text: &str, unit: Unit) -> Option<i64> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) || !text.ends_with(char::is_alphabetic) {
        return None;
    }
    match unit {
        Unit::Bytes => i64::try_from(text.parse::<ByteSize>().ok()?.as_u64()).ok(),
        Unit::Seconds => whole(nanoseconds(text)?, 1_000_000_000),
        Unit::Milliseconds => whole(nanoseconds(text)?, 1_000_000),
        Unit::Pixels => {
            let lower = text.to_ascii_lowercase();
            let number = lower.strip_suffix("mp").or_else(|| lower.strip_suffix("px"))?;
            let factor = if lower.ends_with("mp") { 1_000_000 } else { 1 };
            number.trim_end().parse::<i64>().ok()?.checked_mul(factor)
        }
    }
}

fn nanoseconds(text: &str) -> Option<i128> {
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Some(duration.as_nanos())
}

fn whole(number: i128, per_unit: i128) -> Option<i64> {
    (number % per_unit == 0)
        .then(|| i64::try_from(number / per_unit).ok())
        .flatten()
}

fn json(text: &str) -> Option<Value> {
    let parsed: serde_json::Value = serde_json::from_str(text).ok()?;
    Value::serialize(parsed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(unit: Option<Unit>) -> ValueKind {
        ValueKind::Integer {
            minimum: None,
            maximum: None,
            unit,
        }
    }

    #[test]
    fn sizes_and_durations_are_read_with_their_units() {
        for (text, unit, wanted) in [
            ("32MB", Unit::Bytes, Some(32_000_000)),
            ("32MiB", Unit::Bytes, Some(33_554_432)),
            ("32 mib", Unit::Bytes, Some(33_554_432)),
            ("1.5GiB", Unit::Bytes, Some(1_610_612_736)),
            ("512B", Unit::Bytes, Some(512)),
            ("32", Unit::Bytes, None),
            ("MiB", Unit::Bytes, None),
            ("32 potatoes", Unit::Bytes, None),
            ("60s", Unit::Seconds, Some(60)),
            ("5m", Unit::Seconds, Some(300)),
            ("1h 30m", Unit::Seconds, Some(5400)),
            ("1d", Unit::Seconds, Some(86_400)),
            ("1500ms", Unit::Seconds, None),
            ("1500ms", Unit::Milliseconds, Some(1500)),
            ("2s", Unit::Milliseconds, Some(2000)),
            ("-5s", Unit::Seconds, None),
            ("99999999999999999999s", Unit::Seconds, None),
            ("250MP", Unit::Pixels, Some(250_000_000)),
            ("320px", Unit::Pixels, Some(320)),
        ] {
            let read = quoted(text, &integer(Some(unit))).and_then(|value| value.to_i128());
            assert_eq!(read, wanted, "{text}");
        }
        assert!(quoted("32MB", &integer(None)).is_none());
    }

    #[test]
    fn a_text_is_what_its_key_wants() {
        let number = typed("1_000", &integer(None)).and_then(|value| value.to_i128());
        assert_eq!(number, Some(1000));
        assert!(typed("1.5", &integer(None)).is_none());
        let text = typed("007", &ValueKind::Text { secret: true });
        assert_eq!(text, Some(Value::from("007")));
        for (text, wanted) in [
            ("on", Some(true)),
            ("No", Some(false)),
            ("1", Some(true)),
            ("2", None),
        ] {
            let read = typed(text, &ValueKind::Boolean).and_then(|value| value.to_bool());
            assert_eq!(read, wanted, "{text}");
        }
        let list = ValueKind::List(Box::new(ValueKind::Any));
        for text in ["[{a = 1}]", "[{\"a\": 1}]"] {
            let read = serde_json::to_value(typed(text, &list)).unwrap();
            assert_eq!(read, serde_json::json!([{"a": 1}]), "{text}");
        }
        assert!(typed("{a = 1}", &list).is_none());
        assert!(typed("1\nother = 2", &integer(None)).is_none());
    }
}
