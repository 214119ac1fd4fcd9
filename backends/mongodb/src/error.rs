//! What the driver's errors mean to a caller of the metadata store.
//!
//! The driver's error is not kept as the source: its text repeats the server's whole answer. What is worth reading
//! in it goes into the message; none of that holds the connection string.

use lucida_core::{Error, ErrorKind};
use mongodb::error::{ErrorKind as Driver, RETRYABLE_WRITE_ERROR, WriteFailure};

/// Makes Lucida's error of one of the driver's.
pub(crate) fn failed(doing: &str, error: &mongodb::error::Error) -> Error {
    described(error).context(doing)
}

/// Makes the error of a connection string that the driver could not use; `field` is where it came from.
pub(crate) fn refused(field: &'static str, error: &mongodb::error::Error) -> Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the driver's kinds are open-ended")]
    match error.kind.as_ref() {
        // Its text may quote what is wrong, a password for one.
        Driver::InvalidArgument { .. } => {
            Error::config(field, "has options that contradict each other, or a wrong value")
        }
        _ => described(error).with_field(field),
    }
}

/// Returns whether a write was refused since a unique index has its key already.
pub(crate) fn is_duplicate(error: &mongodb::error::Error) -> bool {
    code(error).is_some_and(|(code, _)| code == DUPLICATE_KEY)
}

const DUPLICATE_KEY: i32 = 11_000;

/// Returns the server's code and its text.
fn code(error: &mongodb::error::Error) -> Option<(i32, &str)> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the driver's kinds are open-ended")]
    match error.kind.as_ref() {
        Driver::Command(error) => Some((error.code, &error.message)),
        Driver::Write(WriteFailure::WriteError(error)) => Some((error.code, &error.message)),
        Driver::Write(WriteFailure::WriteConcernError(error)) => Some((error.code, &error.message)),
        _ => None,
    }
}

fn described(error: &mongodb::error::Error) -> Error {
    if let Some((code, message)) = code(error) {
        return of_server(code, message, error.contains_label(RETRYABLE_WRITE_ERROR));
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "the driver's kinds are open-ended")]
    match error.kind.as_ref() {
        Driver::Authentication { message, .. } => Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "MongoDB refused the user of metadata.mongodb.uri: check its user, password and `authSource` ({message})"
            ),
        ),
        Driver::ServerSelection { message, .. } => unselected(message),
        Driver::ConnectionPoolCleared { message, .. } => {
            Error::unavailable(format!("the connections to MongoDB were lost: {message}"))
        }
        Driver::Io(error) => Error::unavailable(format!("the connection to MongoDB was lost: {error}")),
        Driver::DnsResolve { message, .. } => Error::unavailable(format!(
            "the host of metadata.mongodb.uri can't be resolved: {message}"
        )),
        Driver::InvalidTlsConfig { message, .. } => Error::config(
            "uri",
            format!("the TLS files of metadata.mongodb.uri can't be used: {message}"),
        ),
        Driver::IncompatibleServer { message, .. } => Error::new(
            ErrorKind::Unsupported,
            format!("this version of MongoDB can't be used: install 5.0 or later: {message}"),
        ),
        kind => Error::internal(format!("MongoDB's answer could not be read: {kind}")),
    }
}

/// Makes the error of a driver that found no primary, of the servers that it knows; its message prints how it knows them:
/// `… Topology: { Type: …, Servers: [ { Address: h:27017, Type: Unknown, Error: Kind: I/O error: …, labels: {} }, … ] }`.
fn unselected(message: &str) -> Error {
    let servers: Vec<String> = message
        .split("{ Address: ")
        .skip(1)
        .filter_map(|server| {
            let (address, rest) = server.split_once(", Type: ")?;
            let kind = rest.split([',', ' ']).next().unwrap_or_default();
            let state = match rest.split_once("Error: Kind: ") {
                Some((_, error)) => error.split(", labels").next().unwrap_or_default().trim(),
                None if kind == "Unknown" => "no answer",
                None => kind,
            };
            Some(format!("{address} ({state})"))
        })
        .collect();
    let servers = match servers.as_slice() {
        [] => "none is known".to_owned(),
        servers => servers.join(", "),
    };
    Error::unavailable(if message.contains("None of the available servers") {
        format!(
            "MongoDB has no primary at the moment: {servers}: wait for an election, or name all members in \
             metadata.mongodb.uri"
        )
    } else {
        format!("MongoDB is unavailable: {servers}: start it, or set metadata.mongodb.uri to its servers")
    })
}

