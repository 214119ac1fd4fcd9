//! The plugin: it only lends its fetcher to the server.

use std::sync::Arc;

use lucida_core::{Fetcher, Hook, Plugin, Result};

use crate::config::{self, UrlIngestConfig};
use crate::fetcher::UrlFetcher;

/// Lets clients name photos by URL.
pub struct UrlIngestPlugin {
    fetcher: UrlFetcher,
}

impl UrlIngestPlugin {
    /// The plugin's name.
    pub const NAME: &'static str = config::NAME;

    /// Makes the plugin.
    ///
    /// # Errors
    /// Those of [`UrlFetcher::new`].
    pub fn new(config: &UrlIngestConfig) -> Result<Self> {
        Ok(Self {
            fetcher: UrlFetcher::new(config)?,
        })
    }
}

impl Plugin for UrlIngestPlugin {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn hooks(&self) -> &[Hook] {
        &[]
    }

    fn fetcher(&self) -> Option<Arc<dyn Fetcher>> {
        Some(Arc::new(self.fetcher.clone()))
    }
}
