//! Upload: look at what came, store it, record it, and put its job into the queue, in this order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use tokio_util::io::ReaderStream;
use tracing::{Instrument, debug, info, info_span, warn};

use crate::blobs::{Blobs, Pace};
use crate::damage::{Damage, DamageLog};
use crate::decoder::Decoder;
use crate::delete::Deletion;
use crate::edit::{Editing, PhotoEdit, TagEdit, TakenAtEdit};
use crate::manifest::Manifest;
use crate::manifests::Manifests;
use crate::names;
use crate::plugins::Plugins;
use crate::records::Records;
use crate::spool::{SpoolWriter, Spooled};
use lucida_core::{
    BlobKey, Error, Inserted, Job, JobQueue, MetadataStore, Photo, PhotoId, PhotoState, Result, ResultExt,
    Storage, TakenAt, Upload, UserId,
};
use lucida_picture::ImageHeader;

/// How much of a spool file is read at once, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// What the uploader says about a photo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadDetails {
    /// The file's name.
    pub filename: Option<String>,
    /// When the photo was taken; goes before what the file says.
    pub taken_at: Option<TakenAt>,
    /// Tags.
    pub tags: BTreeSet<String>,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq)]
pub enum Uploaded {
    /// The photo is new, and will be ready soon.
    New(Photo),
    /// The same user has the same bytes already: this is that photo.
    Existing(Photo),
}

impl Uploaded {
    /// Returns the photo, new or not.
    #[must_use]
    pub const fn photo(&self) -> &Photo {
        match self {
            Self::New(photo) | Self::Existing(photo) => photo,
        }
    }
}

/// Takes photos in.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) decoder: Decoder,
    pub(crate) records: Records,
    pub(crate) blobs: Blobs,
    pub(crate) manifests: Manifests,
    pub(crate) damage: DamageLog,
    pub(crate) deletion: Deletion,
    pub(crate) editing: Editing,
    pub(crate) plugins: Plugins,
    /// Whether a file is refused whose name promises another format than its bytes hold.
    pub(crate) strict_names: bool,
}

impl Intake {
    /// Takes a photo in: once this returns, the photo survives anything but the loss of its store.
    ///
    /// # Errors
    /// Those of [`Decoder::probe`], `truncated_image`, `type_mismatch` where names are strict, a plugin's refusal, and those
    /// of the stores. An original that is stored by then stays, as one that no record names.
    pub(crate) async fn upload(
        &self,
        user: &UserId,
        spool: SpoolWriter,
        details: UploadDetails,
    ) -> Result<Uploaded> {
        self.upload_as(PhotoId::generate(), user, spool, details).await
    }

    /// Takes a photo in under an id that it has already.
    pub(crate) async fn upload_as(
        &self,
        id: PhotoId,
        user: &UserId,
        spool: SpoolWriter,
        details: UploadDetails,
    ) -> Result<Uploaded> {
        let span = info_span!("photo.upload", size_bytes = spool.bytes_written());
        self.take_in(id, user, spool, details).instrument(span).await
    }

    async fn take_in(
        &self,
        id: PhotoId,
        user: &UserId,
        spool: SpoolWriter,
        details: UploadDetails,
    ) -> Result<Uploaded> {
        let spooled = spool.finish().await?;
        let header = self.read_header(&spooled, details.filename.as_deref()).await?;
        if let Some(existing) = self.existing(user, &spooled, &details).await? {
            return Ok(Uploaded::Existing(existing));
        }
        let upload = Upload {
            user_id: user.clone(),
            filename: details.filename.clone(),
            format: header.format,
            width: header.width,
            height: header.height,
            size_bytes: spooled.size_bytes,
            path: spooled.path.to_path_buf(),
        };
        self.plugins.inspect(&upload).await?;
        let manifest = Manifest {
            format: Manifest::FORMAT,
            id,
            user_id: user.clone(),
            filename: details.filename.clone(),
            content_type: header.format.content_type().to_owned(),
            size_bytes: spooled.size_bytes,
            width: header.width,
            height: header.height,
            hash: spooled.hash,
            created_at: Timestamp::now(),
            taken_at: details.taken_at.map(|taken| taken.moment),
            taken_at_local: details.taken_at.and_then(|taken| taken.local),
            tags: details.tags.clone(),
            deleted_at: None,
        };
        let mut photo = manifest.into_photo();
        photo.attributes = names::note(details.filename.as_deref(), header.format);
        self.keep(&spooled, &photo).await?;
        loop {
            match self.metadata.insert(&photo).await? {
                // A retried insert finds what its first try wrote.
                Inserted::New(kept) => return self.accept(kept).await,
                Inserted::Existing(kept) if kept.id == id && kept.state != PhotoState::Deleting => {
                    return self.accept(kept).await;
                }
                Inserted::Existing(kept) if kept.id == id => {
                    return Err(Error::conflict(
                        "the photo was deleted while it was being uploaded",
                    ));
                }
                Inserted::Existing(_) => {}
            }
            // Another upload of the same bytes was quicker: this original is a duplicate, unless that one is gone again.
            if let Some(existing) = self.existing(user, &spooled, &details).await? {
                if let Err(error) = self.remove_duplicate(&photo).await {
                    warn!(%error, key = %photo.blob, "leaving a duplicate to the reconciler");
                }
                return Ok(Uploaded::Existing(existing));
            }
        }
    }

    async fn read_header(&self, spooled: &Spooled, filename: Option<&str>) -> Result<ImageHeader> {
        let header = self.decoder.probe(spooled).await?;
        if let Some(filename) = filename.filter(|_| self.strict_names) {
            header.format.check_name(filename)?;
        }
        self.decoder.check_complete(&header)?;
        Ok(header)
    }

