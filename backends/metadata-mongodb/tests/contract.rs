//! The contract of MetadataStore, on mongodb. What outlives its process runs `metadata_durability!` as well.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use lucida_core::testkit::Fixture;
use lucida_core::{BuildContext, Factory, MetadataStore};
use lucida_metadata_mongodb::factory;
use serde_json::json;

async fn fixture() -> Fixture<dyn MetadataStore> {
    let settings = json!({ "url": "http://127.0.0.1:9000" });
    let part = factory()
        .build(&settings, &BuildContext::from_env())
        .await
        .unwrap();
    Fixture::from_arc(part)
}
lucida_core::metadata_contract!(fixture);
