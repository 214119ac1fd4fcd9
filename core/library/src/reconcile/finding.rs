//! What a check can find.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A pending photo has no job.
    PendingWithoutJob,
    /// A deletion stopped half way.
    DeletionUnfinished,
    /// A ready photo is not yet embedded by the model that searches use.
    OtherModel,
    /// A ready photo is not in the index.
    PointMissing,
    /// The index knows a photo that the metadata store does not.
    PointUnknown,
    /// A photo's original is missing; only a backup or another upload of the same file repairs that.
    BlobMissing,
    /// A photo's original has another size than it was stored with; repaired as a missing one is.
    BlobWrongSize,
    /// A photo's original has other bytes than it was stored with; repaired as a missing one is.
    BlobWrongBytes,
    /// A blob that a plugin made is missing or has another size than it was stored with.
    DerivedMissing,
    /// The store has a blob of a plugin that no record names.
    BlobUnknown,
    /// The store has an original that no record names. It stays, and counts as not repaired.
    OriginalUnknown,
    /// An interrupted upload has left an original whose bytes are the same owner's photo already.
    OriginalDuplicate,
    /// An original has no manifest, from which its record could be made again.
    ManifestMissing,
    /// A photo was given up for a fault that isn't its own.
    FailedByComponent,
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::PendingWithoutJob,
        Self::DeletionUnfinished,
        Self::OtherModel,
        Self::PointMissing,
        Self::PointUnknown,
        Self::BlobMissing,
        Self::BlobWrongSize,
        Self::BlobWrongBytes,
        Self::DerivedMissing,
        Self::BlobUnknown,
        Self::OriginalUnknown,
        Self::OriginalDuplicate,
        Self::ManifestMissing,
        Self::FailedByComponent,
    ];

    /// Returns the name that metrics and reports use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PendingWithoutJob => "pending_without_job",
            Self::DeletionUnfinished => "deletion_unfinished",
            Self::OtherModel => "other_model",
            Self::PointMissing => "point_missing",
            Self::PointUnknown => "point_unknown",
            Self::BlobMissing => "blob_missing",
            Self::BlobWrongSize => "blob_wrong_size",
            Self::BlobWrongBytes => "blob_wrong_bytes",
            Self::DerivedMissing => "derived_missing",
            Self::BlobUnknown => "blob_unknown",
            Self::OriginalUnknown => "original_unknown",
            Self::OriginalDuplicate => "original_duplicate",
            Self::ManifestMissing => "manifest_missing",
            Self::FailedByComponent => "failed_by_component",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One inconsistency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// With which photo or blob.
    pub subject: String,
    /// Whether it is repaired, or its repair has started.
    pub repaired: bool,
}
