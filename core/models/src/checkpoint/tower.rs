//! What a tower computes, tensor by tensor, whatever family of models it comes from.
//!
//! One structure covers them all: the two towers of CLIP (Radford et al. 2021, as in transformers' `modeling_clip.py` and in
//! OpenCLIP's `transformer.py`) and of SigLIP (Zhai et al. 2023), and the BERT, `DistilBERT` and `RoBERTa` families are the
//! same encoder with the norm before or after each half of a layer. Later text encoders add to it: gated halves, rotary
//! positions, windows, norms by the mean square, and biases by distance.
//! `h` is the hidden size, `s` the number of tokens or of patches, `d` the length of a vector.

use super::tensor::Tensor;
use super::tokenizer::Tokens;

/// `y = x Wᵀ + b`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `(out, in)`, or `(in, out)` where `layout` says so.
    pub weight: Tensor,
    /// `(out,)`.
    pub bias: Option<Tensor>,
    /// Which side of the weight comes first.
    pub layout: Layout,
}

/// Which side of a matrix comes first in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `(out, in)`, as PyTorch's `Linear` has it.
    OutputsFirst,
    /// `(in, out)`, as the plain parameters of OpenCLIP's projections have it.
    InputsFirst,
}

impl Linear {
    /// Returns how many numbers come out.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self.layout {
            Layout::OutputsFirst => self.weight.shape()[0],
            Layout::InputsFirst => self.weight.shape()[1],
        }
    }

    /// Returns how many numbers go in.
    #[must_use]
    pub fn inputs(&self) -> usize {
        match self.layout {
            Layout::OutputsFirst => self.weight.shape()[1],
            Layout::InputsFirst => self.weight.shape()[0],
        }
    }
}

/// Normalisation over the last axis.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// `(h,)`.
    pub weight: Tensor,
    /// `(h,)`.
    pub bias: Option<Tensor>,
    /// Added to the variance, or to the mean square.
    pub epsilon: f32,
    /// What a row is divided by, and what its weight is.
    pub kind: NormKind,
}

/// How a norm scales a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// The mean is subtracted, the rest divided by its standard deviation: layer normalisation.
    Centred,
    /// The row is divided by the root of its mean square: `RMSNorm`.
    RootMeanSquare,
    /// The same, with a weight that is stored less 1, as Gemma's.
    RootMeanSquareFromOne,
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
    /// `x · sigmoid(x)`: `silu`, also called `swish`.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// Scaled dot-product attention of several heads; the scale is the root of a head's width `w`, which is `h / heads` in most
/// models.
#[derive(Debug, Clone)]
pub struct Attention {
    /// `(heads · w, h)`.
    pub query: Linear,
    /// `(key heads · w, h)`: as many heads as the query has, or a part of them, each for several of the query's in a row.
    pub key: Linear,
    /// `(key heads · w, h)`.
    pub value: Linear,
    /// `(h, heads · w)`, after the heads were joined.
    pub output: Linear,
    /// Norms of each head's query and key, `(w,)`, before positions are added.
    pub head_norms: Option<Box<HeadNorms>>,
}

/// The norms of the heads of one layer.
#[derive(Debug, Clone)]
pub struct HeadNorms {
    /// Of each query.
    pub query: LayerNorm,
    /// Of each key.
    pub key: LayerNorm,
}

/// One layer of an encoder.
#[derive(Debug, Clone)]
pub struct EncoderLayer {
    /// The first half.
    pub attention: Attention,
    /// The norm of the first half; the first layer of `ModernBERT` has none.
    pub attention_norm: Option<LayerNorm>,
    /// `(intermediate, h)`, before the activation.
    pub up: Linear,
    /// `(intermediate, h)`: what the activation's result is multiplied by, in a gated half.
    pub gate: Option<Linear>,
    /// `(h, intermediate)`, after the activation.
    pub down: Linear,
    /// The norm of the second half.
    pub feed_forward_norm: LayerNorm,
    /// Further norms of what each half gives, before it is added to `x`, as in Gemma.
    pub output_norms: Option<Box<OutputNorms>>,
    /// What the layer knows of the places of its tokens.
    pub places: Places,
}

