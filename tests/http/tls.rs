//! A server with a certificate of its own.

use std::path::Path;
use std::time::Duration;

use lucida::http::{Tls, TlsFiles};
use lucida_core::ErrorKind;
use lucida_testkit::{eventually, jpeg};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, Client, ClientBuilder};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{Server, Setup, file_form, send};

/// A certificate for `localhost` and its key, in a folder.
struct Issued {
    dir: TempDir,
    certificate: String,
}

impl Issued {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let certificate = issue(dir.path());
        Self { dir, certificate }
    }

    fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.dir.path().join("cert.pem"),
            key: self.dir.path().join("key.pem"),
        }
    }

    async fn start(&self) -> Server {
        Setup::new().tls(Tls::load(self.files()).unwrap()).start().await
    }
}

/// Writes a new certificate and its key into a folder; returns the certificate.
fn issue(dir: &Path) -> String {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.pem()
}

/// A client that trusts one certificate, and keeps its connections.
fn client(certificate: &str) -> ClientBuilder {
    let trusted = Certificate::from_pem(certificate.as_bytes()).unwrap();
    Client::builder()
        .tls_built_in_root_certs(false)
        .add_root_certificate(trusted)
}

fn url(server: &Server, path: &str) -> String {
    let port = server.address.rsplit(':').next().unwrap();
    format!("https://localhost:{port}{path}")
}

#[tokio::test(flavor = "multi_thread")]
async fn photos_are_uploaded_and_found_over_https() {
    let issued = Issued::new();
    let server = issued.start().await;
    let client = client(&issued.certificate).build().unwrap();
    let form = file_form(&jpeg(200, 150, [220, 30, 30]), "a.jpg");
    let upload = client.post(url(&server, "/v1/photos?wait=true")).multipart(form);
    assert_eq!(send(upload).await.status, 201);
    let search = client
        .post(url(&server, "/v1/search"))
        .json(&json!({"text": "red"}));
    assert_eq!(send(search).await.json()["hits"].as_array().unwrap().len(), 1);
    // A body beyond the limit is refused, and the answer arrives.
    let form = file_form(&vec![0; 2_000_000], "large.jpg");
    let reply = send(client.post(url(&server, "/v1/photos")).multipart(form)).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_used_without_a_restart_and_open_connections_stay() {
    let issued = Issued::new();
    let server = issued.start().await;
    let kept = client(&issued.certificate).build().unwrap();
    send(kept.get(url(&server, "/healthz"))).await.json();
    let renewed = issue(issued.dir.path());
    eventually("new connections get the new certificate", async || {
        let fresh = client(&renewed).build().unwrap();
        fresh.get(url(&server, "/healthz")).send().await.is_ok()
    })
    .await;
    // This client doesn't trust the new certificate, so its connection is the one from before.
    assert_eq!(send(kept.get(url(&server, "/healthz"))).await.status, 200);
    let stranger = client(&issued.certificate).build().unwrap();
    assert!(stranger.get(url(&server, "/healthz")).send().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_can_not_be_used_changes_nothing_until_it_can() {
    let issued = Issued::new();
    let server = issued.start().await;
    let answers = async |certificate: &str| {
        let client = client(certificate).build().unwrap();
        client.get(url(&server, "/healthz")).send().await.is_ok()
    };
    let dir = issued.dir.path();
    let key = std::fs::read(dir.join("key.pem")).unwrap();
    let renewed = issue(dir);
    let new_key = std::fs::read(dir.join("key.pem")).unwrap();
    // The renewal has written the certificate and not yet the key.
    std::fs::write(dir.join("key.pem"), key).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(answers(&issued.certificate).await);
    std::fs::remove_file(dir.join("key.pem")).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(answers(&issued.certificate).await);
    std::fs::write(dir.join("key.pem"), new_key).unwrap();
    eventually("the renewal is used", async || answers(&renewed).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_tls_is_told_to_use_it() {
    let issued = Issued::new();
    let server = issued.start().await;
    let reply = send(server.get("/healthz")).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("HTTPS"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_requests_and_not_for_idle_connections_or_handshakes() {
    let issued = Issued::new();
    let server = issued.start().await;
    let client = client(&issued.certificate).build().unwrap();
    send(client.get(url(&server, "/healthz"))).await.json();
    // One that never says a word.
    let mut silent = TcpStream::connect(&server.address).await.unwrap();
    server.model.hold();
    let search = client
        .post(url(&server, "/v1/search"))
        .json(&json!({"text": "red"}));
    let search = tokio::spawn(send(search));
    server.model.wait_until_held().await;
    server.shutdown.cancel();
    let refused = async || TcpStream::connect(&server.address).await.is_err();
    eventually("nothing new is taken", refused).await;
    assert!(!server.serving.is_finished());
    server.model.release();
    assert_eq!(search.await.unwrap().status, 200);
    server.serving.await.unwrap().unwrap();
    let mut rest = Vec::new();
    drop(silent.write_all(b"x").await);
    drop(silent.read_to_end(&mut rest).await);
    assert!(rest.is_empty());
}

#[test]
fn files_that_can_not_be_used_are_named_with_the_setting_and_the_fix() {
    let issued = Issued::new();
    let other = Issued::new();
    let files = issued.files();
    let refusal = |files: TlsFiles| {
        let error = Tls::load(files).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        (error.field().unwrap_or_default().to_owned(), error.to_string())
    };
    let write = |name: &str, text: &str| {
        let file = issued.dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    };
    let certificate = |certificate| {
        refusal(TlsFiles {
            certificate,
            ..files.clone()
        })
    };
    let key = |key| refusal(TlsFiles { key, ..files.clone() });
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for ((field, message), setting, says) in [
        (
            certificate(issued.dir.path().join("none.pem")),
            "server.tls_certificate_file",
            "none.pem can't be read",
        ),
        (
            key(issued.dir.path().join("none.pem")),
            "server.tls_key_file",
            "none.pem can't be read",
        ),
        (
            certificate(write("empty.pem", "")),
            "server.tls_certificate_file",
            "BEGIN CERTIFICATE",
        ),
        (
            key(files.certificate.clone()),
            "server.tls_key_file",
            "BEGIN PRIVATE KEY",
        ),
        (
            key(write("encrypted.pem", encrypted)),
            "server.tls_key_file",
            "openssl pkey",
        ),
        (
            key(other.files().key),
            "server.tls_key_file",
            "is not the key of the certificate",
        ),
        (
            certificate(write("broken.pem", broken)),
            "server.tls_certificate_file",
            "broken.pem",
        ),
    ] {
        assert_eq!(field, setting, "{message}");
        assert!(message.contains(says), "{message}");
    }
}
