//! How far a change of the model is.

use super::record::{ModelChange, ModelRecord};
use lucida_core::Fingerprint;

/// Whether a change of the model is in progress, and how far it is.
///
/// ```text
///              a process has a new model                 complete and verified:
///                                                        the alias moves
///   Settled ───────────────────────────────▶ Filling ───────────────────────────▶ CatchingUp
///    ▲  ▲ │                                     │                                     ▲  │
///    │  │ └────── activate, rollback, or the index lost its vectors ──────────────────┘  │
///    │  └───── drop, or activate the serving model ────┘                                 │
///    └────────────────────── a round finds no photo missing ─────────────────────────────┘
/// ```
///
/// It follows from two things that processes share: the index's alias, and the change in the record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ModelState {
    /// No change: searches use the model of the alias.
    Settled,
    /// The collection of a new model is being filled, while searches use the earlier one.
    Filling(ModelChange),
    /// Searches use the model already; ready photos that its collection lacks are being added.
    CatchingUp(ModelChange),
}

impl ModelState {
    /// Returns the state while the model with the fingerprint `serving` has the alias.
    pub(super) fn of(record: &ModelRecord, serving: Option<&Fingerprint>) -> Self {
        match &record.change {
            None => Self::Settled,
            Some(change) if Some(&change.to) == serving => Self::CatchingUp(change.clone()),
            Some(change) => Self::Filling(change.clone()),
        }
    }

    /// Returns the change in progress.
    pub(crate) const fn change(&self) -> Option<&ModelChange> {
        match self {
            Self::Settled => None,
            Self::Filling(change) | Self::CatchingUp(change) => Some(change),
        }
    }
}
