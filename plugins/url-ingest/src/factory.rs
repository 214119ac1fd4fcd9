//! What the server's registry needs to build the plugin.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Plugin};

use crate::config::UrlIngestConfig;
use crate::plugin::UrlIngestPlugin;

/// Makes the factory of type `url-ingest`.
#[must_use]
pub fn factory() -> impl Factory<dyn Plugin> {
    factory_fn(
        UrlIngestPlugin::NAME,
        |config: UrlIngestConfig, _context| async move { UrlIngestPlugin::new(&config) },
    )
}
