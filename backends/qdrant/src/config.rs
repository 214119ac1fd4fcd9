//! The settings of the vector index on a Qdrant server.

use std::path::PathBuf;

use lucida_core::config::{Secret, check_range, local};
use lucida_core::{BuildContext, CollectionName, Error, Result, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tonic::transport::Uri;

/// The settings of the vector index on a Qdrant server. Those from `shard_number` to `hnsw_ef_construct` apply to
/// new collections; an existing one is left as it is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QdrantConfig {
    /// The address of the server with its gRPC port, 6334 by default; `https` for TLS.
    #[schemars(example = "http://127.0.0.1:6334")]
    pub url: String,
    /// The server's API key.
    #[schemars(example = "a-long-random-word")]
    pub api_key: Option<Secret>,
    /// A file with that key.
    #[schemars(example = "/run/secrets/qdrant")]
    pub api_key_file: Option<PathBuf>,
    /// No longer read: set the variable `SSL_CERT_FILE` to a PEM file with the certificate authorities to trust instead of
    /// the system's, for an `https` URL.
    #[schemars(example = "/etc/ssl/qdrant-ca.pem")]
    pub ca_file: Option<PathBuf>,
    /// The alias of the current collection, and the prefix of the names of collections.
    #[schemars(example = &"photo_embeddings")]
    pub collection: String,
    /// How long connecting may take, in milliseconds.
    #[schemars(example = 5_000)]
    pub connect_timeout_ms: u64,
    /// How long one request may take, in milliseconds.
    #[schemars(example = 30_000)]
    pub request_timeout_ms: u64,
    /// Whether a write returns when it can be searched (`true`) or as soon as the server has accepted it: faster, but the
    /// next call may not see it.
    #[schemars(example = true)]
    pub wait: bool,
    /// The order in which the replicas of a shard apply concurrent writes: `weak` (any), `medium` (that of an elected
    /// leader) or `strong` (that of a permanent leader; no writes while it is unavailable).
    #[schemars(example = &"medium")]
    pub write_ordering: WriteOrdering,
    /// How many replicas of a shard answer a read: `one`, `majority` (all are queried), `quorum` (more than half) or
    /// `all`.
    #[schemars(example = &"one")]
    pub read_consistency: ReadConsistency,
    /// The number of shards of a collection; the server's default if not set.
    #[schemars(example = 6)]
    pub shard_number: Option<u32>,
    /// The number of copies of each shard; the server's default if not set.
    #[schemars(example = 2)]
    pub replication_factor: Option<u32>,
    /// How many copies must apply a write for it to succeed; the server's default if not set.
    #[schemars(example = 1)]
    pub write_consistency_factor: Option<u32>,
    /// Whether vectors and graph stay on disk, and only what searches touch is in memory: less memory, but slower
    /// searches.
    #[schemars(example = false)]
    pub vectors_on_disk: bool,
    /// Whether payloads stay on disk; fields that searches filter by are in memory in any case.
    #[schemars(example = true)]
    pub payload_on_disk: bool,
    /// The quantization of vectors for searching, in addition to the full ones: `none`, `scalar` (a byte per number),
    /// `turbo` (4 bits per number; needs Qdrant 1.18 or newer) or `binary` (a bit per number; for 1024 dimensions and
    /// more).
    #[schemars(example = &"scalar")]
    pub quantization: Quantization,
    /// Whether quantized vectors stay in memory, even with `vectors_on_disk`.
    #[schemars(example = true)]
    pub quantization_always_ram: bool,
    /// How many times `limit` hits the quantized search finds, to be rescored with the full vectors; 1 to 100.
    #[schemars(example = 2.0)]
    pub quantization_oversampling: f64,
    /// Links per vector in the search graph, 4 to 128; more improves recall and costs memory; the server's default if not
    /// set.
    #[schemars(example = 16)]
    pub hnsw_m: Option<u64>,
    /// Candidates per vector while the graph is built, 4 to 4096; more improves recall and builds more slowly; the
    /// server's default if not set.
    #[schemars(example = 100)]
    pub hnsw_ef_construct: Option<u64>,
    /// Candidates per search of the graph, 1 to 10000; more improves recall and searches more slowly; the server's
    /// default if not set.
    #[schemars(example = 256)]
    pub search_ef: Option<u64>,
}

/// In what order the replicas of a shard apply writes that come at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WriteOrdering {
    /// Each replica in its own order, so that two may end with different points.
    Weak,
    /// In the order of a leader who is elected among the replicas that live.
    Medium,
    /// In the order of one leader, without whom nothing is written.
    Strong,
}

