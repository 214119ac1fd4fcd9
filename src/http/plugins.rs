//! Routes that plugins bring along, mounted at `/v1/plugins/<name>`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use lucida_core::PluginHost;
use tracing::{error, info};

use super::state::HttpState;

/// Returns the routes of all plugins.
pub(super) fn routes(state: &HttpState) -> Router<HttpState> {
    let parts = state.photos().parts();
    let mut routes = Router::new();
    let mut names = BTreeSet::new();
    for plugin in &parts.plugins {
        let host = PluginHost {
            metadata: Arc::clone(&parts.metadata),
            storage: Arc::clone(&parts.storage),
        };
        let Some(router) = plugin.router(host) else {
            continue;
        };
        let name = plugin.name();
        let fits = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !fits {
            error!(
                plugin = name,
                "a plugin's name must have only A-Z a-z 0-9 - _ to have routes; leaving them out"
            );
            continue;
        }
        if !names.insert(name) {
            error!(
                plugin = name,
                "two plugins of one name have routes; leaving out those of the second"
            );
            continue;
        }
        info!(plugin = name, "mounting a plugin's routes");
        routes = routes.nest(&format!("/v1/plugins/{name}"), router.with_state(()));
    }
    routes
}
