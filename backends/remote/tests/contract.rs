//! The embedder's contract on servers of each protocol. They are stand-ins with the shapes that the products' own servers have;
//! Lucida's own and its plugins are asked in the server's tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "cases/outages.rs"]
mod outages;
#[path = "cases/stand_in.rs"]
mod stand_in;

mod immich {
    use lucida_core::Embedder;
    use lucida_testkit::Fixture;

    use crate::stand_in::{Shape, StandIn};

    async fn fixture() -> Fixture<dyn Embedder> {
        StandIn::start(Shape::Immich).await.embedder_fixture().await
    }

    lucida_testkit::embedder_contract!(fixture);
}

mod infinity {
    use lucida_core::Embedder;
    use lucida_testkit::Fixture;

    use crate::stand_in::{Shape, StandIn};

    async fn fixture() -> Fixture<dyn Embedder> {
        StandIn::start(Shape::Openai).await.embedder_fixture().await
    }

    lucida_testkit::embedder_contract!(fixture);
}

mod tei {
    use lucida_core::Embedder;
    use lucida_testkit::Fixture;

    use crate::stand_in::{Shape, StandIn};

    async fn fixture() -> Fixture<dyn Embedder> {
        StandIn::start(Shape::Tei).await.embedder_fixture().await
    }

    lucida_testkit::embedder_contract!(fixture);
}
