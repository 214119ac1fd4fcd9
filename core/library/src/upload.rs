//! Upload: look at what came, store it, record it, and put its job into the queue, in this order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use tokio_util::io::ReaderStream;
use tracing::{Instrument, debug, info, info_span, warn};

use super::damage::{Damage, Pace};
use super::edit::{PhotoEdit, TagEdit, TakenAtEdit};
use super::spool::Spooled;
use super::{Photos, SpoolWriter, larger_short_side};
use crate::manifest::Manifest;
use lucida_core::{
    BlobKey, Error, Inserted, Job, Lane, Photo, PhotoId, PhotoState, Result, ResultExt, TakenAt, Upload,
    UserId,
    picture::{self, ImageHeader, Picture},
};

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

impl Photos {
    /// Takes a photo in: once this returns, the photo survives anything but the loss of its store.
    ///
    /// # Errors
    /// Those of [`picture::probe`], `truncated_image`, `too_many_pixels`, `type_mismatch` where names are strict, a plugin's
    /// refusal,
    /// and those of the stores. An original that is stored by then stays, as one that no record names.
    pub async fn upload(
        &self,
        user: &UserId,
        spool: SpoolWriter,
        details: UploadDetails,
    ) -> Result<Uploaded> {
        self.upload_as(PhotoId::generate(), user, spool, details).await
    }

