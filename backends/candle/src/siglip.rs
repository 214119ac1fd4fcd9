//! SigLIP's image tower by candle-transformers' `siglip` module.
//!
//! On the processor its text tower, an encoder like CLIP's, runs on this crate's own: mapped, so that the table of 256,000
//! tokens that SigLIP 2 has costs no memory.

use std::sync::Arc;

use candle_core::Device;
use candle_nn::Activation;
use candle_transformers::models::siglip::{VisionConfig, VisionModel};
use lucida_core::{Error, ErrorKind};
use lucida_models::checkpoint::{self, AttentionPool, ImageRecipe};
use rayon::ThreadPool;

use crate::module_tower::ModuleTower;
use crate::named::Named;

/// An image tower that pools its rows by attention, ready to run.
pub type SiglipTower = ModuleTower<VisionModel>;

/// Loads a tower; its weights are copied, as f32.
///
/// # Errors
/// `Unsupported` for a tower that the module can't compute; `Internal` where loading fails, naming the tensor.
pub(crate) fn load(
    tower: &checkpoint::ImageTower,
    pool: &AttentionPool,
    recipe: ImageRecipe,
    threads: Arc<ThreadPool>,
    device: &Device,
) -> lucida_core::Result<SiglipTower> {
    let config = config(tower, pool)?;
    let named = named(tower, pool);
    let model = VisionModel::new(&config, true, named.into_builder(device));
    ModuleTower::new(model, recipe, threads, device)
}

/// Returns the module's configuration, or why it can't compute the tower.
pub(crate) fn config(
    tower: &checkpoint::ImageTower,
    pool: &AttentionPool,
) -> lucida_core::Result<VisionConfig> {
    let refuse = |what: &str| {
        let message = format!(
            "candle-transformers' SigLIP has no {what}, and this model does: run it on the embedder type `onnx`"
        );
        Err(Error::new(ErrorKind::Unsupported, message))
    };
    let patches = &tower.patches;
    let encoder = &tower.encoder;
    if patches.class.is_some() {
        return refuse("class token");
    }
    if tower.pre_norm.is_some() || tower.post_norm.is_some() {
        return refuse("norm before its encoder or after its pooling");
    }
    if tower.projection.is_some() {
        return refuse("projection");
    }
    let (Some(first), Some(norm)) = (encoder.layers.first(), &tower.rows_norm) else {
        return refuse("tower without layers or without a norm of its rows");
    };
    if pool.activation != encoder.activation {
        return refuse("second activation");
    }
    let hidden_act = match encoder.activation {
        checkpoint::Activation::GeluTanh => Activation::GeluPytorchTanh,
        checkpoint::Activation::Gelu => Activation::Gelu,
        checkpoint::Activation::Relu => Activation::Relu,
        checkpoint::Activation::Identity
        | checkpoint::Activation::QuickGelu
        | checkpoint::Activation::Silu
        | checkpoint::Activation::Tanh => return refuse("such activation"),
    };
    Ok(VisionConfig {
        hidden_size: patches.weight.shape()[0],
        intermediate_size: first.up.outputs(),
        num_hidden_layers: encoder.layers.len(),
        num_attention_heads: encoder.heads,
        num_channels: 3,
        image_size: patches.image_size_pixels,
        patch_size: patches.patch_size_pixels,
        hidden_act,
        layer_norm_eps: norm.epsilon.into(),
    })
}

/// Gives the tower's tensors the names that the module asks for, which are those of transformers.
fn named(tower: &checkpoint::ImageTower, pool: &AttentionPool) -> Named {
    let mut named = Named::default();
    let patches = &tower.patches;
    named.add("embeddings.patch_embedding.weight", &patches.weight);
    if let Some(bias) = &patches.bias {
        named.add("embeddings.patch_embedding.bias", bias);
    }
    named.add("embeddings.position_embedding.weight", &patches.positions);
    named.clip_layers("encoder.layers", &tower.encoder);
    if let Some(norm) = &tower.rows_norm {
        named.norm("post_layernorm", norm);
    }
    named.add("head.probe", &pool.probe);
    let attention = &pool.attention;
    named.in_projection("head.attention", attention);
    named.linear("head.attention.out_proj", &attention.output);
    named.norm("head.layernorm", &pool.norm);
    named.linear("head.mlp.fc1", &pool.up);
    named.linear("head.mlp.fc2", &pool.down);
    named
}
