//! A stand-in for a Qdrant server, for tests where none is at hand: the gRPC services that qdrant-client generates, over
//! points in memory that are compared one by one.
//!
//! It answers as a single server does: the same codes and words for what is absent, there already or wrong, the same
//! rules for aliases. What it has no answer for it calls unimplemented. Every change it acknowledged is in a journal,
//! which a SIGKILL leaves whole; the next start applies it again to nothing.

mod collections;
mod filter;
mod journal;
mod point;
mod points;
mod shard;
mod state;

use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use qdrant_client::qdrant::qdrant_server::{Qdrant, QdrantServer};
use qdrant_client::qdrant::{HealthCheckReply, HealthCheckRequest};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use state::Store;

/// The version that it reports by default: the first release with all the calls that are made here.
pub(crate) const VERSION: &str = "1.12.0";

/// What a call answers.
type Answer<T> = Result<Response<T>, Status>;

/// How a stand-in is started.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where it listens; port 0 is a free one.
    pub(crate) listen: SocketAddr,
    /// The folder of its journal; made when it isn't there.
    pub(crate) data: PathBuf,
    /// The key that requests must have.
    pub(crate) api_key: Option<String>,
    /// The version that it reports.
    pub(crate) version: &'static str,
    /// The certificate and key with which it speaks TLS.
    pub(crate) tls: Option<Identity>,
}

/// A stand-in that runs. Dropping it closes its connections in the middle of whatever they carry.
pub(crate) struct StandIn {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StandIn {
    /// Applies the journal and listens from then on.
    pub(crate) fn start(options: Options) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let store = Arc::new(Store::open(&options.data)?);
        let listener = TcpListener::bind(options.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let mut server = Server::builder();
        if let Some(identity) = options.tls {
            server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
        }
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("qdrant-stand-in".to_owned())
            .spawn(move || {
                let health = Health {
                    version: options.version,
                };
                serve(
                    &runtime,
                    listener,
                    store,
                    server,
                    health,
                    options.api_key,
                    stopped,
                );
            })?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has failed the test already, by a call without an answer.
            let _ = thread.join();
        }
    }
}

fn serve(
    runtime: &Runtime,
    listener: TcpListener,
    store: Arc<Store>,
    mut server: Server,
    health: Health,
    api_key: Option<String>,
    stopped: oneshot::Receiver<()>,
) {
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener fits any runtime");
        let check = move |request: Request<()>| check_key(request, api_key.as_deref());
        let points = PointsServer::new(points::Service(Arc::clone(&store)));
        let collections = CollectionsServer::new(collections::Service(store));
        let served = server
            .add_service(QdrantServer::new(health))
            .add_service(InterceptedService::new(
                points.max_decoding_message_size(usize::MAX),
                check.clone(),
            ))
            .add_service(InterceptedService::new(collections, check))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::select! {
            served = served => served.expect("serving ends only when it is stopped"),
            _ = stopped => {}
        }
    });
}

/// The health check, which asks for no key.
struct Health {
    version: &'static str,
}

#[tonic::async_trait]
impl Qdrant for Health {
    async fn health_check(&self, _: Request<HealthCheckRequest>) -> Answer<HealthCheckReply> {
        Ok(Response::new(HealthCheckReply {
            title: "qdrant - stand-in".to_owned(),
            version: self.version.to_owned(),
            commit: None,
        }))
    }
}

fn check_key(request: Request<()>, key: Option<&str>) -> Result<Request<()>, Status> {
    let Some(key) = key else {
        return Ok(request);
    };
    let header = |name: &str| request.metadata().get(name).and_then(|value| value.to_str().ok());
    let given = header("api-key").or_else(|| header("authorization")?.strip_prefix("Bearer "));
    match given {
        Some(given) if given == key => Ok(request),
        Some(_) => Err(Status::permission_denied("Invalid API key or JWT")),
        None => Err(Status::permission_denied(
            "Must provide an API key or an Authorization bearer token",
        )),
    }
}

/// Says that the stand-in has no answer, where a server would have one.
fn unimplemented(what: &str) -> Status {
    Status::unimplemented(format!("the stand-in has no {what}"))
}

/// Writes the calls of a service that the stand-in has no answer for.
macro_rules! without_answer {
    ($($call:ident($request:ty) -> $answer:ty;)*) => {
        $(
            fn $call<'life0, 'async_trait>(
                &'life0 self,
                _: tonic::Request<$request>,
            ) -> std::pin::Pin<Box<dyn Future<Output = $crate::stand_in::Answer<$answer>> + Send + 'async_trait>>
            where
                'life0: 'async_trait,
                Self: 'async_trait,
            {
                Box::pin(std::future::ready(Err($crate::stand_in::unimplemented(stringify!($call)))))
            }
        )*
    };
}
use without_answer;
