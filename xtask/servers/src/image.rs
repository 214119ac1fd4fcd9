//! The images that servers come from: those of `examples/cluster`, so that tests run what the deployment runs.

use anyhow::Result;

use crate::kinds::{ferretdb, qdrant, rabbitmq, s3};
use crate::{Kind, variable};

/// An image, and how its server is started and found.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) kind: Kind,
    /// Its name with its version.
    pub(crate) reference: &'static str,
    /// The port that it listens on in the container.
    pub(crate) port: u16,
    pub(crate) environment: &'static [(&'static str, &'static str)],
    pub(crate) arguments: &'static [&'static str],
    /// Asks the server at a port something that only a server which is ready answers.
    pub(crate) ask: fn(u16) -> Result<()>,
    /// Returns where clients find the server at a port.
    pub(crate) url: fn(u16) -> String,
    /// Returns the environment variables by which tests find a server.
    pub(crate) variables: fn(String) -> Vec<(&'static str, String)>,
}

static IMAGES: [Image; 4] = [
    Image {
        kind: Kind::Minio,
        reference: "minio/minio:RELEASE.2025-09-07T16-13-09Z",
        port: 9000,
        environment: &[
            ("MINIO_ROOT_USER", s3::ACCESS_KEY_ID),
            ("MINIO_ROOT_PASSWORD", s3::SECRET_ACCESS_KEY),
        ],
        arguments: &["server", "--quiet", "/data"],
        ask: s3::ask,
        url: s3::url,
        variables: s3::variables,
    },
    Image {
        kind: Kind::Mongodb,
        reference: "mongo:8.0",
        port: 27017,
        environment: &[],
        arguments: &[],
        ask: ferretdb::ask,
        url: ferretdb::url,
        variables: |url| vec![(variable::MONGODB_URI, url)],
    },
    Image {
        kind: Kind::Rabbitmq,
        reference: "rabbitmq:4.1",
        port: 5672,
        environment: &[
            ("RABBITMQ_DEFAULT_USER", rabbitmq::USER),
            ("RABBITMQ_DEFAULT_PASS", rabbitmq::PASSWORD),
        ],
        arguments: &[],
        ask: rabbitmq::ask,
        url: rabbitmq::url,
        variables: |url| vec![(variable::RABBITMQ_URI, url)],
    },
    Image {
        kind: Kind::Qdrant,
        reference: "qdrant/qdrant:v1.20.0",
        port: 6334,
        environment: &[],
        arguments: &[],
        ask: qdrant::ask,
        url: qdrant::url,
        variables: |url| vec![(variable::QDRANT_URL, url)],
    },
];

impl Image {
    /// Returns the image of a kind; `None` for one that only comes as a program.
    pub(crate) fn of(kind: Kind) -> Option<&'static Self> {
        IMAGES.iter().find(|image| image.kind == kind)
    }
}
