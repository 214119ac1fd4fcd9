//! Which of a photo's previews is shown.

use lucida_core::{DerivedBlob, Photo};

/// The plugin that makes previews, whose blobs are named by their size in pixels.
const PREVIEWS: &str = "thumbnail/";

/// Returns the smallest preview of a photo whose longer side has at least `wanted` pixels, else the largest one, with its
/// name; `None` for a photo without a preview.
#[must_use]
pub fn best_preview(photo: &Photo, wanted: usize) -> Option<(&str, &DerivedBlob)> {
    let mut previews: Vec<(usize, &str, &DerivedBlob)> = photo
        .derived
        .iter()
        .filter_map(|(name, blob)| {
            let (pixels, _) = name.strip_prefix(PREVIEWS)?.split_once('.')?;
            Some((pixels.parse().ok()?, name.as_str(), blob))
        })
        .collect();
    previews.sort_unstable_by_key(|(pixels, ..)| *pixels);
    let best = previews
        .iter()
        .find(|(pixels, ..)| *pixels >= wanted)
        .or(previews.last());
    best.map(|(_, name, blob)| (*name, *blob))
}
