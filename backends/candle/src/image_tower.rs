//! The half that takes pictures.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};
use lucida_models::Tower;
use lucida_models::checkpoint::{self, ImagePooling, ImageRecipe, Pixels};
use rayon::ThreadPool;

use crate::columns::Columns;
use crate::encoder::{Encoder, Head};
use crate::error::per_input;
use crate::linear::Linear;
use crate::norm::LayerNorm;
use crate::pooling::{first, mean};

/// An image tower, ready to run.
pub struct ImageTower {
    recipe: ImageRecipe,
    threads: Arc<ThreadPool>,
    patches: Linear,
    /// `(h, tokens)`: what is added to the class token's column, which starts as 0, and to each patch's.
    offsets: Vec<f32>,
    image_size: usize,
    patch_size: usize,
    pre_norm: Option<LayerNorm>,
    encoder: Encoder,
    rows_norm: Option<LayerNorm>,
    /// How many class tokens are in front of the patches.
    classes: usize,
    takes_mean: bool,
    post_norm: Option<LayerNorm>,
    head: Head,
}

impl ImageTower {
    /// Takes a tower that pools by its class token's row or by the mean.
    pub(crate) fn new(tower: &checkpoint::ImageTower, recipe: ImageRecipe, threads: Arc<ThreadPool>) -> Self {
        let patches = &tower.patches;
        let mut positions = patches.positions.to_f32();
        let [count, hidden] = [patches.positions.shape()[0], patches.weight.shape()[0]];
        if let Some(class) = &patches.class {
            for (position, class) in positions.iter_mut().zip(class.to_f32()) {
                *position += class;
            }
        }
        // A product would add its bias to the class token's column too.
        let classes = usize::from(patches.class.is_some());
        let bias = patches.bias.as_ref().map(checkpoint::Tensor::to_f32);
        for position in positions.chunks_exact_mut(hidden).skip(classes) {
            for (number, bias) in position.iter_mut().zip(bias.iter().flatten()) {
                *number += bias;
            }
        }
        let mut offsets = vec![0.0; positions.len()];
        for (column, position) in positions.chunks_exact(hidden).enumerate() {
            for (row, number) in position.iter().enumerate() {
                offsets[row * count + column] = *number;
            }
        }
        Self {
            recipe,
            threads,
            patches: Linear::from_patches(&patches.weight),
            offsets,
            image_size: patches.image_size_pixels,
            patch_size: patches.patch_size_pixels,
            pre_norm: tower.pre_norm.as_ref().map(LayerNorm::new),
            encoder: Encoder::new(&tower.encoder),
            rows_norm: tower.rows_norm.as_ref().map(LayerNorm::new),
            classes,
            takes_mean: matches!(tower.pooling, ImagePooling::Mean),
            post_norm: tower.post_norm.as_ref().map(LayerNorm::new),
            head: Head::new(tower.projection.as_ref(), &[]),
        }
    }

    fn vectors(&self, batch: &[Pixels]) -> Result<Vec<Vec<f32>>> {
        let side = self.image_size / self.patch_size;
        let columns = Columns::of(batch.iter().map(|_| self.classes + side * side));
        let mut x = self
            .patches
            .forward_onto(&self.unfold(batch, &columns)?, &self.tiled_offsets(&columns)?)?;
        if let Some(norm) = &self.pre_norm {
            x = norm.forward(&x)?;
        }
        x = self.encoder.forward(x, &columns)?;
        if let Some(norm) = &self.rows_norm {
            x = norm.forward(&x)?;
        }
        x = if self.takes_mean {
            mean(&x, &columns, self.classes)?
        } else {
            first(&x, &columns)?
        };
        if let Some(norm) = &self.post_norm {
            x = norm.forward(&x)?;
        }
        self.head.vectors(&x, batch.len())
    }

    /// Writes each patch as a column, in the order of the weights: `(3 · patch · patch, columns)`.
    fn unfold(&self, batch: &[Pixels], columns: &Columns) -> Result<Tensor> {
        let (size, patch, width) = (self.image_size, self.patch_size, columns.width());
        let side = size / patch;
        let mut planes = vec![0.0; 3 * size * size];
        let mut unfolded = vec![0.0; 3 * patch * patch * width];
        for (pixels, input) in batch.iter().zip(columns.inputs()) {
            self.recipe.planes(pixels, &mut planes);
            for (row, unfolded) in unfolded.chunks_exact_mut(width).enumerate() {
                let (channel, y, x) = (row / (patch * patch), row / patch % patch, row % patch);
                let numbers = unfolded[input.clone()].iter_mut().skip(self.classes);
                for (place, number) in numbers.enumerate() {
                    let (y, x) = (place / side * patch + y, place % side * patch + x);
                    *number = planes[(channel * size + y) * size + x];
                }
            }
        }
        Tensor::from_vec(unfolded, (3 * patch * patch, width), &Device::Cpu)
    }

    /// Repeats the offsets for each picture: `(h, columns)`.
    fn tiled_offsets(&self, columns: &Columns) -> Result<Tensor> {
        let (hidden, width) = (self.patches.outputs(), columns.width());
        let mut tiled = vec![0.0; hidden * width];
        let count = self.offsets.len() / hidden;
        for (tiled, offsets) in tiled
            .chunks_exact_mut(width)
            .zip(self.offsets.chunks_exact(count))
        {
            for input in columns.inputs() {
                tiled[input.clone()].copy_from_slice(offsets);
            }
        }
        Tensor::from_vec(tiled, (hidden, width), &Device::Cpu)
    }
}

impl Tower for ImageTower {
    type Input = Pixels;

    fn embed(&mut self, batch: &[Pixels]) -> Vec<lucida_core::Result<Vec<f32>>> {
        let vectors = self.threads.install(|| self.vectors(batch));
        per_input(vectors, batch.len(), "running the image tower")
    }
}
