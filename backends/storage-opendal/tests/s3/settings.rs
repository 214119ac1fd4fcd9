//! Settings that can't be, and those that a store refuses: the error names the setting, and no secret.

use std::fs;

use lucida_core::config::parse;
use lucida_core::{Error, ErrorKind, Storage, stream_of};
use lucida_storage_opendal::{S3Config, S3Storage};
use serde_json::{Value, json};

use crate::support::{config, minio, open, seaweedfs, settings, with};

const WRONG_SECRET: &str = "hunter-2-and-more";
const WRONG_TOKEN: &str = "a-token-of-somebody-else";

fn somewhere() -> Value {
    settings("http://127.0.0.1:9")
}

/// What an error shows to whoever looks at it.
fn shown(error: &Error) -> String {
    format!("{error} {error:?} {:?}", error.field())
}

async fn refused(settings: &Value) -> Error {
    let config = config(settings);
    assert!(!format!("{config:?}").contains(WRONG_SECRET));
    let error = S3Storage::open(config).await.unwrap_err();
    for secret in [WRONG_SECRET, WRONG_TOKEN, lucida_test_servers::SECRET_ACCESS_KEY] {
        assert!(!shown(&error).contains(secret), "{error}");
    }
    error
}

#[test]
fn settings_that_can_not_be_are_refused_by_name() {
    for (changes, field) in [
        (json!({ "bucket": "" }), "bucket"),
        (json!({ "bucket": "my photos" }), "bucket"),
        (json!({ "bucket": "photos--use1-az4--x-s3" }), "bucket"),
        (json!({ "region": "" }), "region"),
        (json!({ "prefix": "../a" }), "prefix"),
        (json!({ "endpoint": "127.0.0.1:9000" }), "endpoint"),
        (json!({ "endpoint": "ftp://store" }), "endpoint"),
        (json!({ "endpoint": "http://store/?a=b" }), "endpoint"),
        (
            json!({ "endpoint": "http://me:hunter-2-and-more@store" }),
            "endpoint",
        ),
        (json!({ "virtual_host_style": true }), "virtual_host_style"),
        (
            json!({ "endpoint": null, "bucket": "my.photos", "virtual_host_style": true }),
            "virtual_host_style",
        ),
        (json!({ "access_key_id": "" }), "access_key_id"),
        (json!({ "secret_access_key": null }), "access_key_id"),
        (json!({ "secret_access_key_file": "/secret" }), "access_key_id"),
        (json!({ "access_key_id": null }), "secret_access_key"),
        (
            json!({ "access_key_id": null, "secret_access_key": null }),
            "access_key_id",
        ),
        (
            json!({ "access_key_id": null, "secret_access_key": null, "session_token": "t" }),
            "session_token",
        ),
        (json!({ "kms_key_id": "mine" }), "kms_key_id"),
        (
            json!({ "server_side_encryption": "s3", "kms_key_id": "mine" }),
            "kms_key_id",
        ),
        (
            json!({ "server_side_encryption": "rot13" }),
            "server_side_encryption",
        ),
        (json!({ "part_size_bytes": 5_242_879 }), "part_size_bytes"),
        (json!({ "concurrent_parts": 0 }), "concurrent_parts"),
        (json!({ "read_timeout_secs": 0 }), "read_timeout_secs"),
    ] {
        let error = parse::<S3Config>(&with(somewhere(), changes.clone())).unwrap_err();
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::ConfigInvalid, Some(field)),
            "{changes}: {error}"
        );
        assert!(!shown(&error).contains(WRONG_SECRET), "{error}");
    }
}

#[test]
fn settings_that_can_be_are_taken() {
    for changes in [
        json!({}),
        json!({ "endpoint": null, "prefix": null }),
        json!({ "endpoint": "https://s3.example.com/", "virtual_host_style": true }),
        json!({ "access_key_id": null, "secret_access_key": null, "credential_chain": true }),
        json!({ "secret_access_key": null, "secret_access_key_file": "/run/secrets/s3" }),
        json!({ "server_side_encryption": "kms", "kms_key_id": "mine" }),
        json!({ "prefix": "lucida/photos/" }),
    ] {
        config(&with(somewhere(), changes));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_denied_and_not_shown() {
    for endpoint in [minio(), seaweedfs()] {
        let Some(endpoint) = endpoint else { continue };
        for (changes, field) in [
            (json!({ "access_key_id": "somebody" }), "access_key_id"),
            (json!({ "secret_access_key": WRONG_SECRET }), "secret_access_key"),
        ] {
            let error = refused(&with(settings(&endpoint), changes)).await;
            assert_eq!(
                (error.kind(), error.field()),
                (ErrorKind::PermissionDenied, Some(field)),
                "{error}"
            );
            assert!(
                error.to_string().contains(&format!("storage.s3.{field}")),
                "{error}"
            );
        }
        let settings = with(settings(&endpoint), json!({ "session_token": WRONG_TOKEN }));
        let error = refused(&settings).await;
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_named() {
    // SeaweedFS makes it, for a key that may.
    let Some(endpoint) = minio() else { return };
    let settings = with(settings(&endpoint), json!({ "bucket": "nobody-made-this" }));
    let error = refused(&settings).await;
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::ConfigInvalid, Some("bucket")),
        "{error}"
    );
    assert!(
        error.to_string().starts_with(&format!(
            "bucket `nobody-made-this` not found at {endpoint}: create it or set storage.s3.bucket"
        )),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let settings = |endpoint: &str| {
        let changes = json!({ "secret_access_key": null, "secret_access_key_file": file });
        with(settings(endpoint), changes)
    };
    let error = refused(&settings("http://127.0.0.1:9")).await;
    assert_eq!(error.field(), Some("secret_access_key_file"), "{error}");
    fs::write(&file, " \n").unwrap();
    let error = refused(&settings("http://127.0.0.1:9")).await;
    assert!(error.to_string().contains("is empty"), "{error}");
    let Some(endpoint) = minio() else { return };
    fs::write(&file, format!("{}\n", lucida_test_servers::SECRET_ACCESS_KEY)).unwrap();
    open(&settings(&endpoint)).await.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_prefixes_of_a_bucket_do_not_see_each_other() {
    let Some(endpoint) = minio() else { return };
    let mine = open(&settings(&endpoint)).await;
    let yours = open(&settings(&endpoint)).await;
    let key = crate::support::key("photo");
    mine.put(&key, stream_of("x")).await.unwrap();
    assert_eq!(yours.stat(&key).await.unwrap_err().kind(), ErrorKind::NotFound);
    yours.delete(&key).await.unwrap();
    assert_eq!(crate::support::names(&yours).await, Vec::<String>::new());
    assert_eq!(crate::support::names(&mine).await, ["photo"]);
}
