//! The one check, and the one wording, of a setting that must lie in a range.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::error::{Error, Result};

/// Checks that a setting lies in a range.
///
/// # Errors
/// [`Error::config`] with the field, the value and the range.
pub fn check_range<T: PartialOrd + Display>(
    field: impl Into<String>,
    value: T,
    range: &RangeInclusive<T>,
) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    let message = format!("{value} is out of range: use {least} to {most}");
    Err(Error::config(field, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_outside_its_range_is_refused_with_the_range() {
        check_range("n", 1, &(1..=4)).unwrap();
        check_range("n", 4, &(1..=4)).unwrap();
        for value in [0, 5] {
            let error = check_range("sizes[1]", value, &(1..=4)).unwrap_err();
            assert_eq!(error.field(), Some("sizes[1]"));
            assert_eq!(error.message(), format!("{value} is out of range: use 1 to 4"));
        }
        assert!(check_range("x", f32::NAN, &(1.0..=2.0)).is_err());
    }
}
