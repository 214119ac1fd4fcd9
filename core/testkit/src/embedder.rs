//! The contract of [`Embedder`], sentence by sentence. A model without one of the towers answers `Unsupported`
//! where that tower would be needed.

use std::sync::Arc;

use lucida_core::{
    Embedder, Embedding, ErrorKind, Lane, Picture, Result, embed_image, embed_text, embed_texts,
};

use super::{Fixture, picture};

/// Makes the tests of [`Embedder`]'s contract from an async function that gives an embedder, which may be one
/// and the same for all of them.
#[macro_export]
macro_rules! embedder_contract {
    ($fixture:ident) => {
        mod embedder_contract {
            $crate::contract_tests! { embedder, $fixture,
                it_tells_what_it_is
                vectors_have_unit_length_and_the_dimensions_told
                a_text_gives_the_same_bits_alone_and_among_others
                a_picture_gives_the_same_bits_alone_and_among_others
                callers_at_once_get_each_their_own_vectors
                both_lanes_give_the_same_vector
                a_call_with_nothing_in_it_returns_nothing
                an_empty_text_fails_in_its_place_alone
                a_text_too_long_fails_in_its_place_alone
                a_text_as_long_as_allowed_is_taken
                any_script_gives_a_vector
                pictures_of_any_shape_give_a_vector
                different_inputs_give_different_vectors
                ping_answers
            }
        }
    };
}

/// Unit length as f32 arithmetic keeps it.
const LENGTH_TOLERANCE: f64 = 1e-5;

fn sample_texts() -> Vec<String> {
    [
        "a dog on the beach",
        "red",
        "A photo of a very old stone bridge over a wide river in the evening, seen from a boat, with people on it",
        "x",
        "the rocket starts",
        "dog",
        "two cups of coffee, black",
        "1234567890",
        "winter mountains; snow!",
    ]
    .map(str::to_owned)
    .into()
}

fn sample_pictures() -> Vec<Arc<Picture>> {
    let mut pictures: Vec<_> = [
        (64, 64, [200, 30, 30]),
        (320, 200, [30, 200, 30]),
        (200, 320, [30, 30, 200]),
        (33, 47, [128, 128, 128]),
        (500, 100, [250, 220, 10]),
        (16, 16, [255, 255, 255]),
        (224, 224, [90, 60, 40]),
    ]
    .into_iter()
    .map(|(width, height, colour)| picture(width, height, colour))
    .collect();
    pictures.push(Arc::new(Picture::gradient(300, 300)));
    pictures.push(Arc::new(Picture::gradient(120, 80)));
    pictures
}

fn assert_is_vector(embedder: &dyn Embedder, result: &Result<Embedding>) {
    let vector = result.as_ref().unwrap();
    assert_eq!(vector.len(), embedder.describe().dimensions);
    let length = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    assert!(
        (length - 1.0).abs() < LENGTH_TOLERANCE,
        "the length is {length}, not 1"
    );
}

fn bits(result: &Result<Embedding>) -> Vec<u32> {
    let vector = result.as_ref().unwrap();
    vector.iter().map(|x| x.to_bits()).collect()
}

fn kind(result: &Result<Embedding>) -> ErrorKind {
    result.as_ref().unwrap_err().kind()
}

/// Checks that a model without an image tower says so; tells whether there is one.
async fn takes_pictures(embedder: &dyn Embedder) -> bool {
    let takes = embedder.describe().modalities.image;
    if !takes {
        let results = embedder.embed_images(sample_pictures(), Lane::Interactive).await;
        assert_eq!(results.len(), sample_pictures().len());
        for result in &results {
            assert_eq!(kind(result), ErrorKind::Unsupported);
        }
    }
    takes
}

/// Checks that a model without a text tower says so; tells whether there is one.
async fn takes_texts(embedder: &dyn Embedder) -> bool {
    let takes = embedder.describe().modalities.text;
    if !takes {
        let results = embed_texts(embedder, sample_texts(), Lane::Interactive).await;
        assert_eq!(results.len(), sample_texts().len());
        for result in &results {
            assert_eq!(kind(result), ErrorKind::Unsupported);
        }
    }
    takes
}

/// The description is complete, and stays the same.
pub async fn it_tells_what_it_is(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    let info = embedder.describe().clone();
    assert!(!info.model.trim().is_empty());
    assert!(info.dimensions > 0);
    assert!(info.modalities.image || info.modalities.text);
    assert!(info.max_text_bytes > 0 || !info.modalities.text);
    let digits = info.fingerprint.as_str();
    assert!(
        digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{digits}"
    );
    takes_texts(embedder).await;
    takes_pictures(embedder).await;
    assert_eq!(*embedder.describe(), info);
}

