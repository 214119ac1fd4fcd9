//! The bucket of `storage.s3`: an operator of OpenDAL's `s3` service, and what its errors mean.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use lucida_core::config::Secret;
use lucida_core::{BlobKey, Error, Result};
use opendal::layers::CapabilityOverrideLayer;
use opendal::options::WriteOptions;
use opendal::services::S3;
use opendal::{Buffer, BytesRange, HttpTransporter, Metadata, OperationContext, Operator, Writer};
use uuid::Uuid;

use super::config::{Encryption, S3Config};
use super::error::{Place, is_absent, is_answered, is_bare};
use super::read;
use super::transport::Transport;
use crate::service::{Opened, Service};
use crate::store::OpendalStorage;
use crate::upload::Upload;

/// The prefix of the objects that a ping begins; `+` is in no key.
const PINGS: &str = "+ping";

/// Keeps blobs as objects in a bucket.
pub type S3Storage = OpendalStorage<Bucket>;

/// A bucket, or the part of it below the prefix.
#[derive(Debug, Clone)]
pub struct Bucket {
    operator: Operator,
    place: Arc<Place>,
    part_bytes: usize,
    concurrent_parts: usize,
}

impl S3Storage {
    /// Reads the secret's file, and tries the settings out. A store that is merely unavailable is fine: it may come back.
    ///
    /// # Errors
    /// `ConfigInvalid` or `PermissionDenied`, naming the setting, when the store can't be used by these.
    pub async fn open(config: S3Config) -> Result<Self> {
        let secret = match &config.secret_access_key_file {
            Some(path) => Some(read_secret(path).await?),
            None => config.secret_access_key.clone(),
        };
        let bucket = Bucket::of(&config, secret.as_ref())?;
        let Err(error) = bucket.probe().await else {
            return Ok(Self::of(bucket));
        };
        if config.checksum && is_answered(&error) {
            // Stores name what they don't like about a checksum in many ways: whether one without it is taken tells.
            let without = S3Config {
                checksum: false,
                ..config.clone()
            };
            if Bucket::of(&without, secret.as_ref())?.probe().await.is_ok() {
                return Err(bucket.place.refuses_checksums(&error));
            }
        }
        match bucket.place.unusable(&error) {
            Some(error) => Err(error),
            None => Ok(Self::of(bucket)),
        }
    }
}

impl Bucket {
    /// Makes the operator, without asking the store for anything; `secret` is the one to the configured key.
    ///
    /// # Errors
    /// `ConfigInvalid` for settings that the library refuses, `Internal` when there is no TLS.
    fn of(config: &S3Config, secret: Option<&Secret>) -> Result<Self> {
        let endpoint = config.endpoint();
        let mut builder = S3::default()
            .bucket(&config.bucket)
            .endpoint(&endpoint)
            .region(&config.region);
        if let Some(prefix) = &config.prefix {
            builder = builder.root(prefix);
        }
        if config.in_host() {
            builder = builder.enable_virtual_host_style();
        }
        if config.checksum {
            builder = builder.checksum_algorithm("crc32c");
        }
        match config.server_side_encryption {
            None => {}
            Some(Encryption::S3) => builder = builder.server_side_encryption("AES256"),
            Some(Encryption::Kms) => {
                builder = builder.server_side_encryption("aws:kms");
                if let Some(key) = &config.kms_key_id {
                    builder = builder.server_side_encryption_aws_kms_key_id(key);
                }
            }
        }
        if let (Some(id), Some(secret)) = (&config.access_key_id, secret) {
            builder = builder
                .access_key_id(id)
                .secret_access_key(secret.expose())
                .disable_config_load()
                .disable_ec2_metadata();
            if let Some(token) = &config.session_token {
                builder = builder.session_token(token.expose());
            }
        }
        let transport = HttpTransporter::new(Transport::new(config)?);
        let operator = Operator::new(builder)
            .map_err(|error| {
                let message = format!("can't be used: {}", error.message());
                Error::config("bucket", message)
            })?
            // For `probe`, whose parts are of one byte.
            .layer(CapabilityOverrideLayer::new(|mut capability| {
                capability.write_multi_min_size = None;
                capability
            }))
            .with_context(OperationContext::new().with_http_transport(transport));
        Ok(Self {
            operator,
            place: Arc::new(Place {
                bucket: config.bucket.clone(),
                endpoint,
                session_token: config.session_token.clone(),
                checksum: config.checksum,
                encryption: config.server_side_encryption.is_some(),
            }),
            part_bytes: usize::try_from(config.part_size_bytes).unwrap_or(usize::MAX),
            concurrent_parts: config.concurrent_parts,
        })
    }

