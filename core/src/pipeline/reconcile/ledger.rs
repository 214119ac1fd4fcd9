//! The ledger against index and blobs: photos that searches would miss, and points and blobs that are gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};

use super::super::Photos;
use super::super::models::View;
use super::super::point_ids::PointIds;
use super::FindingKind;
use super::pass::{PAGE, Pass, next_page};
use super::progress::DeepRun;
use crate::error::{ErrorKind, Result};
use crate::id::PhotoId;
use crate::metadata::{Order, PhotoQuery};
use crate::photo::{Photo, PhotoState};
use crate::queue::Job;

/// How many blobs are looked at at once.
const STAT_CONCURRENCY: usize = 16;

impl Pass<'_> {
    /// Looks at every photo after `after`, in the order of their ids, and at the points between them.
    pub(super) async fn ledger_against_index_and_blobs(
        &mut self,
        after: Option<PhotoId>,
        run: &mut DeepRun<'_>,
    ) -> Result<()> {
        let view = self.photos.look().await?;
        let mut points = PointIds::new(&*self.photos.parts().index, &view.alias, after);
        let seen_before = self.report.points;
        let mut query = PhotoQuery {
            order: Order::OldestFirst,
            after,
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
            self.report.points = seen_before + points.seen;
            run.save_ledger(self, query.after).await?;
        }
        while let Some(id) = points.peek().await? {
            points.next();
            self.unknown_point(id).await?;
        }
        self.report.points = seen_before + points.seen;
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
