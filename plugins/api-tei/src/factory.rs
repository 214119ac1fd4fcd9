//! What the server's registry needs to build the plugin.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Plugin};

use crate::config::ApiTeiConfig;
use crate::plugin::ApiTeiPlugin;

/// Makes the factory of type `api-tei`.
#[must_use]
pub fn factory() -> impl Factory<dyn Plugin> {
    factory_fn(ApiTeiPlugin::NAME, |config: ApiTeiConfig, _context| async {
        Ok(ApiTeiPlugin::new(config))
    })
}
