//! The errors of Qdrant and of the connection to it as Lucida's.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use lucida_core::{Error, ErrorKind};
use qdrant_client::QdrantError;
use tonic::{Code, Status, TimeoutExpired};

/// How long to wait before calling an overloaded server again that doesn't say how long.
const PAUSE: Duration = Duration::from_secs(1);

/// How qdrant-client begins the message of an `Internal` status when it can't connect; what follows is Rust's `Debug`.
const NOT_CONNECTED: &str = "Failed to connect to";

/// Returns whether the server has no such collection or point.
pub(crate) fn is_absent(error: &QdrantError) -> bool {
    matches!(error, QdrantError::ResponseError { status } if status.code() == Code::NotFound)
}

/// Turns what a call failed with into Lucida's error.
pub(crate) fn from_client(error: QdrantError, url: &str) -> Error {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the others depend on qdrant-client's features"
    )]
    match error {
        QdrantError::ResponseError { status } | QdrantError::ResourceExhaustedError { status, .. } => {
            from_status(status, url)
        }
        other => Error::internal(format!("the client of qdrant at {url} failed")).with_source(other),
    }
}

fn from_status(status: Status, url: &str) -> Error {
    if status.message().starts_with(NOT_CONNECTED) {
        return unreachable(status.message(), url);
    }
    // One that came from the server has no source; one without an answer has what broke.
    let (kind, what) = if has_cause::<TimeoutExpired>(&status) {
        (
            ErrorKind::Timeout,
            "did not answer within index.qdrant.request_timeout_ms",
        )
    } else if status.source().is_some() {
        (
            ErrorKind::Unavailable,
            "is unavailable: start it, or set index.qdrant.url to its gRPC port",
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

/// Makes the error of a connection that could not be made, of what qdrant-client says about it.
fn unreachable(message: &str, url: &str) -> Error {
    // `… Os { code: 111, kind: ConnectionRefused, message: "Connection refused" }`, or rustls's
    // `… InvalidCertificate(UnknownIssuer)`.
    let quoted = |after: &str| Some(message.split_once(after)?.1.split_once('"')?.0.to_owned());
    let (fix, cause) = if message.contains("InvalidCertificate") {
        let reason = message.split_once("InvalidCertificate(").map(|(_, reason)| {
            reason
                .split(|c: char| !c.is_ascii_alphanumeric())
                .next()
                .unwrap_or_default()
        });
        (
            "has a certificate that is not trusted: set the variable SSL_CERT_FILE to a PEM file with its authority",
            format!("invalid certificate: {}", reason.unwrap_or_default()),
        )
    } else if message.contains("InvalidContentType") || message.contains("HandshakeFailure") {
        (
            "does not answer with TLS: begin index.qdrant.url with http://, or turn TLS on in the server",
            "TLS handshake failed".to_owned(),
        )
    } else {
        let cause = quoted("message: \"").or_else(|| quoted("error: \""));
        let timed_out = message.contains("Elapsed") || message.contains("TimedOut");
        (
            "is unavailable: start it, or set index.qdrant.url to its gRPC port",
            match cause {
                Some(cause) => cause,
                None if timed_out => "connecting took longer than index.qdrant.connect_timeout_ms".to_owned(),
                None => "connecting failed".to_owned(),
            },
        )
    };
    Error::unavailable(format!("qdrant at {url} {fix}: {cause}"))
}

/// What an answer of the server means.
fn answered(code: Code) -> (ErrorKind, &'static str) {
    match code {
        Code::NotFound => (ErrorKind::NotFound, "has no such collection or point"),
        Code::AlreadyExists => (ErrorKind::AlreadyExists, "has it already"),
        Code::InvalidArgument | Code::OutOfRange => (ErrorKind::InvalidInput, "refused a request"),
        Code::Unauthenticated | Code::PermissionDenied => (
            ErrorKind::PermissionDenied,
            "refused the key: set index.qdrant.api_key to one that may write",
        ),
        Code::ResourceExhausted => (ErrorKind::Overloaded, "is overloaded"),
        Code::DeadlineExceeded | Code::Cancelled => (ErrorKind::Timeout, "did not finish in time"),
        Code::Unimplemented => (
            ErrorKind::Unsupported,
            "does not know this call: use Qdrant 1.12 or newer",
        ),
        // So a cluster says that replicas are missing, that a shard is moving, or that a disk is full: the request
        // was right, and will be served when that is over.
        Code::Internal | Code::Unknown | Code::Unavailable | Code::Aborted | Code::FailedPrecondition => {
            (ErrorKind::Unavailable, "failed: see its log")
        }
        Code::DataLoss | Code::Ok => (
            ErrorKind::Internal,
            "has damaged data: see its log, and restore a snapshot",
        ),
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
            let status = Status::new(code, "words of the server");
            assert_eq!(
                is_absent(&QdrantError::ResponseError {
                    status: status.clone()
                }),
                code == Code::NotFound
            );
            let error = from_client(QdrantError::ResponseError { status }, URL);
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
    fn an_overloaded_server_says_when_to_come_back() {
        let mut metadata = MetadataMap::new();
        metadata.insert("retry-after", "7".parse().unwrap());
        let status = Status::with_metadata(Code::ResourceExhausted, "slow down", metadata);
        let error = from_client(status.into(), URL);
        assert_eq!(
            (error.kind(), error.retry_after()),
            (ErrorKind::Overloaded, Some(Duration::from_secs(7)))
        );
        let error = from_status(Status::resource_exhausted("slow down"), URL);
        assert_eq!(error.retry_after(), Some(PAUSE));
    }

    #[test]
    fn a_connection_that_fails_is_told_without_rusts_structures() {
        let connect = "tonic::transport::Error(Transport, ConnectError(ConnectError(\"tcp connect error\", 127.0.0.1:6334, Os { \
                       code: 111, kind: ConnectionRefused, message: \"Connection refused\" })))";
        let resolve = "tonic::transport::Error(Transport, ConnectError(ConnectError(\"dns error\", Custom { kind: Uncategorized, \
                       error: \"failed to lookup address information: Name or service not known\" })))";
        let certificate = "tonic::transport::Error(Transport, ConnectError(Custom { kind: InvalidData, error: \
                           InvalidCertificate(UnknownIssuer) }))";
        let slow = "tonic::transport::Error(Transport, ConnectError(Elapsed(())))";
        for (said, expected) in [
            (
                connect,
                "is unavailable: start it, or set index.qdrant.url to its gRPC port: Connection refused",
            ),
            (
                resolve,
                "is unavailable: start it, or set index.qdrant.url to its gRPC port: failed to lookup address \
                 information: Name or service not known",
            ),
            (
                certificate,
                "has a certificate that is not trusted: set the variable SSL_CERT_FILE to a PEM file with its \
                 authority: invalid certificate: UnknownIssuer",
            ),
            (
                slow,
                "is unavailable: start it, or set index.qdrant.url to its gRPC port: connecting took longer than \
                 index.qdrant.connect_timeout_ms",
            ),
        ] {
            let status = Status::internal(format!("Failed to connect to {URL}/: {said}"));
            let error = from_client(status.into(), URL);
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_eq!(error.to_string(), format!("qdrant at {URL} {expected}"));
        }
    }
}
