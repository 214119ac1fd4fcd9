//! Stands between a client and its server, to lose answers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mongodb::options::{ConnectionString, HostInfo, ServerAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The commands whose answers are lost.
const WRITES: [&[u8]; 3] = [b"insert\0", b"findAndModify\0", b"update\0"];

/// Where a message's first key is, which is the command's name: after the header, the flags, the kind of the section
/// and the length of its document, and the type of the value.
const COMMAND: usize = 16 + 4 + 1 + 4 + 1;

/// Passes connections on to a server.
pub(crate) struct Relay {
    lose: Arc<AtomicBool>,
}

impl Relay {
    /// Starts one before the server of a connection string, and returns it with the string that goes through it.
    pub(crate) async fn start(uri: &str) -> (Self, String) {
        let HostInfo::HostIdentifiers(hosts) = ConnectionString::parse(uri).unwrap().host_info else {
            panic!("a test's server is named by its address")
        };
        let ServerAddress::Tcp { host, port } = &hosts[0] else {
            panic!("a test's server is reached by TCP")
        };
        let target = format!("{host}:{}", port.unwrap_or(27_017));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut through = uri.replacen(&target, &listener.local_addr().unwrap().to_string(), 1);
        if !through.contains('?') {
            through = format!("{}/?", through.trim_end_matches('/'));
        }
        // Directly, lest the driver goes around to where a replica set says that it is.
        let through = format!("{through}&directConnection=true").replace("?&", "?");
        let lose = Arc::<AtomicBool>::default();
        let relay = Self {
            lose: Arc::clone(&lose),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, lose) = (target.clone(), Arc::clone(&lose));
                tokio::spawn(async move { pass_on(client, &target, &lose).await });
            }
        });
        (relay, through)
    }

    /// Lets the next write through, and breaks the connection instead of passing its answer on.
    pub(crate) fn lose_next_answer(&self) {
        self.lose.store(true, Ordering::SeqCst);
    }

    /// Returns whether that has happened.
    pub(crate) fn has_lost(&self) -> bool {
        !self.lose.load(Ordering::SeqCst)
    }
}

/// Passes requests and answers on, one pair after the other.
async fn pass_on(mut client: TcpStream, target: &str, lose: &AtomicBool) -> io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    loop {
        let request = message(&mut client).await?;
        server.write_all(&request).await?;
        let answer = message(&mut server).await?;
        let command = request.get(COMMAND..).unwrap_or_default();
        if WRITES.iter().any(|write| command.starts_with(write)) && lose.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        client.write_all(&answer).await?;
    }
}

/// Reads one message of MongoDB's protocol: its first four bytes are its length.
async fn message(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = from.read_u32_le().await?;
    let mut message = vec![0; usize::try_from(length).unwrap()];
    message[..4].copy_from_slice(&length.to_le_bytes());
    from.read_exact(&mut message[4..]).await?;
    Ok(message)
}
