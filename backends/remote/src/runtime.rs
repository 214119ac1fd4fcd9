//! The async runtime on which requests run.

use lucida_core::{Error, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime with one thread of its own.
///
/// A tower's thread waits for its requests, and whoever drops an embedder waits for the tower's thread. On the caller's
/// runtime that would be a deadlock where this is the only thread that could drive the requests.
pub(crate) struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    /// Starts it.
    ///
    /// # Errors
    /// `Internal` when the thread can't be started.
    pub(crate) fn start() -> Result<Self> {
        let built = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("remote-embedder")
            .enable_all()
            .build();
        let runtime = built
            .map_err(|error| Error::internal("starting the thread of requests failed").with_source(error))?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("there until it is dropped").handle()
    }

    /// Runs a future from a thread that isn't async.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle().block_on(future)
    }

    /// Runs a future from another runtime.
    ///
    /// # Errors
    /// Those of the future; `Internal` when it panics.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let task = self.handle().spawn(future);
        task.await
            .map_err(|error| Error::internal("asking the remote server failed").with_source(error))?
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Not by dropping it, which may not be done on an async thread.
            runtime.shutdown_background();
        }
    }
}
