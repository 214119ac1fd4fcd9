//! How a hook of a plugin is called: isolated, under its timeout, and measured.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use tracing::{Instrument, info_span};

use crate::isolation::Isolation;
use lucida_core::{Error, ErrorKind, Hook, Plugin, Result, ResultExt, metrics};

/// A plugin, and what keeps its calls apart from everything else.
#[derive(Clone)]
pub(crate) struct Hosted {
    plugin: Arc<dyn Plugin>,
    isolation: Isolation,
}

impl Deref for Hosted {
    type Target = dyn Plugin;

    fn deref(&self) -> &Self::Target {
        &*self.plugin
    }
}

impl Hosted {
    pub(crate) fn new(plugin: &Arc<dyn Plugin>) -> Self {
        Self {
            plugin: Arc::clone(plugin),
            isolation: Isolation::default(),
        }
    }

    /// Returns the plugin, for a call to own.
    pub(crate) fn plugin(&self) -> Arc<dyn Plugin> {
        Arc::clone(&self.plugin)
    }

    /// Calls one hook. A panic of the plugin is its failure, and not the server's; a hook that blocks its thread holds up nothing
    /// else.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        hook: Hook,
        run: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let name = self.name();
        let span = info_span!("plugin.call", plugin = name, hook = hook.as_str());
        let started = Instant::now();
        let result = match self.isolation.start(run.instrument(span)) {
            Ok(running) => match tokio::time::timeout(self.timeout(), running).await {
                Ok(Ok(result)) => result,
                Ok(Err(panic)) => Err(Error::internal("the plugin panicked").with_source(panic)),
                Err(_) => {
                    let seconds = self.timeout().as_secs_f32();
                    Err(Error::new(
                        ErrorKind::Timeout,
                        format!("the plugin took longer than {seconds} s"),
                    ))
                }
            },
            Err(error) => Err(error),
        };
        let outcome = result
            .as_ref()
            .map_or_else(|error| error.kind().as_str(), |_| "ok");
        metrics::PLUGIN_DURATION.record(started.elapsed(), &[name, hook.as_str(), outcome]);
        result.context(format!("plugin `{name}`"))
    }
}
