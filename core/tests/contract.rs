//! The reference implementations and the sample model keep the contracts.

use lucida_core::testkit::{Fixture, HashModel};

mod storage {
    use lucida_core::Storage;
    use lucida_core::memory::MemoryStorage;

    use super::Fixture;

    async fn fixture() -> Fixture<dyn Storage> {
        Fixture::new(MemoryStorage::new())
    }

    lucida_core::storage_contract!(fixture);
}

mod metadata {
    use lucida_core::MetadataStore;
    use lucida_core::memory::MemoryMetadata;

    use super::Fixture;

    async fn fixture() -> Fixture<dyn MetadataStore> {
        Fixture::new(MemoryMetadata::new())
    }

    lucida_core::metadata_contract!(fixture);
}

mod index {
    use lucida_core::VectorIndex;
    use lucida_core::memory::MemoryIndex;

    use super::Fixture;

    async fn fixture() -> Fixture<dyn VectorIndex> {
        Fixture::new(MemoryIndex::new())
    }

    lucida_core::index_contract!(fixture);
}

mod queue {
    use lucida_core::JobQueue;
    use lucida_core::memory::MemoryQueue;

    use super::Fixture;

    async fn fixture() -> Fixture<dyn JobQueue> {
        Fixture::new(MemoryQueue::new())
    }

    lucida_core::queue_contract!(fixture);
}

mod embedder {
    use lucida_core::Embedder;

    use super::{Fixture, HashModel};

    async fn fixture() -> Fixture<dyn Embedder> {
        Fixture::new(HashModel::new().start())
    }

    lucida_core::embedder_contract!(fixture);
}

mod image_tower {
    use lucida_core::{Embedder, TowerKind};

    use super::{Fixture, HashModel};

    async fn fixture() -> Fixture<dyn Embedder> {
        Fixture::new(HashModel::new().without(TowerKind::Text).start())
    }

    lucida_core::embedder_contract!(fixture);
}

mod text_tower {
    use lucida_core::{Embedder, TowerKind};

    use super::{Fixture, HashModel};

    async fn fixture() -> Fixture<dyn Embedder> {
        Fixture::new(HashModel::new().without(TowerKind::Image).start())
    }

    lucida_core::embedder_contract!(fixture);
}

/// A sentence that is written down but not listed in its macro would never be tested.
#[test]
fn every_sentence_of_a_suite_is_run() {
    let suites = [
        include_str!("../src/testkit/storage.rs"),
        include_str!("../src/testkit/metadata.rs"),
        include_str!("../src/testkit/metadata_list.rs"),
        include_str!("../src/testkit/metadata_records.rs"),
        include_str!("../src/testkit/index.rs"),
        include_str!("../src/testkit/index_search.rs"),
        include_str!("../src/testkit/queue.rs"),
        include_str!("../src/testkit/embedder.rs"),
        include_str!("../src/testkit/plugin.rs"),
        include_str!("../src/testkit/durability.rs"),
    ];
    let all = suites.concat();
    let mut sentences = 0;
    for line in all.lines() {
        let Some(rest) = line.trim().strip_prefix("pub async fn ") else {
            continue;
        };
        let name = rest.split('(').next().unwrap();
        let is_listed = all.lines().any(|line| line.trim() == name);
        assert!(is_listed, "`{name}` is in no suite's macro");
        sentences += 1;
    }
    assert!(sentences > 100, "only {sentences} sentences were found");
}
