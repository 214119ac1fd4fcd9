//! The contract of JobQueue, on rabbitmq. What outlives its process runs `queue_durability!` as well.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use lucida_core::testkit::Fixture;
use lucida_core::{BuildContext, Factory, JobQueue};
use lucida_queue_rabbitmq::factory;
use serde_json::json;

async fn fixture() -> Fixture<dyn JobQueue> {
    let settings = json!({ "url": "http://127.0.0.1:9000" });
    let part = factory()
        .build(&settings, &BuildContext::from_env())
        .await
        .unwrap();
    Fixture::from_arc(part)
}
lucida_core::queue_contract!(fixture);
