//! Settings that can't be, and those that a store refuses: the error names the setting, and no secret.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::{env, fs, thread};

use lucida_core::config::parse;
use lucida_core::{Error, ErrorKind, Storage, stream_of};
use lucida_opendal::{S3Config, S3Storage};
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

/// Set in the processes that [`credentials_come_from_the_usual_places`] starts.
const ENDPOINT_OF_CHILD: &str = "LUCIDA_TEST_CHILD_ENDPOINT";

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_the_usual_places() {
    let unkeyed = |endpoint: &str| {
        let changes = json!({ "access_key_id": null, "secret_access_key": null, "credential_chain": true });
        with(settings(endpoint), changes)
    };
    if let Ok(endpoint) = env::var(ENDPOINT_OF_CHILD) {
        open(&unkeyed(&endpoint)).await.ping().await.unwrap();
        return;
    }
    let Some(endpoint) = minio() else { return };
    let (id, secret) = (
        lucida_test_servers::ACCESS_KEY_ID,
        lucida_test_servers::SECRET_ACCESS_KEY,
    );
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("credentials");
    let profile = format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    fs::write(&shared, profile).unwrap();
    let role = json!({
        "AccessKeyId": id,
        "SecretAccessKey": secret,
        "Token": "",
        "Expiration": "2999-01-01T00:00:00Z",
    });
    let answering = answer(role.to_string());
    let ping = |variables: &[(&str, &str)]| {
        // The environment is of a process, so each case has one: this test, alone.
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "settings::credentials_come_from_the_usual_places"])
            .env(ENDPOINT_OF_CHILD, &endpoint)
            .env("HOME", folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    };
    for variables in [
        vec![("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)],
        vec![("AWS_SHARED_CREDENTIALS_FILE", shared.to_str().unwrap())],
        vec![("AWS_CONTAINER_CREDENTIALS_FULL_URI", answering.as_str())],
    ] {
        let pinged = ping(&variables);
        let output = String::from_utf8_lossy(&pinged.stdout);
        assert!(pinged.status.success(), "{variables:?}: {output}");
    }
    let pinged = ping(&[]);
    let output = String::from_utf8_lossy(&pinged.stdout);
    assert!(!pinged.status.success(), "it found keys where there are none");
    assert!(
        output.contains("no credentials were found for bucket")
            && output.contains("set storage.s3.access_key_id"),
        "{output}"
    );
}

/// Answers one request of HTTP, as the agent of a container's role would.
fn answer(body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/role", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        assert!(client.read(&mut request).unwrap() > 0);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        client.write_all((head + &body).as_bytes()).unwrap();
    });
    url
}

/// A store that takes multipart uploads, and refuses what has a checksum in its own words.
fn checksum_hater(code: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            thread::spawn(move || {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                let end = loop {
                    let read = client.read(&mut buffer).unwrap();
                    request.extend_from_slice(&buffer[..read]);
                    if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
                        break end + 4;
                    }
                    if read == 0 {
                        return;
                    }
                };
                let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
                let length = head.split_once("content-length: ").map_or(0, |(_, rest)| {
                    rest.split("\r\n").next().unwrap().parse::<usize>().unwrap()
                });
                while request.len() < end + length {
                    let read = client.read(&mut buffer).unwrap();
                    request.extend_from_slice(&buffer[..read]);
                }
                let (status, body) = if head.contains("x-amz-checksum") {
                    let body =
                        format!("<Error><Code>{code}</Code><Message>No such header here.</Message></Error>");
                    ("400 Bad Request", body)
                } else if head.starts_with("post") {
                    let upload = "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>";
                    ("200 OK", upload.to_owned())
                } else if head.starts_with("delete") {
                    ("204 No Content", String::new())
                } else {
                    ("200 OK", String::new())
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nETag: \"1\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                client.write_all(answer.as_bytes()).unwrap();
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_checksum_headers_names_the_setting_whatever_it_says() {
    for code in [
        "InvalidArgument",
        "InvalidRequest",
        "NotImplemented",
        "MalformedRequest",
    ] {
        let settings = settings(&checksum_hater(code));
        let error = refused(&settings).await;
        assert_eq!(
            (error.kind(), error.field()),
            (ErrorKind::ConfigInvalid, Some("checksum")),
            "{error}"
        );
        assert!(
            error.message().ends_with("set storage.s3.checksum = false"),
            "{error}"
        );
        open(&with(settings, json!({ "checksum": false })))
            .await
            .ping()
            .await
            .unwrap();
    }
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
