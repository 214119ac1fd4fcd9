//! The servers that a cluster of this program stands on, and its configuration.

use std::fs;
use std::path::{Path, PathBuf};

use lucida_test_servers::{ACCESS_KEY_ID, BUCKET, Kind, Programs, SECRET_ACCESS_KEY, Server};
use tempfile::TempDir;

use crate::process::Process;

/// An object store, a document database, a broker and a vector database, each of its own for one test.
pub(crate) struct Cluster {
    pub(crate) minio: Server,
    pub(crate) ferretdb: Server,
    pub(crate) rabbitmq: Server,
    pub(crate) qdrant: Server,
    dir: TempDir,
}

impl Cluster {
    /// Starts the servers; `None` where there are none, which is printed.
    pub(crate) fn start() -> Option<Self> {
        let kinds = [Kind::Minio, Kind::Ferretdb, Kind::Rabbitmq, Kind::QdrantStandIn];
        let programs = Programs::or_skip(&kinds)?;
        let start = |kind| {
            let programs = programs.clone();
            std::thread::spawn(move || Server::start(kind, &programs).unwrap())
        };
        let [minio, ferretdb, rabbitmq, qdrant] = kinds.map(start).map(|started| started.join().unwrap());
        let cluster = Self {
            minio,
            ferretdb,
            rabbitmq,
            qdrant,
            dir: tempfile::tempdir().unwrap(),
        };
        cluster.write_config("lucida.toml", "clip");
        Some(cluster)
    }

    /// Writes a configuration with one of the small models of core's tests.
    pub(crate) fn write_config(&self, name: &str, model: &str) {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("core/testkit/testdata/parity/models");
        let model = models.join(model);
        let secret = self.dir.path().join("s3-secret");
        fs::write(&secret, SECRET_ACCESS_KEY).unwrap();
        let config = format!(
            r#"
[ingest]
workers = 1
reconcile_interval_secs = 2
retry_max_secs = 2

[search]
max_limit = 1000

[storage]
type = "s3"
[storage.s3]
endpoint = "{minio}"
bucket = "{BUCKET}"
access_key_id = "{ACCESS_KEY_ID}"
secret_access_key_file = "{secret}"

[metadata]
type = "mongodb"
[metadata.mongodb]
uri = "{ferretdb}"

[index]
type = "qdrant"
[index.qdrant]
url = "{qdrant}"

[queue]
type = "rabbitmq"
[queue.rabbitmq]
uri = "{rabbitmq}"
heartbeat_secs = 2

[embedder]
type = "candle"
[embedder.candle]
model = "{model}"
threads = 1
"#,
            minio = self.minio.url(),
            secret = secret.display(),
            ferretdb = self.ferretdb.url(),
            qdrant = self.qdrant.url(),
            rabbitmq = self.rabbitmq.url(),
            model = model.display(),
        );
        fs::write(self.config(name), config).unwrap();
    }

    /// Returns the path of a configuration.
    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts a process that only serves the API.
    pub(crate) async fn api(&self, name: &str, config: &str) -> Process {
        let arguments = ["serve", "--set", "ingest.workers=0"];
        Process::start(self.dir.path(), name, &self.config(config), &arguments).await
    }

    /// Starts a process that only embeds photos.
    pub(crate) async fn worker(&self, name: &str, config: &str, settings: &[&str]) -> Process {
        let mut arguments = vec!["worker"];
        for setting in settings {
            arguments.extend(["--set", setting]);
        }
        Process::start(self.dir.path(), name, &self.config(config), &arguments).await
    }

    /// Runs another subcommand until it ends; returns whether it succeeded, and what it printed, with its log if it failed.
    pub(crate) fn run(&self, config: &str, arguments: &[&str]) -> (bool, String) {
        let output = Process::command(self.dir.path(), &self.config(config))
            .args(arguments)
            .output()
            .unwrap();
        let done = output.status.success();
        let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !done {
            printed.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        (done, printed)
    }
}
