//! Secrets that a store refuses appear in no log line, no error and no answer.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use crate::cluster::Cluster;
use crate::process::Process;

/// What stands in for each secret; none of them may be seen anywhere.
const MARKERS: [&str; 6] = [
    "MARK-s3-secret",
    "MARK-s3-token",
    "MARK-mongo-password",
    "MARK-qdrant-key",
    "MARK-rabbit-password",
    "MARK-hub-token",
];

fn said(output: &Output) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout);
    format!("{stdout}{}", String::from_utf8_lossy(&output.stderr))
}

fn assert_no_secret(what: &str, text: &str) {
    for marker in MARKERS {
        // Also not as it is written inside a URI.
        let found = text.to_lowercase().contains(&marker.to_lowercase());
        assert!(!found, "{what} tells {marker}:\n{text}");
    }
}

/// Takes a port on which nobody answers.
fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A whole configuration, each part on the given address.
fn config(minio: &str, mongodb: &str, qdrant: &str, rabbitmq: &str) -> String {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/testkit/testdata/parity/models/clip");
    let model = model.display();
    format!(
        r#"
[log]
filter = "trace"

[storage]
type = "s3"
[storage.s3]
endpoint = "{minio}"
bucket = "photos"
access_key_id = "somebody"
secret_access_key = "MARK-s3-secret"
session_token = "MARK-s3-token"

[metadata]
type = "mongodb"
[metadata.mongodb]
uri = "mongodb://lucida:MARK-mongo-password@{mongodb}/"
server_selection_timeout_ms = 1000

[index]
type = "qdrant"
[index.qdrant]
url = "{qdrant}"
api_key = "MARK-qdrant-key"

[queue]
type = "rabbitmq"
[queue.rabbitmq]
uri = "amqp://lucida:MARK-rabbit-password@{rabbitmq}/"

[embedder]
type = "candle"
[embedder.candle]
model = "{model}"
[embedder.candle.hub]
token = "MARK-hub-token"
"#
    )
}

/// Changes one part of a configuration back to what needs no server.
fn only(part: &str, config: &str) -> String {
    let local = [
        ("storage", "s3", "memory"),
        ("metadata", "mongodb", "memory"),
        ("index", "qdrant", "memory"),
        ("queue", "rabbitmq", "memory"),
    ];
    let others = local.iter().filter(|(other, ..)| *other != part);
    others.fold(config.to_owned(), |config, (_, from, to)| {
        config.replace(&format!("type = \"{from}\""), &format!("type = \"{to}\""))
    })
}

#[test]
fn a_store_that_refuses_or_is_away_is_told_without_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lucida.toml");
    let away = config(
        &format!("http://127.0.0.1:{}", nobody()),
        &format!("127.0.0.1:{}", nobody()),
        &format!("http://127.0.0.1:{}", nobody()),
        &format!("127.0.0.1:{}", nobody()),
    );
    let mut configs: Vec<_> = ["storage", "metadata", "index", "queue"]
        .map(|part| (part, only(part, &away)))
        .into();
    let cluster = Cluster::start();
    if let Some(cluster) = &cluster {
        let address = |url: &str| {
            let after = url.rsplit('@').next().unwrap();
            after
                .rsplit("//")
                .next()
                .unwrap()
                .trim_end_matches('/')
                .to_owned()
        };
        let refusing = config(
            &cluster.minio.url(),
            &address(&cluster.ferretdb.url()),
            &cluster.qdrant.url(),
            &address(&cluster.rabbitmq.url()),
        );
        configs.extend(["storage", "metadata", "queue"].map(|part| (part, only(part, &refusing))));
    }
    for (part, config) in configs {
        fs::write(&path, config).unwrap();
        let output = Process::command(dir.path(), &path).arg("check").output().unwrap();
        let said = said(&output);
        assert!(!output.status.success(), "{part} was meant to fail: {said}");
        assert!(said.contains(part), "{part} isn't named: {said}");
        assert_no_secret(&format!("`check` without {part}"), &said);
    }
    fs::write(&path, away).unwrap();
    let shown = Process::command(dir.path(), &path)
        .args(["config", "show"])
        .output()
        .unwrap();
    assert!(shown.status.success(), "{}", said(&shown));
    assert_no_secret("config show", &said(&shown));
    assert_eq!(said(&shown).matches("[redacted]").count(), MARKERS.len());
}