/// Every vector is a unit vector of the dimensions told.
pub async fn vectors_have_unit_length_and_the_dimensions_told(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    if takes_texts(embedder).await {
        for result in embed_texts(embedder, sample_texts(), Lane::Interactive).await {
            assert_is_vector(embedder, &result);
        }
    }
    if takes_pictures(embedder).await {
        for result in embedder.embed_images(sample_pictures(), Lane::Interactive).await {
            assert_is_vector(embedder, &result);
        }
    }
}

/// One result per text, in order, bit for bit what each gives alone, in whatever company.
pub async fn a_text_gives_the_same_bits_alone_and_among_others(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    if !takes_texts(embedder).await {
        return;
    }
    let texts = sample_texts();
    let together = embed_texts(embedder, texts.clone(), Lane::Interactive).await;
    assert_eq!(together.len(), texts.len());
    for (text, result) in texts.iter().zip(&together) {
        let alone = embed_text(embedder, text.clone(), Lane::Interactive).await;
        assert!(bits(&alone) == bits(result), "{text:?} depends on its company");
    }
    let reversed = texts.iter().rev().cloned().collect();
    let mut reversed = embed_texts(embedder, reversed, Lane::Interactive).await;
    reversed.reverse();
    for ((text, one), other) in texts.iter().zip(&together).zip(&reversed) {
        assert!(bits(one) == bits(other), "{text:?} depends on its place");
    }
}

/// One result per picture, in order, bit for bit what each gives alone, in whatever company.
pub async fn a_picture_gives_the_same_bits_alone_and_among_others(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    if !takes_pictures(embedder).await {
        return;
    }
    let pictures = sample_pictures();
    let together = embedder.embed_images(pictures.clone(), Lane::Interactive).await;
    assert_eq!(together.len(), pictures.len());
    for (picture, result) in pictures.iter().zip(&together) {
        let alone = embed_image(embedder, Arc::clone(picture), Lane::Interactive).await;
        assert!(bits(&alone) == bits(result), "{picture:?} depends on its company");
    }
    let reversed = pictures.iter().rev().cloned().collect();
    let mut reversed = embedder.embed_images(reversed, Lane::Interactive).await;
    reversed.reverse();
    for ((picture, one), other) in pictures.iter().zip(&together).zip(&reversed) {
        assert!(bits(one) == bits(other), "{picture:?} depends on its place");
    }
}

/// Calls that share batches do not mix up their answers.
pub async fn callers_at_once_get_each_their_own_vectors(fixture: Fixture<dyn Embedder>) {
    let embedder = &fixture.part;
    if !takes_texts(&**embedder).await {
        return;
    }
    let expected: Vec<_> = embed_texts(&**embedder, sample_texts(), Lane::Interactive)
        .await
        .iter()
        .map(bits)
        .collect();
    let tasks: Vec<_> = (0..18)
        .map(|turn| {
            let embedder = Arc::clone(embedder);
            tokio::spawn(async move {
                let which = turn % 9;
                let text = sample_texts().remove(which);
                let lane = [Lane::Interactive, Lane::Background][turn % 2];
                (which, embed_text(&*embedder, text, lane).await)
            })
        })
        .collect();
    for task in tasks {
        let (which, result) = task.await.unwrap();
        assert!(bits(&result) == expected[which], "text {which} got another's");
    }
}

/// How urgent it is does not change what comes out.
pub async fn both_lanes_give_the_same_vector(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    let mut given = [Vec::new(), Vec::new()];
    for (lane, given) in [Lane::Interactive, Lane::Background].into_iter().zip(&mut given) {
        if takes_texts(embedder).await {
            let text = "a dog on the beach".to_owned();
            given.push(bits(&embed_text(embedder, text, lane).await));
        }
        if takes_pictures(embedder).await {
            let picture = Arc::new(Picture::gradient(90, 70));
            given.push(bits(&embed_image(embedder, picture, lane).await));
        }
    }
    assert!(given[0] == given[1]);
}

/// No input, no output, no error.
pub async fn a_call_with_nothing_in_it_returns_nothing(fixture: Fixture<dyn Embedder>) {
    for lane in [Lane::Interactive, Lane::Background] {
        assert!(embed_texts(&*fixture.part, Vec::new(), lane).await.is_empty());
        assert!(fixture.part.embed_images(Vec::new(), lane).await.is_empty());
    }
}

