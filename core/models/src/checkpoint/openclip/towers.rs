//! The tensors of an OpenCLIP model, by the names that it gives them.

use std::path::Path;

use lucida_core::Result;

use super::config::{ActivationOptions, NormOptions, OpenClipConfig};
use crate::checkpoint::bert::EncoderConfig;
use crate::checkpoint::fast_vit::FastVitTower;
use crate::checkpoint::image_encoder::ImageEncoder;
use crate::checkpoint::tower::{
    Activation, Dense, Encoder, EncoderLayer, ImagePooling, ImageTower, Layout, Linear, NormPlacement,
    PatchEmbedding, Places, Pooling, TextFamily, TextTower, TokenEmbedding,
};
use crate::checkpoint::weights::Weights;
use crate::checkpoint::{broken, divides, unsupported};

/// The size of the layers of a tower, and how they are named.
struct Blocks {
    prefix: String,
    width: usize,
    inner: usize,
    layers: usize,
    heads: usize,
    epsilon: f32,
    activation: Activation,
    causal: bool,
}

impl OpenClipConfig {
    fn activation(&self, options: Option<&ActivationOptions>) -> Activation {
        if self.quick_gelu {
            return Activation::QuickGelu;
        }
        match options.and_then(|options| options.approximate.as_deref()) {
            Some("tanh") => Activation::GeluTanh,
            Some(_) | None => Activation::Gelu,
        }
    }

    /// Locates the image tower's tensors, whichever structure it has.
    ///
    /// # Errors
    /// `Internal`, naming the tensor that is missing or of another shape, or the value that can't be; `Unsupported` for a
    /// setting that isn't read.
    pub(in crate::checkpoint) fn image_encoder(
        &self,
        weights: &Weights,
        path: &Path,
    ) -> Result<ImageEncoder> {
        if self.vision.timm_model_name.is_none() {
            return self.image_tower(weights, path).map(ImageEncoder::from);
        }
        let pool = self.vision.timm_pool.as_deref();
        let projection = self.vision.timm_proj.as_deref();
        if pool.is_some_and(|pool| pool != "avg")
            || projection.is_some_and(|projection| !projection.is_empty())
        {
            return Err(unsupported(
                path,
                "sets another `timm_pool` than \"avg\", or a `timm_proj`, which are not read",
            ));
        }
        let tower = FastVitTower::locate(weights, "visual.trunk.", self.dimensions, path)?;
        Ok(ImageEncoder::FastVit(Box::new(tower)))
    }

    /// Locates the tensors of a ViT.
    ///
    /// # Errors
    /// `Internal`, naming the tensor that is missing or of another shape, or the value that can't be.
    fn image_tower(&self, weights: &Weights, path: &Path) -> Result<ImageTower> {
        let vision = &self.vision;
        let (width, patch, size) = (vision.width, vision.patch_size, self.image_size(path)?);
        divides(path, size, patch)?;
        let patches = (size / patch).pow(2);
        let epsilon = epsilon(vision.norm_kwargs.as_ref());
        let layers = vision
            .layers
            .as_u64()
            .and_then(|layers| usize::try_from(layers).ok());
        let blocks = Blocks {
            prefix: "visual.transformer".to_owned(),
            width,
            inner: inner(width, vision.mlp_ratio),
            layers: layers.ok_or_else(|| broken(path, "has a number of layers that can't be"))?,
            heads: width / vision.head_width,
            epsilon,
            activation: self.activation(vision.act_kwargs.as_ref()),
            causal: false,
        };
        let norm = |name: &str| weights.norm(&format!("visual.{name}"), width, epsilon);
        let pooling = match vision.pool_type.as_str() {
            "tok" => ImagePooling::Class,
            "avg" => ImagePooling::Mean,
            other => {
                let problem = format!("has the image pooling `{other}`; these are read: tok, avg");
                return Err(unsupported(path, &problem));
            }
        };
        // A single row is normalised alike before it is picked and after.
        let is_after = vision.final_ln_after_pool || matches!(pooling, ImagePooling::Class);
        let last = Some(norm("ln_post")?);
        let (rows_norm, post_norm) = if is_after { (None, last) } else { (last, None) };
        Ok(ImageTower {
            patches: PatchEmbedding {
                weight: weights.get("visual.conv1.weight", &[width, 3, patch, patch])?,
                bias: None,
                class: Some(weights.get("visual.class_embedding", &[width])?),
                positions: weights.get("visual.positional_embedding", &[patches + 1, width])?,
                image_size_pixels: size,
                patch_size_pixels: patch,
            },
            pre_norm: (!vision.no_ln_pre).then(|| norm("ln_pre")).transpose()?,
            encoder: blocks.locate(weights)?,
            rows_norm,
            pooling,
            post_norm,
            projection: Some(Linear {
                weight: weights.get("visual.proj", &[width, self.dimensions])?,
                bias: None,
                layout: Layout::InputsFirst,
            }),
        })
    }

