//! The metadata contract, on MongoDB.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use lucida_core::{MetadataStore, config::IntoPart};
use lucida_memory::MemoryMetadata;
use lucida_mongodb::MongodbMetadata;
use lucida_testkit::{Fixture, durability};
use support::{Scratch, config, database_name, server};

async fn opened(uri: &str, database: &str) -> MongodbMetadata {
    MongodbMetadata::open(config(uri, database)).await.unwrap()
}

// A suite takes no "skipped": without a server it runs on the reference store, after `server` has said so.
async fn fixture() -> Fixture<dyn MetadataStore> {
    let Some(uri) = server() else {
        return Fixture::new(MemoryMetadata::new());
    };
    let scratch = Scratch::new(&uri);
    Fixture::new(opened(&uri, &scratch.database).await).keeping(scratch)
}
lucida_testkit::metadata_contract!(fixture);

/// Opens the database that a folder names, so that a folder and its copies hold one metadata store.
async fn open(folder: &Path) -> Arc<dyn MetadataStore> {
    let uri = server().unwrap();
    let named = folder.join("database");
    if !named.exists() {
        fs::write(&named, database_name()).unwrap();
    }
    let database = fs::read_to_string(&named).unwrap();
    opened(&uri, &database).await.into_part()
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_there_after_a_restart() {
    if server().is_some() {
        durability::metadata::records_are_there_after_a_restart(open).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_there_after_a_crash() {
    if server().is_some() {
        durability::metadata::records_are_there_after_a_crash(open).await;
    }
}
