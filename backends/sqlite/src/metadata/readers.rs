//! A few connections that only read, beside the writer, on threads that may block.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lucida_core::{Error, Result};
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::DATABASE;

/// How many reads run at once; each has a connection with its own page cache.
const CONNECTIONS: usize = 4;

/// The reading connections, opened when first needed.
#[derive(Clone)]
pub(crate) struct Readers {
    pool: Arc<Pool>,
    permits: Arc<Semaphore>,
}

struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            pool: Arc::new(Pool {
                path,
                idle: Mutex::default(),
            }),
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }

    /// Runs `read` on a connection that is free.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let stopped = |error: &dyn std::fmt::Display| {
            Error::internal(format!("a read of the metadata store stopped: {error}"))
        };
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(|error| stopped(&error))?;
        let pool = Arc::clone(&self.pool);
        tokio::task::spawn_blocking(move || {
            let idle = pool.idle().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => DATABASE.open_reader(&pool.path)?,
            };
            let outcome = read(&connection);
            pool.idle().push(connection);
            drop(permit);
            outcome
        })
        .await
        .map_err(|error| stopped(&error))?
    }
}
