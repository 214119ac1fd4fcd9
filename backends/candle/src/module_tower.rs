//! An image tower that is one module of candle-transformers.

use std::sync::Arc;

use candle_core::{Device, Module, Result, Tensor};
use lucida_core::Error;
use lucida_models::Tower;
use lucida_models::checkpoint::{ImageRecipe, Pixels};
use rayon::ThreadPool;

use crate::error::per_input;

/// A module that turns the planes of a picture into its vector, ready to run.
pub struct ModuleTower<M> {
    recipe: ImageRecipe,
    threads: Arc<ThreadPool>,
    device: Device,
    model: M,
}

impl<M: Module> ModuleTower<M> {
    /// Makes a tower of a module that was loaded on `device`.
    ///
    /// # Errors
    /// `Internal` where loading failed, naming the tensor.
    pub(crate) fn new(
        model: Result<M>,
        recipe: ImageRecipe,
        threads: Arc<ThreadPool>,
        device: &Device,
    ) -> lucida_core::Result<Self> {
        let model =
            model.map_err(|error| Error::internal("loading the image tower failed").with_source(error))?;
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

impl<M: Module + Send + Sync + 'static> Tower for ModuleTower<M> {
    type Input = Pixels;

    fn embed(&mut self, batch: &[Pixels]) -> Vec<lucida_core::Result<Vec<f32>>> {
        let one = |pixels: &Pixels| {
            let vector = self.threads.install(|| self.vector(pixels));
            per_input(vector.map(|vector| vec![vector]), 1, "running the image tower")
        };
        batch.iter().flat_map(one).collect()
    }
}
