//! The connection to the server: where it is, how long it may take, and the key that goes with each request.

use std::time::Duration;

use lucida_core::config::Secret;
use lucida_core::{Error, Result, ResultExt};
use qdrant_client::qdrant::collections_client::CollectionsClient;
use qdrant_client::qdrant::points_client::PointsClient;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::config::{QdrantConfig, header};
use crate::error::from_status;

/// How often a connection that nothing goes through is tried, so that a server which vanished without a word is
/// noticed before it is needed.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long the answer to that may take.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer: a page of points with their vectors is below it.
const ANSWER_BYTES: usize = 64 << 20;

/// What requests go through.
type Transport = InterceptedService<Channel, ApiKey>;

/// A server, connected to when it is first needed, and again whenever the connection was lost.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    url: String,
    transport: Transport,
}

impl Server {
    /// Reads key and certificates and prepares the connection, without making it.
    pub(crate) async fn open(config: &QdrantConfig) -> Result<Self> {
        let mut endpoint = Endpoint::from_shared(config.url.clone())
            .map_err(|_| Error::config("url", "is no URL, such as \"http://127.0.0.1:6334\""))?
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .timeout(Duration::from_millis(config.request_timeout_ms))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        if config.url.starts_with("https:") {
            endpoint = endpoint
                .tls_config(tls(config).await?)
                .map_err(|error| Error::config("url", "can't be used with TLS").with_source(error))?;
        }
        let key = ApiKey(find_key(config).await?);
        Ok(Self {
            url: config.url.clone(),
            transport: InterceptedService::new(endpoint.connect_lazy(), key),
        })
    }

    /// Returns the calls about points.
    pub(crate) fn points(&self) -> PointsClient<Transport> {
        PointsClient::new(self.transport.clone()).max_decoding_message_size(ANSWER_BYTES)
    }

    /// Returns the calls about collections.
    pub(crate) fn collections(&self) -> CollectionsClient<Transport> {
        CollectionsClient::new(self.transport.clone()).max_decoding_message_size(ANSWER_BYTES)
    }

    /// Turns what a call failed with into Lucida's error.
    pub(crate) fn failed(&self, status: Status) -> Error {
        from_status(status, &self.url)
    }
}

/// Puts the key, if there is one, into each request.
#[derive(Debug, Clone)]
pub(crate) struct ApiKey(Option<AsciiMetadataValue>);

impl Interceptor for ApiKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("api-key", key.clone());
        }
        Ok(request)
    }
}

async fn find_key(config: &QdrantConfig) -> Result<Option<AsciiMetadataValue>> {
    if let Some(key) = &config.api_key {
        return header("api_key", key).map(Some);
    }
    let Some(file) = &config.api_key_file else {
        return Ok(None);
    };
    let doing = || format!("reading the key in `{}`", file.display());
    let text = tokio::fs::read_to_string(file).await.context(doing())?;
    header("api_key_file", &Secret::new(text.trim()))
        .map(Some)
        .context(doing())
}

async fn tls(config: &QdrantConfig) -> Result<ClientTlsConfig> {
    let Some(file) = &config.ca_file else {
        return Ok(ClientTlsConfig::new().with_native_roots());
    };
    let pem = tokio::fs::read(file)
        .await
        .context(format!("reading the certificates in `{}`", file.display()))?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}