/// The norms of what the two halves of a layer give.
#[derive(Debug, Clone)]
pub struct OutputNorms {
    /// Of the first half.
    pub attention: LayerNorm,
    /// Of the second half.
    pub feed_forward: LayerNorm,
}

/// How the places of tokens enter the attention of one layer.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Queries and keys are turned by their place.
    pub rotary: Option<Rotary>,
    /// A token sees only those at most so many places away.
    pub window: Option<usize>,
}

/// Rotary positions (Su et al. 2021): the number `i` of a head and the number `i + w / 2` are turned by the place times the
/// frequency `i`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// The base that the frequencies are powers of.
    pub base: f32,
    /// `(w / 2,)`, the highest first.
    pub frequencies: Vec<f32>,
}

impl Rotary {
    /// Returns the usual frequencies of heads of a width: `base` to the power of `-2 i / width`.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a head's width is exact, and frequencies are f32 in every model"
    )]
    pub fn new(base: f32, width: usize) -> Self {
        let frequency = |place: usize| f64::from(base).powf(-((2 * place) as f64) / width as f64) as f32;
        Self {
            base,
            frequencies: (0..width / 2).map(frequency).collect(),
        }
    }
}

/// Numbers that are added to the scaled scores of every layer, by the distance of two tokens.
#[derive(Debug, Clone)]
pub enum ScoreBias {
    /// For each head minus its slope times the distance: `ALiBi` (Press et al. 2021).
    Slopes(Vec<f32>),
    /// Learnt numbers, as in MPNet.
    Buckets(DistanceBuckets),
}

/// Learnt numbers for distances, of which those far away share some.
#[derive(Debug, Clone)]
pub struct DistanceBuckets {
    /// `(buckets, heads)`.
    pub table: Tensor,
    /// The bucket of each distance from `-reach` to `reach`, where a positive one is that of a token further on; those
    /// beyond are in the bucket of the last.
    pub bucket_of: Vec<usize>,
}

impl DistanceBuckets {
    /// Returns the largest distance with a bucket that further ones haven't.
    #[must_use]
    pub const fn reach(&self) -> usize {
        self.bucket_of.len() / 2
    }
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
    /// What is added to the scores of attention.
    pub bias: Option<ScoreBias>,
}

/// A step after pooling, as a sentence-transformers `Dense` module: `(in,)` to `(out,)`.
#[derive(Debug, Clone)]
pub struct Dense {
    /// The matrix and its bias.
    pub linear: Linear,
    /// Applied last.
    pub activation: Activation,
}

/// From a picture's planes to the encoder's input: patches, a class token in front where there is one, positions.
#[derive(Debug, Clone)]
pub struct PatchEmbedding {
    /// `(h, 3, patch, patch)`, applied with a stride of `patch`.
    pub weight: Tensor,
    /// `(h,)`.
    pub bias: Option<Tensor>,
    /// `(h,)`, the class token; SigLIP has none.
    pub class: Option<Tensor>,
    /// `(tokens, h)`: one row for each patch, and one in front for the class token.
    pub positions: Tensor,
    /// The side of the square picture in pixels.
    pub image_size_pixels: usize,
    /// The side of a square patch in pixels.
    pub patch_size_pixels: usize,
}

/// A tower for pictures: `(3, image_size, image_size)` f32, normalised, to `(d,)`.
///
/// patches → `pre_norm` → encoder → `rows_norm` → `pooling` → `post_norm` → `projection`.
#[derive(Debug, Clone)]
pub struct ImageTower {
    /// The first step.
    pub patches: PatchEmbedding,
    /// The norm before the encoder.
    pub pre_norm: Option<LayerNorm>,
    /// The encoder.
    pub encoder: Encoder,
    /// The norm of every row.
    pub rows_norm: Option<LayerNorm>,
    /// How the rows become one.
    pub pooling: ImagePooling,
    /// The norm of that row.
    pub post_norm: Option<LayerNorm>,
    /// `(d, h)`.
    pub projection: Option<Linear>,
}

impl ImageTower {
    /// Returns the length of the tower's vectors.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.projection
            .as_ref()
            .map_or(self.patches.weight.shape()[0], Linear::outputs)
    }
}

