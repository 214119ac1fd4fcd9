//! What the server's registry needs to build the plugin.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Plugin};

use crate::config::ApiWeaviateConfig;
use crate::plugin::ApiWeaviatePlugin;

/// Makes the factory of type `api-weaviate`.
#[must_use]
pub fn factory() -> impl Factory<dyn Plugin> {
    factory_fn(
        ApiWeaviatePlugin::NAME,
        |config: ApiWeaviateConfig, _context| async { Ok(ApiWeaviatePlugin::new(config)) },
    )
}
