//! What the server's registry needs to build the plugin.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Plugin};

use crate::config::ThumbnailConfig;
use crate::plugin::ThumbnailPlugin;

/// Makes the factory of type `thumbnail`.
#[must_use]
pub fn factory() -> impl Factory<dyn Plugin> {
    factory_fn(ThumbnailPlugin::NAME, |config: ThumbnailConfig, _context| async {
        Ok(ThumbnailPlugin::new(config))
    })
}
