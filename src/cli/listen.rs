//! The addresses that a process listens on.

use std::net::SocketAddr;

use lucida_core::{Error, ErrorKind};
use tokio::net::TcpListener;

use crate::config::Listen;

/// Listens on a configured address, and returns the one that the system chose for port 0. `key` is where it is configured.
///
/// # Errors
/// `Unavailable` where the system refuses the address.
pub(super) async fn bind(configured: &Listen, key: &str) -> Result<(TcpListener, SocketAddr), Error> {
    let address = configured.address();
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let message = format!("can't listen on {address}, set {key} to another address");
        Error::new(ErrorKind::Unavailable, message).with_source(error)
    })?;
    let address = listener.local_addr().map_err(Error::from)?;
    Ok((listener, address))
}
