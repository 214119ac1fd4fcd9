//! The plugin: hands out the previews of each photo, made on a thread of its own.

use std::sync::Arc;

use async_trait::async_trait;
use lucida_core::{DecodeSize, EnrichInput, Enrichment, Error, Hook, NewBlob, Plugin, Result};

use crate::config::ThumbnailConfig;
use crate::name::{CONTENT_TYPE, PLUGIN_NAME, preview_name};
use crate::preview;

/// Adds previews to each photo.
#[derive(Debug, Clone, Default)]
pub struct ThumbnailPlugin {
    config: Arc<ThumbnailConfig>,
}

impl ThumbnailPlugin {
    /// The plugin's name, which begins the keys of its previews in a photo's `derived`.
    pub const NAME: &'static str = PLUGIN_NAME;

    /// Makes the plugin.
    #[must_use]
    pub fn new(config: ThumbnailConfig) -> Self {
        Self {
            config: Arc::new(config),
        }
    }
}

#[async_trait]
impl Plugin for ThumbnailPlugin {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn hooks(&self) -> &[Hook] {
        &[Hook::Enrich]
    }

    /// A picture whose long side fills the largest preview is large enough for all.
    fn decode_size(&self) -> DecodeSize {
        let largest = self.config.sizes_pixels.iter().copied().max();
        DecodeSize::long_side(largest.unwrap_or(0))
    }

    async fn enrich(&self, input: &EnrichInput) -> Result<Enrichment> {
        let (config, picture) = (Arc::clone(&self.config), Arc::clone(&input.picture));
        let making = tokio::task::spawn_blocking(move || {
            preview::make(&picture, &config.sizes_pixels, config.quality)
        });
        let previews = making
            .await
            .map_err(|error| Error::internal("making previews failed").with_source(error))??;
        let blobs = previews
            .into_iter()
            .map(|(size, bytes)| {
                let blob = NewBlob {
                    content_type: CONTENT_TYPE.to_owned(),
                    bytes,
                };
                (preview_name(size), blob)
            })
            .collect();
        Ok(Enrichment {
            blobs,
            ..Enrichment::default()
        })
    }
}
