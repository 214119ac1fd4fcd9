//! The reference implementations and the sample model keep the contracts.

use lucida_testkit::{Fixture, HashModel};

mod storage {
    use lucida_core::Storage;
    use lucida_memory::MemoryStorage;

    use super::Fixture;

    async fn fixture() -> Fixture<dyn Storage> {
        Fixture::new(MemoryStorage::new())
    }

    lucida_testkit::storage_contract!(fixture);
}

mod metadata {
    use lucida_core::MetadataStore;
    use lucida_memory::MemoryMetadata;

    use super::Fixture;

    async fn fixture() -> Fixture<dyn MetadataStore> {
        Fixture::new(MemoryMetadata::new())
    }

    lucida_testkit::metadata_contract!(fixture);
}

mod index {
    use lucida_core::VectorIndex;
    use lucida_memory::MemoryIndex;

    use super::Fixture;

    async fn fixture() -> Fixture<dyn VectorIndex> {
        Fixture::new(MemoryIndex::new())
    }

    lucida_testkit::index_contract!(fixture);
}

mod queue {
    use lucida_core::JobQueue;
    use lucida_memory::MemoryQueue;

    use super::Fixture;

    async fn fixture() -> Fixture<dyn JobQueue> {
        Fixture::new(MemoryQueue::new())
    }

    lucida_testkit::queue_contract!(fixture);
}

mod embedder {
    use lucida_core::Embedder;

    use super::{Fixture, HashModel};

    async fn fixture() -> Fixture<dyn Embedder> {
        Fixture::new(HashModel::new().start())
    }

    lucida_testkit::embedder_contract!(fixture);
}

mod image_tower {
    use lucida_core::{Embedder, TowerKind};

    use super::{Fixture, HashModel};

    async fn fixture() -> Fixture<dyn Embedder> {
        Fixture::new(HashModel::new().without(TowerKind::Text).start())
    }

    lucida_testkit::embedder_contract!(fixture);
}

mod text_tower {
    use lucida_core::{Embedder, TowerKind};

    use super::{Fixture, HashModel};

    async fn fixture() -> Fixture<dyn Embedder> {
        Fixture::new(HashModel::new().without(TowerKind::Image).start())
    }

    lucida_testkit::embedder_contract!(fixture);
}

/// A sentence that is written down but not listed in its macro would never be tested.
#[test]
fn every_sentence_of_a_suite_is_run() {
    let suites = [
        include_str!("../src/storage.rs"),
        include_str!("../src/metadata.rs"),
        include_str!("../src/metadata_list.rs"),
        include_str!("../src/metadata_records.rs"),
        include_str!("../src/index.rs"),
        include_str!("../src/index_search.rs"),
        include_str!("../src/queue.rs"),
        include_str!("../src/embedder.rs"),
        include_str!("../src/plugin.rs"),
        include_str!("../src/durability.rs"),
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
