//! The settings of `storage.s3`.

use std::path::PathBuf;

use lucida_core::config::{Secret, check_range, local};
use lucida_core::{BlobKey, BuildContext, Error, Result, Settings};
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What S3 allows for all parts but the last.
const MIN_PART_BYTES: u64 = 5 << 20;
/// A part is held in memory; more would help nobody.
const MAX_PART_BYTES: u64 = 1 << 30;

/// Photos as objects in a bucket of S3, MinIO, Ceph, SeaweedFS or another store that speaks S3's protocol.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3Config {
    /// The address of the store; without it, AWS in `region`.
    #[schemars(example = &"http://127.0.0.1:9000")]
    pub endpoint: Option<String>,
    /// The bucket; it must exist.
    #[schemars(example = &"photos")]
    pub bucket: String,
    /// The bucket's region; most stores other than AWS accept any.
    #[schemars(example = &"us-east-1")]
    pub region: String,
    /// A prefix for the names of all objects, so that the bucket can be shared.
    #[schemars(example = &"lucida/photos")]
    pub prefix: Option<String>,
    /// Whether the bucket is part of the host's name rather than of the path; without it, only on AWS.
    #[schemars(example = true)]
    pub virtual_host_style: Option<bool>,
    /// The access key; without it, see `credential_chain`.
    #[schemars(example = &"AKIAIOSFODNN7EXAMPLE")]
    pub access_key_id: Option<String>,
    /// The secret that belongs to `access_key_id`.
    pub secret_access_key: Option<Secret>,
    /// A file that holds that secret.
    #[schemars(example = &"/run/secrets/s3")]
    pub secret_access_key_file: Option<PathBuf>,
    /// The session token of temporary credentials.
    pub session_token: Option<Secret>,
    /// Whether credentials come from the usual sources if there is no `access_key_id`: variables such as
    /// `AWS_ACCESS_KEY_ID`, `~/.aws`, or the role of the cluster, the container or the instance.
    #[schemars(example = true)]
    pub credential_chain: bool,
    /// The keys for server-side encryption: `"s3"` (the store's own) or `"kms"`; without it, the bucket's setting.
    #[schemars(example = &"kms")]
    pub server_side_encryption: Option<Encryption>,
    /// The key in the KMS; without it, its default.
    #[schemars(example = &"arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")]
    pub kms_key_id: Option<String>,
    /// Whether uploads carry a CRC32C, which the store verifies; turn it off only for a store that refuses it.
    #[schemars(example = true)]
    pub checksum: bool,
    /// Larger photos are uploaded in parts of this size, 5242880 to 1073741824.
    #[schemars(example = 8388608)]
    pub part_size_bytes: u64,
    /// How many parts of one photo are uploaded at a time, 1 to 64; two more are in memory.
    #[schemars(example = 2)]
    pub concurrent_parts: usize,
    /// How long connecting may take, in seconds.
    #[schemars(example = 5)]
    pub connect_timeout_secs: u64,
    /// How long the store may send nothing, in seconds, also while it receives a part.
    #[schemars(example = 60)]
    pub read_timeout_secs: u64,
}

/// Whose keys the store encrypts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// The store's own (SSE-S3).
    S3,
    /// A key management service's (SSE-KMS).
    Kms,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            bucket: "photos".to_owned(),
            region: "us-east-1".to_owned(),
            prefix: None,
            virtual_host_style: None,
            access_key_id: None,
            secret_access_key: None,
            secret_access_key_file: None,
            session_token: None,
            credential_chain: true,
            server_side_encryption: None,
            kms_key_id: None,
            checksum: true,
            part_size_bytes: 8 << 20,
            concurrent_parts: 2,
            connect_timeout_secs: 5,
            read_timeout_secs: 60,
        }
    }
}

