//! The contracts of the traits in `lucida-core` as tests, and what tests build on: sample photos and a small real model.
//! A dev-dependency only.
//!
//! There is one suite per trait, and every backend runs it unchanged:
//!
//! ```ignore
//! async fn fixture() -> Fixture<dyn Storage> {
//!     let dir = tempfile::tempdir().unwrap();
//!     Fixture::new(DiskStorage::open(dir.path()).await.unwrap()).keeping(dir)
//! }
//! lucida_testkit::storage_contract!(fixture);
//! ```
//!
//! Each sentence of a contract becomes one test of that name. A store that outlives its process runs the
//! durability suite too, whose function opens a folder again and again:
//!
//! ```ignore
//! async fn open(dir: &Path) -> Arc<dyn Storage> { .. }
//! lucida_testkit::storage_durability!(open);
//! ```
//!
//! A crate that uses the macros needs `tokio` among its dev-dependencies, with `macros` and `rt-multi-thread`.

#![expect(
    clippy::unwrap_used,
    reason = "a contract that does not hold, or a sample that can't be made, fails its test by panicking"
)]

pub mod durability;
pub mod embedder;
mod fixture;
mod hash_model;
pub mod index;
pub mod index_search;
pub mod metadata;
pub mod metadata_counts;
pub mod metadata_list;
mod metadata_oracle;
pub mod metadata_records;
mod model_controls;
pub mod outbox;
pub mod parity;
pub mod parity_texts;
mod patience;
pub mod plugin;
pub mod queue;
pub mod rates;
mod samples;
pub mod storage;

pub use fixture::Fixture;
pub use hash_model::HashModel;
pub use metadata_oracle::{counts_as_a_plain_filter, lists_as_a_plain_filter};
pub use model_controls::{Controls, Fault};
pub use patience::eventually;
pub use samples::{collection, jpeg, photo, picture, point, unit_vector, user};

/// Makes one test of each named function of a suite; the suites' own macros call it.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($suite:ident, $fixture:ident, $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $crate::$suite::$name(super::$fixture().await).await;
            }
        )*
    };
}

/// Makes one test of each named function of a durability suite; the suites' own macros call it.
#[doc(hidden)]
#[macro_export]
macro_rules! durability_tests {
    ($suite:ident, $open:ident, $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $crate::durability::$suite::$name(super::$open).await;
            }
        )*
    };
}
