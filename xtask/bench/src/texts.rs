//! Words to search by, put together as people do.

const THINGS: [&str; 48] = [
    "dog",
    "cat",
    "horse",
    "bird",
    "fish",
    "beach",
    "mountain",
    "lake",
    "forest",
    "river",
    "castle",
    "church",
    "temple",
    "bridge",
    "tower",
    "street",
    "market",
    "train",
    "bus",
    "bicycle",
    "motorcycle",
    "car",
    "ship",
    "rocket",
    "airplane",
    "coffee cup",
    "pizza",
    "apple",
    "bread",
    "cake",
    "flower",
    "tree",
    "grass",
    "brick wall",
    "window",
    "door",
    "chair",
    "table",
    "lamp",
    "book",
    "page of text",
    "guitar",
    "piano",
    "football",
    "umbrella",
    "hat",
    "shoes",
    "wedding",
];
const QUALITIES: [&str; 6] = ["", "red ", "old ", "small ", "big white ", "two of a "];
const PLACES: [&str; 5] = [
    "",
    " in the snow",
    " at night",
    " by the sea on a sunny day",
    " behind a fence",
];

/// How many different texts there are.
const COUNT: usize = THINGS.len() * QUALITIES.len() * PLACES.len();

/// Returns a text; neighbours differ in every part, and they repeat after a while.
pub(crate) fn text(number: usize) -> String {
    // 7 shares no factor with the count, so every text comes once before any comes again.
    let number = number * 7 % COUNT;
    let thing = THINGS[number % THINGS.len()];
    let rest = number / THINGS.len();
    format!(
        "{}{thing}{}",
        QUALITIES[rest % QUALITIES.len()],
        PLACES[rest / QUALITIES.len()]
    )
}

/// Returns the plain things.
pub(crate) fn things() -> impl Iterator<Item = &'static str> {
    THINGS.into_iter()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_text_comes_once_before_any_comes_again() {
        let texts: HashSet<_> = (0..COUNT).map(text).collect();
        assert_eq!(texts.len(), COUNT);
        assert_eq!(text(COUNT), text(0));
    }
}
