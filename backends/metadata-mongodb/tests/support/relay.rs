//! Stands between a client and its server, to be killed and to lose answers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mongodb::options::{ConnectionString, HostInfo, ServerAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Passes connections on to a server, until it is killed.
pub(crate) struct Relay {
    address: SocketAddr,
    target: String,
    lose_answers: Arc<AtomicBool>,
    running: Option<JoinHandle<()>>,
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
        let mut relay = Self {
            address: listener(([127, 0, 0, 1], 0).into()).local_addr().unwrap(),
            target: target.clone(),
            lose_answers: Arc::default(),
            running: None,
        };
        relay.revive();
        let mut through = uri.replacen(&target, &relay.address.to_string(), 1);
        if !through.contains('?') {
            through = format!("{}/?", through.trim_end_matches('/'));
        }
        (
            relay,
            format!("{through}&directConnection=true").replace("?&", "?"),
        )
    }

    /// Breaks every connection and refuses new ones.
    pub(crate) async fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            assert!(running.await.unwrap_err().is_cancelled());
        }
    }

    /// Listens again on the same port.
    pub(crate) fn revive(&mut self) {
        let (listener, target) = (listener(self.address), self.target.clone());
        let lose_answers = Arc::clone(&self.lose_answers);
        self.running = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (target, lose_answers) = (target.clone(), Arc::clone(&lose_answers));
                connections.spawn(async move { pass_on(client, &target, &lose_answers).await });
            }
        }));
    }

    /// Lets the next insert or change through, and breaks the connection instead of passing its answer on.
    pub(crate) fn lose_next_answer(&self) {
        self.lose_answers.store(true, Ordering::SeqCst);
    }
}

fn listener(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(64).unwrap()
}

/// Passes requests and answers on, one pair after the other.
async fn pass_on(mut client: TcpStream, target: &str, lose_answers: &AtomicBool) -> io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    loop {
        let request = message(&mut client).await?;
        server.write_all(&request).await?;
        let answer = message(&mut server).await?;
        let writes = ["insert\0", "findAndModify\0", "update\0"].iter().any(|name| {
            request
                .get(26..)
                .is_some_and(|command| command.starts_with(name.as_bytes()))
        });
        if writes && lose_answers.swap(false, Ordering::SeqCst) {
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
