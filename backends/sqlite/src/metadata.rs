//! The photo metadata store.
//!
//! One thread writes: it takes all the writes that are waiting, applies each under a savepoint of its own, and
//! commits them together, so that they share one sync of the disk. Reads run beside it on connections of their
//! own. Several processes may use one file.

mod config;
mod list;
mod outbox;
mod readers;
mod row;
mod store;
mod writer;

pub use config::SqliteConfig;
use lucida_core::config::factory_fn;
use lucida_core::{Factory, MetadataStore};
pub use store::SqliteMetadata;

use crate::database::Database;

/// The file of the metadata store, marked "LucM".
const DATABASE: Database = Database {
    name: "metadata store",
    setting: "metadata.sqlite.path",
    application_id: 0x4c75_634d,
    migrations: &[
        include_str!("metadata/migrations/0001_photos.sql"),
        include_str!("metadata/migrations/0002_local_time.sql"),
        include_str!("metadata/migrations/0003_outbox.sql"),
    ],
    cache_kib: (16 * 1024, 8 * 1024),
    journal_bytes: 64 << 20,
    when_damaged: "restore it from a backup, or build it again from the originals with `lucida rebuild`",
    when_newer: "run the Lucida that wrote it, or restore an older backup",
};

/// Returns the factory of the metadata type `sqlite`.
#[must_use]
pub fn factory() -> impl Factory<dyn MetadataStore> {
    factory_fn("sqlite", |settings: SqliteConfig, _context| {
        SqliteMetadata::open(settings)
    })
}