/// How many replicas of a shard answer a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReadConsistency {
    /// One, the next best.
    One,
    /// All are asked, and what most of them have is the answer.
    Majority,
    /// Half of them and one more, and what all of those have is the answer.
    Quorum,
    /// All.
    All,
}

/// How vectors are quantized for searching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// Not at all: searches compare the full vectors.
    None,
    /// A byte per number.
    Scalar,
    /// 4 bits per number, of rotated vectors (TurboQuant). Needs Qdrant 1.18 or newer.
    Turbo,
    /// A bit per number.
    Binary,
}

impl Default for QdrantConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:6334".to_owned(),
            api_key: None,
            api_key_file: None,
            ca_file: None,
            collection: "photo_embeddings".to_owned(),
            connect_timeout_ms: 5_000,
            request_timeout_ms: 30_000,
            wait: true,
            write_ordering: WriteOrdering::Medium,
            read_consistency: ReadConsistency::One,
            shard_number: None,
            replication_factor: None,
            write_consistency_factor: None,
            vectors_on_disk: false,
            payload_on_disk: true,
            quantization: Quantization::None,
            quantization_always_ram: true,
            quantization_oversampling: 2.0,
            hnsw_m: None,
            hnsw_ef_construct: None,
            search_ef: None,
        }
    }
}

impl Settings for QdrantConfig {
    fn validate(&self) -> Result<()> {
        check_url(&self.url)?;
        if self.api_key.is_some() && self.api_key_file.is_some() {
            return Err(Error::config(
                "api_key_file",
                "is set beside api_key: leave one of them out",
            ));
        }
        if let Some(key) = &self.api_key {
            check_key("api_key", key)?;
        }
        if self.ca_file.is_some() {
            return Err(Error::config(
                "ca_file",
                "is no longer read: leave it out, and set the variable SSL_CERT_FILE to that file, as for S3",
            ));
        }
        // A collection's name is the alias, a dash and a fingerprint of 32 digits.
        if self.collection.len() > 95 || CollectionName::new(self.collection.as_str()).is_err() {
            return Err(Error::config(
                "collection",
                format!(
                    "`{}` is not a name: use 1 to 95 of a-z A-Z 0-9 _ -",
                    self.collection
                ),
            ));
        }
        check_range("connect_timeout_ms", self.connect_timeout_ms, &(1..=600_000))?;
        check_range("request_timeout_ms", self.request_timeout_ms, &(1..=3_600_000))?;
        for (field, number) in [
            ("shard_number", self.shard_number),
            ("replication_factor", self.replication_factor),
            ("write_consistency_factor", self.write_consistency_factor),
        ] {
            if let Some(number) = number {
                check_range(field, number, &(1..=10_000))?;
            }
        }
        if let (Some(copies), Some(written)) = (self.replication_factor, self.write_consistency_factor)
            && written > copies
        {
            return Err(Error::config(
                "write_consistency_factor",
                format!("{written} copies can't be written where replication_factor makes {copies}"),
            ));
        }
        check_range(
            "quantization_oversampling",
            self.quantization_oversampling,
            &(1.0..=100.0),
        )?;
        for (field, number, range) in [
            ("hnsw_m", self.hnsw_m, 4..=128),
            ("hnsw_ef_construct", self.hnsw_ef_construct, 4..=4096),
            ("search_ef", self.search_ef, 1..=10_000),
        ] {
            if let Some(number) = number {
                check_range(field, number, &range)?;
            }
        }
        Ok(())
    }

    fn check_local(&self, _: &BuildContext) -> Vec<Error> {
        let files = [("api_key_file", &self.api_key_file)];
        files
            .into_iter()
            .filter_map(|(field, file)| local::readable_file(field, file.as_ref()?).err())
            .collect()
    }
}

/// Checks a key, which goes with each request as a header.
///
/// # Errors
/// `ConfigInvalid`, naming `field`, without the key.
pub(crate) fn check_key(field: &str, key: &Secret) -> Result<()> {
    let fits = key.expose().bytes().all(|byte| byte.is_ascii_graphic());
    if fits && !key.expose().is_empty() {
        return Ok(());
    }
    Err(Error::config(
        field,
        "is not a key: it is empty, or has blanks or characters outside ASCII",
    ))
}

