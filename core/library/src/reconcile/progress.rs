//! The progress of a comparison of all stores, saved in the metadata store so that another process or a later start
//! resumes it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::pass::Pass;
use super::report::{CheckReport, Verify};
use super::stores::Stores;
use crate::damage::Damage;
use crate::state_record::StateRecord;
use lucida_core::{PhotoId, Result};

/// The progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// Photos up to this one are compared with index and blobs.
    Records(Option<PhotoId>),
    /// So many folders of blobs are compared with the records.
    Blobs(usize),
    /// The originals of photos up to this one are compared with their hashes.
    Verified(Option<PhotoId>),
}

/// What is saved of a comparison.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Saved {
    phase: Phase,
    report: CheckReport,
    unknown_originals: BTreeMap<usize, u64>,
    damaged: BTreeMap<PhotoId, Damage>,
}

/// One comparison of all stores, from where the last one was interrupted.
pub(super) struct DeepRun<'a> {
    stores: &'a Stores,
    record: &'static StateRecord<Saved>,
    /// The lease that is renewed as it goes, and for how long.
    lease: Option<(&'static str, Duration)>,
    phase: Phase,
    /// In which folders there are originals that no record names, and how many, so far.
    pub(super) unknown_originals: BTreeMap<usize, u64>,
    /// The originals that were found damaged so far.
    pub(super) damaged: BTreeMap<PhotoId, Damage>,
}

impl<'a> DeepRun<'a> {
    /// Starts a run, or resumes the one of the same record.
    pub(super) async fn begin(
        stores: &'a Stores,
        record: &'static StateRecord<Saved>,
        lease: Option<(&'static str, Duration)>,
        resume: bool,
        report: &mut CheckReport,
    ) -> Result<Self> {
        let mut run = Self {
            stores,
            record,
            lease,
            phase: Phase::Records(None),
            unknown_originals: BTreeMap::new(),
            damaged: BTreeMap::new(),
        };
        if resume {
            if let Some(saved) = record.find(&*stores.metadata).await? {
                run.phase = saved.phase;
                run.unknown_originals = saved.unknown_originals;
                run.damaged = saved.damaged;
                report.add(&saved.report);
            }
        } else {
            record.delete(&*stores.metadata).await?;
        }
        Ok(run)
    }

    /// Compares everything that is left.
    pub(super) async fn run(&mut self, pass: &mut Pass<'_>, verify: Option<Verify>) -> Result<()> {
        if let Phase::Records(after) = self.phase {
            if after.is_none() {
                pass.finish_recorded_deletions().await?;
            }
            pass.records_against_index_and_blobs(after, self).await?;
            self.phase = Phase::Blobs(0);
        }
        if let Phase::Blobs(done) = self.phase {
            pass.blobs_against_records(done, self).await?;
            self.phase = Phase::Verified(None);
        }
        if let (Phase::Verified(after), Some(verify)) = (self.phase, verify) {
            pass.verify_originals(after, verify.bytes_per_sec, self).await?;
        }
        self.write_report(pass, verify.is_some()).await?;
        self.record.delete(&*self.stores.metadata).await
    }

    /// Records the damage to originals, for `/readyz`, metrics and uploads.
    async fn write_report(&self, pass: &mut Pass<'_>, verified: bool) -> Result<()> {
        let unknown_originals = pass.report.unknown_originals;
        self.stores
            .damage
            .change(|report| {
                let mut damaged = self.damaged.clone();
                if !verified {
                    // Only reading them again says whether these bytes are still wrong.
                    let wrong = report.damaged.iter();
                    let wrong = wrong.filter(|(_, damage)| **damage == Damage::WrongBytes);
                    for (id, damage) in wrong {
                        damaged.entry(*id).or_insert(*damage);
                    }
                }
                report.set_damaged(damaged);
                report.unknown_originals = unknown_originals;
                report.compared_at = Some(Timestamp::now());
            })
            .await
    }

    pub(super) async fn save_records(&mut self, pass: &mut Pass<'_>, after: Option<PhotoId>) -> Result<()> {
        self.save(pass, Phase::Records(after)).await
    }

    pub(super) async fn save_blobs(&mut self, pass: &mut Pass<'_>, done: usize) -> Result<()> {
        self.save(pass, Phase::Blobs(done)).await
    }

    pub(super) async fn save_verified(&mut self, pass: &mut Pass<'_>, after: Option<PhotoId>) -> Result<()> {
        self.save(pass, Phase::Verified(after)).await
    }

    async fn save(&mut self, pass: &mut Pass<'_>, phase: Phase) -> Result<()> {
        self.phase = phase;
        pass.progress();
        if let Some((lease, lasts)) = self.lease {
            self.stores.leases.keep(lease, lasts).await?;
        }
        let saved = Saved {
            phase,
            report: pass.report.clone(),
            unknown_originals: self.unknown_originals.clone(),
            damaged: self.damaged.clone(),
        };
        self.record.save(&*self.stores.metadata, &saved).await
    }
}