impl S3Config {
    /// Returns where the store is.
    pub(super) fn endpoint(&self) -> String {
        match &self.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://s3.{}.amazonaws.com", self.region),
        }
    }

    /// Returns whether the bucket is part of the host's name.
    pub(super) fn in_host(&self) -> bool {
        // A certificate for `*.s3.….amazonaws.com` is for no name with another dot.
        let fits = self.endpoint.is_none() && !self.bucket.contains('.');
        self.virtual_host_style.unwrap_or(fits)
    }

    fn check_place(&self) -> Result<()> {
        let named = (3..=63).contains(&self.bucket.len())
            && self
                .bucket
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if !named {
            let message = format!(
                "`{}` is not the name of a bucket; expected one like `photos`",
                self.bucket
            );
            return Err(Error::config("bucket", message));
        }
        if self.bucket.ends_with("--x-s3") {
            let message = "is a directory bucket, which can't list all depths: name a general purpose bucket";
            return Err(Error::config("bucket", message));
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if self.region.is_empty() || !self.region.bytes().all(fits) {
            return Err(Error::config(
                "region",
                "is not a region; expected one like `us-east-1`",
            ));
        }
        if let Some(prefix) = &self.prefix {
            BlobKey::new(prefix.trim_end_matches('/')).map_err(|_| {
                let message = format!("`{prefix}` is not a prefix; expected one like `lucida/photos`");
                Error::config("prefix", message)
            })?;
        }
        let by_name = match &self.endpoint {
            Some(endpoint) => check_endpoint(endpoint)?,
            None => true,
        };
        if self.in_host() && !by_name {
            let message = "needs an endpoint with a name: a bucket can't stand before an address";
            return Err(Error::config("virtual_host_style", message));
        }
        if self.in_host() && self.bucket.contains('.') {
            let message = "needs a bucket without a dot in its name: no certificate covers it";
            return Err(Error::config("virtual_host_style", message));
        }
        Ok(())
    }

    fn check_credentials(&self) -> Result<()> {
        let secrets = [
            ("secret_access_key", self.secret_access_key.is_some()),
            ("secret_access_key_file", self.secret_access_key_file.is_some()),
            ("session_token", self.session_token.is_some()),
        ];
        match &self.access_key_id {
            None => {
                if let Some((field, _)) = secrets.into_iter().find(|(_, set)| *set) {
                    return Err(Error::config(field, "needs access_key_id"));
                }
                if !self.credential_chain {
                    let message = "is missing: set it, or credential_chain = true";
                    return Err(Error::config("access_key_id", message));
                }
            }
            Some(id) if id.trim().is_empty() => {
                return Err(Error::config(
                    "access_key_id",
                    "is empty: leave it out, or set it",
                ));
            }
            Some(_) if secrets[0].1 == secrets[1].1 => {
                let message = "needs exactly one of secret_access_key and secret_access_key_file";
                return Err(Error::config("access_key_id", message));
            }
            Some(_) => {}
        }
        Ok(())
    }
}

impl Settings for S3Config {
    fn validate(&self) -> Result<()> {
        self.check_place()?;
        self.check_credentials()?;
        if self.kms_key_id.is_some() && self.server_side_encryption != Some(Encryption::Kms) {
            return Err(Error::config(
                "kms_key_id",
                "needs server_side_encryption = \"kms\"",
            ));
        }
        check_range(
            "part_size_bytes",
            self.part_size_bytes,
            &(MIN_PART_BYTES..=MAX_PART_BYTES),
        )?;
        check_range("concurrent_parts", self.concurrent_parts, &(1..=64))?;
        check_range("connect_timeout_secs", self.connect_timeout_secs, &(1..=3600))?;
        check_range("read_timeout_secs", self.read_timeout_secs, &(1..=3600))
    }

    fn check_local(&self, _: &BuildContext) -> Vec<Error> {
        let files = [("secret_access_key_file", &self.secret_access_key_file)];
        files
            .into_iter()
            .filter_map(|(field, file)| local::readable_file(field, file.as_ref()?).err())
            .collect()
    }
}

/// Checks an address, and returns whether its host is a name.
fn check_endpoint(endpoint: &str) -> Result<bool> {
    // An address that can't be read may hold a password, so it is not repeated.
    let bad = || {
        Error::config(
            "endpoint",
            "is not a URL; expected one like `https://s3.example.com`",
        )
    };
    let url = Url::parse(endpoint).map_err(|_| bad())?;
    if !url.username().is_empty() || url.password().is_some() {
        let message = "must not hold credentials: set access_key_id and secret_access_key";
        return Err(Error::config("endpoint", message));
    }
    let plain =
        ["http", "https"].contains(&url.scheme()) && url.query().is_none() && url.fragment().is_none();
    match url.domain() {
        _ if !plain => Err(bad()),
        Some(_) => Ok(true),
        None => Ok(false),
    }
}
