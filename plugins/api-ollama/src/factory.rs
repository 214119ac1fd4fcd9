//! What the server's registry needs to build the plugin.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Plugin};

use crate::config::ApiOllamaConfig;
use crate::plugin::ApiOllamaPlugin;

/// Makes the factory of type `api-ollama`.
#[must_use]
pub fn factory() -> impl Factory<dyn Plugin> {
    factory_fn(ApiOllamaPlugin::NAME, |config: ApiOllamaConfig, _context| async {
        Ok(ApiOllamaPlugin::new(config))
    })
}
