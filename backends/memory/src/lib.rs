//! The stores and the queue in memory: the reference that the contracts are tested with first, and what a
//! config gets with `type = "memory"`. Nothing survives the process.

mod index;
mod metadata;
mod outbox;
mod queue;
mod records;
mod storage;

pub use index::MemoryIndex;
pub use metadata::MemoryMetadata;
pub use queue::MemoryQueue;
pub use storage::MemoryStorage;

use lucida_core::{
    JobQueue, MetadataStore, Storage, VectorIndex,
    config::{Factory, NoSettings, factory_fn},
};

/// The word that a config file uses.
pub const TYPE_NAME: &str = "memory";

/// Makes the factory of [`MemoryStorage`].
#[must_use]
pub fn storage_factory() -> impl Factory<dyn Storage> {
    factory_fn(TYPE_NAME, |_: NoSettings, _| async { Ok(MemoryStorage::new()) }).in_one_process()
}

/// Makes the factory of [`MemoryMetadata`].
#[must_use]
pub fn metadata_factory() -> impl Factory<dyn MetadataStore> {
    factory_fn(TYPE_NAME, |_: NoSettings, _| async { Ok(MemoryMetadata::new()) }).in_one_process()
}

/// Makes the factory of [`MemoryIndex`].
#[must_use]
pub fn index_factory() -> impl Factory<dyn VectorIndex> {
    factory_fn(TYPE_NAME, |_: NoSettings, _| async { Ok(MemoryIndex::new()) }).in_one_process()
}

/// Makes the factory of [`MemoryQueue`].
#[must_use]
pub fn queue_factory() -> impl Factory<dyn JobQueue> {
    factory_fn(TYPE_NAME, |_: NoSettings, _| async { Ok(MemoryQueue::new()) }).in_one_process()
}
