//! What the server's registry needs to build the plugin.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Plugin};

use crate::config::ApiImmichConfig;
use crate::plugin::ApiImmichPlugin;

/// Makes the factory of type `api-immich`.
#[must_use]
pub fn factory() -> impl Factory<dyn Plugin> {
    factory_fn(ApiImmichPlugin::NAME, |config: ApiImmichConfig, _context| async {
        Ok(ApiImmichPlugin::new(config))
    })
}
