//! Makes previews of configured sizes, once, and serves them.
