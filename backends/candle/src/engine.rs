//! candle as what computes the towers of a checkpoint.

use std::sync::Arc;

use candle_core::Device;
use lucida_core::{Error, Result};
use lucida_models::Tower;
use lucida_models::checkpoint::{self, Engine, FastVitTower, ImagePooling, ImageRecipe, Pixels, Tokens};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::families::{self, FamilyTower};
use crate::fast_vit::{self, FastVit};
use crate::image_tower::ImageTower;
use crate::siglip::{self, SiglipTower};
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

    /// Checks that a text tower is computed here.
    ///
    /// # Errors
    /// `Unsupported`, naming the family and the engine that computes it.
    pub(crate) fn check(tower: &checkpoint::TextTower) -> Result<()> {
        families::config(tower).map(drop)
    }
}

/// An image tower, by what computes it.
pub enum AnyImageTower {
    /// This crate's encoder.
    Own(ImageTower),
    /// candle-transformers' SigLIP.
    Siglip(SiglipTower),
    /// candle-transformers' FastViT.
    FastVit(FastVit),
}

impl Tower for AnyImageTower {
    type Input = Pixels;

    fn embed(&mut self, batch: &[Pixels]) -> Vec<Result<Vec<f32>>> {
        match self {
            Self::Own(tower) => tower.embed(batch),
            Self::Siglip(tower) => tower.embed(batch),
            Self::FastVit(tower) => tower.embed(batch),
        }
    }
}

/// A text tower, by what computes it.
pub enum AnyTextTower {
    /// This crate's encoder.
    Own(Box<TextTower>),
    /// candle-transformers.
    Family(Box<FamilyTower>),
}

impl Tower for AnyTextTower {
    type Input = Tokens;

    fn embed(&mut self, batch: &[Tokens]) -> Vec<Result<Vec<f32>>> {
        match self {
            Self::Own(tower) => tower.embed(batch),
            Self::Family(tower) => tower.embed(batch),
        }
    }

    fn cost(tokens: &Tokens) -> usize {
        TextTower::cost(tokens)
    }

    fn token_count(tokens: &Tokens) -> Option<usize> {
        TextTower::token_count(tokens)
    }
}

impl Engine for CandleEngine {
    type Image = AnyImageTower;
    type Text = AnyTextTower;

    fn numbers(&self) -> &str {
        "fp32"
    }

    fn load_image(&self, tower: &checkpoint::ImageTower, recipe: &ImageRecipe) -> Result<AnyImageTower> {
        let (recipe, threads) = (recipe.clone(), Arc::clone(&self.threads));
        let takes_mean = match &tower.pooling {
            ImagePooling::Class => false,
            ImagePooling::Mean => true,
            ImagePooling::Attention(pool) => {
                return siglip::load(tower, pool, recipe, threads, &Device::Cpu).map(AnyImageTower::Siglip);
            }
        };
        Ok(AnyImageTower::Own(ImageTower::new(
            tower, takes_mean, recipe, threads,
        )))
    }

    fn check_fast_vit(&self) -> Result<()> {
        Ok(())
    }

    fn load_fast_vit(&self, tower: &FastVitTower, recipe: &ImageRecipe) -> Result<AnyImageTower> {
        fast_vit::load(tower, recipe.clone(), Arc::clone(&self.threads), &Device::Cpu)
            .map(AnyImageTower::FastVit)
    }

    fn check_text(&self, tower: &checkpoint::TextTower) -> Result<()> {
        Self::check(tower)
    }

    fn load_text(&self, tower: &checkpoint::TextTower) -> Result<AnyTextTower> {
        let threads = Arc::clone(&self.threads);
        match families::config(tower)? {
            None => Ok(AnyTextTower::Own(Box::new(TextTower::new(tower, threads)))),
            Some(config) => {
                let tower = FamilyTower::load(tower, &config, threads, &Device::Cpu)?;
                Ok(AnyTextTower::Family(Box::new(tower)))
            }
        }
    }
}