/// A text without a word is refused where it stands; its neighbours are embedded.
pub async fn an_empty_text_fails_in_its_place_alone(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    if !takes_texts(embedder).await {
        return;
    }
    let texts = ["red", "", "dog", " \t\n", "beach"].map(str::to_owned);
    let results = embed_texts(embedder, texts.into(), Lane::Interactive).await;
    assert_eq!(results.len(), 5);
    for (at, text) in [(0, "red"), (2, "dog"), (4, "beach")] {
        let alone = embed_text(embedder, text.to_owned(), Lane::Interactive).await;
        assert!(bits(&results[at]) == bits(&alone), "{text}");
    }
    for at in [1, 3] {
        assert_eq!(kind(&results[at]), ErrorKind::InvalidInput);
    }
}

/// A text beyond the limit told is refused where it stands.
pub async fn a_text_too_long_fails_in_its_place_alone(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    if !takes_texts(embedder).await {
        return;
    }
    let too_long = "a".repeat(embedder.describe().max_text_bytes + 1);
    let texts = vec!["red".to_owned(), too_long, "dog".to_owned()];
    let results = embed_texts(embedder, texts, Lane::Interactive).await;
    assert_eq!(results.len(), 3);
    assert_is_vector(embedder, &results[0]);
    assert_eq!(kind(&results[1]), ErrorKind::InvalidInput);
    assert_is_vector(embedder, &results[2]);
}

/// Up to the limit every text is taken; what goes beyond the model's own limit of tokens is cut.
pub async fn a_text_as_long_as_allowed_is_taken(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    if !takes_texts(embedder).await {
        return;
    }
    let max = embedder.describe().max_text_bytes;
    for word in ["dog ", "a", "é", "犬", "🐕"] {
        let text = word.repeat(max / word.len());
        let result = embed_text(embedder, text, Lane::Interactive).await;
        assert_is_vector(embedder, &result);
    }
}

/// No script, sign or control character is a failure.
pub async fn any_script_gives_a_vector(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    if !takes_texts(embedder).await {
        return;
    }
    let texts: Vec<_> = [
        "Straße bei Nacht",
        "собака на пляже",
        "海滩上的狗",
        "شاطئ",
        "कुत्ता",
        "🐕🏖️",
        "e\u{301}\u{301}\u{301}",
        "\u{200b}a\u{0}b\u{7f}",
        "[MASK] <|endoftext|> </s>",
        "...",
        "\u{fffd}",
    ]
    .map(str::to_owned)
    .into();
    let results = embed_texts(embedder, texts, Lane::Interactive).await;
    for result in &results {
        assert_is_vector(embedder, result);
    }
}

/// The smallest, the flattest, the plainest picture gives a vector too.
pub async fn pictures_of_any_shape_give_a_vector(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    if !takes_pictures(embedder).await {
        return;
    }
    let pictures: Vec<_> = [(1, 1), (1, 300), (300, 1), (2, 3), (1_000, 10), (700, 900)]
        .into_iter()
        .flat_map(|(width, height)| {
            [[0, 0, 0], [255, 255, 255], [200, 30, 30]].map(|colour| picture(width, height, colour))
        })
        .collect();
    let results = embedder.embed_images(pictures, Lane::Background).await;
    assert_eq!(results.len(), 18);
    for result in &results {
        assert_is_vector(embedder, result);
    }
}

/// A model that gives the same to all would pass every other test.
pub async fn different_inputs_give_different_vectors(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    let mut sets = Vec::new();
    if takes_texts(embedder).await {
        sets.push(embed_texts(embedder, sample_texts(), Lane::Interactive).await);
    }
    if takes_pictures(embedder).await {
        sets.push(embedder.embed_images(sample_pictures(), Lane::Interactive).await);
    }
    for results in sets {
        for (at, one) in results.iter().enumerate() {
            for other in &results[at + 1..] {
                assert!(bits(one) != bits(other), "two inputs give one vector");
            }
        }
    }
}

/// A healthy model says so, before it was used and after.
pub async fn ping_answers(fixture: Fixture<dyn Embedder>) {
    let embedder = &*fixture.part;
    embedder.ping().await.unwrap();
    takes_texts(embedder).await;
    takes_pictures(embedder).await;
    embed_texts(embedder, sample_texts(), Lane::Interactive).await;
    embedder.embed_images(sample_pictures(), Lane::Interactive).await;
    embedder.ping().await.unwrap();
}
