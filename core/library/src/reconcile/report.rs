//! The options of a check, its progress and its result.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::finding::{Finding, FindingKind};

/// The result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Photos in the metadata store.
    pub photos: u64,
    /// Points in the collection that searches use.
    pub points: u64,
    /// Blobs in the store.
    pub blobs: u64,
    /// How many of each kind were found.
    pub findings: BTreeMap<FindingKind, u64>,
    /// How many were not repaired.
    pub unrepaired: u64,
    /// How many originals were read and compared with their hashes.
    pub verified: u64,
    /// How many originals no record names; they are kept.
    pub unknown_originals: u64,
}

impl CheckReport {
    /// Adds what an earlier part of the same check saw.
    pub(super) fn add(&mut self, earlier: &Self) {
        self.photos += earlier.photos;
        self.points += earlier.points;
        self.blobs += earlier.blobs;
        self.verified += earlier.verified;
        self.unrepaired += earlier.unrepaired;
        for (kind, count) in &earlier.findings {
            *self.findings.entry(*kind).or_default() += count;
        }
    }

    /// Returns how many of one kind were found.
    #[must_use]
    pub fn count(&self, kind: FindingKind) -> u64 {
        self.findings.get(&kind).copied().unwrap_or_default()
    }

    /// Returns whether there was no finding.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// The options of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckOptions {
    /// Whether what is found is repaired.
    pub repair: bool,
    /// How many originals that no record names are deleted; none unless there are exactly so many.
    pub forget_unknown: Option<u64>,
    /// Whether originals are read and compared with their hashes.
    pub verify: Option<Verify>,
    /// Whether it resumes where the last one was interrupted.
    pub resume: bool,
    /// What changed within this time is left alone: a server may be at work on it.
    pub grace: Duration,
}

/// How originals are compared with their hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verify {
    /// How many bytes a second are read at most; 0 is as many as there are.
    pub bytes_per_sec: u64,
}

/// What a check reports as it goes.
#[derive(Debug)]
pub enum CheckNews<'a> {
    /// An inconsistency.
    Found(&'a Finding),
    /// The progress.
    Progress(&'a CheckReport),
}

/// Takes the news of a check.
pub(crate) type OnNews<'a> = dyn FnMut(CheckNews<'_>) + Send + 'a;
