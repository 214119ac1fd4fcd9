//! The scrub: reads every original again, slowly, in one process at a time, and compares it with its hash.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::blobs::{Blobs, Pace};
use crate::damage::DamageLog;
use crate::lease::Leases;
use crate::state_record::{StateRecord, Unreadable};
use lucida_core::{MetadataStore, Order, PhotoId, PhotoQuery, PhotoState, Result};

const LEASE: &str = "scrub";
/// The progress of the scrub.
const RECORD: StateRecord<Place> = StateRecord::new("scrub", Unreadable::StartOver);

/// How long other processes wait for one that died: longer than the largest original takes at 1 MiB/s.
const LEASE_LASTS: Duration = Duration::from_secs(600);

/// How long after the start of a round the next one starts, at the earliest: 30 days, as scrubs of disks usually do.
const ROUND_EVERY: SignedDuration = SignedDuration::from_hours(24 * 30);

/// How many photos are read before the progress is saved.
const PAGE: usize = 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    /// When the round began.
    begun_at: Timestamp,
    /// The last photo that was read.
    after: Option<PhotoId>,
    /// Whether every photo was read.
    complete: bool,
}

/// Compares originals with their hashes in the background.
#[derive(Clone)]
pub(crate) struct Scrub {
    pub(crate) metadata: Arc<dyn MetadataStore>,
    pub(crate) leases: Leases,
    pub(crate) blobs: Blobs,
    pub(crate) damage: DamageLog,
    /// How many bytes a second are read; 0 turns the scrub off.
    pub(crate) bytes_per_sec: u64,
    /// The pause between two looks for a round that is due.
    pub(crate) interval: Duration,
}

impl Scrub {
    /// Runs until `shutdown` is cancelled.
    pub(crate) async fn run_until(&self, shutdown: CancellationToken) {
        if self.bytes_per_sec == 0 {
            return;
        }
        let mut pace = Pace::new(self.bytes_per_sec);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(self.interval) => {}
            }
            let result = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                result = self.run(&mut pace) => result,
            };
            if let Err(error) = result {
                warn!(%error, "scrubbing originals failed, trying again later");
            }
        }
        if let Err(error) = self.leases.release(LEASE).await {
            debug!(%error, "leaving the scrub's lease to expire");
        }
    }

    /// Continues the round in progress, or starts one when it is due.
    async fn run(&self, pace: &mut Pace) -> Result<()> {
        if !self.leases.take(LEASE, LEASE_LASTS).await? {
            return Ok(());
        }
        let mut place = match RECORD.find(&*self.metadata).await? {
            Some(place) if !place.complete => place,
            Some(place) if Timestamp::now().duration_since(place.begun_at) < ROUND_EVERY => return Ok(()),
            Some(_) | None => Place {
                begun_at: Timestamp::now(),
                after: None,
                complete: false,
            },
        };
        let (mut read, mut damaged) = (0_u64, 0_u64);
        let mut leased = Instant::now();
        while !place.complete {
            let query = PhotoQuery {
                order: Order::OldestFirst,
                after: place.after,
                limit: PAGE,
                ..PhotoQuery::default()
            };
            let page = self.metadata.list(&query).await?;
            let known = self.damage.report().await?.damaged;
            for photo in &page {
                place.after = Some(photo.id);
                if photo.state == PhotoState::Deleting {
                    continue;
                }
                let damage = self.blobs.verify(photo, pace).await?;
                read += 1;
                if let Some(damage) = damage {
                    damaged += 1;
                    error!(
                        photo_id = %photo.id,
                        filename = photo.filename,
                        damage = damage.as_str(),
                        "an original is damaged: upload the same file again, or restore it from a backup"
                    );
                }
                if damage != known.get(&photo.id).copied() {
                    self.damage.note(&photo.id, damage).await;
                }
                if leased.elapsed() > LEASE_LASTS / 4 {
                    leased = Instant::now();
                    self.save(&place).await?;
                }
            }
            place.complete = page.is_empty();
            self.save(&place).await?;
        }
        info!(
            read,
            damaged, "every original was read and compared with its hash"
        );
        Ok(())
    }

    async fn save(&self, place: &Place) -> Result<()> {
        self.leases.keep(LEASE, LEASE_LASTS).await?;
        RECORD.save(&*self.metadata, place).await
    }
}
