//! The picture half: the classifier on two views of a picture, then ConSE.

use lucida_core::{Error, Result};
use lucida_models::Tower;
use lucida_picture::Normaliser;
use ort::session::Session;
use ort::value::TensorRef;

use super::consensus::Consensus;
use super::manifest::{ImageRecipe, Manifest};
use crate::device::Compute;
use crate::error::internal;
use crate::runtime::Runtime;
use crate::session;

pub(super) const GRAPH_FILE: &str = "image.onnx";
const INPUT: &str = "pixels";
const OUTPUT: &str = "logits";

/// A picture as the classifier sees it: the centre crop and the squashed whole, `(size, size, 3)` u8 each. Four
/// times smaller than the floats that they become, since many of them may wait.
pub(crate) struct Views(pub(super) [Vec<u8>; 2]);

/// The classifier in memory.
pub(crate) struct ImageTower {
    session: Session,
    consensus: Consensus,
    recipe: ImageRecipe,
    normaliser: Normaliser,
    /// `(2, 3, size, size)` f32, filled anew for each picture.
    planes: Vec<f32>,
}

impl ImageTower {
    pub(super) fn load(manifest: &Manifest, runtime: &Runtime, compute: Compute) -> Result<Self> {
        let consensus = Consensus::read(manifest)?;
        let bytes = manifest.read_file(GRAPH_FILE)?;
        let file = manifest.path(GRAPH_FILE).display().to_string();
        let session = session::open(runtime, &file, bytes, compute, &[INPUT], OUTPUT)?;
        let recipe = manifest.image().clone();
        let side = recipe.size_pixels as usize;
        let normaliser = Normaliser::new(1.0, [recipe.mean; 3], [recipe.scale; 3]);
        Ok(Self {
            session,
            consensus,
            recipe,
            normaliser,
            planes: vec![0.0; 2 * 3 * side * side],
        })
    }

    fn embed_one(&mut self, Views(views): &Views) -> Result<Vec<f32>> {
        let length = self.planes.len() / views.len();
        for (view, planes) in views.iter().zip(self.planes.chunks_exact_mut(length)) {
            self.normaliser.write(view, planes);
        }
        let side = self.recipe.size_pixels as usize;
        let running = |error| internal("running the image model", error);
        let input =
            TensorRef::from_array_view(([views.len(), 3, side, side], &self.planes[..])).map_err(running)?;
        let outputs = self.session.run(ort::inputs![INPUT => input]).map_err(running)?;
        let (shape, logits) = outputs[OUTPUT].try_extract_tensor::<f32>().map_err(running)?;
        if logits.len() != views.len() * self.recipe.classes {
            let message = format!("the image model gave logits of shape {shape:?}");
            return Err(Error::internal(message).with_code("bad_vector"));
        }
        self.consensus.blend(logits)
    }
}

impl Tower for ImageTower {
    type Input = Views;

    fn embed(&mut self, batch: &[Views]) -> Vec<Result<Vec<f32>>> {
        batch.iter().map(|views| self.embed_one(views)).collect()
    }
}
