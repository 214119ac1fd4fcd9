//! Side tables from the path of a value to the place where it was written.

use std::collections::BTreeMap;

/// Places by the keys of their values, such as `plugins`, `1`, `sizes_pixels`.
#[derive(Debug, Clone)]
pub(super) struct Places<P>(BTreeMap<Vec<String>, P>);

impl<P> Places<P> {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn insert(&mut self, keys: &[String], place: P) {
        self.0.insert(keys.to_vec(), place);
    }

    /// Returns the place of a value, or of the nearest table or list around it that has one.
    pub(super) fn nearest(&self, keys: &[&str]) -> Option<&P> {
        let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        loop {
            if let Some(place) = self.0.get(&keys) {
                return Some(place);
            }
            keys.pop()?;
        }
    }
}

/// Splits a path such as `plugins[1].sizes_pixels[0]` into its keys.
pub(super) fn keys(path: &str) -> Vec<&str> {
    path.split(['.', '['])
        .map(|key| key.trim_end_matches(']'))
        .filter(|key| !key.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_without_a_place_has_that_of_the_table_around_it() {
        let mut places = Places::new();
        places.insert(&["plugins".to_owned(), "1".to_owned()], 7);
        assert_eq!(places.nearest(&["plugins", "1", "sizes_pixels", "0"]), Some(&7));
        assert_eq!(places.nearest(&["plugins", "1"]), Some(&7));
        assert_eq!(places.nearest(&["plugins", "0"]), None);
    }

    #[test]
    fn a_path_is_split_at_dots_and_indices() {
        assert_eq!(
            keys("plugins[1].sizes_pixels[0]"),
            ["plugins", "1", "sizes_pixels", "0"]
        );
        assert!(keys("").is_empty());
    }
}
