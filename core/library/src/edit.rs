//! What a user changes on a photo after its upload: tags, and when it was taken.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::manifests::Manifests;
use crate::points::Points;
use crate::records::{Records, not_found};
use lucida_core::{
    Error, Job, JobQueue, MetadataStore, Photo, PhotoId, PhotoState, Point, Result, TakenAt, UserId,
};

/// How long after an edit its job looks whether manifest and index have it. Usually the edit itself has seen to both.
const LOOK_AFTER: Duration = Duration::from_secs(10);

/// How many tags a photo may have in all.
const MAX_TAGS: usize = 256;

/// How often the index is written again because the record changed meanwhile.
const MAX_CHANGES: usize = 16;

/// What is to be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PhotoEdit {
    /// Which tags it has.
    pub tags: TagEdit,
    /// When it was taken.
    pub taken_at: TakenAtEdit,
}

/// What is to be done with the tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagEdit {
    /// These are the tags from now on.
    Replace(BTreeSet<String>),
    /// Some come, and then some go.
    Change {
        /// The tags that it gets.
        add: BTreeSet<String>,
        /// The tags that it loses.
        remove: BTreeSet<String>,
    },
}

impl Default for TagEdit {
    fn default() -> Self {
        Self::Change {
            add: BTreeSet::new(),
            remove: BTreeSet::new(),
        }
    }
}

/// What is to be done with the time that it was taken at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TakenAtEdit {
    /// It stays.
    #[default]
    Keep,
    /// It is this one.
    Set(TakenAt),
    /// It is this one unless it is known already.
    SetIfUnknown(TakenAt),
    /// It is unknown.
    Clear,
}

impl PhotoEdit {
    fn apply(&self, photo: &mut Photo) {
        match &self.tags {
            TagEdit::Replace(tags) => photo.tags.clone_from(tags),
            TagEdit::Change { add, remove } => {
                photo.tags.extend(add.iter().cloned());
                photo.tags.retain(|tag| !remove.contains(tag));
            }
        }
        match self.taken_at {
            TakenAtEdit::Keep => {}
            TakenAtEdit::Set(taken) => photo.set_taken_at(taken),
            TakenAtEdit::SetIfUnknown(taken) if photo.taken_at.is_none() => photo.set_taken_at(taken),
            TakenAtEdit::SetIfUnknown(_) => {}
            TakenAtEdit::Clear => (photo.taken_at, photo.taken_at_local) = (None, None),
        }
    }
}

/// Edits photos.
#[derive(Clone)]
pub(crate) struct Editing {
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) records: Records,
    pub(crate) manifests: Manifests,
    pub(crate) points: Points,
}

impl Editing {
    /// Changes a user's photo; searches go by the change once this returns, or soon after where the index is unavailable.
    ///
    /// A job goes into the queue first. Whatever ends this half way, that job brings manifest and index in line with the
    /// record.
    ///
    /// # Errors
    /// `NotFound` when the user has no such photo; `InvalidInput` for more tags than a photo may have; those of the
    /// metadata store and the queue, with nothing changed.
    pub(crate) async fn edit(&self, user: &UserId, id: &PhotoId, edit: &PhotoEdit) -> Result<Photo> {
        let photo = self.records.of_user(user, id).await?;
        let edited = self.apply(photo, edit).await?;
        edited.ok_or_else(|| not_found(id))
    }

    /// Changes a photo; `None` when it is gone or being deleted.
    pub(crate) async fn apply(&self, photo: Photo, edit: &PhotoEdit) -> Result<Option<Photo>> {
        let mut wanted = photo.clone();
        edit.apply(&mut wanted);
        if wanted == photo {
            return Ok(Some(photo));
        }
        if wanted.tags.len() > MAX_TAGS {
            let count = wanted.tags.len();
            return Err(Error::invalid(format!(
                "the photo would have {count} tags; at most {MAX_TAGS} are allowed"
            ))
            .with_code("invalid_field")
            .with_field("tags"));
        }
        let job = Job { photo_id: photo.id };
        self.queue.publish(&job, LOOK_AFTER).await?;
        let Some(edited) = self.records.change(photo, |photo| edit.apply(photo)).await? else {
            return Ok(None);
        };
        if let Err(error) = self.refresh(&edited).await {
            warn!(%error, photo_id = %edited.id, "leaving an edit to its job");
        }
        Ok(Some(edited))
    }

    /// Brings the manifest and the index's payload in line with the record, as it is when this ends.
    pub(crate) async fn refresh(&self, photo: &Photo) -> Result<()> {
        self.manifests.refresh(photo).await?;
        let mut current = photo.clone();
        for _ in 0..MAX_CHANGES {
            self.points.refresh(&current).await?;
            // Of two writers the one with the older record may be the later one: it sees that here.
            match self.metadata.get(&photo.id).await? {
                Some(now) if now.state == PhotoState::Deleting => return Ok(()),
                Some(now) if same_payload(&now, &current) => return Ok(()),
                Some(now) => current = now,
                None => return self.points.remove(&[photo.id]).await,
            }
        }
        Ok(())
    }
}

/// Returns whether the index holds the same of both records of a photo, vectors aside.
fn same_payload(one: &Photo, other: &Photo) -> bool {
    let point = |photo| Point::of_photo(photo, Vec::new());
    point(one) == point(other)
}
