//! candle as what computes the towers of a checkpoint.

use std::sync::Arc;

use lucida_core::{Error, Result};
use lucida_models::checkpoint::{self, Engine, ImageRecipe};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::image_tower::ImageTower;
use crate::text_tower::TextTower;

/// The threads that both towers compute on.
pub struct CandleEngine {
    threads: Arc<ThreadPool>,
}

impl CandleEngine {
    /// Starts the threads.
    ///
    /// # Errors
    /// `Internal` when the system gives no more threads.
    pub fn start(threads: usize) -> Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("candle-{number}"))
            .build()
            .map_err(|error| Error::internal("starting candle's threads failed").with_source(error))?;
        Ok(Self {
            threads: Arc::new(pool),
        })
    }
}

impl Engine for CandleEngine {
    type Image = ImageTower;
    type Text = TextTower;

    fn numbers(&self) -> &str {
        "fp32"
    }

    fn load_image(&self, tower: &checkpoint::ImageTower, recipe: &ImageRecipe) -> Result<ImageTower> {
        Ok(ImageTower::new(tower, recipe.clone(), Arc::clone(&self.threads)))
    }

    fn load_text(&self, tower: &checkpoint::TextTower) -> Result<TextTower> {
        Ok(TextTower::new(tower, Arc::clone(&self.threads)))
    }
}
