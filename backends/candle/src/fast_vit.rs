//! MobileCLIP's image tower by candle-transformers' `fastvit` module, which joins the branches of each convolution and their
//! norms when it is loaded.

use std::sync::Arc;

use candle_core::Device;
use candle_nn::Func;
use candle_transformers::models::fastvit::{self, Config};
use lucida_models::checkpoint::{FastVitTower, ImageRecipe};
use rayon::ThreadPool;

use crate::module_tower::ModuleTower;
use crate::named::Named;

/// A FastViT, ready to run.
pub type FastVit = ModuleTower<Func<'static>>;

/// Loads a tower; its weights are copied, as f32.
///
/// # Errors
/// `Internal` where loading fails, naming the tensor.
pub(crate) fn load(
    tower: &FastVitTower,
    recipe: ImageRecipe,
    threads: Arc<ThreadPool>,
    device: &Device,
) -> lucida_core::Result<FastVit> {
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
    let model = fastvit::fastvit(&config, tower.dimensions, named.into_builder(device));
    ModuleTower::new(model, recipe, threads, device)
}
