//! The contract of a vector index and what it keeps when its server is started again, on the stand-in always, and on
//! the server at `LUCIDA_TEST_QDRANT_URL` where there is one; then what is particular to Qdrant.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod cases;
mod stand_in;
mod support;

use std::path::Path;
use std::sync::Arc;

use lucida_core::VectorIndex;
use lucida_qdrant::QdrantIndex;
use lucida_testkit::Fixture;

use support::{Place, config, stand_in_of_folder};

async fn fixture() -> Fixture<dyn VectorIndex> {
    let place = Place::stand_in();
    Fixture::new(place.open().await).keeping(place)
}

async fn open(folder: &Path) -> Arc<dyn VectorIndex> {
    let url = stand_in_of_folder(folder);
    Arc::new(QdrantIndex::open(config(&url, "photo_embeddings")).await.unwrap())
}

lucida_testkit::index_contract!(fixture);
lucida_testkit::index_durability!(open);

/// The same on a server.
mod on_a_server {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use lucida_core::VectorIndex;
    use lucida_memory::MemoryIndex;
    use lucida_qdrant::QdrantIndex;
    use lucida_testkit::Fixture;

    use crate::support::{Place, config, new_alias, server_url};

    // A suite takes no "skipped": without a server it runs on the reference index, after `server_url` has said so.
    async fn fixture() -> Fixture<dyn VectorIndex> {
        match Place::server() {
            Some(place) => Fixture::new(place.open().await).keeping(place),
            None => Fixture::new(MemoryIndex::new()),
        }
    }

    /// Opens the alias that a folder names, so that a folder and its copies mean the same points. Without a server the
    /// stand-in takes its place, because the reference index keeps nothing.
    async fn open(folder: &Path) -> Arc<dyn VectorIndex> {
        let Some(url) = server_url() else {
            return super::open(folder).await;
        };
        let named = folder.join("alias");
        if !named.exists() {
            fs::write(&named, new_alias()).unwrap();
        }
        let alias = fs::read_to_string(&named).unwrap();
        Arc::new(QdrantIndex::open(config(&url, &alias)).await.unwrap())
    }

    lucida_testkit::index_contract!(fixture);
    lucida_testkit::index_durability!(open);
}
