//! The metadata contract and the queue contract, on SQLite.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod metadata {
    use std::path::Path;
    use std::sync::Arc;

    use lucida_core::MetadataStore;
    use lucida_core::config::IntoPart;
    use lucida_sqlite::{SqliteConfig, SqliteMetadata};
    use lucida_testkit::Fixture;

    async fn opened(folder: &Path) -> SqliteMetadata {
        SqliteMetadata::open(SqliteConfig {
            path: folder.join("metadata.db"),
        })
        .await
        .unwrap()
    }

    async fn fixture() -> Fixture<dyn MetadataStore> {
        let folder = tempfile::tempdir().unwrap();
        Fixture::new(opened(folder.path()).await).keeping(folder)
    }
    lucida_testkit::metadata_contract!(fixture);

    async fn open(folder: &Path) -> Arc<dyn MetadataStore> {
        opened(folder).await.into_part()
    }
    lucida_testkit::metadata_durability!(open);
}

mod queue {
    use std::path::Path;
    use std::sync::Arc;

    use lucida_core::JobQueue;
    use lucida_core::config::IntoPart;
    use lucida_sqlite::{SqliteQueue, SqliteQueueConfig};
    use lucida_testkit::Fixture;

    async fn opened(folder: &Path) -> SqliteQueue {
        SqliteQueue::open(SqliteQueueConfig {
            path: folder.join("queue.db"),
            visibility_timeout_secs: 900,
        })
        .await
        .unwrap()
    }

    async fn fixture() -> Fixture<dyn JobQueue> {
        let folder = tempfile::tempdir().unwrap();
        Fixture::new(opened(folder.path()).await).keeping(folder)
    }
    lucida_testkit::queue_contract!(fixture);

    async fn open(folder: &Path) -> Arc<dyn JobQueue> {
        opened(folder).await.into_part()
    }
    lucida_testkit::queue_durability!(open);
}
