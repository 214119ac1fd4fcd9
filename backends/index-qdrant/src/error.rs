//! The errors of Qdrant and of the connection to it as Lucida's.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use lucida_core::{Error, ErrorKind};
use tonic::{Code, Status, TimeoutExpired};

/// How long to leave a server alone that is asked too much and doesn't say how long.
const PAUSE: Duration = Duration::from_secs(1);

/// Turns what a call failed with into Lucida's error, keeping it as the source.
pub(crate) fn from_status(status: Status, url: &str) -> Error {
    // One that came from the server has no source; one without an answer has what broke.
    let (kind, what) = if has_cause::<TimeoutExpired>(&status) {
        (ErrorKind::Timeout, "did not answer in time")
    } else if status.source().is_some() {
        (
            ErrorKind::Unavailable,
            "can't be reached: see that it runs, and that index.qdrant.url has its gRPC port",
        )
    } else {
        answered(status.code())
    };
    let error = Error::new(kind, format!("qdrant at {url} {what}"));
    let error = if kind == ErrorKind::Overloaded {
        error.with_retry_after(retry_after(&status))
    } else {
        error
    };
    error.with_source(Cause(status))
}

/// What an answer of the server means.
fn answered(code: Code) -> (ErrorKind, &'static str) {
    match code {
        Code::NotFound => (ErrorKind::NotFound, "has no such thing"),
        Code::AlreadyExists => (ErrorKind::AlreadyExists, "has it already"),
        Code::InvalidArgument | Code::OutOfRange => (ErrorKind::InvalidInput, "refused a request"),
        Code::Unauthenticated | Code::PermissionDenied => (
            ErrorKind::PermissionDenied,
            "refused the key: see index.qdrant.api_key",
        ),
        Code::ResourceExhausted => (ErrorKind::Overloaded, "is asked too much"),
        Code::DeadlineExceeded | Code::Cancelled => (ErrorKind::Timeout, "did not finish in time"),
        Code::Unimplemented => (
            ErrorKind::Unsupported,
            "doesn't know this call: it needs version 1.12 or newer",
        ),
        // So a cluster says that replicas are missing, that a shard is moving, or that a disk is full: the request
        // was right, and will be served when that is over.
        Code::Internal | Code::Unknown | Code::Unavailable | Code::Aborted | Code::FailedPrecondition => {
            (ErrorKind::Unavailable, "failed")
        }
        Code::DataLoss | Code::Ok => (ErrorKind::Internal, "is damaged"),
    }
}

fn retry_after(status: &Status) -> Duration {
    status
        .metadata()
        .get("retry-after")
        .and_then(|seconds| seconds.to_str().ok()?.parse().ok())
        .map_or(PAUSE, Duration::from_secs)
}

fn has_cause<T: StdError + 'static>(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<T>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A status that prints as what it says, not as how it is built.
#[derive(Debug)]
struct Cause(Status);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.message())
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::*;

    const URL: &str = "http://127.0.0.1:6334";

    #[test]
    fn an_answer_keeps_its_words_and_gets_a_kind() {
        for (code, kind) in [
            (Code::NotFound, ErrorKind::NotFound),
            (Code::InvalidArgument, ErrorKind::InvalidInput),
            (Code::PermissionDenied, ErrorKind::PermissionDenied),
            (Code::Unauthenticated, ErrorKind::PermissionDenied),
            (Code::Internal, ErrorKind::Unavailable),
            (Code::FailedPrecondition, ErrorKind::Unavailable),
            (Code::DeadlineExceeded, ErrorKind::Timeout),
            (Code::Unimplemented, ErrorKind::Unsupported),
            (Code::DataLoss, ErrorKind::Internal),
        ] {
            let error = from_status(Status::new(code, "words of the server"), URL);
            assert_eq!(error.kind(), kind, "{code:?}");
            let text = error.to_string();
            assert!(
                text.contains(URL) && text.ends_with(": words of the server"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_connection_that_breaks_is_unavailable_whatever_its_code() {
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let error = from_status(Status::from_error(broken.into()), URL);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn a_server_that_is_asked_too_much_says_when_to_come_back() {
        let mut metadata = MetadataMap::new();
        metadata.insert("retry-after", "7".parse().unwrap());
        let status = Status::with_metadata(Code::ResourceExhausted, "slow down", metadata);
        let error = from_status(status, URL);
        assert_eq!(
            (error.kind(), error.retry_after()),
            (ErrorKind::Overloaded, Some(Duration::from_secs(7)))
        );
        let error = from_status(Status::resource_exhausted("slow down"), URL);
        assert_eq!(error.retry_after(), Some(PAUSE));
    }
}
