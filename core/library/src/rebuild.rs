//! Restores the records of a lost metadata store from the originals and their manifests.

use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use tracing::{Instrument, info_span};

use crate::decoder::Decoder;
use crate::manifest::Manifest;
use crate::manifests::{Manifests, Tombstones};
use crate::reconcile::{PAGE, hex_folders};
use crate::spool::Spool;
use lucida_core::{
    BlobKey, BlobStat, Error, ErrorKind, Inserted, MetadataStore, Photo, PhotoId, Result, Storage, UserId,
};

/// The options of a rebuild.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuildOptions {
    /// Whose photos originals without a manifest become; without it they are left alone.
    pub owner_of_unnamed: Option<UserId>,
}

/// What a rebuild did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Originals in the store.
    pub originals: u64,
    /// Originals that a record named already.
    pub known: u64,
    /// Records that were made.
    pub recorded: u64,
    /// Originals of deleted photos, which stay deleted.
    pub deleted: u64,
    /// Originals whose bytes are the same owner's photo already.
    pub duplicates: u64,
    /// Originals without a manifest that were left alone for want of an owner.
    pub unnamed: u64,
    /// Originals that can't be taken back in: they are not pictures, or their keys are not those of originals.
    pub refused: u64,
}

/// What a rebuild reports as it goes.
#[derive(Debug)]
pub enum RebuildNews<'a> {
    /// An original was left alone, and why.
    LeftAlone(&'a BlobKey, &'a str),
    /// The progress.
    Progress(&'a RebuildReport),
}

/// Takes the news of a rebuild.
pub(crate) type OnNews<'a> = dyn FnMut(RebuildNews<'_>) + Send + 'a;

/// Restores records.
#[derive(Clone)]
pub(crate) struct Rebuild {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) manifests: Manifests,
    pub(crate) spool: Spool,
    pub(crate) decoder: Decoder,
}

impl Rebuild {
    /// Creates a record for every original that has none. Existing records stay as they are.
    ///
    /// Each record is that of a photo right after its upload: workers bring it to ready again, with the vector that the
    /// index still has. It may be repeated, and resumes where an earlier run was interrupted.
    ///
    /// # Errors
    /// Those of the stores, at the first call that fails.
    pub(crate) async fn run<'a>(
        &'a self,
        options: &'a RebuildOptions,
        on_news: &'a mut OnNews<'a>,
    ) -> Result<RebuildReport> {
        let span = info_span!("library.rebuild");
        async {
            let tombstones = self.manifests.tombstones().await?;
            let mut report = RebuildReport::default();
            for folder in hex_folders() {
                let folder = format!("{}{folder}/", BlobKey::ORIGINALS);
                let mut chunks = self.storage.list(&folder).chunks(PAGE);
                while let Some(chunk) = chunks.next().await {
                    let chunk = chunk.into_iter().collect::<Result<Vec<_>>>()?;
                    report.originals += chunk.len() as u64;
                    let ids: Vec<_> = chunk.iter().filter_map(|stat| stat.key.photo_id()).collect();
                    let known = self.metadata.get_many(&ids).await?;
                    for stat in chunk {
                        let named = |photo: &Photo| photo.blob == stat.key;
                        if known.iter().any(named) {
                            report.known += 1;
                            continue;
                        }
                        let why = self.take_back(&stat, options, &tombstones, &mut report).await?;
                        if let Some(why) = why {
                            on_news(RebuildNews::LeftAlone(&stat.key, &why));
                        }
                    }
                    on_news(RebuildNews::Progress(&report));
                }
            }
            Ok(report)
        }
        .instrument(span)
        .await
    }

    /// Creates the record of one original, or returns why it is left alone.
    async fn take_back(
        &self,
        stat: &BlobStat,
        options: &RebuildOptions,
        tombstones: &Tombstones,
        report: &mut RebuildReport,
    ) -> Result<Option<String>> {
        let id = stat.key.photo_id().filter(|id| BlobKey::original(id) == stat.key);
        let Some(id) = id else {
            report.refused += 1;
            return Ok(Some("its name is not a photo's id".to_owned()));
        };
        if tombstones.has(&id) {
            report.deleted += 1;
            return Ok(None);
        }
        let manifest = match (self.manifests.read(&id).await?, &options.owner_of_unnamed) {
            (Some(manifest), _) => manifest,
            (None, Some(owner)) => match self.manifest_from_bytes(&id, stat, owner).await {
                Ok(manifest) => manifest,
                Err(error) if is_own_fault(&error) => {
                    report.refused += 1;
                    return Ok(Some(error.to_string()));
                }
                Err(error) => return Err(error),
            },
            (None, None) => {
                report.unnamed += 1;
                return Ok(Some(
                    "it has no manifest: pass --owner-of-unnamed to say whose it is".to_owned(),
                ));
            }
        };
        // An upload that was never acknowledged may have left the same bytes under another id.
        if tombstones
            .deleted_at(&manifest)
            .is_some_and(|deleted| manifest.created_at <= deleted)
        {
            report.deleted += 1;
            return Ok(None);
        }
        let photo = manifest.into_photo();
        match self.metadata.insert(&photo).await {
            Ok(Inserted::New(kept)) => {
                self.manifests.refresh(&kept).await?;
                report.recorded += 1;
                Ok(None)
            }
            Ok(Inserted::Existing(kept)) if kept.id == id => {
                report.known += 1;
                Ok(None)
            }
            Ok(Inserted::Existing(other)) => {
                report.duplicates += 1;
                Ok(Some(format!("its bytes are photo {} already", other.id)))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                report.refused += 1;
                Ok(Some(error.to_string()))
            }
            Err(error) => Err(error),
        }
    }

    /// Creates the manifest of an original that has none, from its bytes.
    async fn manifest_from_bytes(&self, id: &PhotoId, stat: &BlobStat, owner: &UserId) -> Result<Manifest> {
        let mut spool = self.spool.create().await?;
        let mut blob = self.storage.get(&stat.key, None).await?;
        while let Some(piece) = blob.stream.next().await {
            spool.write(piece?).await?;
        }
        let spooled = spool.finish().await?;
        let header = match self.decoder.probe(&spooled).await {
            Err(error) if error.kind() == ErrorKind::Internal => {
                let message = "its header can't be read: the decoder failed on it";
                return Err(Error::invalid(message).with_source(error));
            }
            header => header?,
        };
        Ok(Manifest {
            format: Manifest::FORMAT,
            id: *id,
            user_id: owner.clone(),
            filename: None,
            content_type: header.format.content_type().to_owned(),
            size_bytes: spooled.size_bytes,
            width: header.width,
            height: header.height,
            hash: spooled.hash,
            created_at: id.made_at().or(stat.modified_at).unwrap_or_else(Timestamp::now),
            taken_at: None,
            taken_at_local: None,
            tags: std::collections::BTreeSet::new(),
            deleted_at: None,
        })
    }
}

/// Returns whether an error is about the original itself.
fn is_own_fault(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported)
}