    /// Finds the same bytes of the same user, puts them back where the store has lost or damaged them, and merges what
    /// the uploader says. A deletion of them in progress is finished first.
    async fn existing(
        &self,
        user: &UserId,
        spooled: &Spooled,
        details: &UploadDetails,
    ) -> Result<Option<Photo>> {
        let Some(photo) = self.metadata.find_by_hash(user, &spooled.hash).await? else {
            return Ok(None);
        };
        if photo.state == PhotoState::Deleting {
            self.deletion
                .finish(&photo)
                .await
                .context("finishing the deletion of the same photo")?;
            return Ok(None);
        }
        let Some(photo) = self.put_back(spooled, photo).await? else {
            return Ok(None);
        };
        let edit = PhotoEdit {
            tags: TagEdit::Change {
                add: details.tags.clone(),
                remove: BTreeSet::new(),
            },
            taken_at: details
                .taken_at
                .map_or(TakenAtEdit::Keep, TakenAtEdit::SetIfUnknown),
        };
        self.editing.apply(photo, &edit).await
    }

    /// Stores the bytes of a known photo again if its original is missing or damaged; `None` when the photo is being
    /// deleted meanwhile.
    async fn put_back(&self, spooled: &Spooled, photo: Photo) -> Result<Option<Photo>> {
        let known = self.damage.report().await?.damaged.get(&photo.id).copied();
        // A wrong size shows at once; wrong bytes of the right size only where a scrub or a reader has found them.
        let damage = match self.blobs.stat(&photo).await? {
            None => known.filter(|known| *known == Damage::WrongBytes),
            damage => damage,
        };
        let Some(damage) = damage else {
            if known.is_some() {
                self.damage.note(&photo.id, None).await;
            }
            return Ok(Some(photo));
        };
        self.store(spooled, &photo).await?;
        self.manifests.refresh(&photo).await?;
        info!(photo_id = %photo.id, damage = damage.as_str(), "put a damaged original back");
        self.damage.note(&photo.id, None).await;
        let Some(photo) = self.metadata.get(&photo.id).await? else {
            return Ok(None);
        };
        match photo.state {
            PhotoState::Deleting => {
                self.deletion.finish(&photo).await?;
                Ok(None)
            }
            // It may wait for these bytes, or have failed for want of them.
            PhotoState::Failed | PhotoState::Pending => self.records.make_pending(photo).await,
            PhotoState::Ready => Ok(Some(photo)),
        }
    }

    /// Stores a new photo: the manifest first, so that there never is an original without one.
    async fn keep(&self, spooled: &Spooled, photo: &Photo) -> Result<()> {
        // An id comes back only with `lucida adopt`.
        if made_elsewhere(&photo.id, photo.created_at) {
            self.make_way(photo).await?;
        }
        self.manifests.write(photo).await?;
        let stored = self.store(spooled, photo).await;
        if stored.is_err()
            && let Err(error) = self.storage.delete(&BlobKey::manifest(&photo.id)).await
        {
            debug!(%error, photo_id = %photo.id, "leaving the manifest of a refused upload behind");
        }
        stored
    }

    /// Makes sure that storing a photo under an id that was used before loses nothing.
    async fn make_way(&self, photo: &Photo) -> Result<()> {
        match self.blobs.compare_hash(photo, &mut Pace::new(0)).await? {
            None | Some(Damage::Missing) => {}
            Some(Damage::WrongSize | Damage::WrongBytes) => {
                return Err(Error::conflict(format!(
                    "another original of the id `{}` is stored, and no record names it: `lucida rebuild` makes its record",
                    photo.id
                )));
            }
        }
        // An earlier deletion of the id is history.
        self.storage.delete(&BlobKey::tombstone(&photo.id)).await
    }

    async fn store(&self, spooled: &Spooled, photo: &Photo) -> Result<()> {
        let file = tokio::fs::File::open(&spooled.path)
            .await
            .context("reading an upload back")?;
        let body = ReaderStream::with_capacity(file, PIECE_BYTES)
            .map(|piece| piece.context("reading an upload back"))
            .boxed();
        let written = self.storage.put(&photo.blob, body).await?;
        if written == photo.size_bytes {
            Ok(())
        } else {
            let expected = photo.size_bytes;
            Err(Error::internal(format!(
                "the store kept {written} of {expected} bytes of an upload"
            )))
        }
    }

    /// Removes an original whose bytes are stored as those of another photo of the same user.
    async fn remove_duplicate(&self, photo: &Photo) -> Result<()> {
        let storage = &self.storage;
        storage.delete(&photo.blob).await?;
        storage.delete(&BlobKey::manifest(&photo.id)).await
    }

    async fn accept(&self, photo: Photo) -> Result<Uploaded> {
        let job = Job { photo_id: photo.id };
        if let Err(error) = self.queue.publish(&job, Duration::ZERO).await {
            // The photo is safe: the reconciler publishes the job once the queue is back.
            warn!(%error, photo_id = %photo.id, "leaving a photo's job to the reconciler");
        }
        info!(photo_id = %photo.id, size_bytes = photo.size_bytes, "took in photo");
        Ok(Uploaded::New(photo))
    }
}

/// Returns whether an id is older than the upload that it is for, so that another photo may have had it before.
fn made_elsewhere(id: &PhotoId, uploaded_at: Timestamp) -> bool {
    const MARGIN: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
    id.made_at()
        .is_none_or(|made| uploaded_at.duration_since(made).abs() > MARGIN)
}
