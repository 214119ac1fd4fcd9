//! The storage contract, and what outlives the process, on each store.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lucida_core::Storage;
use lucida_core::config::IntoPart;
use lucida_opendal::{DiskConfig, DiskStorage};
use lucida_testkit::Fixture;

use crate::support::{open, settings};

// A suite takes no "skipped": without a store it runs on disk, after `support` has said so.

async fn fixture(endpoint: Option<String>) -> Fixture<dyn Storage> {
    let Some(endpoint) = endpoint else {
        let folder = tempfile::tempdir().unwrap();
        return Fixture::from_arc(disk(folder.path()).await).keeping(folder);
    };
    Fixture::new(open(&settings(&endpoint)).await)
}

/// Opens the part of the bucket that a folder names, so that a folder and its copies hold the same blobs.
async fn reopen(endpoint: Option<String>, folder: &Path) -> Arc<dyn Storage> {
    let Some(endpoint) = endpoint else {
        return disk(folder).await;
    };
    let named = folder.join("settings");
    if !named.exists() {
        fs::write(&named, settings(&endpoint).to_string()).unwrap();
    }
    let settings = serde_json::from_slice(&fs::read(&named).unwrap()).unwrap();
    open(&settings).await.into_part()
}

async fn disk(folder: &Path) -> Arc<dyn Storage> {
    let root = folder.join("photos");
    DiskStorage::open(DiskConfig { root }).await.unwrap().into_part()
}

mod minio {
    use super::*;

    async fn fixture() -> Fixture<dyn Storage> {
        super::fixture(crate::support::minio()).await
    }
    lucida_testkit::storage_contract!(fixture);

    async fn open(folder: &Path) -> Arc<dyn Storage> {
        reopen(crate::support::minio(), folder).await
    }
    lucida_testkit::storage_durability!(open);
}

mod seaweedfs {
    use super::*;

    async fn fixture() -> Fixture<dyn Storage> {
        super::fixture(crate::support::seaweedfs()).await
    }
    lucida_testkit::storage_contract!(fixture);

    async fn open(folder: &Path) -> Arc<dyn Storage> {
        reopen(crate::support::seaweedfs(), folder).await
    }
    lucida_testkit::storage_durability!(open);
}
