//! A proxy before the broker, which cuts connections, refuses them, or goes silent.

use std::sync::Arc;

use lapin::uri::AMQPUri;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It forwards.
    Open,
    /// It has cut what was there, and drops whoever comes.
    Closed,
    /// It takes what comes and says nothing, as a network does that lost its way.
    Silent,
}

/// A proxy on a port of its own.
pub(crate) struct Proxy {
    /// The broker's URI by way of the proxy.
    pub(crate) uri: AMQPUri,
    mode: Arc<watch::Sender<Mode>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(broker: &AMQPUri) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut uri = broker.clone();
        uri.authority.host = "127.0.0.1".to_owned();
        uri.authority.port = listener.local_addr().unwrap().port();
        let upstream = (broker.authority.host.clone(), broker.authority.port);
        let mode = Arc::new(watch::Sender::new(Mode::Open));
        let modes = Arc::clone(&mode);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, upstream.clone(), modes.subscribe()));
            }
        });
        Self { uri, mode, accepting }
    }

    /// Cuts all connections, and forwards those that come.
    pub(crate) fn cut(&self) {
        self.close();
        self.open();
    }

    /// Cuts all connections, and drops those that come.
    pub(crate) fn close(&self) {
        self.mode.send_replace(Mode::Closed);
    }

    /// Forwards the connections that come.
    pub(crate) fn open(&self) {
        self.mode.send_replace(Mode::Open);
    }

    /// Keeps all connections, and forwards nothing.
    pub(crate) fn silence(&self) {
        self.mode.send_replace(Mode::Silent);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.close();
    }
}

/// Forwards a connection while the mode is that of its beginning; a silent one ends when the silence does.
async fn forward(mut client: TcpStream, upstream: (String, u16), mut mode: watch::Receiver<Mode>) {
    let began = *mode.borrow_and_update();
    if began == Mode::Open {
        let Ok(mut server) = TcpStream::connect(upstream).await else {
            return;
        };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            _ = mode.changed() => {}
        }
        if *mode.borrow_and_update() == Mode::Silent {
            let _ = mode.changed().await;
        }
    } else if began == Mode::Silent {
        let _ = mode.changed().await;
    }
}
