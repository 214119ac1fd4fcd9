//! What the server's registry needs to build the plugin.

use lucida_core::config::factory_fn;
use lucida_core::{Factory, Plugin};

use crate::config::McpConfig;
use crate::plugin::McpPlugin;

/// Makes the factory of type `mcp`.
#[must_use]
pub fn factory() -> impl Factory<dyn Plugin> {
    factory_fn(McpPlugin::NAME, |config: McpConfig, _context| async {
        Ok(McpPlugin::new(config))
    })
}
