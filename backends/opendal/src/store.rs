//! The [`Storage`] over an OpenDAL operator.

use std::ops::Range;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use lucida_core::{Blob, BlobKey, BlobStat, ByteStream, Error, Result, Storage};
use opendal::Buffer;

use crate::service::Service;
use crate::upload::Upload;
use crate::{list, read};

/// Keeps blobs in a service of OpenDAL.
#[derive(Debug, Clone)]
pub struct OpendalStorage<S> {
    service: S,
}

impl<S: Service> OpendalStorage<S> {
    pub(crate) fn of(service: S) -> Self {
        Self { service }
    }

    /// Makes the error of a blob that is not stored, unless nothing is where blobs are stored.
    async fn absent(&self, key: &BlobKey) -> Error {
        let present = self.service.check_present().await;
        present.err().unwrap_or_else(|| absent(key))
    }
}

#[async_trait]
impl<S: Service> Storage for OpendalStorage<S> {
    async fn put(&self, key: &BlobKey, mut body: ByteStream) -> Result<u64> {
        let failed = |error| self.service.failed(format!("writing blob `{key}`"), &error);
        self.service.check_present().await?;
        let path = self.service.unfinished_path(key);
        let options = self.service.write_options();
        let mut upload = Upload::start(self.service.clone(), path, options)
            .await
            .map_err(failed)?;
        let mut size_bytes = 0;
        while let Some(piece) = body.next().await {
            match piece {
                // OpenDAL reads no further than an empty piece.
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => {
                    size_bytes += piece.len() as u64;
                    upload = upload.write(Buffer::from(piece)).await.map_err(failed)?;
                }
                Err(error) => {
                    // The body's error is the one to report.
                    let _ = upload.abort().await;
                    return Err(error);
                }
            }
        }
        upload.finish(key.clone()).await?;
        Ok(size_bytes)
    }

    async fn get(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Blob> {
        read::open(&self.service, key, range).await
    }

    async fn stat(&self, key: &BlobKey) -> Result<BlobStat> {
        match self.service.stat(key).await {
            Ok(metadata) if metadata.is_file() => Ok(list::describe(key.clone(), &metadata)),
            Ok(_) => Err(self.absent(key).await),
            Err(error) if S::is_absent(&error) => Err(self.absent(key).await),
            Err(error) => Err(self.service.failed(format!("looking at blob `{key}`"), &error)),
        }
    }

    async fn delete(&self, key: &BlobKey) -> Result<()> {
        match self.service.operator().delete(key.as_str()).await {
            Err(error) if !S::is_absent(&error) => {
                Err(self.service.failed(format!("deleting blob `{key}`"), &error))
            }
            Ok(()) | Err(_) => self.service.deleted(key).await,
        }
    }

    fn list(&self, prefix: &str) -> BoxStream<'static, Result<BlobStat>> {
        let checked = match prefix.strip_suffix('/') {
            None if prefix.is_empty() => Ok(()),
            Some(folder) => BlobKey::new(folder).map(drop),
            None => Err(Error::invalid(format!(
                "prefix `{prefix}` is not empty and does not end with `/`"
            ))),
        };
        match checked {
            Ok(()) => list::below(self.service.clone(), prefix.to_owned()),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn ping(&self) -> Result<()> {
        self.service.ping().await
    }
}

/// Makes the error of a blob that is not stored.
pub(crate) fn absent(key: &BlobKey) -> Error {
    Error::not_found(format!("blob `{key}` is not stored"))
}
