//! OpenCLIP: from `open_clip_config.json` and its tensors' names to towers (`model.py`, `transformer.py` and `hf_model.py`
//! of `open_clip_torch` 3.3).

use std::path::Path;

use lucida_core::Result;
use serde::Deserialize;
use serde_json::Value;

use super::bert::EncoderConfig;
use super::fast_vit::{self, FastVitTower};
use super::tower::{
    Activation, Dense, Encoder, EncoderLayer, ImageEncoder, ImagePooling, ImageTower, Layout, Linear,
    NormPlacement, PatchEmbedding, Places, Pooling, TextFamily, TextTower, TokenEmbedding,
};
use super::weights::Weights;
use super::{broken, divides, read_json, unsupported};

/// The file that describes the model.
pub(super) const CONFIG_FILE: &str = "open_clip_config.json";

/// Which files hold the weights, the best first.
pub(super) const WEIGHT_FILES: [&str; 2] = ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"];

/// An OpenCLIP model's configuration.
#[derive(Debug, Clone)]
pub(super) struct OpenClipConfig {
    pub(super) dimensions: usize,
    quick_gelu: bool,
    vision: Vision,
    text: Text,
    /// `preprocess_cfg`, where the file has it.
    pub(super) preprocessing: Preprocessing,
}

#[derive(Deserialize)]
struct File {
    model_cfg: ModelFile,
    #[serde(default)]
    preprocess_cfg: Preprocessing,
}

#[derive(Deserialize)]
struct ModelFile {
    embed_dim: usize,
    #[serde(default)]
    quick_gelu: bool,
    vision_cfg: Vision,
    text_cfg: Text,
    multimodal_cfg: Option<Value>,
}

/// What happens to a picture; what is left out has OpenCLIP's own value.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Preprocessing {
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
    pub(super) interpolation: String,
    pub(super) resize_mode: String,
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self {
            mean: super::recipe::clip_mean(),
            std: super::recipe::clip_std(),
            interpolation: "bicubic".to_owned(),
            resize_mode: "shortest".to_owned(),
        }
    }
}

/// `CLIPVisionCfg`, as far as it is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct Vision {
    layers: Value,
    width: usize,
    head_width: usize,
    mlp_ratio: f64,
    patch_size: usize,
    image_size: Value,
    no_ln_pre: bool,
    final_ln_after_pool: bool,
    pool_type: String,
    timm_model_name: Option<String>,
    timm_pool: Option<String>,
    timm_proj: Option<String>,
    act_kwargs: Option<ActivationOptions>,
    norm_kwargs: Option<NormOptions>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Default for Vision {
    fn default() -> Self {
        Self {
            layers: Value::from(12),
            width: 768,
            head_width: 64,
            mlp_ratio: 4.0,
            patch_size: 16,
            image_size: Value::from(224),
            no_ln_pre: false,
            final_ln_after_pool: false,
            pool_type: "tok".to_owned(),
            timm_model_name: None,
            timm_pool: None,
            timm_proj: None,
            act_kwargs: None,
            norm_kwargs: None,
            rest: serde_json::Map::new(),
        }
    }
}

