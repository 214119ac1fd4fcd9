//! The image tower of a checkpoint, in memory.

use lucida_core::{Error, Result};
use lucida_models::Tower;
use lucida_models::checkpoint::{ImageRecipe, Pixels};
use ort::session::Session;
use ort::value::TensorRef;

use super::blocks::OUTPUT;
use super::image_graph::INPUT;
use crate::error::internal;

/// Pictures to vectors.
pub(crate) struct ImageTower {
    session: Session,
    recipe: ImageRecipe,
    /// How many pictures one run takes.
    together: usize,
    dimensions: usize,
    /// `(together, 3, side, side)` f32, filled anew for each run.
    planes: Vec<f32>,
}

impl ImageTower {
    pub(super) fn new(session: Session, recipe: &ImageRecipe, dimensions: usize, together: usize) -> Self {
        let side = recipe.size_pixels() as usize;
        Self {
            session,
            recipe: recipe.clone(),
            together,
            dimensions,
            planes: vec![0.0; together * 3 * side * side],
        }
    }

    fn run(&mut self, pictures: &[Pixels]) -> Result<Vec<Vec<f32>>> {
        let side = self.recipe.size_pixels() as usize;
        let length = 3 * side * side;
        for (pixels, planes) in pictures.iter().zip(self.planes.chunks_exact_mut(length)) {
            self.recipe.planes(pixels, planes);
        }
        let running = |error| internal("running the image tower", error);
        let planes = &self.planes[..pictures.len() * length];
        let input = TensorRef::from_array_view(([pictures.len(), 3, side, side], planes)).map_err(running)?;
        let outputs = self.session.run(ort::inputs![INPUT => input]).map_err(running)?;
        let (_, vectors) = outputs[OUTPUT].try_extract_tensor::<f32>().map_err(running)?;
        Ok(vectors
            .chunks_exact(self.dimensions)
            .map(<[f32]>::to_vec)
            .collect())
    }
}

impl Tower for ImageTower {
    type Input = Pixels;

    fn embed(&mut self, batch: &[Pixels]) -> Vec<Result<Vec<f32>>> {
        let together = self.together;
        batch
            .chunks(together)
            .flat_map(|pictures| for_each(pictures.len(), self.run(pictures)))
            .collect()
    }
}

/// Makes of what a run gave one result for each of its inputs.
pub(super) fn for_each(count: usize, vectors: Result<Vec<Vec<f32>>>) -> Vec<Result<Vec<f32>>> {
    match vectors {
        Ok(vectors) if vectors.len() == count => vectors.into_iter().map(Ok).collect(),
        Ok(vectors) => {
            let message = format!("a run gave {} vectors for {count} inputs", vectors.len());
            (0..count)
                .map(|_| Err(Error::internal(message.clone())))
                .collect()
        }
        Err(error) => {
            let message = error.to_string();
            (0..count)
                .map(|_| Err(Error::internal(message.clone())))
                .collect()
        }
    }
}