/// How a picture's rows `(tokens, h)` become one `(h,)`.
#[derive(Debug, Clone)]
pub enum ImagePooling {
    /// The class token's row.
    Class,
    /// The mean of the patches' rows, without the class token's.
    Mean,
    /// Attention by a query that was learnt.
    Attention(Box<AttentionPool>),
}

/// Attention pooling, as `SiglipMultiheadAttentionPoolingHead` of transformers: `x = attention(probe, rows)`, then
/// `x + down(activation(up(norm(x))))`.
#[derive(Debug, Clone)]
pub struct AttentionPool {
    /// `(h,)`, what asks.
    pub probe: Tensor,
    /// Of the encoder's number of heads.
    pub attention: Attention,
    /// The norm in front of `up`.
    pub norm: LayerNorm,
    /// `(intermediate, h)`.
    pub up: Linear,
    /// `(h, intermediate)`.
    pub down: Linear,
    /// Between `up` and `down`.
    pub activation: Activation,
}

/// From token ids to the encoder's input: the sum of the embeddings, then the norm.
#[derive(Debug, Clone)]
pub struct TokenEmbedding {
    /// `(vocabulary, h)`.
    pub tokens: Tensor,
    /// What a token's row is multiplied by first.
    pub scale: Option<f32>,
    /// `(positions, h)`, where the layers don't know the places by themselves.
    pub positions: Option<Tensor>,
    /// The row of `positions` that the first token gets: 0, or what `RoBERTa` skips for its padding.
    pub first_position: usize,
    /// `(types, h)`, of which every token gets row 0.
    pub types: Option<Tensor>,
    /// The norm of the sum.
    pub norm: Option<LayerNorm>,
}

/// How a text's rows `(s, h)` become one `(h,)`. Texts are never padded here, so every row counts, except those of a prompt
/// that the model leaves out: [`Tokens::unpooled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of the rows.
    Mean,
    /// The mean of the rows times the root of their number.
    MeanSqrtLength,
    /// The mean of the rows, the first weighted by 1, the second by 2 and so on.
    WeightedMean,
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
    pub fn row(self, tokens: &Tokens) -> Option<usize> {
        let ids = tokens.ids();
        match self {
            Self::Mean | Self::MeanSqrtLength | Self::WeightedMean | Self::Max => None,
            Self::First => Some(tokens.unpooled()),
            Self::Last => Some(ids.len().saturating_sub(1)),
            Self::Token(token) => Some(ids.iter().position(|&id| id == token).unwrap_or(0)),
            Self::LargestToken => {
                let largest = ids.iter().max()?;
                ids.iter().position(|id| id == largest)
            }
        }
    }
}

/// The families of text encoders whose layers have more than the norm, the attention and the two matrices of BERT's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFamily {
    /// CLIP, `SigLIP`, the BERTs, MPNet and jina-bert: distances count by themselves, if at all.
    Plain,
    /// `ModernBERT`.
    ModernBert,
    /// nomic-bert.
    NomicBert,
    /// GTE, `new` in its files.
    Gte,
    /// Qwen3-Embedding.
    Qwen3,
    /// `EmbeddingGemma`.
    Gemma3,
}

impl TextFamily {
    /// Returns the name that people know it by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "BERT",
            Self::ModernBert => "ModernBERT",
            Self::NomicBert => "nomic-bert",
            Self::Gte => "GTE",
            Self::Qwen3 => "Qwen3-Embedding",
            Self::Gemma3 => "EmbeddingGemma",
        }
    }
}

/// A tower for texts: token ids `(s,)`, special tokens included, to `(d,)`.
///
/// embedding → encoder → `final_norm` → pooling → `projection` → `dense`.
#[derive(Debug, Clone)]
pub struct TextTower {
    /// Whose layers they are, for an engine that has them family by family.
    pub family: TextFamily,
    /// The first step.
    pub embedding: TokenEmbedding,
    /// The encoder.
    pub encoder: Encoder,
    /// The norm of every row, in encoders whose norms stand before.
    pub final_norm: Option<LayerNorm>,
    /// How rows become one; several are joined end to end.
    pub pooling: Vec<Pooling>,
    /// `(d, h)`.
    pub projection: Option<Linear>,
    /// What follows.
    pub dense: Vec<Dense>,
}
