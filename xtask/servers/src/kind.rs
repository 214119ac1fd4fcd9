//! The kinds of servers, by name.

use std::fmt;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An object store that speaks S3.
    Minio,
    /// Another object store that speaks S3, whose metadata and data are apart.
    Seaweedfs,
    /// MongoDB's protocol over SQLite.
    Ferretdb,
    /// The broker.
    Rabbitmq,
    /// Qdrant's gRPC services over the embedded engine: `backends/qdrant` builds it.
    QdrantStandIn,
    /// MongoDB itself, from a Docker image only.
    Mongodb,
    /// Qdrant itself, from a Docker image only.
    Qdrant,
}

impl Kind {
    /// The name in file names.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Minio => "minio",
            Self::Seaweedfs => "seaweedfs",
            Self::Ferretdb => "ferretdb",
            Self::Rabbitmq => "rabbitmq",
            Self::QdrantStandIn => "qdrant-stand-in",
            Self::Mongodb => "mongodb",
            Self::Qdrant => "qdrant",
        }
    }
}

/// The name as its makers write it.
impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Minio => "MinIO",
            Self::Seaweedfs => "SeaweedFS",
            Self::Ferretdb => "FerretDB",
            Self::Rabbitmq => "RabbitMQ",
            Self::QdrantStandIn => "the stand-in for Qdrant",
            Self::Mongodb => "MongoDB",
            Self::Qdrant => "Qdrant",
        })
    }
}
