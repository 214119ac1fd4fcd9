//! A bad connection: stands between the storage and its store, holds bytes up, changes one, and cuts answers off.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the relay does to bytes, counted over all connections where it doesn't say otherwise; `u64::MAX` is never.
struct Faults {
    /// How many bytes have gone to the store, and come from it.
    up: AtomicU64,
    down: AtomicU64,
    /// After how many bytes to the store no more are passed on.
    hold_up_at: AtomicU64,
    /// Which byte to the store of any one connection is changed.
    change_up_at: AtomicU64,
    /// After how many bytes from the store of any one connection it breaks.
    break_down_at: AtomicU64,
}

/// Passes connections on to a store; gone, with its connections, when it is dropped.
pub(crate) struct Relay {
    pub(crate) endpoint: String,
    faults: Arc<Faults>,
    _running: JoinSet<()>,
}

impl Relay {
    /// Starts one before the store at `endpoint`.
    pub(crate) async fn start(endpoint: &str) -> Self {
        let target = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let faults = Arc::new(Faults {
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            hold_up_at: AtomicU64::new(u64::MAX),
            change_up_at: AtomicU64::new(u64::MAX),
            break_down_at: AtomicU64::new(u64::MAX),
        });
        let mut running = JoinSet::new();
        running.spawn({
            let faults = Arc::clone(&faults);
            async move {
                let mut connections = JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    let (target, faults) = (target.clone(), Arc::clone(&faults));
                    connections.spawn(async move {
                        let server = TcpStream::connect(target).await?;
                        let (from_client, to_client) = client.into_split();
                        let (from_server, to_server) = server.into_split();
                        tokio::select! {
                            up = faults.pass_up(from_client, to_server) => up,
                            down = faults.pass_down(from_server, to_client) => down,
                        }
                    });
                }
            }
        });
        Self {
            endpoint,
            faults,
            _running: running,
        }
    }

    /// Passes on so many more bytes to the store, and then none.
    pub(crate) fn hold_after(&self, bytes: u64) {
        let at = self.faults.up.load(Ordering::SeqCst) + bytes;
        self.faults.hold_up_at.store(at, Ordering::SeqCst);
    }

    /// Goes on.
    pub(crate) fn release(&self) {
        self.faults.hold_up_at.store(u64::MAX, Ordering::SeqCst);
    }

    /// Changes the byte at this place of what any connection sends.
    pub(crate) fn change_byte(&self, at: u64) {
        self.faults.change_up_at.store(at, Ordering::SeqCst);
    }

    /// Breaks any connection after so many bytes of what the store sends.
    pub(crate) fn break_answers(&self, at: u64) {
        self.faults.break_down_at.store(at, Ordering::SeqCst);
    }

    /// How many bytes have come from the store.
    pub(crate) fn came(&self) -> u64 {
        self.faults.down.load(Ordering::SeqCst)
    }
}

impl Faults {
    async fn pass_up(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        let (mut buffer, mut passed) = (vec![0; 16 * 1024], 0);
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                // The store answers what it has got before it hears that nobody waits.
                tokio::time::sleep(Duration::from_millis(200)).await;
                return Ok(());
            }
            while self.up.load(Ordering::SeqCst) >= self.hold_up_at.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let change = self.change_up_at.load(Ordering::SeqCst);
            if (passed..passed + read as u64).contains(&change) {
                buffer[(change - passed) as usize] ^= 1;
            }
            to.write_all(&buffer[..read]).await?;
            passed += read as u64;
            self.up.fetch_add(read as u64, Ordering::SeqCst);
        }
    }

    async fn pass_down(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> io::Result<()> {
        let (mut buffer, mut passed) = (vec![0; 16 * 1024], 0);
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 || passed > self.break_down_at.load(Ordering::SeqCst) {
                return Ok(());
            }
            to.write_all(&buffer[..read]).await?;
            passed += read as u64;
            self.down.fetch_add(read as u64, Ordering::SeqCst);
        }
    }
}