/// Makes an error of a server's code; the names are MongoDB's.
fn of_server(code: i32, message: &str, retryable: bool) -> Error {
    let told = |what: &str| format!("{what} (MongoDB's error {code}: {message})");
    match code {
        // Unauthorized, AuthenticationFailed
        13 | 18 => Error::new(
            ErrorKind::PermissionDenied,
            told(
                "the user of metadata.mongodb.uri lacks a permission: give it the role `readWrite` on the database",
            ),
        ),
        // LockTimeout, MaxTimeMSExpired, WriteConcernTimeout, NetworkInterfaceExceededTimeLimit, ExceededTimeLimit
        24 | 50 | 64 | 202 | 262 => Error::new(
            ErrorKind::Timeout,
            told("MongoDB did not finish within metadata.mongodb.operation_timeout_ms"),
        ),
        // OutOfDiskSpace
        14_031 => {
            Error::unavailable(told("MongoDB's disk is full: free space on it")).with_code("storage_full")
        }
        // HostUnreachable, HostNotFound, NetworkTimeout, ShutdownInProgress, UnsatisfiableWriteConcern, WriteConflict,
        // FailedToSatisfyReadPreference, ReadConcernMajorityNotAvailableYet, PrimarySteppedDown, SocketException,
        // NotWritablePrimary (and its older code), InterruptedAtShutdown, InterruptedDueToReplStateChange,
        // NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary
        6 | 7 | 89 | 91 | 100 | 112 | 133 | 134 | 189 | 9_001 | 10_107 | 10_058 | 11_600 | 11_602
        | 13_435 | 13_436 => Error::unavailable(told("MongoDB has no primary at the moment")),
        // Overflow (nested too deep), BSONObjectTooLarge
        15 | 10_334 => Error::invalid(told(
            "the record is too large for MongoDB: its limits are 16 MB and 100 levels",
        )),
        // IndexOptionsConflict, IndexKeySpecsConflict
        85 | 86 => Error::config(
            "collection_prefix",
            told(
                "the collections have other indexes with the names of ours: drop those, or set metadata.mongodb.collection_prefix",
            ),
        ),
        // InvalidNamespace
        73 => Error::config(
            "database",
            told(
                "MongoDB refused a name: set metadata.mongodb.database or metadata.mongodb.collection_prefix",
            ),
        ),
        _ if retryable => Error::unavailable(told("MongoDB could not do that at the moment")),
        _ => Error::internal(told("MongoDB refused")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unavailable_mongodb_is_told_by_its_servers_without_the_drivers_structures() {
        let refused = "Server selection timeout: No available servers. Topology: { Type: Unknown, Servers: [ { Address: \
                       127.0.0.1:27017, Type: Unknown, Error: Kind: I/O error: Connection refused (os error 111), labels: \
                       {} }, { Address: db2:27017, Type: Unknown } ] }";
        let error = unselected(refused);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(
            error.to_string(),
            "MongoDB is unavailable: 127.0.0.1:27017 (I/O error: Connection refused (os error 111)), db2:27017 (no answer): \
             start it, or set metadata.mongodb.uri to its servers"
        );
        let secondary = "Server selection timeout: None of the available servers suitable for criteria \
                         ReadPreference(Primary). Topology: { Type: ReplicaSetNoPrimary, Set Name: rs0, Servers: [ { \
                         Address: db1:27017, Type: RsSecondary, Average RTT: 1ms } ] }";
        assert_eq!(
            unselected(secondary).to_string(),
            "MongoDB has no primary at the moment: db1:27017 (RsSecondary): wait for an election, or name all members in \
             metadata.mongodb.uri"
        );
    }

    #[test]
    fn what_may_pass_by_itself_is_tried_again_and_the_rest_is_not() {
        for (code, retryable, kind) in [
            (13, false, ErrorKind::PermissionDenied),
            (50, false, ErrorKind::Timeout),
            (64, true, ErrorKind::Timeout),
            (10_107, true, ErrorKind::Unavailable),
            (11_602, false, ErrorKind::Unavailable),
            (10_334, false, ErrorKind::InvalidInput),
            (86, false, ErrorKind::ConfigInvalid),
            (424_242, true, ErrorKind::Unavailable),
            (424_242, false, ErrorKind::Internal),
        ] {
            let error = of_server(code, "its own words", retryable);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains("its own words"), "{error}");
        }
        assert_eq!(of_server(14_031, "", false).code(), "storage_full");
    }
}
