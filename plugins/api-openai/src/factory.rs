//! What the server's registry needs to build the plugin.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Plugin};

use crate::config::ApiOpenaiConfig;
use crate::plugin::ApiOpenaiPlugin;

/// Makes the factory of type `api-openai`.
#[must_use]
pub fn factory() -> impl Factory<dyn Plugin> {
    factory_fn(ApiOpenaiPlugin::NAME, |config: ApiOpenaiConfig, _context| async {
        Ok(ApiOpenaiPlugin::new(config))
    })
}
