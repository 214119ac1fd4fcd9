//! Runs checkpoints themselves: writes a graph of a tower whose weights stay in the folder's own files.
//!
//! Nothing is exported, copied or converted for it: `blocks`, `encoder`, `places`, `image_graph` and `text_graph` write a few hundred
//! operators, and [`crate::graph`] points their weights at the tensors' places in the folder. In `int8` the weights
//! are rounded once and kept in the cache.

mod blocks;
mod encoder;
mod head;
mod image_graph;
mod image_tower;
mod int8;
mod packing;
mod placement;
mod places;
mod rounding;
mod text_graph;
mod text_tower;

use std::path::PathBuf;

use lucida_core::Result;
use lucida_models::BatchOptions;
use lucida_models::checkpoint::{self, Engine, ImageRecipe, Tensor, WeightsId};
use ort::session::Session;

use crate::device::{Compute, Device, Precision};
use crate::graph::{Graph, Value};
use crate::runtime::Runtime;
use crate::session;
use blocks::OUTPUT;
pub(crate) use head::Head;
use image_tower::ImageTower;
use packing::Packing;
use placement::Placement;
pub(crate) use placement::{common_folder, relative};
use text_tower::TextTower;

/// How many pictures share a run where inputs may. CLIP ViT-B/32 on two cores, busy with other work too: 55 ms for a
/// picture alone, 42 ms for each of four, 42 ms for each of eight.
const PICTURES_TOGETHER: usize = 4;

/// How many tokens share a run where inputs may. A DistilBERT on two cores: 11 ms for a text of 10 alone, 5 ms for each of
/// eight, 4 ms for each of sixteen.
const TOKENS_TOGETHER: usize = 128;

/// Computes the towers of checkpoints by ONNX Runtime.
pub(crate) struct OnnxEngine {
    runtime: Runtime,
    compute: Compute,
    cache: PathBuf,
}

impl OnnxEngine {
    /// Computes by a runtime; `cache` is the folder for what is made of weights.
    pub(crate) const fn new(runtime: Runtime, compute: Compute, cache: PathBuf) -> Self {
        Self {
            runtime,
            compute,
            cache,
        }
    }

    /// Sets how much one batch may cost.
    pub(crate) fn limit(&self, options: BatchOptions) -> BatchOptions {
        let (image_batch_cost, text_batch_cost) = if self.shares_runs() {
            (PICTURES_TOGETHER, TOKENS_TOGETHER)
        } else {
            (1, 1)
        };
        BatchOptions {
            image_batch_cost,
            text_batch_cost,
            ..options
        }
    }

    /// Returns whether several inputs may share a run: whether each gets the bits that it gets alone.
    ///
    /// ONNX Runtime's matrices do that on x86-64, whatever the number of threads; elsewhere it was not tried. 8-bit
    /// activations are scaled by the largest of a run, so each input has its own there; and so it has on other devices.
    fn shares_runs(&self) -> bool {
        let Compute {
            device, precision, ..
        } = self.compute;
        device == Device::Cpu && precision == Precision::Fp32 && cfg!(target_arch = "x86_64")
    }

    fn is_int8(&self) -> bool {
        self.compute.precision == Precision::Int8
    }

    fn open(
        &self,
        tower: &str,
        tensors: &[&Tensor],
        (graph, vector): (Graph<'_>, Value),
        dimensions: usize,
    ) -> Result<Session> {
        let Placement { folder, locations } = if self.is_int8() {
            int8::place(graph.weights(), &WeightsId::of(tensors)?, &self.cache)?
        } else {
            Placement::in_checkpoint(graph.weights())?
        };
        let graph = graph.finish(&vector, OUTPUT, dimensions, &locations);
        session::open_with_weights(&self.runtime, tower, &graph, &folder, self.compute)
    }
}

impl Engine for OnnxEngine {
    type Image = ImageTower;
    type Text = TextTower;

    fn numbers(&self) -> &str {
        self.compute.precision.as_str()
    }

    fn load_image(&self, tower: &checkpoint::ImageTower, recipe: &ImageRecipe) -> Result<ImageTower> {
        let dimensions = tower.dimensions();
        let graph = image_graph::write(tower, self.is_int8());
        let session = self.open("the image tower", &tower.tensors(), graph, dimensions)?;
        let together = if self.shares_runs() { PICTURES_TOGETHER } else { 1 };
        Ok(ImageTower::new(session, recipe, dimensions, together))
    }

    fn load_text(&self, tower: &checkpoint::TextTower) -> Result<TextTower> {
        let dimensions = text_graph::dimensions(tower);
        let graph = text_graph::write(tower, self.is_int8());
        let session = self.open("the text tower", &tower.tensors(), graph, dimensions)?;
        Ok(TextTower::new(
            session,
            Packing::of(tower),
            dimensions,
            self.shares_runs(),
        ))
    }
}
