//! The servers that a cluster stands on, each started for the measurement, and the settings that name them.

use anyhow::{Context as _, Result, anyhow};
use lucida_test_servers::{ACCESS_KEY_ID, BUCKET, Kind, Programs, SECRET_ACCESS_KEY, Server};

use crate::server::Setting;

/// An object store, a document database, a broker and a vector database.
pub(crate) struct Cluster {
    servers: Vec<Server>,
}

impl Cluster {
    /// What it is made of.
    pub(crate) const KINDS: [Kind; 4] = [Kind::Minio, Kind::Ferretdb, Kind::Rabbitmq, Kind::QdrantStandIn];

    /// Starts the servers, side by side.
    pub(crate) fn start() -> Result<Self> {
        let programs = Programs::from_environment();
        let programs = &programs.context("needs servers: `cargo xtask bench workers traffic` brings them")?;
        let servers = std::thread::scope(|scope| {
            let starts = Self::KINDS.map(|kind| scope.spawn(move || Server::start(kind, programs)));
            let started = starts.into_iter().map(|start| {
                let outcome = start.join();
                outcome.unwrap_or_else(|_| Err(anyhow!("the start of a server panicked")))
            });
            started.collect::<Result<Vec<_>>>()
        })?;
        Ok(Self { servers })
    }

    /// Returns where each server is, in the order of [`Self::KINDS`].
    pub(crate) fn urls(&self) -> Vec<String> {
        self.servers.iter().map(Server::url).collect()
    }
}

/// Settings that put a process on servers, in the order of [`Cluster::KINDS`]; `library` names what is its own there.
pub(crate) fn settings(urls: &[String], library: &str) -> Vec<Setting> {
    let mut settings = vec![
        Setting::new("storage.type", "s3"),
        Setting::new("storage.s3.bucket", BUCKET),
        Setting::new("storage.s3.prefix", library),
        Setting::new("storage.s3.access_key_id", ACCESS_KEY_ID),
        Setting::new("storage.s3.secret_access_key", SECRET_ACCESS_KEY),
        Setting::new("metadata.type", "mongodb"),
        Setting::new("metadata.mongodb.database", library),
        Setting::new("queue.type", "rabbitmq"),
        Setting::new("queue.rabbitmq.queue", library),
        Setting::new("index.type", "qdrant"),
        Setting::new("index.qdrant.collection", library),
    ];
    for (kind, url) in Cluster::KINDS.iter().zip(urls) {
        let key = match kind {
            Kind::Minio | Kind::Seaweedfs => "storage.s3.endpoint",
            Kind::Ferretdb | Kind::Mongodb => "metadata.mongodb.uri",
            Kind::Rabbitmq => "queue.rabbitmq.uri",
            Kind::QdrantStandIn | Kind::Qdrant => "index.qdrant.url",
        };
        settings.push(Setting::new(key, url));
    }
    settings
}
