//! One run over ledger, queue, index and blobs: what does not fit, and its mending.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};

use super::super::Photos;
use super::super::models::View;
use super::super::point_ids::PointIds;
use super::{CheckReport, Finding, FindingKind};
use crate::error::{Error, ErrorKind, Result};
use crate::id::PhotoId;
use crate::metadata::{Order, PhotoFilter, PhotoQuery};
use crate::photo::{Photo, PhotoState};
use crate::queue::Job;
use crate::storage::{BlobKey, BlobStat};

const PAGE: usize = 500;
/// How many blobs are looked at at once.
const STAT_CONCURRENCY: usize = 16;

/// One run over the stores.
pub(super) struct Pass<'a> {
    photos: &'a Photos,
    repair: bool,
    /// What changed this recently may still be in somebody's hands.
    settled_before: Timestamp,
    pub(super) report: CheckReport,
    tell: &'a mut (dyn FnMut(&Finding) + Send),
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        photos: &'a Photos,
        repair: bool,
        grace: Duration,
        tell: &'a mut (dyn FnMut(&Finding) + Send),
    ) -> Result<Self> {
        let settled_before = ago(grace)?;
        Ok(Self {
            photos,
            repair,
            settled_before,
            report: CheckReport::default(),
            tell,
        })
    }

    fn found(&mut self, kind: FindingKind, subject: impl fmt::Display, repaired: bool) {
        *self.report.findings.entry(kind).or_default() += 1;
        self.report.unrepaired += u64::from(!repaired);
        (self.tell)(&Finding {
            kind,
            subject: subject.to_string(),
            repaired,
        });
    }

    /// Finishes deletions and gives pending photos a job: cheap, since it reads only such photos.
    pub(super) async fn shallow(&mut self) -> Result<()> {
        let mut query = self.query(vec![PhotoState::Deleting]);
        while let Some(page) = next_page(self.photos, &mut query).await? {
            for photo in page {
                if self.repair {
                    self.photos.finish_deletion(&photo).await?;
                }
                self.found(FindingKind::DeletionUnfinished, photo.id, self.repair);
            }
        }
        // Jobs can't be looked up by photo, but while there are at least as many as pending photos none is known
        // to be lost; so a long queue is never made longer for nothing.
        let counts = self.photos.parts().queue.counts().await?;
        let jobs = counts.ready + counts.delayed + counts.in_flight;
        let pending = self.photos.parts().metadata.count_by_state(None).await?.pending;
        if pending <= jobs {
            return Ok(());
        }
        let mut query = self.query(vec![PhotoState::Pending]);
        while let Some(page) = next_page(self.photos, &mut query).await? {
            for photo in page {
                let id = photo.id;
                if self.repair {
                    // The touch keeps the next pass from publishing it again at once.
                    if self.photos.change(photo, |_| {}).await?.is_none() {
                        continue;
                    }
                    self.photos
                        .parts()
                        .queue
                        .publish(&Job { photo_id: id }, Duration::ZERO)
                        .await?;
                }
                self.found(FindingKind::PendingWithoutJob, id, self.repair);
            }
        }
        Ok(())
    }

    fn query(&self, states: Vec<PhotoState>) -> PhotoQuery {
        let filter = PhotoFilter {
            states,
            updated_before: Some(self.settled_before),
            ..PhotoFilter::default()
        };
        PhotoQuery {
            filter,
            order: Order::OldestFirst,
            after: None,
            limit: PAGE,
        }
    }

    /// Compares ledger, index and blobs.
    pub(super) async fn deep(&mut self) -> Result<()> {
        self.ledger_against_index_and_blobs().await?;
        for prefix in [BlobKey::ORIGINALS, BlobKey::DERIVED] {
            self.blobs_against_ledger(prefix).await?;
        }
        Ok(())
    }

    async fn ledger_against_index_and_blobs(&mut self) -> Result<()> {
        let view = self.photos.look().await?;
        let mut points = PointIds::new(&*self.photos.parts().index, &view.alias, None);
        let mut query = PhotoQuery {
            order: Order::OldestFirst,
            limit: PAGE,
            ..PhotoQuery::default()
        };
        while let Some(page) = next_page(self.photos, &mut query).await? {
            self.report.photos += page.len() as u64;
            let missing_blobs = missing_blobs(self.photos, &page).await?;
            for photo in page {
                let mut present = false;
                while let Some(id) = points.peek().await? {
                    if id > photo.id {
                        break;
                    }
                    points.next();
                    present = id == photo.id;
                    if !present {
                        self.unknown_point(id).await?;
                    }
                }
                let missing = missing_blobs.get(&photo.id).copied();
                self.photo_of_ledger(photo, &view, present, missing).await?;
            }
        }
        while let Some(id) = points.peek().await? {
            points.next();
            self.unknown_point(id).await?;
        }
        self.report.points = points.seen;
        Ok(())
    }

    async fn photo_of_ledger(
        &mut self,
        photo: Photo,
        view: &View,
        in_index: bool,
        missing: Option<FindingKind>,
    ) -> Result<()> {
        // While a model is being filled in, what it lacks is its change's business.
        let lacking = if view.catching_up || view.problem.is_some() {
            FindingKind::OtherModel
        } else {
            FindingKind::PointMissing
        };
        let recent = photo.updated_at >= self.settled_before;
        let kind = match (photo.state, missing) {
            (PhotoState::Deleting, _) => return Ok(()),
            _ if recent => return Ok(()),
            (PhotoState::Pending | PhotoState::Ready | PhotoState::Failed, Some(kind)) => kind,
            (PhotoState::Ready, None) if !in_index => lacking,
            (PhotoState::Pending | PhotoState::Ready | PhotoState::Failed, None) => return Ok(()),
        };
        // The page is a moment old: only what still is so counts.
        let metadata = &self.photos.parts().metadata;
        let Some(photo) = metadata
            .get(&photo.id)
            .await?
            .filter(|now| now.version == photo.version)
        else {
            return Ok(());
        };
        if kind == lacking {
            let index = &self.photos.parts().index;
            if index.vector(&view.alias, &photo.id).await?.is_some() {
                return Ok(());
            }
        }
        let id = photo.id;
        let repaired = match kind {
            FindingKind::OtherModel if self.repair => {
                self.photos
                    .parts()
                    .queue
                    .publish(&Job { photo_id: id }, Duration::ZERO)
                    .await?;
                true
            }
            FindingKind::PointMissing | FindingKind::DerivedMissing if self.repair => {
                self.photos.make_pending(photo).await?;
                true
            }
            FindingKind::PendingWithoutJob
            | FindingKind::DeletionUnfinished
            | FindingKind::OtherModel
            | FindingKind::PointMissing
            | FindingKind::PointUnknown
            | FindingKind::BlobMissing
            | FindingKind::DerivedMissing
            | FindingKind::BlobUnknown => false,
        };
        self.found(kind, id, repaired);
        Ok(())
    }

    async fn unknown_point(&mut self, id: PhotoId) -> Result<()> {
        if self.photos.parts().metadata.get(&id).await?.is_some() {
            return Ok(());
        }
        if self.repair {
            self.photos.remove_points(&[id]).await?;
        }
        self.found(FindingKind::PointUnknown, id, self.repair);
        Ok(())
    }

    async fn blobs_against_ledger(&mut self, prefix: &str) -> Result<()> {
        let oldest_orphan = ago(self.photos.options().orphan_grace)?;
        let mut blobs = self.photos.parts().storage.list(prefix).try_chunks(PAGE);
        while let Some(chunk) = blobs.next().await {
            let chunk = chunk.map_err(|error| error.1)?;
            self.report.blobs += chunk.len() as u64;
            let mut ids: Vec<_> = chunk.iter().filter_map(|blob| blob.key.photo_id()).collect();
            ids.sort_unstable();
            ids.dedup();
            let photos = self.photos.parts().metadata.get_many(&ids).await?;
            let photos: HashMap<_, _> = photos.iter().map(|photo| (photo.id, photo)).collect();
            for BlobStat { key, modified_at, .. } in chunk {
                let named = key
                    .photo_id()
                    .and_then(|id| photos.get(&id))
                    .is_some_and(|photo| {
                        photo.blob == key || photo.derived.values().any(|derived| derived.key == key)
                    });
                // An upload or a worker may be between the blob and the record that names it.
                let old = modified_at.is_none_or(|modified| modified < oldest_orphan)
                    && key.photo_id().is_none_or(|id| made_before(&id, oldest_orphan));
                if named || !old {
                    continue;
                }
                if self.repair {
                    self.photos.parts().storage.delete(&key).await?;
                }
                self.found(FindingKind::BlobUnknown, &key, self.repair);
            }
        }
        Ok(())
    }
}