    /// Writes a byte as part of an object and gives it up: that takes the right to write and a place to write to, and
    /// leaves nothing, not even a version where the bucket keeps them.
    async fn probe(&self) -> opendal::Result<()> {
        let path = format!("{PINGS}/{}", Uuid::now_v7().simple());
        let options = WriteOptions {
            concurrent: 1,
            ..WriteOptions::default()
        };
        let mut upload = Upload::start(self.clone(), path, options).await?;
        // OpenDAL holds back the first part until it sees a second: an object of one part is a plain `PUT`.
        for _ in 0..2 {
            upload = upload.write(Buffer::from("?")).await?;
        }
        upload.abort().await
    }
}

#[async_trait]
impl Service for Bucket {
    const LISTS_ALL_DEPTHS: bool = true;

    fn operator(&self) -> &Operator {
        &self.operator
    }

    fn write_options(&self) -> WriteOptions {
        WriteOptions {
            chunk: Some(self.part_bytes),
            concurrent: self.concurrent_parts,
            ..WriteOptions::default()
        }
    }

    fn unfinished_path(&self, key: &BlobKey) -> String {
        key.to_string()
    }

    async fn finish(&self, mut writer: Writer, _path: String, key: BlobKey) -> Result<()> {
        if let Err(error) = writer.close().await {
            // The first error is the one to report.
            let _ = writer.abort().await;
            return Err(self.failed(format!("writing blob `{key}`"), &error));
        }
        Ok(())
    }

    fn discard(&self, mut writer: Writer, _path: &str) -> BoxFuture<'static, opendal::Result<()>> {
        async move { writer.abort().await }.boxed()
    }

    async fn stat(&self, key: &BlobKey) -> opendal::Result<Metadata> {
        match self.operator.stat(key.as_str()).await {
            Err(error) if is_bare(&error) => {
                // `HEAD` is answered without a body, which would tell a missing blob from a missing bucket.
                let byte = BytesRange::new(0, Some(1));
                let started = read::start(&self.operator, key, byte).await;
                started.map(|(metadata, _)| metadata)
            }
            looked => looked,
        }
    }

    async fn open(&self, key: &BlobKey, range: Option<Range<u64>>) -> Result<Opened> {
        read::open(self, key, range).await
    }

    async fn ping(&self) -> Result<()> {
        let probed = self.probe().await;
        probed.map_err(|error| self.failed("writing to the store".to_owned(), &error))
    }

    fn is_absent(error: &opendal::Error) -> bool {
        is_absent(error)
    }

    fn failed(&self, doing: String, error: &opendal::Error) -> Error {
        self.place.failed(doing, error)
    }
}

