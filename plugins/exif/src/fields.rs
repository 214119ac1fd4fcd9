//! Single fields of an EXIF block as plain values; what is out of its range is as good as absent.

use exif::{Exif, Field, In, Tag, Value};

/// Texts are names of things; a longer one is rubbish.
const MAX_TEXT_CHARS: usize = 256;

/// A number to so many places is more exact than any camera.
const PLACES: f64 = 1e7;

/// Returns a field of the main picture.
pub(crate) fn field(exif: &Exif, tag: Tag) -> Option<&Field> {
    exif.get_field(tag, In::PRIMARY)
}

/// Returns a text without padding and control characters.
pub(crate) fn text(exif: &Exif, tag: Tag) -> Option<String> {
    let bytes = ascii(exif, tag)?;
    let text: String = String::from_utf8_lossy(bytes)
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_TEXT_CHARS)
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns the bytes of a text.
pub(crate) fn ascii(exif: &Exif, tag: Tag) -> Option<&[u8]> {
    match &field(exif, tag)?.value {
        Value::Ascii(texts) => texts.first().map(Vec::as_slice),
        Value::Byte(bytes) => Some(bytes),
        Value::Undefined(bytes, _) => Some(bytes),
        Value::Short(_)
        | Value::Long(_)
        | Value::Rational(_)
        | Value::SByte(_)
        | Value::SShort(_)
        | Value::SLong(_)
        | Value::SRational(_)
        | Value::Float(_)
        | Value::Double(_)
        | Value::Unknown(..) => None,
    }
}

/// Returns a whole number of no sign.
pub(crate) fn whole(exif: &Exif, tag: Tag) -> Option<u32> {
    field(exif, tag)?.value.get_uint(0)
}

/// Returns the number at a place of a field, if it is one.
pub(crate) fn number_at(exif: &Exif, tag: Tag, at: usize) -> Option<f64> {
    let number = match &field(exif, tag)?.value {
        Value::Rational(numbers) => numbers.get(at)?.to_f64(),
        Value::SRational(numbers) => numbers.get(at)?.to_f64(),
        Value::Float(numbers) => f64::from(*numbers.get(at)?),
        Value::Double(numbers) => *numbers.get(at)?,
        value @ (Value::Byte(_) | Value::Short(_) | Value::Long(_)) => f64::from(value.get_uint(at)?),
        Value::Ascii(_)
        | Value::SByte(_)
        | Value::Undefined(..)
        | Value::SShort(_)
        | Value::SLong(_)
        | Value::Unknown(..) => return None,
    };
    number.is_finite().then_some(number)
}

/// Returns a number above 0, rounded to what it can mean.
pub(crate) fn positive(exif: &Exif, tag: Tag) -> Option<f64> {
    let number = rounded(number_at(exif, tag, 0)?);
    (number > 0.0).then_some(number)
}

/// Rounds to as many places as JSON should show.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * PLACES).round() / PLACES
}
