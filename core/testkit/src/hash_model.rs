//! A small model without weights: texts by their words, pictures by their colours, in one space.
//!
//! Every word has a direction, drawn from its hash. A text is the sum of its words; a picture is the sum of the
//! names of its colours, each by its share of the area, with a trace of its coarse layout. So "red" finds a red
//! photo, "a red and blue flag" finds a flag, and no two pictures are quite the same.

use std::sync::Arc;

use lucida_core::{
    DecodeSize, EmbedderInfo, Error, Fingerprint, Modalities, Picture, Result, TextInfo, Token, TowerKind,
};
use lucida_models::{BatchOptions, Batched, Model, TextInput, Tower};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::model_controls::{Controls, Fault};

const DIMENSIONS: usize = 64;
const MAX_TEXT_BYTES: usize = 8_192;

/// How much of a picture's vector is its layout.
const LAYOUT_SHARE: f32 = 0.05;

/// The layout is looked at as a grid of so many cells a side.
const GRID: u32 = 4;

const COLOURS: [(&str, [u8; 3]); 11] = [
    ("red", [220, 30, 30]),
    ("green", [30, 180, 40]),
    ("blue", [30, 50, 220]),
    ("yellow", [240, 230, 30]),
    ("cyan", [30, 220, 230]),
    ("magenta", [220, 30, 220]),
    ("orange", [250, 140, 20]),
    ("brown", [120, 70, 30]),
    ("white", [250, 250, 250]),
    ("black", [10, 10, 10]),
    ("grey", [128, 128, 128]),
];

fn token_id(word: &str) -> u32 {
    word.bytes()
        .fold(0, |id, byte| id * 31 % 65_521 + u32::from(byte))
}

/// A deterministic model that tests steer through its [`Controls`].
#[derive(Debug)]
pub struct HashModel {
    info: EmbedderInfo,
    controls: Arc<Controls>,
}

impl Default for HashModel {
    fn default() -> Self {
        Self::new()
    }
}

impl HashModel {
    /// Makes the model.
    #[must_use]
    pub fn new() -> Self {
        Self::named("hash")
    }

    /// Makes a model of another name, whose vectors can't be compared with those of any other.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            info: EmbedderInfo {
                model: name.to_owned(),
                fingerprint: Fingerprint::derive(name, b"hash", "1"),
                dimensions: DIMENSIONS,
                modalities: Modalities {
                    image: true,
                    text: true,
                },
                max_text_bytes: MAX_TEXT_BYTES,
                texts: TextInfo::default(),
                decode_size: DecodeSize::FULL,
            },
            controls: Arc::default(),
        }
    }

    /// Lets pictures be decoded at a smaller scale, down to this short side.
    #[must_use]
    pub fn decoding_to(mut self, short_side_pixels: u32) -> Self {
        self.info.decode_size = DecodeSize::short_side(short_side_pixels);
        self
    }

    /// Leaves out a tower.
    #[must_use]
    pub fn without(mut self, tower: TowerKind) -> Self {
        match tower {
            TowerKind::Image => self.info.modalities.image = false,
            TowerKind::Text => self.info.modalities.text = false,
        }
        self
    }

    /// Lets requests say this of texts. Beyond `max_tokens` words are cut.
    #[must_use]
    pub fn with_texts(mut self, texts: TextInfo) -> Self {
        self.info.texts = texts;
        self
    }

    /// Returns what steers the model, also once it is behind its queues.
    #[must_use]
    pub fn controls(&self) -> Arc<Controls> {
        Arc::clone(&self.controls)
    }

    /// Returns the options that [`HashModel::start`] uses: small batches, loaded when first needed, never unloaded.
    #[must_use]
    pub fn options() -> BatchOptions {
        BatchOptions {
            image_batch_cost: 4,
            text_batch_cost: 8,
            queue_items: 1_024,
            preparation_threads: 2,
            preload: false,
            idle_unload: None,
        }
    }

    /// Puts the model behind its queues.
    ///
    /// # Panics
    /// When its threads can't be started.
    #[must_use]
    pub fn start(self) -> Batched<Self> {
        self.start_with(&Self::options())
    }

    /// Puts the model behind queues of one's own choice.
    ///
    /// # Panics
    /// When its threads can't be started.
    #[must_use]
    pub fn start_with(self, options: &BatchOptions) -> Batched<Self> {
        Batched::start(self, options).unwrap()
    }

    fn load(&self, kind: TowerKind) -> Result<HashTower> {
        if self.controls.load(kind) {
            return Ok(HashTower {
                kind,
                name: self.info.model.clone(),
                controls: Arc::clone(&self.controls),
            });
        }
        Err(Error::unavailable(format!(
            "the file of the {} tower is missing",
            kind.as_str()
        )))
    }
}

/// A prepared text or picture: words with their weights, and the layout.
#[derive(Debug)]
pub struct HashInput {
    label: String,
    words: Vec<(String, f32)>,
    layout: Vec<f32>,
    fault: Option<Fault>,
}

impl Model for HashModel {
    type Visual = HashTower;
    type Textual = HashTower;

    fn describe(&self) -> EmbedderInfo {
        self.info.clone()
    }

    fn tokenize(&self, text: TextInput<'_>) -> Result<Vec<Token>> {
        let words = self.prepare_text(text)?.words.into_iter();
        let token = |(text, _): (String, f32)| Token {
            id: token_id(&text),
            text,
            special: false,
        };
        Ok(words.map(token).collect())
    }

