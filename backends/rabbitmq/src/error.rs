//! What the broker's and lapin's errors mean to a caller of the queue.

use std::io;

use lapin::ErrorKind as Lapin;
use lapin::protocol::AMQPError;
use lucida_core::{Error, ErrorKind};

/// The broker's reply codes that say what to do about it.
mod code {
    pub(super) const ACCESS_REFUSED: u16 = 403;
    pub(super) const NOT_FOUND: u16 = 404;
    pub(super) const RESOURCE_LOCKED: u16 = 405;
    pub(super) const PRECONDITION_FAILED: u16 = 406;
    pub(super) const NOT_ALLOWED: u16 = 530;
}

/// Makes Lucida's error of one of lapin's. The broker's own words never hold the password.
pub(crate) fn failed(doing: &str, error: &lapin::Error) -> Error {
    let made = match error.kind() {
        Lapin::ProtocolError(error) => refused(error),
        Lapin::IOError(error) => broke(error),
        Lapin::MissingHeartbeatError => Error::unavailable(
            "the broker sent no heartbeat within queue.rabbitmq.heartbeat_secs: check it and the network between",
        ),
        Lapin::ChannelsLimitReached => Error::unavailable(
            "the connection has as many channels as the broker allows: raise its channel_max, or lower ingest.workers",
        ),
        Lapin::InvalidProtocolVersion(_) | Lapin::ParsingError(_) => Error::unavailable(
            "the server there does not speak AMQP 0-9-1: set queue.rabbitmq.uri to RabbitMQ's port, 5672 or 5671 with TLS",
        ),
        Lapin::InvalidChannel(_) | Lapin::InvalidChannelState(..) | Lapin::InvalidConnectionState(_) => {
            Error::unavailable("the connection to the broker was lost: it is being made again")
        }
        Lapin::RuntimeShutdownError(_) => Error::unavailable("this process is shutting down"),
        // Its text is the library's or an extension's, and unknown.
        Lapin::SerialisationError(_)
        | Lapin::AuthProviderError(_)
        | Lapin::FutureCompleted
        | Lapin::NoDefaultRuntime
        | _ => Error::internal("the AMQP library failed"),
    };
    made.context(doing.to_owned())
}

/// Returns whether the broker doesn't know a queue, which somebody must have deleted.
pub(crate) fn is_missing_queue(error: &lapin::Error) -> bool {
    has_code(error, code::NOT_FOUND)
}

/// Returns whether another connection has what this one wanted for itself.
pub(crate) fn is_locked(error: &lapin::Error) -> bool {
    has_code(error, code::RESOURCE_LOCKED)
}

fn has_code(error: &lapin::Error, code: u16) -> bool {
    matches!(error.kind(), Lapin::ProtocolError(error) if error.get_id() == code)
}

fn refused(error: &AMQPError) -> Error {
    let said = error.get_message();
    match error.get_id() {
        code::ACCESS_REFUSED => Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "the broker refused the user ({said}): correct user and password in queue.rabbitmq.uri, and allow the user to \
                 configure, write and read the queues"
            ),
        ),
        code::NOT_ALLOWED => Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "the broker refused the virtual host ({said}): correct the path of queue.rabbitmq.uri, or add that virtual host"
            ),
        ),
        code::PRECONDITION_FAILED => Error::config(
            "queue",
            format!(
                "a queue of that name exists with other properties ({said}): delete it once it is empty, or set \
                 queue.rabbitmq.queue to another name"
            ),
        ),
        code::NOT_FOUND => Error::unavailable(format!("a queue is missing ({said}): it is being made again")),
        _ => Error::unavailable(format!("the broker refused ({said})")),
    }
}

fn broke(error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::InvalidData {
        return Error::config(
            "ca_file",
            format!(
                "TLS failed ({error}): check that queue.rabbitmq.uri names the TLS port and the certificate's host, \
                 and set queue.rabbitmq.ca_file where the system doesn't trust the certificate"
            ),
        );
    }
    Error::unavailable(format!(
        "RabbitMQ is unavailable ({error}): start it, or set queue.rabbitmq.uri to its address"
    ))
}
