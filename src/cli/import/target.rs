//! Where an import puts photos: into a library that this process opened, or into a running server.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use lucida_core::{Error, PhotoId};

use super::file::{Opened, Refusal};

/// How long a target that is busy or doesn't answer is waited for.
pub(super) const BUSY_PATIENCE: Duration = Duration::from_secs(120);

/// What goes with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Details {
    /// The file's name.
    pub(super) filename: String,
    /// Tags for the photo.
    pub(super) tags: BTreeSet<String>,
}

/// How far a photo has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is still to be embedded; the last try failed with this reason, if there was one.
    Waiting(Option<String>),
    /// Searches find it.
    Ready,
    /// It was given up.
    Failed(Refusal),
    /// It was deleted meanwhile.
    Gone,
}

/// A photo that the library has.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) id: PhotoId,
    /// Whether it was not there before.
    pub(super) is_new: bool,
    pub(super) standing: Standing,
}

/// Why a file was not taken.
#[derive(Debug)]
pub(super) enum TakeError {
    /// The file is the reason; the next one may be taken.
    File(Refusal),
    /// The target can't take it now; the same call may succeed after the time.
    Busy(Error, Duration),
    /// The target takes nothing any more.
    Target(Error),
}

/// Where photos go.
#[async_trait]
pub(super) trait Target: Send + Sync {
    /// Takes a file in. Once this returns, the photo is stored.
    async fn take(&self, file: Opened, details: Details) -> Result<Taken, TakeError>;

    /// Returns how far a photo has come; `None` where this may not be asked.
    ///
    /// # Errors
    /// Those of the target.
    async fn look(&self, id: &PhotoId) -> Result<Option<Standing>, Error>;
}