    /// Locates the text tower's tensors.
    ///
    /// # Errors
    /// Those of [`OpenClipConfig::image_tower`]; `Unsupported` for a tower that isn't read.
    pub(in crate::checkpoint) fn text_tower(&self, weights: &Weights, path: &Path) -> Result<TextTower> {
        // A `CustomTextCLIP` has its text tower one level down.
        let prefix = ["text.", ""]
            .into_iter()
            .find(|prefix| {
                [
                    "token_embedding.weight",
                    "transformer.embeddings.word_embeddings.weight",
                ]
                .iter()
                .any(|name| weights.contains(&format!("{prefix}{name}")))
            })
            .unwrap_or("");
        match &self.text.hf_model_name {
            Some(name) => self.hugging_face_text_tower(name, prefix, weights, path),
            None => self.own_text_tower(prefix, weights, path),
        }
    }

    fn own_text_tower(&self, prefix: &str, weights: &Weights, path: &Path) -> Result<TextTower> {
        let text = &self.text;
        let width = text.width;
        let epsilon = epsilon(text.norm_kwargs.as_ref());
        let blocks = Blocks {
            prefix: format!("{prefix}transformer"),
            width,
            inner: inner(width, text.mlp_ratio),
            layers: text.layers,
            heads: text.heads,
            epsilon,
            activation: self.activation(text.act_kwargs.as_ref()),
            causal: !text.no_causal_mask,
        };
        let pooling = match text.pool_type.as_str() {
            "argmax" => Pooling::LargestToken,
            "first" => Pooling::First,
            "last" => Pooling::Last,
            "eos" => Pooling::Token(text.eos_id),
            other => {
                let problem =
                    format!("has the text pooling `{other}`; these are read: argmax, first, last, eos");
                return Err(unsupported(path, &problem));
            }
        };
        let name = format!("{prefix}text_projection");
        let projection = match (text.proj_type.as_str(), text.proj_bias) {
            ("none", _) => None,
            (_, true) => Some(weights.linear(&name, [self.dimensions, width], true)?),
            (_, false) => Some(Linear {
                weight: weights.get(&name, &[width, self.dimensions])?,
                bias: None,
                layout: Layout::InputsFirst,
            }),
        };
        if pooling == Pooling::Last && !self.sees_padding() {
            return Err(unsupported(
                path,
                "pools a causal text tower at its last padding, which is not read",
            ));
        }
        Ok(TextTower {
            family: TextFamily::Plain,
            embedding: TokenEmbedding {
                tokens: weights.get(
                    &format!("{prefix}token_embedding.weight"),
                    &[text.vocab_size, width],
                )?,
                scale: None,
                positions: Some(weights.get(
                    &format!("{prefix}positional_embedding"),
                    &[text.context_length, width],
                )?),
                first_position: 0,
                types: None,
                norm: None,
            },
            encoder: blocks.locate(weights)?,
            final_norm: Some(weights.norm(&format!("{prefix}ln_final"), width, epsilon)?),
            pooling: vec![pooling],
            projection,
            dense: Vec::new(),
        })
    }

