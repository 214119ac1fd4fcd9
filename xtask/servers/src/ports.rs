//! Loopback ports that nobody listens on.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context as _, Result};

/// Below the ports that systems give to outgoing connections, one of which could else take a server's port while it is
/// down.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Where this process looks next: each begins elsewhere, so that two seldom meet.
static NEXT: LazyLock<AtomicU16> =
    LazyLock::new(|| AtomicU16::new(RandomState::new().build_hasher().finish() as u16));

/// Chooses a port that is free now and that this process is not given again soon.
pub(crate) fn choose() -> Result<u16> {
    (0..COUNT)
        .map(|_| FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT)
        .find(|port| is_free(*port))
        .context("no free port on the loopback address")
}

/// Returns an address on loopback that nobody listens on and that this process is not given again soon.
///
/// # Errors
/// When every port is taken.
pub fn free_address() -> Result<SocketAddrV4> {
    Ok(address(choose()?))
}

/// Whether nobody listens on `port`.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(address(port)).is_ok()
}

/// `port` on the loopback address.
pub(crate) fn address(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_listened_on_is_not_free_and_is_not_chosen() {
        let taken = TcpListener::bind(address(choose().unwrap())).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(!is_free(port));
        for _ in 0..50 {
            assert_ne!(choose().unwrap(), port);
        }
        drop(taken);
        assert!(is_free(port));
    }
}
