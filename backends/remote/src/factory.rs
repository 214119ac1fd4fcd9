//! How a config file makes this embedder.

use lucida_core::config::factory_fn;
use lucida_core::{Embedder, Factory};

use crate::config::RemoteConfig;
use crate::embedder::Remote;

/// Returns the factory of the embedder type `remote`.
#[must_use]
pub fn factory() -> impl Factory<dyn Embedder> {
    factory_fn("remote", |settings: RemoteConfig, context| async move {
        Remote::open(settings, &context).await
    })
}
