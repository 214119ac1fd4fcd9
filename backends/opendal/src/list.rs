//! Listing blobs, page by page, or folder by folder where the service lists one depth only.

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use lucida_core::{BlobKey, BlobStat, Result};
use opendal::options::ListOptions;
use opendal::{Lister, Metadata};

use crate::service::Service;

/// A listing that is under way.
struct Listing<S> {
    service: S,
    /// The prefixes that are still to be listed.
    prefixes: Vec<String>,
    /// The prefix that is being listed.
    open: Option<(String, Lister)>,
}

/// Lists the blobs whose keys start with `prefix`.
///
/// OpenDAL's own recursion enters every folder, also one that is not the store's and that it may not read
/// (`lost+found`); this one enters only those whose names can be part of a key.
pub(crate) fn below<S: Service>(service: S, prefix: String) -> BoxStream<'static, Result<BlobStat>> {
    let listing = Listing {
        service,
        prefixes: vec![prefix],
        open: None,
    };
    stream::try_unfold(listing, |mut listing| async move {
        Ok(listing.next().await?.map(|stat| (stat, listing)))
    })
    .boxed()
}

impl<S: Service> Listing<S> {
    async fn next(&mut self) -> Result<Option<BlobStat>> {
        loop {
            let Some((prefix, lister)) = &mut self.open else {
                if !self.enter().await? {
                    // What is missing because its disk went away must not look deleted.
                    self.service.check_present().await?;
                    return Ok(None);
                }
                continue;
            };
            let entry = match lister.try_next().await {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    self.open = None;
                    continue;
                }
                // The folder was deleted meanwhile.
                Err(error) if !S::LISTS_ALL_DEPTHS && S::is_absent(&error) => {
                    self.open = None;
                    continue;
                }
                Err(error) => return Err(self.service.failed("listing blobs".to_owned(), &error)),
            };
            let name = entry.path().trim_end_matches('/');
            // Names that are not keys are not ours: unfinished files, `lost+found`, what an editor left.
            let Ok(key) = BlobKey::new(name) else {
                continue;
            };
            let metadata = entry.metadata();
            if metadata.is_file() && entry.path() == name {
                return Ok(Some(describe(key, metadata)));
            }
            if metadata.is_dir() && !S::LISTS_ALL_DEPTHS && entry.path() != prefix {
                self.prefixes.push(format!("{key}/"));
            }
        }
    }

    /// Starts with the next prefix, unless there is none.
    async fn enter(&mut self) -> Result<bool> {
        let Some(prefix) = self.prefixes.pop() else {
            return Ok(false);
        };
        let options = ListOptions {
            recursive: S::LISTS_ALL_DEPTHS,
            ..ListOptions::default()
        };
        let lister = self.service.operator().lister_options(&prefix, options).await;
        let lister = lister.map_err(|error| self.service.failed("listing blobs".to_owned(), &error))?;
        self.open = Some((prefix, lister));
        Ok(true)
    }
}

/// Describes a blob by what the service knows of it.
pub(crate) fn describe(key: BlobKey, metadata: &Metadata) -> BlobStat {
    BlobStat {
        key,
        size_bytes: metadata.content_length(),
        modified_at: metadata.last_modified().map(Into::into),
    }
}
