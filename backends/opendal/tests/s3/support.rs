//! The stores that `cargo xtask test` starts, and settings by which each test has a part of a bucket to itself.

use std::env;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use futures::TryStreamExt;
use lucida_core::config::parse;
use lucida_core::{BlobKey, Storage};
use lucida_opendal::{S3Config, S3Storage};
use lucida_test_servers::{Kind, Programs, Server, variable};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const MIB: usize = 1 << 20;
/// The smallest parts that there can be.
pub(crate) const PART: usize = 5 * MIB;

/// Where MinIO is; none, which has been said, when no tests' servers run.
pub(crate) fn minio() -> Option<String> {
    given(variable::S3_ENDPOINT)
}

/// Where SeaweedFS is.
pub(crate) fn seaweedfs() -> Option<String> {
    given(variable::SEAWEEDFS_ENDPOINT)
}

/// A MinIO of the test's own, to be killed and looked into.
pub(crate) fn own_minio() -> Option<Server> {
    given(variable::SERVERS)?;
    Some(Server::start(Kind::Minio, &Programs::from_environment()?).unwrap())
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn given(name: &str) -> Option<String> {
    let value = env::var(name).ok();
    if value.is_none() {
        println!("skipped: {name} is not set (`cargo xtask test` sets it)");
        assert!(env::var_os("CI").is_none(), "CI must not skip this test");
    }
    value
}

/// Settings for a store as the tests' servers have it, and for names that nobody else uses.
pub(crate) fn settings(endpoint: &str) -> Value {
    let said = |name: &str, usual: &str| env::var(name).unwrap_or_else(|_| usual.to_owned());
    json!({
        "endpoint": endpoint,
        "bucket": said(variable::S3_BUCKET, lucida_test_servers::BUCKET),
        "region": "us-east-1",
        "prefix": format!("test/{}", Uuid::now_v7()),
        "access_key_id": said(variable::S3_ACCESS_KEY_ID, lucida_test_servers::ACCESS_KEY_ID),
        "secret_access_key": said(variable::S3_SECRET_ACCESS_KEY, lucida_test_servers::SECRET_ACCESS_KEY),
        "credential_chain": false,
        "checksum": true,
        "part_size_bytes": PART,
        "concurrent_parts": 2,
        "connect_timeout_secs": 5,
        "read_timeout_secs": 60,
    })
}

/// The same settings with others in some places; `null` takes one away.
pub(crate) fn with(mut settings: Value, changes: Value) -> Value {
    let changes = changes.as_object().unwrap().clone();
    let fields = settings.as_object_mut().unwrap();
    fields.extend(changes);
    fields.retain(|_, value| !value.is_null());
    settings
}

pub(crate) fn config(settings: &Value) -> S3Config {
    parse(settings).unwrap()
}

pub(crate) async fn open(settings: &Value) -> S3Storage {
    S3Storage::open(config(settings)).await.unwrap()
}

pub(crate) fn key(name: &str) -> BlobKey {
    BlobKey::new(name).unwrap()
}

pub(crate) async fn read(storage: &S3Storage, name: &str) -> lucida_core::Result<Bytes> {
    storage.get(&key(name), None).await?.bytes().await
}

pub(crate) async fn names(storage: &S3Storage) -> Vec<String> {
    let listed = storage.list("").map_ok(|stat| stat.key.to_string());
    let mut names: Vec<String> = listed.try_collect().await.unwrap();
    names.sort();
    names
}

/// Bytes that differ from place to place.
pub(crate) fn content(length: usize) -> Bytes {
    (0..length)
        .map(|at| (at % 251) as u8 ^ (at >> 16) as u8)
        .collect()
}

/// The folder that a MinIO of the test's own writes to.
pub(crate) fn data(server: &Server) -> PathBuf {
    server.log().with_file_name("data")
}

/// The multipart uploads that a MinIO of the test's own has in hand: a folder for each object, and in it one each.
pub(crate) fn unfinished(server: &Server) -> usize {
    let objects = fs::read_dir(data(server).join(".minio.sys/multipart"));
    let folders = objects.into_iter().flatten().flatten();
    folders
        .filter_map(|object| fs::read_dir(object.path()).ok())
        .flat_map(|uploads| uploads.flatten())
        .filter(|upload| upload.file_type().is_ok_and(|kind| kind.is_dir()))
        .count()
}
