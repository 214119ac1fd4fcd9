//! What is particular to each kind of server.

pub(crate) mod ferretdb;
pub(crate) mod qdrant;
pub(crate) mod rabbitmq;
pub(crate) mod s3;

use anyhow::{Result, bail};

use crate::Kind;
use crate::service::Service;

/// Chooses the ports of a new server.
pub(crate) fn new(kind: Kind) -> Result<Box<dyn Service>> {
    Ok(match kind {
        Kind::Minio => Box::new(s3::minio::Minio::new()?),
        Kind::Seaweedfs => Box::new(s3::seaweedfs::Seaweedfs::new()?),
        Kind::Ferretdb => Box::new(ferretdb::Ferretdb::new()?),
        Kind::Rabbitmq => Box::new(rabbitmq::Rabbitmq::new()?),
        Kind::QdrantStandIn => Box::new(qdrant::StandIn::new()?),
        Kind::Mongodb | Kind::Qdrant => bail!("{kind} only comes as a Docker image"),
    })
}
