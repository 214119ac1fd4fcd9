//! candle as what computes the towers of a checkpoint.

use std::sync::Arc;

use lucida_core::{Error, Result};
use lucida_models::Tower;
use lucida_models::checkpoint::{self, Engine, ImagePooling, ImageRecipe, Pixels};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::image_tower::ImageTower;
use crate::siglip::SiglipTower;
use crate::text_tower::TextTower;

/// The threads that both towers compute on.
pub struct CandleEngine {
    threads: Arc<ThreadPool>,
}

impl CandleEngine {
    /// Starts the threads.
    ///
    /// # Errors
    /// `Internal` when the system gives no more threads.
    pub fn start(threads: usize) -> Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("candle-{number}"))
            .build()
            .map_err(|error| Error::internal("starting candle's threads failed").with_source(error))?;
        Ok(Self {
            threads: Arc::new(pool),
        })
    }
}

/// An image tower, by what computes it.
pub enum AnyImageTower {
    /// This crate's encoder.
    Own(ImageTower),
    /// candle-transformers.
    Siglip(SiglipTower),
}

impl Tower for AnyImageTower {
    type Input = Pixels;

    fn embed(&mut self, batch: &[Pixels]) -> Vec<Result<Vec<f32>>> {
        match self {
            Self::Own(tower) => tower.embed(batch),
            Self::Siglip(tower) => tower.embed(batch),
        }
    }
}

impl Engine for CandleEngine {
    type Image = AnyImageTower;
    type Text = TextTower;

    fn numbers(&self) -> &str {
        "fp32"
    }

    fn load_image(&self, tower: &checkpoint::ImageTower, recipe: &ImageRecipe) -> Result<AnyImageTower> {
        let (recipe, threads) = (recipe.clone(), Arc::clone(&self.threads));
        let takes_mean = match &tower.pooling {
            ImagePooling::Class => false,
            ImagePooling::Mean => true,
            ImagePooling::Attention(pool) => {
                return SiglipTower::load(tower, pool, recipe, threads).map(AnyImageTower::Siglip);
            }
        };
        Ok(AnyImageTower::Own(ImageTower::new(
            tower, takes_mean, recipe, threads,
        )))
    }

    fn load_text(&self, tower: &checkpoint::TextTower) -> Result<TextTower> {
        Ok(TextTower::new(tower, Arc::clone(&self.threads)))
    }
}
