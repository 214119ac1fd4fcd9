//! The bucket as the settings describe it: an OpenDAL operator, and what errors say of it.

use std::fmt::Display;
use std::sync::Arc;

use lucida_core::config::Secret;
use lucida_core::{BlobKey, Error, Result};
use opendal::layers::CapabilityOverrideLayer;
use opendal::services::S3;
use opendal::{HttpTransporter, OperationContext, Operator};

use super::config::{Encryption, S3Config};
use super::error::Place;
use super::transport::Transport;
use super::upload::Upload;

/// A bucket, or what lies in it below the prefix.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    operator: Operator,
    place: Arc<Place>,
    part_bytes: usize,
    concurrent_parts: usize,
}

impl Bucket {
    /// Makes the operator, without asking the store for anything; `secret` is the one to the configured key.
    ///
    /// # Errors
    /// `ConfigInvalid` for settings that the library refuses, `Internal` when there is no TLS.
    pub(super) fn of(config: &S3Config, secret: Option<&Secret>) -> Result<Self> {
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
            // Parts are cut here already, so that none has to wait for more bytes.
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
            }),
            part_bytes: usize::try_from(config.part_size_bytes).unwrap_or(usize::MAX),
            concurrent_parts: config.concurrent_parts,
        })
    }

    pub(super) fn operator(&self) -> &Operator {
        &self.operator
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn part_bytes(&self) -> usize {
        self.part_bytes
    }

    /// Starts writing a blob.
    pub(super) async fn upload(&self, key: &BlobKey) -> opendal::Result<Upload> {
        Upload::start(&self.operator, key.as_str(), self.concurrent_parts).await
    }

    /// Makes the error of something that went wrong with the store.
    pub(super) fn failed(&self, doing: impl Display, error: &opendal::Error) -> Error {
        self.place.failed(doing, error)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::{HeaderMap, Request, Response};
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
        let upload = bucket.upload(&BlobKey::new("a/b").unwrap()).await.unwrap();
        let upload = upload.part(Buffer::from("123456789")).await.unwrap();
        upload.finish().await.unwrap_err();
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
