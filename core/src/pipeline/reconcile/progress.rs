//! How far a comparison of all stores has come, kept in the ledger so that another process or a later start goes on there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::Photos;
use super::CheckReport;
use super::pass::Pass;
use crate::error::{Error, ErrorKind, Result};
use crate::id::PhotoId;

/// Where it has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    /// Photos up to this one are compared with index and blobs.
    Ledger(Option<PhotoId>),
    /// So many folders of blobs are counted.
    Blobs(usize),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Saved {
    phase: Phase,
    report: CheckReport,
    unknown_blobs: BTreeMap<usize, u64>,
}

/// One comparison of all stores, from where the last one broke off.
pub(super) struct DeepRun<'a> {
    photos: &'a Photos,
    record: &'static str,
    /// The lease that is renewed as it goes, and for how long.
    lease: Option<(&'static str, Duration)>,
    phase: Phase,
    /// In which folders there are blobs that no photo names, and how many, so far.
    pub(super) unknown_blobs: BTreeMap<usize, u64>,
}

impl<'a> DeepRun<'a> {
    /// Begins, or goes on where the run of the same record was left.
    pub(super) async fn begin(
        photos: &'a Photos,
        record: &'static str,
        lease: Option<(&'static str, Duration)>,
        resume: bool,
        report: &mut CheckReport,
    ) -> Result<Self> {
        let mut run = Self {
            photos,
            record,
            lease,
            phase: Phase::Ledger(None),
            unknown_blobs: BTreeMap::new(),
        };
        if resume {
            let saved = photos.parts().metadata.record(record).await?;
            // One that can't be read is of another version: it begins anew.
            if let Some(saved) = saved.and_then(|saved| serde_json::from_value::<Saved>(saved.value).ok()) {
                run.phase = saved.phase;
                run.unknown_blobs = saved.unknown_blobs;
                report.add(&saved.report);
            }
        } else {
            photos.parts().metadata.delete_record(record).await?;
        }
        Ok(run)
    }

    /// Compares everything that is left.
    pub(super) async fn run(&mut self, pass: &mut Pass<'_>, force: bool) -> Result<()> {
        let folders_done = match self.phase {
            Phase::Ledger(after) => {
                pass.ledger_against_index_and_blobs(after, self).await?;
                0
            }
            Phase::Blobs(done) => done,
        };
        pass.count_blobs(folders_done, self).await?;
        if pass.repair {
            pass.delete_blobs(force, &self.unknown_blobs).await?;
        }
        self.photos.parts().metadata.delete_record(self.record).await
    }

    pub(super) async fn save_ledger(&mut self, pass: &mut Pass<'_>, after: Option<PhotoId>) -> Result<()> {
        self.save(pass, Phase::Ledger(after)).await
    }

    pub(super) async fn save_blobs(&mut self, pass: &mut Pass<'_>, done: usize) -> Result<()> {
        self.save(pass, Phase::Blobs(done)).await
    }

    async fn save(&mut self, pass: &mut Pass<'_>, phase: Phase) -> Result<()> {
        self.phase = phase;
        pass.progress();
        if let Some((lease, lasts)) = self.lease
            && !self.photos.take_lease(lease, lasts).await?
        {
            return Err(Error::unavailable("another process has taken over"));
        }
        let saved = Saved {
            phase,
            report: pass.report.clone(),
            unknown_blobs: self.unknown_blobs.clone(),
        };
        let value = serde_json::to_value(saved).map_err(|error| {
            Error::internal("the progress of a check can't be written").with_source(error)
        })?;
        let metadata = &self.photos.parts().metadata;
        let version = metadata.record(self.record).await?.map(|record| record.version);
        match metadata.put_record(self.record, &value, version).await {
            // Somebody checks at the same time: one of the two can go on later, which is as good as both.
            Err(error) if error.kind() != ErrorKind::Conflict => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
