//! Errors about one field of a request, or one parameter of its URL.

use std::ops::RangeInclusive;

use lucida_core::{Error, Result};

/// Checks a number against its bounds; `setting` is the one that holds the upper bound, where one does.
///
/// # Errors
/// `InvalidInput` (`invalid_field`), naming the field, both bounds and the setting.
pub fn check_bounds(
    name: &str,
    number: usize,
    bounds: &RangeInclusive<usize>,
    setting: Option<&str>,
) -> Result<usize> {
    if bounds.contains(&number) {
        Ok(number)
    } else {
        Err(out_of_bounds(name, &number.to_string(), bounds, setting))
    }
}

/// Returns the error of a number outside its bounds; `setting` is the one that holds the upper bound, where one does.
#[must_use]
pub fn out_of_bounds(
    name: &str,
    given: &str,
    bounds: &RangeInclusive<usize>,
    setting: Option<&str>,
) -> Error {
    let (from, to) = (bounds.start(), bounds.end());
    let setting = setting.map_or_else(String::new, |setting| format!(" ({setting})"));
    invalid(
        name,
        format!("`{name}` must be a whole number from {from} to {to}{setting}, not `{given}`"),
    )
}

/// Returns the error of a field or parameter with a value that the call can't use.
#[must_use]
pub fn invalid(name: impl Into<String>, message: impl Into<String>) -> Error {
    Error::invalid(message)
        .with_code("invalid_field")
        .with_field(name)
}
