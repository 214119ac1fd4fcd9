//! A CLIP's image tower by candle-transformers, for graphics cards.
//!
//! Its module for Chinese-CLIP computes every ViT with a class token: the one for CLIP has the same layers, but quick-gelu
//! alone and a fixed epsilon.

use std::sync::Arc;

use candle_core::{Device, Module, Result, Tensor};
use candle_nn::Linear;
use candle_transformers::models::chinese_clip::Activation;
use candle_transformers::models::chinese_clip::vision_model::{
    ChineseClipVisionConfig, ChineseClipVisionTransformer,
};
use lucida_models::checkpoint::{self, ImageRecipe, ImageTower};
use rayon::ThreadPool;

use crate::module_tower::ModuleTower;
use crate::modules::refused_on_card;
use crate::named::Named;

/// An image tower that takes its class token's row, ready to run.
pub type ClassVitTower = ModuleTower<ClassVit>;

/// The module, and the projection behind it.
pub struct ClassVit {
    vit: ChineseClipVisionTransformer,
    projection: Option<Linear>,
}

impl Module for ClassVit {
    fn forward(&self, planes: &Tensor) -> Result<Tensor> {
        let row = self.vit.forward(planes)?;
        match &self.projection {
            Some(projection) => projection.forward(&row),
            None => Ok(row),
        }
    }
}

/// Loads a tower that [`config`] accepted; its weights are copied, as f32.
///
/// # Errors
/// Those of [`config`]; `Internal` where loading fails, naming the tensor.
pub(crate) fn load(
    tower: &ImageTower,
    recipe: ImageRecipe,
    threads: Arc<ThreadPool>,
    device: &Device,
) -> lucida_core::Result<ClassVitTower> {
    let config = config(tower)?;
    let builder = named(tower).into_builder(device);
    let load = || {
        let projection = tower.projection.as_ref().map(|linear| {
            let has_bias = linear.bias.is_some();
            candle_nn::linear_b(
                linear.inputs(),
                linear.outputs(),
                has_bias,
                builder.pp("projection"),
            )
        });
        Ok(ClassVit {
            vit: ChineseClipVisionTransformer::new(builder.clone(), &config)?,
            projection: projection.transpose()?,
        })
    };
    ModuleTower::new(load(), recipe, threads, device)
}

/// Returns the module's configuration.
///
/// # Errors
/// `Unsupported` for a tower that the module can't compute, with the engine that does.
pub(crate) fn config(tower: &ImageTower) -> lucida_core::Result<ChineseClipVisionConfig> {
    let (patches, encoder) = (&tower.patches, &tower.encoder);
    let (Some(layer), Some(pre_norm), Some(post_norm)) =
        (encoder.layers.first(), &tower.pre_norm, &tower.post_norm)
    else {
        return Err(refused_on_card(
            "image tower without layers, or without a norm before and after them",
        ));
    };
    if patches.class.is_none() || patches.bias.is_some() || tower.rows_norm.is_some() {
        return Err(refused_on_card(
            "image tower with a class token's pooling and other patches than CLIP's",
        ));
    }
    let epsilons = encoder.layers.iter().flat_map(|layer| {
        let attention_norm = layer.attention_norm.iter();
        attention_norm.chain([&layer.feed_forward_norm])
    });
    let mut epsilons = epsilons.chain([post_norm]).map(|norm| norm.epsilon);
    if epsilons.any(|epsilon| epsilon != pre_norm.epsilon) {
        return Err(refused_on_card("image tower whose norms have different epsilons"));
    }
    let hidden_act = match encoder.activation {
        checkpoint::Activation::QuickGelu => Activation::QuickGelu,
        checkpoint::Activation::Gelu => Activation::Gelu,
        checkpoint::Activation::GeluTanh => Activation::GeluNew,
        checkpoint::Activation::Relu => Activation::Relu,
        checkpoint::Activation::Identity | checkpoint::Activation::Silu | checkpoint::Activation::Tanh => {
            return Err(refused_on_card("image tower with this activation"));
        }
    };
    Ok(ChineseClipVisionConfig {
        hidden_size: patches.weight.shape()[0],
        intermediate_size: layer.up.outputs(),
        projection_dim: tower.dimensions(),
        num_hidden_layers: encoder.layers.len(),
        num_attention_heads: encoder.heads,
        image_size: patches.image_size_pixels,
        patch_size: patches.patch_size_pixels,
        hidden_act,
        layer_norm_eps: pre_norm.epsilon.into(),
        ..ChineseClipVisionConfig::default()
    })
}

/// Gives the tower's tensors the names that the module asks for, which are those of transformers.
fn named(tower: &ImageTower) -> Named {
    let mut named = Named::default();
    let patches = &tower.patches;
    named.add("embeddings.patch_embedding.weight", &patches.weight);
    named.add("embeddings.position_embedding.weight", &patches.positions);
    if let Some(class) = &patches.class {
        named.add("embeddings.class_embedding", class);
    }
    named.clip_layers("encoder.layers", &tower.encoder);
    // The misspelling is in every published file.
    for (name, norm) in [
        ("pre_layrnorm", &tower.pre_norm),
        ("post_layernorm", &tower.post_norm),
    ] {
        if let Some(norm) = norm {
            named.norm(name, norm);
        }
    }
    if let Some(projection) = &tower.projection {
        named.linear("projection", projection);
    }
    named
}