async fn next_page(photos: &Photos, query: &mut PhotoQuery) -> Result<Option<Vec<Photo>>> {
    let page = photos.parts().metadata.list(query).await?;
    query.after = page.last().map(|photo| photo.id).or(query.after);
    Ok((!page.is_empty()).then_some(page))
}

/// Returns for each photo of a page whether its original or something derived from it is missing.
async fn missing_blobs(photos: &Photos, page: &[Photo]) -> Result<HashMap<PhotoId, FindingKind>> {
    let mut keys = Vec::new();
    for photo in page {
        keys.push((photo.id, photo.blob.clone(), FindingKind::BlobMissing));
        let derived = photo.derived.values();
        keys.extend(derived.map(|blob| (photo.id, blob.key.clone(), FindingKind::DerivedMissing)));
    }
    let looks = keys.into_iter().map(|(id, key, kind)| {
        let storage = Arc::clone(&photos.parts().storage);
        async move {
            match storage.stat(&key).await {
                Ok(_) => Ok(None),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some((id, kind))),
                Err(error) => Err(error),
            }
        }
    });
    let mut missing = HashMap::new();
    let mut looks = futures::stream::iter(looks).buffer_unordered(STAT_CONCURRENCY);
    while let Some(look) = looks.try_next().await? {
        if let Some((id, kind)) = look {
            let worst = missing.entry(id).or_insert(kind);
            if kind == FindingKind::BlobMissing {
                *worst = kind;
            }
        }
    }
    Ok(missing)
}

fn ago(duration: Duration) -> Result<Timestamp> {
    let too_long = |error: jiff::Error| Error::internal("a grace period is too long").with_source(error);
    let duration = SignedDuration::try_from(duration).map_err(too_long)?;
    Timestamp::now().checked_sub(duration).map_err(too_long)
}

/// Tells by a UUIDv7's own time whether a photo's upload began before `time`.
fn made_before(id: &PhotoId, time: Timestamp) -> bool {
    let Some((seconds, nanoseconds)) = id.as_uuid().get_timestamp().map(|made| made.to_unix()) else {
        return true;
    };
    i64::try_from(seconds)
        .ok()
        .zip(i32::try_from(nanoseconds).ok())
        .and_then(|(seconds, nanoseconds)| Timestamp::new(seconds, nanoseconds).ok())
        .is_none_or(|made| made < time)
}
