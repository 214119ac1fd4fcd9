//! A database of each test's own on the server that `LUCIDA_TEST_MONGODB_URI` names.

use lucida_core::config::Secret;
use lucida_mongodb::MongodbConfig;
use mongodb::Client;

const VARIABLE: &str = "LUCIDA_TEST_MONGODB_URI";

/// Returns the server's connection string; says that the test is skipped where there is none.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub(crate) fn server() -> Option<String> {
    let uri = std::env::var(VARIABLE).ok();
    if uri.is_none() {
        println!("skipped: {VARIABLE} is not set (`cargo xtask test` sets it)");
        assert!(std::env::var_os("CI").is_none(), "CI must not skip this test");
    }
    uri
}

/// Settings for tests: short waits, so that what is to fail fails soon.
pub(crate) fn config(uri: &str, database: &str) -> MongodbConfig {
    MongodbConfig {
        uri: Some(Secret::new(uri)),
        uri_file: None,
        database: Some(database.to_owned()),
        collection_prefix: String::new(),
        max_connections: 20,
        min_connections: 0,
        max_idle_secs: 60,
        connect_timeout_ms: 2_000,
        server_selection_timeout_ms: 2_000,
        operation_timeout_ms: 20_000,
    }
}

/// Returns a name that no database has.
pub(crate) fn database_name() -> String {
    format!("lucida_test_{}", uuid::Uuid::now_v7().simple())
}

/// A new, empty database, which is dropped with this.
pub(crate) struct Scratch {
    pub(crate) uri: String,
    pub(crate) database: String,
}

impl Scratch {
    pub(crate) fn new(uri: &str) -> Self {
        Self {
            uri: uri.to_owned(),
            database: database_name(),
        }
    }
}

impl Drop for Scratch {
    #[expect(clippy::print_stdout, reason = "what a test leaves behind it says")]
    fn drop(&mut self) {
        let (uri, database) = (self.uri.clone(), self.database.clone());
        // A drop can't wait inside the test's own runtime.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async { Client::with_uri_str(&uri).await?.database(&database).drop().await })
        });
        if let Ok(Err(error)) = dropping.join() {
            println!("database {} stays: {error}", self.database);
        }
    }
}
