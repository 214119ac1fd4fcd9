//! What a tower computes, tensor by tensor, whatever family of models it comes from.
//!
//! One structure covers them all: CLIP's two towers (Radford et al. 2021, as in transformers' `modeling_clip.py`) and the
//! BERT, `DistilBERT` and `RoBERTa` families are the same encoder with the norm before or after each half of a layer.
//! `h` is the hidden size, `s` the number of tokens or of patches, `d` the length of a vector.

use super::tensor::Tensor;

/// `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `(out, in)`.
    pub weight: Tensor,
    /// `(out,)`.
    pub bias: Option<Tensor>,
}

impl Linear {
    /// Returns how many numbers come out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.weight.shape()[0]
    }

    /// Returns how many numbers go in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.weight.shape()[1]
    }
}

/// Layer normalisation over the last axis.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// `(h,)`.
    pub weight: Tensor,
    /// `(h,)`.
    pub bias: Tensor,
    /// Added to the variance.
    pub epsilon: f32,
}

/// A function of each number by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x`.
    Identity,
    /// `x · sigmoid(1.702 x)`, `quick_gelu` of OpenAI's CLIP.
    QuickGelu,
    /// `x · Φ(x)` by the error function, `gelu`.
    Gelu,
    /// `gelu` by its approximation with the hyperbolic tangent: `gelu_new`, `gelu_pytorch_tanh`.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// Scaled dot-product attention of several heads; the scale is the root of `h / heads`.
#[derive(Debug, Clone)]
pub struct Attention {
    /// `(h, h)`.
    pub query: Linear,
    /// `(h, h)`.
    pub key: Linear,
    /// `(h, h)`.
    pub value: Linear,
    /// `(h, h)`, after the heads were joined.
    pub output: Linear,
}

/// One layer of an encoder.
#[derive(Debug, Clone)]
pub struct EncoderLayer {
    /// The first half.
    pub attention: Attention,
    /// The norm of the first half.
    pub attention_norm: LayerNorm,
    /// `(intermediate, h)`, before the activation.
    pub up: Linear,
    /// `(h, intermediate)`, after the activation.
    pub down: Linear,
    /// The norm of the second half.
    pub feed_forward_norm: LayerNorm,
}

/// Where the norm of each half of a layer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormPlacement {
    /// `x + f(norm(x))`, as in CLIP.
    Before,
    /// `norm(x + f(x))`, as in BERT.
    After,
}

/// A stack of transformer layers: `(s, h)` to `(s, h)`.
#[derive(Debug, Clone)]
pub struct Encoder {
    /// The layers, first to last.
    pub layers: Vec<EncoderLayer>,
    /// How many heads share `h`.
    pub heads: usize,
    /// Where the norms stand.
    pub norm_placement: NormPlacement,
    /// The activation between `up` and `down`.
    pub activation: Activation,
    /// Whether a token sees only itself and those before it, as in CLIP's text tower.
    pub causal: bool,
}

/// A step after pooling, as a sentence-transformers `Dense` module: `(in,)` to `(out,)`.
#[derive(Debug, Clone)]
pub struct Dense {
    /// The matrix and its bias.
    pub linear: Linear,
    /// Applied last.
    pub activation: Activation,
}

/// From a picture's planes to the encoder's input: patches, a class token in front, positions.
#[derive(Debug, Clone)]
pub struct PatchEmbedding {
    /// `(h, 3, patch, patch)`, applied with a stride of `patch`.
    pub weight: Tensor,
    /// `(h,)`.
    pub class: Tensor,
    /// `(1 + patches, h)`.
    pub positions: Tensor,
    /// The side of the square picture in pixels.
    pub image_size_pixels: usize,
    /// The side of a square patch in pixels.
    pub patch_size_pixels: usize,
}

/// A tower for pictures: `(3, image_size, image_size)` f32, normalised, to `(d,)`.
///
/// patches → `pre_norm` → encoder → the class token's row → `post_norm` → `projection`.
#[derive(Debug, Clone)]
pub struct ImageTower {
    /// The first step.
    pub patches: PatchEmbedding,
    /// The norm before the encoder.
    pub pre_norm: LayerNorm,
    /// The encoder.
    pub encoder: Encoder,
    /// The norm of the class token's row.
    pub post_norm: LayerNorm,
    /// `(d, h)`, without a bias.
    pub projection: Linear,
}

/// From token ids to the encoder's input: the sum of the embeddings, then the norm.
#[derive(Debug, Clone)]
pub struct TokenEmbedding {
    /// `(vocabulary, h)`.
    pub tokens: Tensor,
    /// `(positions, h)`.
    pub positions: Tensor,
    /// The row of `positions` that the first token gets: 0, or what `RoBERTa` skips for its padding.
    pub first_position: usize,
    /// `(types, h)`, of which every token gets row 0.
    pub types: Option<Tensor>,
    /// The norm of the sum.
    pub norm: Option<LayerNorm>,
}

/// How a text's rows `(s, h)` become one `(h,)`. Texts are never padded here, so every row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of the rows.
    Mean,
    /// The mean of the rows times the root of their number.
    MeanSqrtLength,
    /// The largest of each column.
    Max,
    /// The first row.
    First,
    /// The last row.
    Last,
    /// The row of the first token with this id.
    Token(u32),
    /// The row of the largest token id, as the first CLIP did it.
    LargestToken,
}

impl Pooling {
    /// Returns the row that is taken, for the kinds that take one; 0 where the token is not there, as PyTorch's `argmax`
    /// of nothing but zeros.
    #[must_use]
    pub fn row(self, ids: &[u32]) -> Option<usize> {
        match self {
            Self::Mean | Self::MeanSqrtLength | Self::Max => None,
            Self::First => Some(0),
            Self::Last => Some(ids.len().saturating_sub(1)),
            Self::Token(token) => Some(ids.iter().position(|&id| id == token).unwrap_or(0)),
            Self::LargestToken => {
                let largest = ids.iter().max()?;
                ids.iter().position(|id| id == largest)
            }
        }
    }
}

/// A tower for texts: token ids `(s,)`, special tokens included, to `(d,)`.
///
/// embedding → encoder → `final_norm` → pooling → `projection` → `dense`.
#[derive(Debug, Clone)]
pub struct TextTower {
    /// The first step.
    pub embedding: TokenEmbedding,
    /// The encoder.
    pub encoder: Encoder,
    /// The norm of every row, in encoders whose norms stand before.
    pub final_norm: Option<LayerNorm>,
    /// How rows become one; several are joined end to end.
    pub pooling: Vec<Pooling>,
    /// `(d, h)`, without a bias.
    pub projection: Option<Linear>,
    /// What follows.
    pub dense: Vec<Dense>,
}
