//! MobileCLIP's image tower by candle-transformers' `fastvit` module, which joins the branches of each convolution and their
//! norms when it is loaded.

use std::sync::Arc;

use candle_core::{Device, Module, Result, Tensor};
use candle_nn::Func;
use candle_transformers::models::fastvit::{self, Config};
use lucida_core::Error;
use lucida_models::Tower;
use lucida_models::checkpoint::{FastVitTower, ImageRecipe, Pixels};
use rayon::ThreadPool;

use crate::error::per_input;
use crate::named::Named;

/// A FastViT, ready to run.
pub struct FastVit {
    recipe: ImageRecipe,
    threads: Arc<ThreadPool>,
    device: Device,
    model: Func<'static>,
}

impl FastVit {
    /// Loads a tower; its weights are copied, as f32.
    ///
    /// # Errors
    /// `Internal` where loading fails, naming the tensor.
    pub(crate) fn load(
        tower: &FastVitTower,
        recipe: ImageRecipe,
        threads: Arc<ThreadPool>,
        device: &Device,
    ) -> lucida_core::Result<Self> {
        let config = Config {
            exp_ratio: tower.expansion,
            in_channels: tower.width,
            blocks: tower.blocks,
            attn: true,
            lkc_use_act: true,
        };
        // The module leaves out what it doesn't find; everything that it can ask for was located before.
        let mut named = Named::default();
        for (name, tensor) in &tower.tensors {
            named.add(name.clone(), tensor);
        }
        let model = fastvit::fastvit(&config, tower.dimensions, named.into_builder(device))
            .map_err(|error| Error::internal("loading the image tower failed").with_source(error))?;
        Ok(Self {
            recipe,
            threads,
            device: device.clone(),
            model,
        })
    }

    /// Computes one picture by itself, so that its vector has the same bits whatever is beside it.
    fn vector(&self, pixels: &Pixels) -> Result<Vec<f32>> {
        let side = self.recipe.size_pixels() as usize;
        let mut planes = vec![0.0; 3 * side * side];
        self.recipe.planes(pixels, &mut planes);
        let planes = Tensor::from_vec(planes, (1, 3, side, side), &self.device)?;
        self.model.forward(&planes)?.squeeze(0)?.to_vec1()
    }
}

impl Tower for FastVit {
    type Input = Pixels;

    fn embed(&mut self, batch: &[Pixels]) -> Vec<lucida_core::Result<Vec<f32>>> {
        let one = |pixels: &Pixels| {
            let vector = self.threads.install(|| self.vector(pixels));
            per_input(vector.map(|vector| vec![vector]), 1, "running the image tower")
        };
        batch.iter().flat_map(one).collect()
    }
}
