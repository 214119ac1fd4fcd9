//! The one error of Lucida: what kind of failure, what happened, where, and why.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The result of everything in Lucida that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure happened, and so what a caller may do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// What is asked for does not exist.
    NotFound,
    /// A thing of that identity exists already.
    AlreadyExists,
    /// The caller's input is wrong; the same input will fail again.
    InvalidInput,
    /// The input is well formed, but this build or backend has no way to serve it.
    Unsupported,
    /// The configuration is wrong.
    ConfigInvalid,
    /// The caller (or the server, toward a backend) may not do that.
    PermissionDenied,
    /// The thing was changed by somebody else in between.
    Conflict,
    /// There is more work waiting than is allowed; try again later.
    Overloaded,
    /// An operation took longer than it may.
    Timeout,
    /// A part that is needed is unavailable; try again later.
    Unavailable,
    /// Anything else: a fault of Lucida's or of a library's.
    Internal,
}

impl ErrorKind {
    /// Returns the kind in the words of metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::InvalidInput => "invalid_input",
            Self::Unsupported => "unsupported",
            Self::ConfigInvalid => "config_invalid",
            Self::PermissionDenied => "permission_denied",
            Self::Conflict => "conflict",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// Returns whether the same operation may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        match self {
            Self::Overloaded | Self::Timeout | Self::Unavailable => true,
            Self::NotFound
            | Self::AlreadyExists
            | Self::InvalidInput
            | Self::Unsupported
            | Self::ConfigInvalid
            | Self::PermissionDenied
            | Self::Conflict
            | Self::Internal => false,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure: its kind, a sentence that names the thing and the fix, where it happened, and its source.
#[derive(thiserror::Error)]
#[error("{}", self.describe())]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    code: Option<&'static str>,
    message: String,
    field: Option<String>,
    context: Vec<String>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Makes an error of `kind` with a message that names the thing and the fix.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                code: None,
                message: message.into(),
                field: None,
                context: Vec::new(),
                retry_after: None,
                source: None,
            }),
        }
    }

    /// Makes a [`ErrorKind::NotFound`].
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Makes a [`ErrorKind::InvalidInput`].
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Makes a [`ErrorKind::ConfigInvalid`] about the key `path`, relative to the table being read.
    #[must_use]
    pub fn config(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::ConfigInvalid, message).with_field(path)
    }

    /// Makes a [`ErrorKind::Conflict`].
    #[must_use]
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// Makes a [`ErrorKind::Unavailable`].
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Makes a [`ErrorKind::Internal`].
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Makes a [`ErrorKind::Overloaded`] that says when to come back.
    #[must_use]
    pub fn overloaded(message: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(ErrorKind::Overloaded, message).with_retry_after(retry_after)
    }

    /// Adds the machine-readable code that HTTP clients see, finer than the kind.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.inner.code = Some(code);
        self
    }

    /// Adds the name of the field, or of the configuration key, that is wrong.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.inner.field = Some(field.into());
        self
    }

    /// Adds the name of the field unless one is known already.
    #[must_use]
    pub fn with_default_field(self, field: &str) -> Self {
        if self.field().is_some() {
            return self;
        }
        self.with_field(field)
    }

    /// Adds what was being done, outermost last.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.inner.context.push(context.into());
        self
    }

    /// Adds how long to wait before the next try.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.inner.retry_after = Some(retry_after);
        self
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Changes the kind, for a caller that knows better than the callee.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.inner.kind = kind;
        self
    }

    /// Rewrites the message, for a caller that can say more exactly what is meant.
    #[must_use]
    pub fn map_message(mut self, map: impl FnOnce(&str) -> String) -> Self {
        self.inner.message = map(&self.inner.message);
        self
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Returns the code, by default the kind's name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.inner.code.unwrap_or(self.inner.kind.as_str())
    }

    /// Returns the message without context and source.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// Returns what a client may read of it: the message. `None` for a fault of the server itself, whose message is for the log;
    /// only lost and damaged blobs are mentioned, since the user can upload those again.
    #[must_use]
    pub fn public_message(&self) -> Option<&str> {
        match self.kind() {
            ErrorKind::Internal if matches!(self.code(), "blob_missing" | "blob_damaged") => {
                Some(self.message())
            }
            ErrorKind::Internal | ErrorKind::ConfigInvalid => None,
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidInput
            | ErrorKind::Unsupported
            | ErrorKind::PermissionDenied
            | ErrorKind::Conflict
            | ErrorKind::Overloaded
            | ErrorKind::Timeout
            | ErrorKind::Unavailable => Some(self.message()),
        }
    }

    /// Returns the field or configuration key that is wrong.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.inner.field.as_deref()
    }

    /// Returns how long to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// Returns whether the same operation may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.inner.kind.is_transient()
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for context in self.inner.context.iter().rev() {
            text.push_str(context);
            text.push_str(": ");
        }
        text.push_str(&self.inner.message);
        let mut source = self
            .inner
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static));
        while let Some(error) = source {
            let cause = error.to_string();
            if !text.contains(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
            source = error.source();
        }
        text
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("code", &self.code())
            .field("text", &self.describe())
            .finish()
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        #[expect(clippy::wildcard_enum_match_arm, reason = "std's kinds are open-ended")]
        let (kind, code) = match error.kind() {
            Io::NotFound => (ErrorKind::NotFound, None),
            Io::AlreadyExists => (ErrorKind::AlreadyExists, None),
            Io::PermissionDenied | Io::ReadOnlyFilesystem => (ErrorKind::PermissionDenied, None),
            Io::StorageFull | Io::QuotaExceeded => (ErrorKind::Unavailable, Some("storage_full")),
            Io::TimedOut => (ErrorKind::Timeout, None),
            Io::ConnectionRefused | Io::ConnectionReset | Io::ConnectionAborted | Io::NotConnected => {
                (ErrorKind::Unavailable, None)
            }
            _ => (ErrorKind::Internal, None),
        };
        let message = match code {
            Some(_) => "the disk is full: free space on it".to_owned(),
            None => error.to_string(),
        };
        let made = Self::new(kind, message).with_source(error);
        match code {
            Some(code) => made.with_code(code),
            None => made,
        }
    }
}

/// Adds context to the error of a result.
pub trait ResultExt<T> {
    /// Adds what was being done when it failed.
    ///
    /// # Errors
    /// The same error, with the context.
    fn context(self, context: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<Error>> ResultExt<T> for std::result::Result<T, E> {
    fn context(self, context: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.into().context(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_reads_from_the_outermost_context_to_the_source() {
        let error = Error::unavailable("disk is full")
            .with_source(std::io::Error::other("os error 28"))
            .context("writing blob `a`")
            .context("storing photo");
        assert_eq!(
            error.to_string(),
            "storing photo: writing blob `a`: disk is full: os error 28"
        );
        assert!(error.is_transient());
        assert_eq!(error.code(), "unavailable");
    }

    #[test]
    fn a_full_disk_is_unavailable_and_says_so_in_its_code() {
        let error = Error::from(std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Unavailable, "storage_full")
        );
    }
}
