//! The model `slow`: it takes its time and no processor's, so that what a cluster adds to the model shows.
//!
//! Only this program has it, which is a server too when its first argument is [`SUBCOMMAND`].

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::process::ExitCode;
use std::time::Duration;

use lucida::Registry;
use lucida_core::config::{NoSettings, factory_fn};
use lucida_core::{DecodeSize, EmbedderInfo, Fingerprint, Modalities, Picture, Result, TextInfo};
use lucida_models::{BatchOptions, Batched, Model, TextInput, Tower};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};

/// What makes this program a server.
pub(crate) const SUBCOMMAND: &str = "as-server";

/// What a configuration calls the model.
pub(crate) const TYPE_NAME: &str = "slow";

/// How long a photo takes.
pub(crate) const DELAY: Duration = Duration::from_millis(200);

/// As CLIP ViT-B/32 has, so that vectors weigh what they weigh elsewhere.
pub(crate) const DIMENSIONS: usize = 512;

/// Runs the server's command line; the first argument is the program's name.
pub(crate) fn run_server(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    lucida::run_with(&registry(), arguments)
}

/// Returns everything that a configuration can name, and the model.
pub(crate) fn registry() -> Registry {
    let slow = factory_fn(TYPE_NAME, |_: NoSettings, _| async {
        let options = BatchOptions {
            image_batch_cost: 8,
            text_batch_cost: 8,
            queue_items: 256,
            preparation_threads: 2,
            preload: true,
            idle_unload: None,
        };
        Batched::start(Slow, &options)
    });
    Registry::default().with_embedder(slow)
}

struct Slow;

impl Model for Slow {
    type Visual = Sleeper;
    type Textual = Sleeper;

    fn describe(&self) -> EmbedderInfo {
        EmbedderInfo {
            model: TYPE_NAME.to_owned(),
            fingerprint: Fingerprint::derive(TYPE_NAME, b"slow", "1"),
            dimensions: DIMENSIONS,
            modalities: Modalities {
                image: true,
                text: true,
            },
            max_text_bytes: 8_192,
            texts: TextInfo::default(),
            decode_size: DecodeSize::FULL,
        }
    }

    fn prepare_image(&self, picture: &Picture) -> Result<u64> {
        Ok(seed(picture.pixels().as_raw()))
    }

    fn prepare_text(&self, input: TextInput<'_>) -> Result<u64> {
        Ok(seed(input.text.as_bytes()))
    }

    fn load_visual(&self) -> Result<Sleeper> {
        Ok(Sleeper { delay: DELAY })
    }

    fn load_textual(&self) -> Result<Sleeper> {
        Ok(Sleeper {
            delay: Duration::ZERO,
        })
    }
}

/// Tells inputs apart.
fn seed(input: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    hasher.finish()
}

/// A tower whose vectors are drawn from the input's bytes.
struct Sleeper {
    /// How long an input takes.
    delay: Duration,
}

impl Tower for Sleeper {
    type Input = u64;

    fn embed(&mut self, batch: &[u64]) -> Vec<Result<Vec<f32>>> {
        for _ in batch {
            std::thread::sleep(self.delay);
        }
        let vector = |seed: &u64| {
            let mut random = SmallRng::seed_from_u64(*seed);
            Ok((0..DIMENSIONS).map(|_| random.random_range(-1.0..1.0)).collect())
        };
        batch.iter().map(vector).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn each_photo_of_a_batch_takes_its_time_and_texts_take_none() {
        let took = |mut tower: Sleeper| {
            let begun = Instant::now();
            let vectors = tower.embed(&[1, 2]);
            let vectors: Vec<_> = vectors.into_iter().map(Result::unwrap).collect();
            assert_ne!(vectors[0], vectors[1]);
            begun.elapsed()
        };
        assert!(took(Slow.load_visual().unwrap()) >= DELAY * 2);
        assert!(took(Slow.load_textual().unwrap()) < DELAY);
    }
}
