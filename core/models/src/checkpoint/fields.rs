//! The values of a `config.json`, whose keys different files call differently and leave out as they like.

use std::path::Path;

use lucida_core::{Error, Result};
use serde_json::Value;

use super::{broken, unsupported};

/// A table of a configuration file. A key that is left out and one that is null are the same.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    path: &'a Path,
    table: &'a Value,
}

impl<'a> Fields<'a> {
    /// Takes a table of the file `path`.
    pub(super) const fn new(path: &'a Path, table: &'a Value) -> Self {
        Self { path, table }
    }

    /// Returns the file.
    pub(super) const fn path(&self) -> &'a Path {
        self.path
    }

    /// Returns a value that is not null.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.table.get(key).filter(|value| !value.is_null())
    }

    /// Reads a whole number under the first of its names that the file has.
    ///
    /// # Errors
    /// `Internal`, naming the file and the key, for a value of another type.
    pub(super) fn number(&self, keys: &[&str], usual: usize) -> Result<usize> {
        let Some((key, value)) = self.first(keys) else {
            return Ok(usual);
        };
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| self.broken(key))
    }

    /// Reads a positive fraction under the first of its names that the file has.
    ///
    /// # Errors
    /// `Internal`, naming the file and the key, for a value of another type.
    pub(super) fn fraction(&self, keys: &[&str], usual: f32) -> Result<f32> {
        let Some((key, value)) = self.first(keys) else {
            return Ok(usual);
        };
        #[expect(clippy::cast_possible_truncation, reason = "models compute with f32")]
        let fraction = value.as_f64().map(|number| number as f32);
        fraction
            .filter(|fraction| *fraction > 0.0)
            .ok_or_else(|| self.broken(key))
    }

    /// Refuses a setting that has any but the one value that is computed, where the file has it at all.
    ///
    /// # Errors
    /// `Unsupported`, naming the file, the key and both values.
    pub(super) fn refuse_unless(&self, key: &str, read: &Value) -> Result<()> {
        let same = |value: &Value| match (value.as_f64(), read.as_f64()) {
            (Some(one), Some(other)) => (one - other).abs() < f64::EPSILON,
            _ => value == read,
        };
        match self.value(key) {
            Some(value) if !same(value) => Err(unsupported(
                self.path,
                &format!("says `{key}`: {value}; only {read} is read"),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Says that a value can't be.
    pub(super) fn broken(&self, key: &str) -> Error {
        let value = self.value(key).unwrap_or(&Value::Null);
        broken(self.path, &format!("has {value} as `{key}`, which can't be"))
    }

    /// Says that a value isn't read.
    pub(super) fn unsupported(&self, key: &str) -> Error {
        let value = self.value(key).unwrap_or(&Value::Null);
        unsupported(self.path, &format!("has {value} as `{key}`, which is not read"))
    }

    fn first<'k>(&self, keys: &[&'k str]) -> Option<(&'k str, &'a Value)> {
        keys.iter().find_map(|key| Some((*key, self.value(key)?)))
    }
}