async fn read_secret(path: &Path) -> Result<Secret> {
    let failed = |what: &str| {
        let message = format!("{} {what}", path.display());
        Error::config("secret_access_key_file", message)
    };
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| failed("can't be read").with_source(error))?;
    match text.trim() {
        "" => Err(failed("is empty: write the secret into it")),
        secret => Ok(Secret::new(secret)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::{HeaderMap, Request, Response};
    use lucida_core::Storage;
    use lucida_core::config::parse;
    use opendal::{Buffer, HttpBody, HttpTransport};
    use serde_json::{Value, json};

    use super::*;

    /// Takes down where requests go and what they carry, and answers none.
    #[derive(Clone, Default)]
    struct Spy(Arc<Mutex<Vec<(String, HeaderMap)>>>);

    impl HttpTransport for Spy {
        async fn fetch(&self, request: Request<Buffer>) -> opendal::Result<Response<HttpBody>> {
            let seen = (request.uri().to_string(), request.headers().clone());
            self.0.lock().unwrap().push(seen);
            Err(opendal::Error::new(opendal::ErrorKind::Unexpected, "a spy"))
        }
    }

    /// Puts a small blob by these settings, and returns the request.
    async fn put(changes: Value) -> (String, HeaderMap) {
        let mut settings = json!({
            "bucket": "photos",
            "region": "eu-central-1",
            "access_key_id": "me",
            "secret_access_key": "secret",
            "credential_chain": false,
            "checksum": true,
            "part_size_bytes": 8_388_608,
            "concurrent_parts": 2,
            "connect_timeout_secs": 5,
            "read_timeout_secs": 60,
        });
        let changes = changes.as_object().unwrap().clone();
        settings.as_object_mut().unwrap().extend(changes);
        let config: S3Config = parse(&settings).unwrap();
        let mut bucket = Bucket::of(&config, config.secret_access_key.as_ref()).unwrap();
        let spy = Spy::default();
        let transport = HttpTransporter::new(spy.clone());
        let context = OperationContext::new().with_http_transport(transport);
        bucket.operator = bucket.operator.with_context(context);
        let body = lucida_core::stream_of("123456789");
        let storage = S3Storage::of(bucket);
        storage
            .put(&BlobKey::new("a/b").unwrap(), body)
            .await
            .unwrap_err();
        spy.0.lock().unwrap().remove(0)
    }

    #[tokio::test]
    async fn the_bucket_is_in_the_host_on_aws_and_in_the_path_elsewhere() {
        for (changes, url) in [
            (json!({}), "https://photos.s3.eu-central-1.amazonaws.com/a/b"),
            (
                json!({ "virtual_host_style": false, "prefix": "lucida/photos/" }),
                "https://s3.eu-central-1.amazonaws.com/photos/lucida/photos/a/b",
            ),
            (
                json!({ "bucket": "my.photos" }),
                "https://s3.eu-central-1.amazonaws.com/my.photos/a/b",
            ),
            (
                json!({ "endpoint": "http://127.0.0.1:9000/" }),
                "http://127.0.0.1:9000/photos/a/b",
            ),
            (
                json!({ "endpoint": "https://store.example", "virtual_host_style": true }),
                "https://photos.store.example/a/b",
            ),
        ] {
            assert_eq!(put(changes).await.0, url);
        }
    }

    #[tokio::test]
    async fn requests_carry_what_the_settings_ask_for() {
        let (_, headers) = put(json!({})).await;
        // The check value of CRC32C, of the digits 1 to 9: e3069283.
        assert_eq!(headers["x-amz-checksum-crc32c"], "4waSgw==");
        assert!(
            headers["authorization"]
                .to_str()
                .unwrap()
                .contains("/eu-central-1/s3/")
        );
        assert!(!headers.contains_key("x-amz-server-side-encryption"));
        assert!(!headers.contains_key("x-amz-security-token"));

        let (_, headers) = put(json!({
            "checksum": false,
            "server_side_encryption": "s3",
            "session_token": "token",
        }))
        .await;
        assert!(!headers.contains_key("x-amz-checksum-crc32c"));
        assert_eq!(headers["x-amz-server-side-encryption"], "AES256");
        assert_eq!(headers["x-amz-security-token"], "token");

        let (_, headers) = put(json!({ "server_side_encryption": "kms", "kms_key_id": "mine" })).await;
        assert_eq!(headers["x-amz-server-side-encryption"], "aws:kms");
        assert_eq!(headers["x-amz-server-side-encryption-aws-kms-key-id"], "mine");
    }
}