/// `CLIPTextCfg`, as far as it is read.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
struct Text {
    context_length: usize,
    vocab_size: usize,
    hf_tokenizer_name: Option<String>,
    tokenizer_kwargs: Option<TokenizerOptions>,
    width: usize,
    heads: usize,
    layers: usize,
    mlp_ratio: f64,
    eos_id: u32,
    no_causal_mask: bool,
    pool_type: String,
    proj_type: String,
    proj_bias: bool,
    act_kwargs: Option<ActivationOptions>,
    norm_kwargs: Option<NormOptions>,
    hf_model_name: Option<String>,
    hf_proj_type: Option<String>,
    hf_pooler_type: String,
    tokenizer_mode: Option<String>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            context_length: 77,
            vocab_size: 49_408,
            hf_tokenizer_name: None,
            tokenizer_kwargs: None,
            width: 512,
            heads: 8,
            layers: 12,
            mlp_ratio: 4.0,
            eos_id: 2,
            no_causal_mask: false,
            pool_type: "argmax".to_owned(),
            proj_type: "linear".to_owned(),
            proj_bias: false,
            act_kwargs: None,
            norm_kwargs: None,
            hf_model_name: None,
            hf_proj_type: Some("mlp".to_owned()),
            hf_pooler_type: "mean_pooler".to_owned(),
            tokenizer_mode: None,
            rest: serde_json::Map::new(),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ActivationOptions {
    approximate: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct NormOptions {
    eps: Option<f32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct TokenizerOptions {
    clean: Option<String>,
    #[serde(default)]
    strip_sep_token: bool,
}

/// What changes a tower into one that isn't computed here.
const NOT_READ: [&str; 11] = [
    "ls_init_value",
    "attentional_pool",
    "qk_norm",
    "scaled_cosine_attn",
    "scale_heads",
    "scale_attn_inner",
    "scale_attn",
    "scale_fc",
    "embed_cls",
    "block_type",
    "use_pad_mask",
];

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
    /// Reads `open_clip_config.json`.
    ///
    /// # Errors
    /// `Internal`, naming the file, for a value that can't be; `Unsupported` for a tower that isn't read, by its name.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let File {
            model_cfg,
            preprocess_cfg,
        } = read_json(path)?;
        let ModelFile {
            embed_dim,
            quick_gelu,
            vision_cfg,
            text_cfg,
            multimodal_cfg,
        } = model_cfg;
        if multimodal_cfg.is_some() {
            return Err(unsupported(
                path,
                "is of a CoCa, a generative model; this version reads OpenCLIP models with two towers",
            ));
        }
        let timm = vision_cfg.timm_model_name.as_deref();
        if let Some(name) = timm.filter(|name| !fast_vit::NAMES.contains(name)) {
            let instead = if name.contains("siglip") {
                "the same SigLIP is read from its transformers folder, such as `google/siglip2-base-patch16-256`"
            } else {
                "this version reads OpenCLIP's own ViT and fastvit_mci0 to 2 of MobileCLIP; another tower of timm runs from an ONNX export on the engine `onnx`, such as \
                 those below `immich-app/`"
            };
            return Err(unsupported(
                path,
                &format!("has the image tower `{name}` of timm: {instead}"),
            ));
        }
        if !vision_cfg.layers.is_u64() {
            return Err(unsupported(
                path,
                "has a ResNet as its image tower; this version reads OpenCLIP's ViT, and runs a ResNet from an ONNX export \
                 on the engine `onnx`, such as those below `immich-app/`",
            ));
        }
        for (tower, rest) in [("vision_cfg", &vision_cfg.rest), ("text_cfg", &text_cfg.rest)] {
            let is_set = |value: &&Value| !matches!(value, Value::Null | Value::Bool(false));
            if let Some(key) = NOT_READ
                .iter()
                .find(|key| rest.get(**key).as_ref().is_some_and(is_set))
            {
                return Err(unsupported(
                    path,
                    &format!("sets `{tower}.{key}`, which is not read"),
                ));
            }
        }
        if let Some(mode) = text_cfg.tokenizer_mode.as_deref().filter(|mode| !mode.is_empty()) {
            return Err(unsupported(
                path,
                &format!("has the tokenizer mode `{mode}`, which is not read"),
            ));
        }
        if text_cfg
            .tokenizer_kwargs
            .as_ref()
            .is_some_and(|options| options.strip_sep_token)
        {
            return Err(unsupported(path, "sets `strip_sep_token`, which is not read"));
        }
        divides(path, vision_cfg.width, vision_cfg.head_width)?;
        if text_cfg.hf_model_name.is_none() {
            divides(path, text_cfg.width, text_cfg.heads)?;
        }
        let config = Self {
            dimensions: embed_dim,
            quick_gelu,
            vision: vision_cfg,
            text: text_cfg,
            preprocessing: preprocess_cfg,
        };
        config.image_size(path)?;
        Ok(config)
    }

    /// Returns the side of the model's square pictures in pixels.
    ///
    /// # Errors
    /// `Unsupported` for one that isn't a square.
    pub(super) fn image_size(&self, path: &Path) -> Result<usize> {
        let number = |value: &Value| value.as_u64().and_then(|side| usize::try_from(side).ok());
        let side = if let Value::Array(sides) = &self.vision.image_size {
            match sides.as_slice() {
                [height, width] if height == width => number(height),
                _ => {
                    return Err(unsupported(
                        path,
                        &format!("takes pictures of {}; squares are read", self.vision.image_size),
                    ));
                }
            }
        } else {
            number(&self.vision.image_size)
        };
        side.filter(|&side| side > 0)
            .ok_or_else(|| broken(path, "has an `image_size` that can't be"))
    }

    /// Returns how many tokens a text has at most.
    pub(super) const fn context_length(&self) -> usize {
        self.text.context_length
    }

    /// Tells whether a text's punctuation is removed and its letters lowercased before it is split.
    pub(super) fn canonicalizes(&self) -> bool {
        let options = self.text.tokenizer_kwargs.as_ref();
        options.and_then(|options| options.clean.as_deref()) == Some("canonicalize")
    }

    /// Tells whether the text tower sees padding, so that every text is padded.
    pub(super) const fn sees_padding(&self) -> bool {
        self.text.hf_model_name.is_none() && self.text.no_causal_mask
    }

    /// Tells whether the tokenizer is OpenCLIP's own, which pads with 0, and not one of Hugging Face.
    pub(super) const fn has_own_tokenizer(&self) -> bool {
        self.text.hf_tokenizer_name.is_none()
    }

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
    pub(super) fn image_encoder(&self, weights: &Weights, path: &Path) -> Result<ImageEncoder> {
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
    pub(super) fn text_tower(&self, weights: &Weights, path: &Path) -> Result<TextTower> {
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