    /// Takes a photo in under an id that it has already.
    pub(super) async fn upload_as(
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
        let header = self.look_at(&spooled, details.filename.as_deref()).await?;
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
        self.inspect_by_plugins(&upload).await?;
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
        photo.attributes = super::names::note(details.filename.as_deref(), header.format);
        self.keep(&spooled, &photo).await?;
        loop {
            match self.parts().metadata.insert(&photo).await? {
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

    async fn look_at(&self, spooled: &Spooled, filename: Option<&str>) -> Result<ImageHeader> {
        let path = spooled.path.to_path_buf();
        let max_pixels = self.options().max_pixels;
        // The file is held in memory while it is looked at.
        let place = self
            .inner
            .decoding
            .enter(Lane::Interactive, spooled.size_bytes)
            .await?;
        let look = move || {
            let header = picture::probe(&path, max_pixels);
            drop(place);
            header
        };
        let header = tokio::task::spawn_blocking(look)
            .await
            .map_err(|error| Error::internal("looking at an upload failed").with_source(error))??;
        if let Some(filename) = filename.filter(|_| self.options().strict_names) {
            header.format.check_name(filename)?;
        }
        if header.complete || self.options().accept_truncated {
            Ok(header)
        } else {
            Err(picture::truncated())
        }
    }

    /// Finds the same bytes of the same user, puts them back where the store has lost or damaged them, and merges what
    /// the uploader says. A deletion of them that is under way is finished first.
    async fn existing(
        &self,
        user: &UserId,
        spooled: &Spooled,
        details: &UploadDetails,
    ) -> Result<Option<Photo>> {
        let Some(photo) = self.parts().metadata.find_by_hash(user, &spooled.hash).await? else {
            return Ok(None);
        };
        if photo.state == PhotoState::Deleting {
            self.finish_deletion(&photo)
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
        self.edit_photo(photo, &edit).await
    }

    /// Stores the bytes of a known photo again if its original is missing or damaged; `None` when the photo is being
    /// deleted meanwhile.
    async fn put_back(&self, spooled: &Spooled, photo: Photo) -> Result<Option<Photo>> {
        let known = self.storage_report().await?.damaged.get(&photo.id).copied();
        // A wrong size shows at once; wrong bytes of the right size only where a scrub or a reader has found them.
        let damage = match self.stat_original(&photo).await? {
            None => known.filter(|known| *known == Damage::WrongBytes),
            damage => damage,
        };
        let Some(damage) = damage else {
            if known.is_some() {
                self.note_damage(&photo.id, None).await;
            }
            return Ok(Some(photo));
        };
        self.store(spooled, &photo).await?;
        self.refresh_manifest(&photo).await?;
        info!(photo_id = %photo.id, damage = damage.as_str(), "put a damaged original back");
        self.note_damage(&photo.id, None).await;
        let Some(photo) = self.parts().metadata.get(&photo.id).await? else {
            return Ok(None);
        };
        match photo.state {
            PhotoState::Deleting => {
                self.finish_deletion(&photo).await?;
                Ok(None)
            }
            // It may wait for these bytes, or have failed for want of them.
            PhotoState::Failed | PhotoState::Pending => self.make_pending(photo).await,
            PhotoState::Ready => Ok(Some(photo)),
        }
    }

    /// Stores a new photo: the manifest first, so that there never is an original without one.
    async fn keep(&self, spooled: &Spooled, photo: &Photo) -> Result<()> {
        // An id comes back only with `lucida adopt`.
        if made_elsewhere(&photo.id, photo.created_at) {
            self.make_way(photo).await?;
        }
        self.write_manifest(photo).await?;
        let stored = self.store(spooled, photo).await;
        if stored.is_err()
            && let Err(error) = self.parts().storage.delete(&BlobKey::manifest(&photo.id)).await
        {
            debug!(%error, photo_id = %photo.id, "leaving the manifest of a refused upload behind");
        }
        stored
    }

    /// Makes sure that storing a photo under an id that was used before loses nothing.
    async fn make_way(&self, photo: &Photo) -> Result<()> {
        match self.hash_original(photo, &mut Pace::new(0)).await? {
            None | Some(Damage::Missing) => {}
            Some(Damage::WrongSize | Damage::WrongBytes) => {
                return Err(Error::conflict(format!(
                    "another original of the id `{}` is stored, and no record names it: `lucida rebuild` makes its record",
                    photo.id
                )));
            }
        }
        // An earlier deletion of the id is history.
        self.parts().storage.delete(&BlobKey::tombstone(&photo.id)).await
    }

    async fn store(&self, spooled: &Spooled, photo: &Photo) -> Result<()> {
        let file = tokio::fs::File::open(&spooled.path)
            .await
            .context("reading an upload back")?;
        let body = ReaderStream::with_capacity(file, PIECE_BYTES)
            .map(|piece| piece.context("reading an upload back"))
            .boxed();
        let written = self.parts().storage.put(&photo.blob, body).await?;
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
        let storage = &self.parts().storage;
        storage.delete(&photo.blob).await?;
        storage.delete(&BlobKey::manifest(&photo.id)).await
    }

    async fn accept(&self, photo: Photo) -> Result<Uploaded> {
        let job = Job { photo_id: photo.id };
        if let Err(error) = self.parts().queue.publish(&job, Duration::ZERO).await {
            // The photo is safe: the reconciler publishes the job once the queue is back.
            warn!(%error, photo_id = %photo.id, "leaving a photo's job to the reconciler");
        }
        info!(photo_id = %photo.id, size_bytes = photo.size_bytes, "took in photo");
        Ok(Uploaded::New(photo))
    }

    /// Decodes an upload that is only to be embedded, no larger than the embedder needs it, and forgets the file.
    ///
    /// # Errors
    /// Those of [`picture::decode`].
    pub async fn decode_upload(&self, spool: SpoolWriter) -> Result<Arc<Picture>> {
        let spooled = spool.finish().await?;
        let read = move || std::fs::read(&spooled.path).context("reading an upload back");
        let serving = Arc::clone(&self.view().await?.serving);
        let configured = self.parts().embedder.describe().decode_short_side_pixels;
        let short_side_pixels =
            larger_short_side(configured, serving.embedder.describe().decode_short_side_pixels);
        Ok(self.decode(Lane::Interactive, short_side_pixels, read).await?.0)
    }
}

/// Tells whether an id is older than the upload that it is for, so that another photo may have had it before.
fn made_elsewhere(id: &PhotoId, uploaded_at: Timestamp) -> bool {
    const MARGIN: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
    id.made_at()
        .is_none_or(|made| uploaded_at.duration_since(made).abs() > MARGIN)
}