/// Checks the server's address, and keeps it out of what it says: it may hold a password.
fn check_url(url: &str) -> Result<()> {
    let refuse = |message: &str| Err(Error::config("url", message));
    let Ok(uri) = url.parse::<Uri>() else {
        return refuse("is not a URL; expected one like `http://127.0.0.1:6334`");
    };
    let Some(authority) = uri.authority() else {
        return refuse("has no host; expected a URL like `http://127.0.0.1:6334`");
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return refuse("starts with neither http:// nor https://: begin it with one of them");
    }
    if authority.as_str().contains('@') {
        return refuse("contains a user or a password: set api_key instead");
    }
    if uri.port_u16().is_none() {
        return refuse("has no port: add the gRPC port, which is 6334 unless it was changed");
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return refuse("has something after the port: leave it out");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lucida_core::config::parse;
    use serde_json::{Value, json};

    use super::*;

    fn settings(changes: Value) -> Value {
        let mut settings = json!({
            "url": "http://127.0.0.1:6334",
            "collection": "photo_embeddings",
            "connect_timeout_ms": 5_000,
            "request_timeout_ms": 30_000,
            "wait": true,
            "write_ordering": "medium",
            "read_consistency": "one",
            "vectors_on_disk": false,
            "payload_on_disk": true,
            "quantization": "none",
            "quantization_always_ram": true,
            "quantization_oversampling": 2.0,
        });
        let all = settings.as_object_mut().unwrap();
        all.extend(changes.as_object().unwrap().clone());
        settings
    }

    #[test]
    fn the_least_there_can_be_is_valid() {
        let config: QdrantConfig = parse(&settings(json!({}))).unwrap();
        assert_eq!(config.write_ordering, WriteOrdering::Medium);
        assert_eq!(config.quantization, Quantization::None);
        for (word, quantization) in [
            ("scalar", Quantization::Scalar),
            ("turbo", Quantization::Turbo),
            ("binary", Quantization::Binary),
        ] {
            let config: QdrantConfig = parse(&settings(json!({ "quantization": word }))).unwrap();
            assert_eq!(config.quantization, quantization);
        }
    }

    #[test]
    fn what_is_wrong_is_named_without_what_it_holds() {
        for (changes, field) in [
            (json!({ "url": "" }), "url"),
            (json!({ "url": "127.0.0.1:6334" }), "url"),
            (json!({ "url": "http://127.0.0.1" }), "url"),
            (json!({ "url": "grpc://127.0.0.1:6334" }), "url"),
            (json!({ "url": "http://me:hunter2@127.0.0.1:6334" }), "url"),
            (json!({ "url": "http://127.0.0.1:6334/collections" }), "url"),
            (
                json!({ "api_key": "hunter2", "api_key_file": "/k" }),
                "api_key_file",
            ),
            (json!({ "api_key": "hunter2\n" }), "api_key"),
            (json!({ "api_key": "hunter2 ä" }), "api_key"),
            (json!({ "api_key": "" }), "api_key"),
            (json!({ "ca_file": "/ca.pem" }), "ca_file"),
            (json!({ "collection": "photo embeddings" }), "collection"),
            (json!({ "collection": "x".repeat(96) }), "collection"),
            (json!({ "request_timeout_ms": 0 }), "request_timeout_ms"),
            (json!({ "shard_number": 0 }), "shard_number"),
            (
                json!({ "replication_factor": 2, "write_consistency_factor": 3 }),
                "write_consistency_factor",
            ),
            (json!({ "quantization": "product" }), "quantization"),
            (
                json!({ "quantization_oversampling": 0.5 }),
                "quantization_oversampling",
            ),
            (json!({ "hnsw_m": 2 }), "hnsw_m"),
            (json!({ "search_ef": 0 }), "search_ef"),
            (json!({ "alias": "x" }), "alias"),
        ] {
            let error = parse::<QdrantConfig>(&settings(changes.clone())).unwrap_err();
            assert_eq!(error.field().unwrap_or_default(), field, "{changes}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn settings_keep_the_key_to_themselves() {
        let config: QdrantConfig = parse(&settings(json!({ "api_key": "hunter2" }))).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn a_ca_file_is_refused_with_what_to_set_instead() {
        for url in ["http://127.0.0.1:6334", "https://127.0.0.1:6334"] {
            let changes = json!({ "url": url, "ca_file": "/ca.pem" });
            let error = parse::<QdrantConfig>(&settings(changes)).unwrap_err();
            assert_eq!(error.field(), Some("ca_file"));
            assert!(error.message().contains("SSL_CERT_FILE"), "{error}");
        }
    }
}
