//! The structures of what takes pictures.

use super::fast_vit::FastVitTower;
use super::tensor::Tensor;
use super::tower::ImageTower;

/// What takes pictures, by its structure.
#[derive(Debug, Clone)]
pub enum ImageEncoder {
    /// Patches and transformer layers.
    Vit(Box<ImageTower>),
    /// Convolutions, and attention in the last stage.
    FastVit(Box<FastVitTower>),
}

impl From<ImageTower> for ImageEncoder {
    fn from(tower: ImageTower) -> Self {
        Self::Vit(Box::new(tower))
    }
}

impl ImageEncoder {
    /// Lists every tensor.
    #[must_use]
    pub fn tensors(&self) -> Vec<&Tensor> {
        match self {
            Self::Vit(tower) => tower.tensors(),
            Self::FastVit(tower) => tower.tensors(),
        }
    }
}
