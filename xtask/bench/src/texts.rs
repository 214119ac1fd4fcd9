//! Words to search by, put together as people do, and sentences of many languages.

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

/// What people write under photos, and ask for.
const SENTENCES: [&str; 24] = [
    "a dog runs along the beach at sunset",
    "our kitchen before the renovation",
    "Kinder spielen im Schnee vor dem Haus",
    "die alte Brücke über den Fluss bei Nacht",
    "un chat noir endormi sur le canapé",
    "le marché aux fleurs un dimanche matin",
    "una mesa con pan, queso y vino tinto",
    "la abuela sopla las velas de su pastel",
    "un treno rosso che attraversa le montagne",
    "duas crianças andando de bicicleta no parque",
    "een hond rent over het strand",
    "stary zamek nad jeziorem jesienią",
    "katten sitter i fönstret och tittar ut",
    "кошка спит на подоконнике",
    "дети катаются на лыжах в лесу",
    "παλιά βάρκα στο λιμάνι",
    "قارب صيد في الميناء عند الغروب",
    "ילדים משחקים על החוף",
    "समुद्र तट पर दौड़ता हुआ कुत्ता",
    "ชายหาดตอนพระอาทิตย์ตก",
    "雪山下的湖泊和一座小木屋",
    "夜の東京タワーと桜",
    "공원에서 자전거를 타는 아이들",
    "bãi biển lúc hoàng hôn với thuyền đánh cá",
];

/// Returns a sentence; they repeat.
pub(crate) fn sentence(number: usize) -> &'static str {
    SENTENCES[number % SENTENCES.len()]
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
