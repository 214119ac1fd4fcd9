//! The records against index and blobs: photos that searches would miss, and points and blobs that are gone or damaged.

use std::collections::HashMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};

use super::finding::FindingKind;
use super::pass::{PAGE, Pass, next_page};
use super::progress::DeepRun;
use super::stores::Stores;
use crate::blobs::Pace;
use crate::damage::Damage;
use crate::fault::CODES_OF_COMPONENTS;
use crate::models::{ModelState, View};
use crate::points::PointIds;
use lucida_core::{ErrorKind, Job, Order, Photo, PhotoId, PhotoQuery, PhotoState, Result};

/// How many blobs are checked at once.
const STAT_CONCURRENCY: usize = 16;

/// How many photos are verified before the progress is saved.
const VERIFY_PAGE: usize = 50;

/// What is wrong with a photo's blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlobFault {
    Original(Damage),
    Derived,
}

impl Pass<'_> {
    /// Looks at every photo after `after`, in the order of their ids, and at the points between them.
    pub(super) async fn records_against_index_and_blobs(
        &mut self,
        after: Option<PhotoId>,
        run: &mut DeepRun<'_>,
    ) -> Result<()> {
        let view = self.stores.models.look().await?;
        let mut points = PointIds::new(&*self.stores.index, &view.alias, after);
        let seen_before = self.report.points;
        let mut query = PhotoQuery {
            order: Order::OldestFirst,
            after,
            limit: PAGE,
            ..PhotoQuery::default()
        };
        while let Some(page) = next_page(self.stores, &mut query).await? {
            self.report.photos += page.len() as u64;
            let faults = blob_faults(self.stores, &page).await?;
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
                let fault = faults.get(&photo.id).copied();
                self.photo_of_record(photo, &view, present, fault, run).await?;
            }
            self.report.points = seen_before + points.seen;
            run.save_records(self, query.after).await?;
        }
        while let Some(id) = points.peek().await? {
            points.next();
            self.unknown_point(id).await?;
        }
        self.report.points = seen_before + points.seen;
        Ok(())
    }

    async fn photo_of_record(
        &mut self,
        photo: Photo,
        view: &View,
        in_index: bool,
        fault: Option<BlobFault>,
        run: &mut DeepRun<'_>,
    ) -> Result<()> {
        // While a model is being filled in, what it lacks is its change's business.
        let lacking = if matches!(view.state, ModelState::CatchingUp(_)) || view.problem.is_some() {
            FindingKind::OtherModel
        } else {
            FindingKind::PointMissing
        };
        let recent = photo.updated_at >= self.settled_before;
        let kind = match (photo.state, fault) {
            (PhotoState::Deleting, _) => return Ok(()),
            // An original is stored before its record is written, so it must be stored however recent the record is.
            (_, Some(BlobFault::Original(damage))) => of_damage(damage),
            (PhotoState::Failed, _) if failed_by_a_component(&photo) => FindingKind::FailedByComponent,
            // A point is written before its photo is ready, too; what is to be filled in has a task of its own.
            (PhotoState::Ready, None) if !in_index && lacking == FindingKind::PointMissing => lacking,
            _ if recent => return Ok(()),
            (_, Some(BlobFault::Derived)) => FindingKind::DerivedMissing,
            (PhotoState::Ready, None) if !in_index => lacking,
            (PhotoState::Pending | PhotoState::Ready | PhotoState::Failed, None) => return Ok(()),
        };
        // The page is a moment old: only what still is so counts.
        let metadata = &self.stores.metadata;
        let Some(now) = metadata
            .get(&photo.id)
            .await?
            .filter(|now| now.state != PhotoState::Deleting)
        else {
            return Ok(());
        };
        if let Some(BlobFault::Original(_)) = fault {
            // A deletion marks the record first, so the original was missing while the photo was not being deleted.
            if let Some(damage) = self.stores.blobs.stat(&now).await? {
                run.damaged.insert(now.id, damage);
                self.found(of_damage(damage), named(&now), false);
            }
            return Ok(());
        }
        if now.version != photo.version {
            return Ok(());
        }
        if kind == lacking {
            let index = &self.stores.index;
            if index.vector(&view.alias, &photo.id).await?.is_some() {
                return Ok(());
            }
        }
        let id = photo.id;
        if self.repair {
            if kind == FindingKind::OtherModel {
                let job = Job { photo_id: id };
                self.stores.queue.publish(&job, Duration::ZERO).await?;
            } else {
                self.stores.records.make_pending(photo).await?;
            }
        }
        self.found(kind, id, self.repair);
        Ok(())
    }

    async fn unknown_point(&mut self, id: PhotoId) -> Result<()> {
        if self.stores.metadata.get(&id).await?.is_some() {
            return Ok(());
        }
        if self.repair {
            self.stores.points.remove(&[id]).await?;
        }
        self.found(FindingKind::PointUnknown, id, self.repair);
        Ok(())
    }

    /// Reads every original after `after` and compares it with its hash.
    pub(super) async fn verify_originals(
        &mut self,
        after: Option<PhotoId>,
        bytes_per_sec: u64,
        run: &mut DeepRun<'_>,
    ) -> Result<()> {
        let mut pace = Pace::new(bytes_per_sec);
        let mut query = PhotoQuery {
            order: Order::OldestFirst,
            after,
            limit: VERIFY_PAGE,
            ..PhotoQuery::default()
        };
        while let Some(page) = next_page(self.stores, &mut query).await? {
            for photo in page {
                if photo.state == PhotoState::Deleting {
                    continue;
                }
                self.report.verified += 1;
                let damage = self.stores.blobs.verify(&photo, &mut pace).await?;
                // The comparison of sizes has reported the others.
                if let Some(damage @ Damage::WrongBytes) = damage {
                    run.damaged.insert(photo.id, damage);
                    self.found(of_damage(damage), named(&photo), false);
                }
            }
            run.save_verified(self, query.after).await?;
        }
        Ok(())
    }
}

