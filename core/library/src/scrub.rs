//! The scrub: reads every original again, slowly, in one process at a time, and compares it with its hash.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::Photos;
use super::damage::Pace;
use lucida_core::{Error, ErrorKind, Order, PhotoId, PhotoQuery, PhotoState, Result};

const LEASE: &str = "scrub";
/// How far the scrub has come, in the metadata store.
const RECORD: &str = "scrub";

/// How long other processes wait for one that died: longer than the largest original takes at 1 MiB/s.
const LEASE_LASTS: Duration = Duration::from_secs(600);

/// How long after the start of a round the next one starts, at the earliest: 30 days, as scrubs of disks usually do.
const ROUND_EVERY: SignedDuration = SignedDuration::from_hours(24 * 30);

/// How many photos are read between two notes of how far it has come.
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

impl Photos {
    pub(super) async fn scrub_until(&self, shutdown: CancellationToken) {
        let bytes_per_sec = self.options().scrub_bytes_per_sec;
        if bytes_per_sec == 0 {
            return;
        }
        let mut pace = Pace::new(bytes_per_sec);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(self.options().reconcile_interval) => {}
            }
            let result = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                result = self.scrub(&mut pace) => result,
            };
            if let Err(error) = result {
                warn!(%error, "scrubbing originals failed, trying again later");
            }
        }
        if let Err(error) = self.release_lease(LEASE).await {
            debug!(%error, "leaving the scrub's lease to expire");
        }
    }

    /// Goes on with the round under way, or begins one when it is due.
    async fn scrub(&self, pace: &mut Pace) -> Result<()> {
        if !self.take_lease(LEASE, LEASE_LASTS).await? {
            return Ok(());
        }
        let saved = self.parts().metadata.record(RECORD).await?;
        let saved = saved.and_then(|record| serde_json::from_value::<Place>(record.value).ok());
        let mut place = match saved {
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
            let page = self.parts().metadata.list(&query).await?;
            let known = self.storage_report().await?.damaged;
            for photo in &page {
                place.after = Some(photo.id);
                if photo.state == PhotoState::Deleting {
                    continue;
                }
                let damage = self.verify_original(photo, pace).await?;
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
                    self.note_damage(&photo.id, damage).await;
                }
                if leased.elapsed() > LEASE_LASTS / 4 {
                    leased = Instant::now();
                    self.save_scrub(&place).await?;
                }
            }
            place.complete = page.is_empty();
            self.save_scrub(&place).await?;
        }
        info!(
            read,
            damaged, "every original was read and compared with its hash"
        );
        Ok(())
    }

    async fn save_scrub(&self, place: &Place) -> Result<()> {
        if !self.take_lease(LEASE, LEASE_LASTS).await? {
            return Err(Error::unavailable("another process has taken the scrub over"));
        }
        let value = serde_json::to_value(place)
            .map_err(|error| Error::internal("the scrub's place can't be written").with_source(error))?;
        let metadata = &self.parts().metadata;
        let version = metadata.record(RECORD).await?.map(|record| record.version);
        match metadata.put_record(RECORD, &value, version).await {
            Err(error) if error.kind() != ErrorKind::Conflict => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
