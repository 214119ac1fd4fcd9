//! The merged layers, and where each of their values was written.

use figment::value::{Dict, Tag, Value};
use figment::{Figment, Profile};
use serde::de::DeserializeOwned;

use super::place::keys;

/// The name of the layer of defaults.
pub(super) const DEFAULTS: &str = "defaults";

/// All layers, merged by [`Figment`]. It may hold secrets, so it doesn't print.
#[derive(Clone)]
pub(super) struct Merged {
    figment: Figment,
    root: Value,
}

impl Merged {
    pub(super) fn new(figment: Figment) -> Self {
        let root = figment
            .find_value("")
            .unwrap_or_else(|_| Value::from(Dict::new()));
        Self { figment, root }
    }

    /// Returns the table of all sections.
    pub(super) const fn root(&self) -> &Value {
        &self.root
    }

    /// Reads the value at a path of table keys; `None` where nothing is.
    pub(super) fn extract<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        self.figment.extract_inner(path).ok()
    }

    /// Returns where a value was written, or the nearest table or list around it; `None` where only the defaults have it.
    pub(super) fn place_of(&self, path: &str) -> Option<String> {
        let keys = keys(path);
        let (value, found) = self.nearest(&keys);
        self.place(value.tag(), &keys[..found])
            .filter(|_| !self.is_default(value))
    }

    /// Returns where exactly this value was written; `None` where nothing or only the defaults have it.
    pub(super) fn written(&self, path: &str) -> Option<String> {
        let keys = keys(path);
        let (_, found) = self.nearest(&keys);
        self.place_of(path).filter(|_| found == keys.len())
    }

    /// Returns the value at a path or the nearest table or list around it, and how many keys lead to it.
    fn nearest(&self, keys: &[&str]) -> (&Value, usize) {
        // figment's own search doesn't step into lists.
        let mut value = &self.root;
        for (depth, key) in keys.iter().enumerate() {
            let child = match (value, key.parse::<usize>()) {
                (Value::Array(_, items), Ok(index)) => items.get(index),
                _ => value.as_dict().and_then(|values| values.get(*key)),
            };
            let Some(child) = child else {
                return (value, depth);
            };
            value = child;
        }
        (value, keys.len())
    }

    /// Returns the place of a value as `config show` has it, which names the defaults' line as well.
    pub(super) fn source_of(&self, value: &Value, path: &str) -> String {
        self.place(value.tag(), &keys(path)).unwrap_or_default()
    }

    /// Returns whether a value is one of the defaults.
    pub(super) fn is_default(&self, value: &Value) -> bool {
        let metadata = self.figment.get_metadata(value.tag());
        metadata.is_none_or(|metadata| metadata.name == DEFAULTS)
    }

    fn place(&self, tag: Tag, keys: &[&str]) -> Option<String> {
        let metadata = self.figment.get_metadata(tag)?;
        Some(metadata.interpolate(&Profile::Default, keys))
    }
}
