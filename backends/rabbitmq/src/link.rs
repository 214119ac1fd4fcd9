//! One connection to the broker, which ends for sure when it is dropped.
//!
//! lapin runs each connection on a thread of its own, which a peer that never answers would keep alive. So a second
//! handle of the socket is kept, to shut it down.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::StreamExt;
use lapin::tcp::AsyncTcpStream;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, runtime};
use lucida_core::{Error, ErrorKind, Result};
use tokio::net::lookup_host;
use tokio::time::{Instant, timeout, timeout_at};

use crate::broker::Broker;
use crate::error::failed;

/// How long the broker may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection.
pub(crate) struct Link {
    connection: Connection,
    socket: Socket,
}

/// Shuts the socket down when it is dropped.
struct Socket(Arc<OnceLock<TcpStream>>);

impl Link {
    /// Connects and logs in; `purpose` is what the broker's own tools show beside the connection.
    pub(crate) async fn open(broker: &Broker, purpose: &str) -> Result<Self> {
        let connecting = || format!("connecting to RabbitMQ at {}", broker.address());
        let runtime = runtime::default_runtime().map_err(|error| failed(&connecting(), &error))?;
        let deadline = Instant::now() + broker.connect_timeout;
        let socket = Socket(Arc::default());
        let (tls, slot) = (broker.tls.clone(), Arc::clone(&socket.0));
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("lucida {purpose} (process {})", std::process::id()).into());
        let connector = Connection::connector(
            broker.uri.clone(),
            runtime,
            async move |uri: AMQPUri, runtime| {
                let opening = async {
                    let host = uri.authority.host;
                    let addresses: Vec<_> = lookup_host((host.as_str(), uri.authority.port)).await?.collect();
                    let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                    if let AsyncTcpStream::Plain(plain) = &stream {
                        let _ = slot.set(second_handle(plain.get_ref())?);
                    }
                    match uri.scheme {
                        AMQPScheme::AMQP => Ok(stream),
                        AMQPScheme::AMQPS => stream.into_tls(&host, tls.as_ref()).await,
                    }
                };
                let opened: io::Result<_> = timeout_at(deadline, opening).await.map_err(io::Error::from)?;
                Ok(opened?)
            },
            properties,
        );
        match timeout_at(deadline, connector).await {
            Ok(Ok(connection)) => Ok(Self { connection, socket }),
            Ok(Err(error)) if Instant::now() < deadline => Err(failed(&connecting(), &error)),
            Ok(Err(_)) | Err(_) => {
                let millis = broker.connect_timeout.as_millis();
                let message = format!(
                    "RabbitMQ did not answer within {millis} ms: start it, set queue.rabbitmq.uri to its address, or raise \
                     queue.rabbitmq.connect_timeout_ms"
                );
                Err(Error::new(ErrorKind::Unavailable, message).context(connecting()))
            }
        }
    }

    /// Opens a channel.
    pub(crate) async fn channel(&self) -> lapin::Result<Channel> {
        self.connection.create_channel().await
    }

    /// Returns whether it still serves.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.status().connected()
    }

    /// Returns whether the broker, low on memory or disk, reads nothing from it for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Waits until it serves no more.
    pub(crate) async fn lost(&self) {
        let mut events = self.connection.events_listener();
        // Errors of single channels are among the events.
        while self.is_connected() {
            if events.next().await.is_none() {
                return;
            }
        }
    }

    /// Says goodbye, so that the broker logs no lost connection, and ends the calls that are under way.
    pub(crate) async fn close(&self) {
        // Whoever doesn't answer is left without it.
        let _ = timeout(GOODBYE, self.connection.close(200, "goodbye".into())).await;
        self.socket.shut_down();
    }
}

impl Socket {
    fn shut_down(&self) {
        if let Some(socket) = self.0.get() {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn second_handle(stream: &tokio::net::TcpStream) -> io::Result<TcpStream> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        Ok(stream.as_fd().try_clone_to_owned()?.into())
    }
    #[cfg(windows)]
    {
        use std::os::windows::io::AsSocket;
        Ok(stream.as_socket().try_clone_to_owned()?.into())
    }
}
