//! candle as what computes the towers of a checkpoint.

use std::sync::Arc;

use candle_core::Device;
use lucida_core::{Error, Result};
use lucida_models::Tower;
use lucida_models::checkpoint::{
    self, Engine, FastVitTower, ImageEncoder, ImagePooling, ImageRecipe, Pixels, TextFamily, Tokens, Towers,
};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::class_vit::{self, ClassVitTower};
use crate::device::ComputeDevice;
use crate::families;
use crate::family_tower::FamilyTower;
use crate::fast_vit::{self, FastVit};
use crate::image_tower::ImageTower;
use crate::modules::{Config, refused_on_card};
use crate::siglip::{self, SiglipTower};
use crate::text_tower::TextTower;

/// The threads that both towers compute on, and the device.
pub struct CandleEngine {
    threads: Arc<ThreadPool>,
    device: Device,
    encoder: PlainEncoder,
}

/// What computes the encoders of CLIP and the BERTs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlainEncoder {
    /// This crate's, on weights that stay mapped.
    Own,
    /// candle-transformers' modules, as all other families.
    Modules,
}

impl CandleEngine {
    /// Starts the threads, for computing on the processor.
    ///
    /// # Errors
    /// `Internal` when the system gives no more threads.
    pub fn start(threads: usize) -> Result<Self> {
        Self::with(threads, Device::Cpu, PlainEncoder::Own)
    }

    /// Starts the threads, for computing every tower on `device` by candle-transformers' modules.
    ///
    /// # Errors
    /// `Internal` when the system gives no more threads.
    pub fn start_on(device: Device, threads: usize) -> Result<Self> {
        Self::with(threads, device, PlainEncoder::Modules)
    }

    fn with(threads: usize, device: Device, encoder: PlainEncoder) -> Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("candle-{number}"))
            .build()
            .map_err(|error| Error::internal("starting candle's threads failed").with_source(error))?;
        Ok(Self {
            threads: Arc::new(pool),
            device,
            encoder,
        })
    }
}

impl PlainEncoder {
    /// Returns what computes them on a device.
    pub(crate) fn on(device: ComputeDevice) -> Self {
        match device {
            ComputeDevice::Cpu => Self::Own,
            ComputeDevice::Cuda(_) | ComputeDevice::Metal => Self::Modules,
        }
    }

    /// Checks that both towers are computed here.
    ///
    /// # Errors
    /// `Unsupported`, naming the family and the engine that computes it.
    pub(crate) fn check(self, towers: &Towers) -> Result<()> {
        match towers.image() {
            Some(ImageEncoder::Vit(tower)) => self.check_image(tower)?,
            Some(ImageEncoder::FastVit(_)) | None => {}
        }
        match towers.text() {
            Some(tower) => self.text_config(tower).map(drop),
            None => Ok(()),
        }
    }

    fn check_image(self, tower: &checkpoint::ImageTower) -> Result<()> {
        match (&tower.pooling, self) {
            (ImagePooling::Attention(pool), _) => siglip::config(tower, pool).map(drop),
            (ImagePooling::Class | ImagePooling::Mean, Self::Own) => Ok(()),
            (ImagePooling::Class, Self::Modules) => class_vit::config(tower).map(drop),
            (ImagePooling::Mean, Self::Modules) => Err(refused_on_card("image tower that takes the mean")),
        }
    }

    /// Returns the configuration of the module that computes a text tower; `None` for this crate's own encoder.
    fn text_config(self, tower: &checkpoint::TextTower) -> Result<Option<Config>> {
        match (tower.family, self) {
            (TextFamily::Plain, Self::Own) => Ok(None),
            _ => families::config(tower).map(Some),
        }
    }
}

/// An image tower, by what computes it.
pub enum AnyImageTower {
    /// This crate's encoder.
    Own(ImageTower),
    /// candle-transformers' ViT with a class token.
    ClassVit(ClassVitTower),
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
            Self::ClassVit(tower) => tower.embed(batch),
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

    fn check_image(&self, tower: &checkpoint::ImageTower) -> Result<()> {
        self.encoder.check_image(tower)
    }

    fn load_image(&self, tower: &checkpoint::ImageTower, recipe: &ImageRecipe) -> Result<AnyImageTower> {
        self.encoder.check_image(tower)?;
        let (recipe, threads) = (recipe.clone(), Arc::clone(&self.threads));
        if let ImagePooling::Attention(pool) = &tower.pooling {
            return siglip::load(tower, pool, recipe, threads, &self.device).map(AnyImageTower::Siglip);
        }
        match self.encoder {
            PlainEncoder::Own => Ok(AnyImageTower::Own(ImageTower::new(tower, recipe, threads))),
            PlainEncoder::Modules => {
                class_vit::load(tower, recipe, threads, &self.device).map(AnyImageTower::ClassVit)
            }
        }
    }

    fn check_fast_vit(&self) -> Result<()> {
        Ok(())
    }

    fn load_fast_vit(&self, tower: &FastVitTower, recipe: &ImageRecipe) -> Result<AnyImageTower> {
        fast_vit::load(tower, recipe.clone(), Arc::clone(&self.threads), &self.device)
            .map(AnyImageTower::FastVit)
    }

    fn check_text(&self, tower: &checkpoint::TextTower) -> Result<()> {
        self.encoder.text_config(tower).map(drop)
    }

    fn load_text(&self, tower: &checkpoint::TextTower) -> Result<AnyTextTower> {
        let threads = Arc::clone(&self.threads);
        match self.encoder.text_config(tower)? {
            None => Ok(AnyTextTower::Own(Box::new(TextTower::new(tower, threads)))),
            Some(config) => {
                let tower = FamilyTower::load(tower, &config, threads, &self.device)?;
                Ok(AnyTextTower::Family(Box::new(tower)))
            }
        }
    }
}
