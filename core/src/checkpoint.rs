//! Model folders in the layouts that people publish, read once for every engine.
//!
//! [`ModelFolder`] tells what a folder holds. Its [`ImageTower`] and [`TextTower`] are whole descriptions, tensor by
//! tensor, of what is to be computed: an engine that can run these few structures runs every model that is read here.
//! Each [`Tensor`] knows in which file its bytes lie and where, and gives them mapped, so that an engine need not copy.
//!
//! No weight is ever made up: a tensor that is missing, or whose shape is not what the configuration says, is an error
//! that names it.

pub mod hub;
mod tensor;
mod tower;

pub use tensor::{ElementType, Tensor};
pub use tower::{
    Activation, Attention, Dense, Encoder, EncoderLayer, ImageTower, LayerNorm, Linear, NormPlacement,
    PatchEmbedding, Pooling, TextTower, TokenEmbedding,
};
