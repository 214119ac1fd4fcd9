//! What reaches a model, held against what transformers makes of the same texts and pictures; no engine is needed for it.

use lucida_core::DecodeSize;
use lucida_models::TextInput;
use lucida_models::checkpoint::ModelFolder;
use lucida_picture::{DecodeOptions, decode};
use lucida_testkit::parity::{Expected, folder, model_folder};

const DECODE: DecodeOptions = DecodeOptions {
    max_pixels: 100_000_000,
    accept_truncated: false,
    size: DecodeSize::FULL,
};

/// Each of the two passes rounds to whole values, and a sum that lies between two goes either way.
const ROUNDING: u8 = 2;

/// The share of values that are off at all: 1 in 30 of the zone plate, 1 in 180 of the photos.
const ROUNDED_SHARE: f64 = 0.05;

#[test]
fn every_text_has_the_token_ids_of_transformers() {
    let expected = Expected::read();
    let mut wrong = Vec::new();
    for name in expected.models.keys() {
        let folder = ModelFolder::open(&model_folder(name)).unwrap();
        if !folder.takes_texts() {
            continue;
        }
        let (model, tokenizer) = (expected.of(name), folder.tokenizer().unwrap());
        assert_eq!(tokenizer.max_tokens(), model.max_tokens, "{name}");
        for (label, ids) in &model.token_ids {
            // Transformers makes a text without a word of special tokens alone; here it is refused.
            let given =
                tokenizer
                    .tokenize(TextInput::plain(&expected.texts[label]))
                    .map(|tokens| match tokens.ids() {
                        // Immich pads every text, also for models that see nothing of it.
                        padded if padded.len() > ids.len() => padded[..tokens.unpadded()].to_vec(),
                        all => all.to_vec(),
                    });
            if !given.as_ref().is_ok_and(|given| given == ids) {
                wrong.push(format!("{name}, {label}: {given:?} and not {ids:?}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn pictures_are_resized_and_cropped_to_the_pixels_of_transformers() {
    let recipe = ModelFolder::open(&model_folder("clip"))
        .unwrap()
        .image_recipe()
        .unwrap();
    let files: Vec<_> = std::fs::read_dir(folder().join("pixels"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let read =
            |place: &str| decode(&std::fs::read(folder().join(place).join(&file)).unwrap(), &DECODE).unwrap();
        let given = recipe.prepare(&read("pictures")).unwrap();
        let expected = read("pixels").into_pixels().into_raw();
        assert_eq!(given.as_bytes().len(), expected.len(), "{file:?}");
        let off: Vec<_> = given
            .as_bytes()
            .iter()
            .zip(&expected)
            .map(|(given, expected)| given.abs_diff(*expected))
            .filter(|&off| off > 0)
            .collect();
        assert!(
            off.iter().all(|&off| off <= ROUNDING),
            "{file:?} is {:?} off",
            off.iter().max()
        );
        let share = off.len() as f64 / expected.len() as f64;
        assert!(share < ROUNDED_SHARE, "{share} of {file:?} is off");
    }
}
