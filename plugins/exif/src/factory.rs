//! What the server's registry needs to build the plugin.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Plugin};

use crate::config::ExifConfig;
use crate::plugin::ExifPlugin;

/// Makes the factory of type `exif`.
#[must_use]
pub fn factory() -> impl Factory<dyn Plugin> {
    factory_fn(ExifPlugin::NAME, |config: ExifConfig, _context| async {
        Ok(ExifPlugin::new(config))
    })
}
