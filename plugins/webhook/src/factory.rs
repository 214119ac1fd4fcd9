//! What the server's registry needs to build the plugin.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Plugin};

use crate::config::WebhookConfig;
use crate::plugin::WebhookPlugin;

/// Makes the factory of type `webhook`.
#[must_use]
pub fn factory() -> impl Factory<dyn Plugin> {
    factory_fn(WebhookPlugin::TYPE, |config: WebhookConfig, _context| {
        WebhookPlugin::open(config)
    })
}
