//! What the server's registry needs to build the plugin.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Plugin};

use crate::config::RemoteConfig;
use crate::plugin::RemotePlugin;

/// Makes the factory of type `remote`.
#[must_use]
pub fn factory() -> impl Factory<dyn Plugin> {
    factory_fn(RemotePlugin::TYPE, |config: RemoteConfig, _context| async {
        RemotePlugin::new(config)
    })
}