    /// Knows the names of colours only: other words can't be told from their ids.
    fn decode_tokens(&self, ids: &[u32]) -> Result<String> {
        let names = COLOURS.map(|(name, _)| name);
        let word = |id: &u32| {
            let name = names.iter().find(|name| token_id(name) == *id);
            name.copied()
                .ok_or_else(|| Error::invalid(format!("token id {id} is not in the vocabulary")))
        };
        let words: Vec<_> = ids.iter().map(word).collect::<Result<_>>()?;
        Ok(words.join(" "))
    }

    fn prepare_image(&self, picture: &Picture) -> Result<HashInput> {
        let (width, height) = (picture.width(), picture.height());
        Ok(HashInput {
            label: format!("{width}x{height}"),
            words: colour_shares(picture),
            layout: layout(picture),
            fault: self.controls.size_fault(width, height),
        })
    }

    fn prepare_text(&self, input: TextInput<'_>) -> Result<HashInput> {
        let text = format!("{}{}", input.prompt, input.text);
        let mut words: Vec<_> = text
            .split(|character: char| !character.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(|word| (word.to_lowercase(), 1.0))
            .collect();
        let max_tokens = self.info.texts.max_tokens.unwrap_or(usize::MAX);
        if words.len() > max_tokens && !input.truncate {
            let message = format!(
                "the text has {} tokens; the model takes {max_tokens}",
                words.len()
            );
            return Err(Error::invalid(message)
                .with_code("text_too_long")
                .with_field("text"));
        }
        words.truncate(max_tokens);
        Ok(HashInput {
            fault: self.controls.text_fault(&text),
            label: text.clone(),
            // A text of signs alone is one word.
            words: if words.is_empty() {
                vec![(text, 1.0)]
            } else {
                words
            },
            layout: Vec::new(),
        })
    }

    fn load_visual(&self) -> Result<HashTower> {
        self.load(TowerKind::Image)
    }

    fn load_textual(&self) -> Result<HashTower> {
        self.load(TowerKind::Text)
    }
}

/// Tells how much of a picture is of which colour, as its nearest name.
fn colour_shares(picture: &Picture) -> Vec<(String, f32)> {
    let mut counts = [0_u32; COLOURS.len()];
    for pixel in picture.pixels().pixels() {
        let distance = |colour: [u8; 3]| -> u32 {
            let pairs = colour.iter().zip(pixel.0);
            pairs.map(|(c, p)| u32::from(c.abs_diff(p)).pow(2)).sum()
        };
        let nearest = (0..COLOURS.len())
            .min_by_key(|at| distance(COLOURS[*at].1))
            .unwrap();
        counts[nearest] += 1;
    }
    let area = f64::from(picture.width()) * f64::from(picture.height());
    COLOURS
        .iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|((name, _), count)| {
            #[expect(clippy::cast_possible_truncation, reason = "a share is between 0 and 1")]
            let share = (f64::from(count) / area) as f32;
            ((*name).to_owned(), share)
        })
        .collect()
}

/// Samples the picture at a grid of points, and tells its size: `(GRID * GRID * 3 + 2,)` f32, 0 to 1.
fn layout(picture: &Picture) -> Vec<f32> {
    let (width, height) = (picture.width(), picture.height());
    let middle = |cell: u32, side: u32| (cell * 2 + 1) * side / (GRID * 2);
    let mut layout: Vec<_> = (0..GRID * GRID)
        .flat_map(|cell| {
            let (x, y) = (middle(cell % GRID, width), middle(cell / GRID, height));
            picture.pixels().get_pixel(x, y).0
        })
        .map(|channel| f32::from(channel) / 255.0)
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "sides are small numbers")]
    layout.extend([width, height].map(|side| 1.0 / side as f32));
    layout
}

/// Half of the model, in memory.
#[derive(Debug)]
pub struct HashTower {
    kind: TowerKind,
    name: String,
    controls: Arc<Controls>,
}

impl Tower for HashTower {
    type Input = HashInput;

    fn embed(&mut self, batch: &[HashInput]) -> Vec<Result<Vec<f32>>> {
        let labels = batch.iter().map(|input| input.label.clone()).collect();
        self.controls.begin_batch(self.kind, labels);
        batch
            .iter()
            .map(|input| match input.fault {
                None => Ok(self.vector(input)),
                Some(Fault::Error) => Err(Error::internal("this input was told to fail")),
                Some(Fault::NotANumber) => {
                    let mut vector = self.vector(input);
                    vector[3] = f32::NAN;
                    Ok(vector)
                }
                Some(Fault::Zeros) => Ok(vec![0.0; DIMENSIONS]),
                Some(Fault::Panic) => panic!("this input was told to panic"),
            })
            .collect()
    }

    fn token_count(input: &HashInput) -> Option<usize> {
        Some(input.words.len())
    }
}

impl HashTower {
    fn vector(&self, input: &HashInput) -> Vec<f32> {
        let mut vector = vec![0.0; DIMENSIONS];
        let mut add = |word: &str, weight: f32| {
            for (sum, component) in vector.iter_mut().zip(self.direction(word)) {
                *sum += weight * component;
            }
        };
        for (word, weight) in &input.words {
            add(word, *weight);
        }
        for (at, value) in input.layout.iter().enumerate() {
            // No text has a word like this one.
            add(&format!("\0layout {at}"), value * LAYOUT_SHARE);
        }
        vector
    }

    fn direction(&self, word: &str) -> impl Iterator<Item = f32> {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(self.name.as_bytes())
            .update(b"\0")
            .update(word.as_bytes());
        let mut random = StdRng::from_seed(*hasher.finalize().as_bytes());
        (0..DIMENSIONS).map(move |_| random.random_range(-1.0_f32..1.0))
    }
}
