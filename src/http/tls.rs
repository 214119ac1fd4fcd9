//! TLS: the certificate and its key from PEM files, read again when they change.
//!
//! rustls through tokio-rustls, in the accept loop of `serve`, and not axum-server (0.9.2): its loop has neither a bound on a
//! request's head nor the drain of this one, and its reloading has to be called by somebody who knows when.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lucida_core::{Error, Result};
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the files are looked at. Their contents are compared, so that it works on every file system and for files that are
/// links to links, as Kubernetes mounts them.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How the certificate's setting is called.
const CERTIFICATE: &str = "server.tls_certificate_file";

/// How the key's setting is called.
const KEY: &str = "server.tls_key_file";

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// A PEM file of the certificate and the intermediate ones after it.
    pub certificate: PathBuf,
    /// A PEM file of the private key.
    pub key: PathBuf,
}

/// The certificate that new connections get.
pub struct Tls {
    files: TlsFiles,
    current: Mutex<Arc<ServerConfig>>,
    /// What the files held when they were last tried.
    tried: Mutex<Contents>,
}

#[derive(Clone, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl TlsFiles {
    fn read(&self) -> Result<Contents> {
        Ok(Contents {
            certificate: read(CERTIFICATE, &self.certificate)?,
            key: read(KEY, &self.key)?,
        })
    }
}

impl Tls {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the setting and the file: one that can't be read or has no certificate or key in it, a key that is
    /// encrypted, and one that is another certificate's.
    pub fn load(files: TlsFiles) -> Result<Self> {
        let contents = files.read()?;
        let config = parse(&files, &contents)?;
        Ok(Self {
            files,
            current: Mutex::new(config),
            tried: Mutex::new(contents),
        })
    }

    /// Returns what begins TLS on a connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    /// Reads the files again whenever they change, until `stop` is cancelled. Connections keep what they began with; files that
    /// can't be used change nothing.
    pub(super) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let this = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || this.look()).await;
            match looked {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => info!("new connections get the new certificate"),
                Ok(Err(error)) => {
                    warn!(%error, "the certificate was replaced and can't be used: the earlier one stays")
                }
                Err(error) => warn!(%error, "looking for a new certificate"),
            }
        }
    }

    /// Looks whether the files have changed, and takes what they hold.
    fn look(&self) -> Result<bool> {
        // A file that is missing for a moment is being replaced.
        let Ok(contents) = self.files.read() else {
            return Ok(false);
        };
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if *tried == contents {
            return Ok(false);
        }
        *tried = contents;
        let config = parse(&self.files, &tried)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(true)
    }
}

fn read(setting: &str, file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| {
        let message = format!("{} can't be read", file.display());
        Error::config(setting, message).with_source(error)
    })
}

fn parse(files: &TlsFiles, contents: &Contents) -> Result<Arc<ServerConfig>> {
    let chain = certificates(&files.certificate, &contents.certificate)?;
    let key = private_key(&files.key, &contents.key)?;
    #[expect(clippy::wildcard_enum_match_arm, reason = "rustls's errors are open-ended")]
    let unusable = |error: rustls::Error| {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                let message = format!(
                    "{key} is not the key of the certificate in {certificate}: set both from one renewal"
                );
                Error::config(KEY, message)
            }
            rustls::Error::InvalidCertificate(_) => {
                let message = format!("{certificate} has no valid certificate");
                Error::config(CERTIFICATE, message).with_source(error)
            }
            _ => Error::config(KEY, format!("{key} can't be used with {certificate}")).with_source(error),
        }
    };
    // Named, so that it is the same one whatever else in the process brings another one.
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    // Not HTTP/2: hyper 1.12 bounds there neither the time of a request's head nor an idle connection, and a stop would wait for a
    // client that doesn't answer its ping. A proxy in front speaks HTTP/2 to browsers.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(file: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let refuse = |message: &str| Error::config(CERTIFICATE, format!("{} {message}", file.display()));
    let chain: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let chain = chain.map_err(|error| refuse("is not a PEM file").with_source(error))?;
    if chain.is_empty() {
        return Err(refuse(
            "has no certificate: expected a PEM file with `-----BEGIN CERTIFICATE-----`",
        ));
    }
    Ok(chain)
}

fn private_key(file: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>> {
    let refuse = |message: &str| Error::config(KEY, format!("{} {message}", file.display()));
    let has = |marker: &[u8]| memchr::memmem::find(bytes, marker).is_some();
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(refuse(
            "is encrypted, and there is nobody to ask for its password: decrypt it with `openssl pkey -in KEY -out NEW_KEY`",
        ));
    }
    match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(refuse(
            "has no private key: expected a PEM file with `-----BEGIN PRIVATE KEY-----`",
        )),
        Err(error) => Err(refuse("is not a PEM file").with_source(error)),
    }
}
