//! Writing a blob, and taking it back when it does not become whole.

use lucida_core::{BlobKey, Error, Result};
use opendal::options::WriteOptions;
use opendal::{Buffer, ErrorKind, Writer};
use tokio::runtime::Handle;
use tokio::task::JoinError;

use crate::service::Service;

/// A blob that is being written; unless it is finished, what was written is taken back.
///
/// Each step goes on also when the caller has gone away: a request for a multipart upload, or a file that is being
/// made, would otherwise leave something that nobody knows the name of.
pub(crate) struct Upload<S: Service> {
    service: S,
    path: String,
    /// None once there is nothing left to take back.
    writer: Option<Writer>,
}

impl<S: Service> Upload<S> {
    /// Starts to write to `path`.
    pub(crate) async fn start(service: S, path: String, options: WriteOptions) -> opendal::Result<Self> {
        let writer = service.operator().writer_options(&path, options).await?;
        Ok(Self {
            service,
            path,
            writer: Some(writer),
        })
    }

    /// Hands over bytes; waits while too many are on their way.
    ///
    /// # Errors
    /// That of these bytes or of some before them; the upload has been taken back.
    pub(crate) async fn write(mut self, bytes: Buffer) -> opendal::Result<Self> {
        let writing = async move {
            let written = match &mut self.writer {
                Some(writer) => writer.write(bytes).await,
                None => Ok(()),
            };
            match written {
                Ok(()) => Ok(self),
                Err(error) => {
                    // The first error is the one to report.
                    let _ = self.discard().await;
                    Err(error)
                }
            }
        };
        tokio::spawn(writing)
            .await
            .unwrap_or_else(|error| Err(stopped(error)))
    }

    /// Makes the blob `key` of what was written; when it returns, the blob is stored.
    ///
    /// # Errors
    /// That of any bytes, or of making the blob of them; the upload has been taken back.
    pub(crate) async fn finish(mut self, key: BlobKey) -> Result<()> {
        let finishing = async move {
            match self.writer.take() {
                Some(writer) => {
                    let path = std::mem::take(&mut self.path);
                    self.service.finish(writer, path, key).await
                }
                None => Ok(()),
            }
        };
        let finished = tokio::spawn(finishing).await;
        finished.unwrap_or_else(|error| Err(Error::internal("an upload stopped").with_source(error)))
    }

    /// Takes back what was written.
    ///
    /// # Errors
    /// When the store can't be reached; it keeps what it has until its own rules remove it.
    pub(crate) async fn abort(mut self) -> opendal::Result<()> {
        let aborting = async move { self.discard().await };
        tokio::spawn(aborting)
            .await
            .unwrap_or_else(|error| Err(stopped(error)))
    }

    async fn discard(&mut self) -> opendal::Result<()> {
        match self.writer.take() {
            Some(writer) => self.service.discard(writer, &self.path).await,
            None => Ok(()),
        }
    }
}

impl<S: Service> Drop for Upload<S> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            let discarding = self.service.discard(writer, &self.path);
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(discarding);
            }
        }
    }
}

fn stopped(error: JoinError) -> opendal::Error {
    opendal::Error::new(ErrorKind::Unexpected, "an upload stopped").set_source(error)
}
