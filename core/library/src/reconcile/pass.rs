//! One run over the stores, and its cheap half: unfinished deletions, and pending photos without a job.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::finding::{Finding, FindingKind};
use super::report::{CheckNews, CheckReport, OnNews};
use super::stores::Stores;
use lucida_core::{Error, Job, Order, Photo, PhotoFilter, PhotoQuery, PhotoState, Result};

/// How many photos or blobs are read at once.
pub(crate) const PAGE: usize = 500;

/// One run over the stores.
pub(super) struct Pass<'a> {
    pub(super) stores: &'a Stores,
    pub(super) repair: bool,
    /// How many originals that no record names are to be deleted, if there are exactly so many.
    pub(super) forget_unknown: Option<u64>,
    /// A request or a worker may still be changing what is more recent.
    pub(super) settled_before: Timestamp,
    pub(super) report: CheckReport,
    on_news: &'a mut OnNews<'a>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        stores: &'a Stores,
        repair: bool,
        grace: Duration,
        on_news: &'a mut OnNews<'a>,
    ) -> Result<Self> {
        let settled_before = ago(grace)?;
        Ok(Self {
            stores,
            repair,
            forget_unknown: None,
            settled_before,
            report: CheckReport::default(),
            on_news,
        })
    }

    pub(super) fn found(&mut self, kind: FindingKind, subject: impl fmt::Display, repaired: bool) {
        *self.report.findings.entry(kind).or_default() += 1;
        self.report.unrepaired += u64::from(!repaired);
        (self.on_news)(CheckNews::Found(&Finding {
            kind,
            subject: subject.to_string(),
            repaired,
        }));
    }

    /// Reports the progress.
    pub(super) fn progress(&mut self) {
        (self.on_news)(CheckNews::Progress(&self.report));
    }

    /// Finishes deletions and gives pending photos a job: cheap, since it reads only such photos.
    pub(super) async fn shallow(&mut self) -> Result<()> {
        let mut query = self.query(vec![PhotoState::Deleting]);
        while let Some(page) = next_page(self.stores, &mut query).await? {
            for photo in page {
                if self.repair {
                    self.stores.deletion.finish(&photo).await?;
                }
                self.found(FindingKind::DeletionUnfinished, photo.id, self.repair);
            }
        }
        // Jobs can't be looked up by photo, but while there are at least as many as pending photos none is known
        // to be lost; so a long queue is never made longer for nothing.
        let counts = self.stores.queue.counts().await?;
        let jobs = counts.ready + counts.delayed + counts.in_flight;
        let pending = self.stores.metadata.count_by_state(None).await?.pending;
        if pending <= jobs {
            return Ok(());
        }
        let mut query = self.query(vec![PhotoState::Pending]);
        while let Some(page) = next_page(self.stores, &mut query).await? {
            for photo in page {
                let id = photo.id;
                if self.repair {
                    // Its record stays as it is: the counts may differ only because an upload is in progress, and then
                    // a worker has the photo in hand. A job too many is dropped, and keeps the next pass from
                    // publishing again.
                    let now = self.stores.metadata.get(&id).await?;
                    if now.is_none_or(|now| now.state != PhotoState::Pending) {
                        continue;
                    }
                    let queue = &self.stores.queue;
                    queue.publish(&Job { photo_id: id }, Duration::ZERO).await?;
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
}

pub(super) async fn next_page(stores: &Stores, query: &mut PhotoQuery) -> Result<Option<Vec<Photo>>> {
    let page = stores.metadata.list(query).await?;
    query.after = page.last().map(|photo| photo.id).or(query.after);
    Ok((!page.is_empty()).then_some(page))
}

pub(super) fn ago(duration: Duration) -> Result<Timestamp> {
    let too_long = |error: jiff::Error| Error::internal("a grace period is too long").with_source(error);
    let duration = SignedDuration::try_from(duration).map_err(too_long)?;
    Timestamp::now().checked_sub(duration).map_err(too_long)
}