    /// A text tower of Hugging Face; its sizes are those of its tensors, since the folder has no configuration of it.
    fn hugging_face_text_tower(
        &self,
        name: &str,
        prefix: &str,
        weights: &Weights,
        path: &Path,
    ) -> Result<TextTower> {
        let text = &self.text;
        let config = EncoderConfig::of_open_clip(path, name, weights, &format!("{prefix}transformer."))?;
        let (embedding, encoder) = config.locate_at(weights, path, &format!("{prefix}transformer."))?;
        let mut dense = Vec::new();
        let mut step = |name: String, sides: [usize; 2], bias: bool, activation| -> Result<()> {
            let linear = weights.linear(&name, sides, bias)?;
            dense.push(Dense { linear, activation });
            Ok(())
        };
        let width = config.hidden;
        let pooling = match text.hf_pooler_type.as_str() {
            "mean_pooler" => Pooling::Mean,
            "max_pooler" => Pooling::Max,
            "cls_last_hidden_state_pooler" => Pooling::First,
            "cls_pooler" => {
                let pooler = format!("{prefix}transformer.pooler.dense");
                step(pooler, [width, width], true, Activation::Tanh)?;
                Pooling::First
            }
            other => {
                let known = "mean_pooler, max_pooler, cls_pooler, cls_last_hidden_state_pooler";
                return Err(unsupported(
                    path,
                    &format!("has the text pooler `{other}`; these are read: {known}"),
                ));
            }
        };
        match text.hf_proj_type.as_deref() {
            Some("linear") => step(
                format!("{prefix}proj"),
                [self.dimensions, width],
                false,
                Activation::Identity,
            )?,
            Some("mlp") => {
                let middle = usize::midpoint(width, self.dimensions);
                step(
                    format!("{prefix}proj.0"),
                    [middle, width],
                    false,
                    Activation::Gelu,
                )?;
                step(
                    format!("{prefix}proj.2"),
                    [self.dimensions, middle],
                    false,
                    Activation::Identity,
                )?;
            }
            None if width == self.dimensions => {}
            Some(_) | None => {
                return Err(unsupported(
                    path,
                    "has an `hf_proj_type` that is not read; these are: linear, mlp",
                ));
            }
        }
        Ok(TextTower {
            family: TextFamily::Plain,
            embedding,
            encoder,
            final_norm: None,
            pooling: vec![pooling],
            projection: None,
            dense,
        })
    }
}

fn epsilon(options: Option<&NormOptions>) -> f32 {
    options.and_then(|options| options.eps).unwrap_or(1e-5)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the same product as Python's `int(width * mlp_ratio)`; a ratio that can't be gives a shape that no tensor has"
)]
fn inner(width: usize, ratio: f64) -> usize {
    (width as f64 * ratio) as usize
}

impl Blocks {
    fn locate(&self, weights: &Weights) -> Result<Encoder> {
        Ok(Encoder {
            layers: (0..self.layers)
                .map(|index| self.layer(weights, index))
                .collect::<Result<_>>()?,
            heads: self.heads,
            norm_placement: NormPlacement::Before,
            activation: self.activation,
            causal: self.causal,
            bias: None,
        })
    }

    fn layer(&self, weights: &Weights, index: usize) -> Result<EncoderLayer> {
        let (width, inner) = (self.width, self.inner);
        let place = format!("{}.resblocks.{index}", self.prefix);
        let norm = |name: &str| weights.norm(&format!("{place}.{name}"), width, self.epsilon);
        Ok(EncoderLayer {
            attention: weights.fused_attention(&format!("{place}.attn"), width)?,
            attention_norm: Some(norm("ln_1")?),
            up: weights.linear(&format!("{place}.mlp.c_fc"), [inner, width], true)?,
            gate: None,
            down: weights.linear(&format!("{place}.mlp.c_proj"), [width, inner], true)?,
            feed_forward_norm: norm("ln_2")?,
            output_norms: None,
            places: Places::default(),
        })
    }
}