/// Names a photo with its file, to be found in a backup.
fn named(photo: &Photo) -> String {
    match &photo.filename {
        Some(filename) => format!("{} ({filename})", photo.id),
        None => photo.id.to_string(),
    }
}

const fn of_damage(damage: Damage) -> FindingKind {
    match damage {
        Damage::Missing => FindingKind::BlobMissing,
        Damage::WrongSize => FindingKind::BlobWrongSize,
        Damage::WrongBytes => FindingKind::BlobWrongBytes,
    }
}

/// Returns whether an earlier version gave a photo up for the fault of a component.
fn failed_by_a_component(photo: &Photo) -> bool {
    photo
        .error
        .as_ref()
        .is_some_and(|error| CODES_OF_COMPONENTS.contains(&error.code.as_str()))
}

/// Returns for each photo of a page what is wrong with its blobs, the original first.
async fn blob_faults(stores: &Stores, page: &[Photo]) -> Result<HashMap<PhotoId, BlobFault>> {
    let looks: Vec<_> = page.iter().map(|photo| blob_fault(stores, photo)).collect();
    let faults: Vec<_> = futures::stream::iter(looks)
        .buffer_unordered(STAT_CONCURRENCY)
        .try_collect()
        .await?;
    Ok(faults.into_iter().flatten().collect())
}

async fn blob_fault(stores: &Stores, photo: &Photo) -> Result<Option<(PhotoId, BlobFault)>> {
    if let Some(damage) = stores.blobs.stat(photo).await? {
        return Ok(Some((photo.id, BlobFault::Original(damage))));
    }
    for derived in photo.derived.values() {
        match stores.storage.stat(&derived.key).await {
            Ok(stat) if stat.size_bytes == derived.size_bytes => {}
            Ok(_) => return Ok(Some((photo.id, BlobFault::Derived))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Some((photo.id, BlobFault::Derived)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
