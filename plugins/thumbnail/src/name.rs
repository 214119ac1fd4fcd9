//! The names of previews, and which one serves a wish.

/// The name of the plugin, which the keys of its previews begin with.
pub(crate) const PLUGIN_NAME: &str = "thumbnail";

/// The media type of every preview.
pub const CONTENT_TYPE: &str = "image/jpeg";

/// Returns the name of the preview of a size, as the plugin hands it out: `320.jpg`.
pub(crate) fn preview_name(size_pixels: u32) -> String {
    format!("{size_pixels}.jpg")
}

/// Returns the size of a preview from its key in a photo's `derived`: 320 from `thumbnail/320.jpg`.
fn preview_size(derived_key: &str) -> Option<u32> {
    let name = derived_key.strip_prefix(PLUGIN_NAME)?.strip_prefix('/')?;
    let size = name.strip_suffix(".jpg")?.parse().ok()?;
    (preview_name(size) == name).then_some(size)
}

/// Picks from the keys of a photo's `derived` the smallest preview of at least the size wanted, or the largest where
/// none is large enough; `None` where there is no preview.
#[must_use]
pub fn pick<'a>(derived_keys: impl IntoIterator<Item = &'a str>, wanted_pixels: u32) -> Option<&'a str> {
    let key = |(size, _): &(u32, &str)| {
        let is_too_small = *size < wanted_pixels;
        (is_too_small, size.abs_diff(wanted_pixels))
    };
    derived_keys
        .into_iter()
        .filter_map(|key| preview_size(key).map(|size| (size, key)))
        .min_by_key(key)
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_is_large_enough_is_picked() {
        let keys = [
            "thumbnail/1280.jpg",
            "other/64.jpg",
            "thumbnail/320.jpg",
            "thumbnail/x.jpg",
        ];
        for (wanted, expected) in [
            (1, "thumbnail/320.jpg"),
            (320, "thumbnail/320.jpg"),
            (321, "thumbnail/1280.jpg"),
            (1280, "thumbnail/1280.jpg"),
            (9000, "thumbnail/1280.jpg"),
        ] {
            assert_eq!(pick(keys, wanted), Some(expected), "{wanted}");
        }
        assert_eq!(pick(["other/64.jpg", "thumbnail/"], 64), None);
    }

    #[test]
    fn only_the_plugins_own_names_have_a_size() {
        assert_eq!(preview_size("thumbnail/320.jpg"), Some(320));
        for key in [
            "320.jpg",
            "thumbnail320.jpg",
            "thumbnail/320.png",
            "thumbnail/0320.jpg",
            "thumbnail/+320.jpg",
            "thumbnails/320.jpg",
        ] {
            assert_eq!(preview_size(key), None, "{key}");
        }
    }
}
