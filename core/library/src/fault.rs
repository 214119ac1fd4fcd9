//! Whose fault a failed try is: the photo's own, or a component's.
//!
//! Only what the photo itself causes fails it. Whatever a store, the queue, the model or the configuration does is a
//! [`Fault::Component`], which is what every error becomes that isn't classified on purpose.

use lucida_core::{Error, ErrorKind};

/// Why a try failed, and so whether it counts against the photo.
pub(crate) enum Fault {
    /// The photo's own: no later try can succeed.
    Photo(Error),
    /// Perhaps the photo's own: after some such tries it is given up.
    Perhaps(Error),
    /// A component's: the photo waits, however long that takes.
    Component(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Component(error)
    }
}

impl Fault {
    /// Classifies what a decoder says about the bytes that were uploaded.
    pub(crate) fn of_decoding(error: Error) -> Self {
        match error.kind() {
            // The photo was within the bound when it was uploaded: the setting is lower now.
            _ if error.code() == "too_many_pixels" => Self::Component(error),
            ErrorKind::InvalidInput | ErrorKind::Unsupported => Self::Photo(error),
            ErrorKind::Internal if error.code() == ErrorKind::Internal.as_str() => Self::Perhaps(error),
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::ConfigInvalid
            | ErrorKind::PermissionDenied
            | ErrorKind::Conflict
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::Internal => Self::Component(error),
        }
    }

    /// Classifies what a model says about a picture. A model without an image tower is a fault of the configuration.
    pub(crate) fn of_embedding(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidInput => Self::Photo(error),
            ErrorKind::Internal => Self::Perhaps(error),
            ErrorKind::Unsupported
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::ConfigInvalid
            | ErrorKind::PermissionDenied
            | ErrorKind::Conflict
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Unavailable => Self::Component(error),
        }
    }

    /// Classifies the failure of a plugin that asked for the photo to fail with it.
    pub(crate) fn of_plugin(error: Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::Unsupported => Self::Photo(error),
            ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::Internal => Self::Perhaps(error),
            ErrorKind::ConfigInvalid
            | ErrorKind::PermissionDenied
            | ErrorKind::Conflict
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Unavailable => Self::Component(error),
        }
    }

    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Photo(error) | Self::Perhaps(error) | Self::Component(error) => error,
        }
    }
}

/// The codes of failures that never are the photo's own. A photo that an earlier version gave up for one is tried again.
pub(crate) const CODES_OF_COMPONENTS: [&str; 10] = [
    "unsupported",
    "no_tower",
    "config_invalid",
    "permission_denied",
    "conflict",
    "overloaded",
    "timeout",
    "unavailable",
    "blob_missing",
    "blob_damaged",
];
