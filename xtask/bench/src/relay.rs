//! Connections to a cluster's servers that count what goes through them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// The host of every server, as it stands in their addresses.
const HOST: &str = "127.0.0.1:";

const BUFFER_BYTES: usize = 64 << 10;

/// How many bytes went to a server and came back, without those of TCP and IP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl Bytes {
    /// Returns what came after `earlier`.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            sent: self.sent - earlier.sent,
            received: self.received - earlier.received,
        }
    }
}

/// A relay for each of several servers.
pub(crate) struct Relays {
    urls: Vec<String>,
    counts: Vec<Arc<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Relays {
    /// Starts relays to servers of this machine, which run as long as the runtime does.
    pub(crate) async fn to(targets: &[String]) -> Result<Self> {
        let (mut urls, mut counts) = (Vec::new(), Vec::new());
        for target in targets {
            let server = address(target).with_context(|| format!("{target} is not an address of {HOST}"))?;
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let own = listener.local_addr()?;
            urls.push(target.replace(&server.to_string(), &own.to_string()));
            let count = Arc::new(Counts::default());
            counts.push(Arc::clone(&count));
            tokio::spawn(accept(listener, server, count));
        }
        Ok(Self { urls, counts })
    }

    /// Returns where the relays are, in the order of what they lead to.
    pub(crate) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Returns what went through each since it was started.
    pub(crate) fn read(&self) -> Vec<Bytes> {
        let counts = self.counts.iter();
        counts
            .map(|count| Bytes {
                sent: count.sent.load(Ordering::Relaxed),
                received: count.received.load(Ordering::Relaxed),
            })
            .collect()
    }
}

/// Finds the server in its URL.
fn address(url: &str) -> Option<SocketAddr> {
    let from = &url[url.find(HOST)?..];
    let port = &from[HOST.len()..];
    let digits = port
        .find(|sign: char| !sign.is_ascii_digit())
        .unwrap_or(port.len());
    from[..HOST.len() + digits].parse().ok()
}

async fn accept(listener: TcpListener, server: SocketAddr, counts: Arc<Counts>) {
    while let Ok((client, _)) = listener.accept().await {
        // One that doesn't get through is closed, which its client sees.
        let Ok(upstream) = TcpStream::connect(server).await else {
            continue;
        };
        for stream in [&client, &upstream] {
            // Slower without, and no less right.
            let _ = stream.set_nodelay(true);
        }
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), upstream.into_split());
        let (out, back) = (Arc::clone(&counts), Arc::clone(&counts));
        tokio::spawn(async move { copy(from_client, to_server, &out.sent).await });
        tokio::spawn(async move { copy(from_server, to_client, &back.received).await });
    }
}

/// Copies until either side ends, and then ends the other.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: &AtomicU64) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        count.fetch_add(length as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // Where the other side is gone already there is nothing to end.
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_between_password_and_path() {
        let found = address("amqp://user:1:2@127.0.0.1:5672/%2f").unwrap();
        assert_eq!(found.to_string(), "127.0.0.1:5672");
        let found = address("http://127.0.0.1:9000").unwrap();
        assert_eq!(found.port(), 9000);
        assert!(address("http://example.com:9000").is_none());
    }

    #[tokio::test]
    async fn what_goes_through_is_unchanged_and_counted() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", server.local_addr().unwrap());
        let relays = Relays::to(&[url]).await.unwrap();
        let mut client = TcpStream::connect(address(&relays.urls()[0]).unwrap())
            .await
            .unwrap();
        let (mut served, _) = server.accept().await.unwrap();
        client.write_all(b"question").await.unwrap();
        let mut heard = [0; 8];
        served.read_exact(&mut heard).await.unwrap();
        served.write_all(b"yes").await.unwrap();
        let mut answer = [0; 3];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!((&heard, &answer), (b"question", b"yes"));
        let counted = Bytes { sent: 8, received: 3 };
        assert_eq!(relays.read(), [counted]);
    }
}
