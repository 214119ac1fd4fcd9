//! Where the tests run: stand-ins in this process, and a server where there is one.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use lucida_qdrant::{QdrantConfig, QdrantIndex};
use qdrant_client::Qdrant;
use tempfile::TempDir;

use crate::stand_in::{Options, StandIn, VERSION};

/// The variable with the gRPC address of a server to test on too.
const SERVER: &str = "LUCIDA_TEST_QDRANT_URL";
/// The variable with its key, where it asks for one.
const SERVER_KEY: &str = "LUCIDA_TEST_QDRANT_API_KEY";

/// A free port of this machine.
pub(crate) const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Returns the settings of an index, as they are by default.
pub(crate) fn config(url: &str, alias: &str) -> QdrantConfig {
    let key = std::env::var(SERVER_KEY).ok();
    QdrantConfig {
        url: url.to_owned(),
        api_key: key.map(lucida_core::config::Secret::new),
        collection: alias.to_owned(),
        ..QdrantConfig::default()
    }
}

/// Returns the address of the server to test on, or says that there is none.
#[expect(clippy::print_stdout, reason = "a skipped test says why")]
pub(crate) fn server_url() -> Option<String> {
    let url = std::env::var(SERVER).ok();
    if url.is_none() {
        println!("skipped: {SERVER} is not set, the stand-in is tested only");
    }
    url
}

/// Makes an alias that nobody has.
pub(crate) fn new_alias() -> String {
    format!("lucida_test_{}", uuid::Uuid::new_v4().simple())
}

/// Starts a stand-in over a folder.
pub(crate) fn start(listen: SocketAddr, data: &Path, api_key: Option<&str>) -> StandIn {
    StandIn::start(options(listen, data, api_key, VERSION)).unwrap()
}

fn options(listen: SocketAddr, data: &Path, api_key: Option<&str>, version: &'static str) -> Options {
    Options {
        listen,
        data: data.to_owned(),
        api_key: api_key.map(str::to_owned),
        version,
        tls: None,
    }
}

/// The stand-ins of the folders of durability tests.
static OF_FOLDERS: LazyLock<Mutex<HashMap<PathBuf, StandIn>>> = LazyLock::new(Mutex::default);

/// Starts a stand-in over a folder, in place of the one that ran there before, and returns its address.
pub(crate) fn stand_in_of_folder(folder: &Path) -> String {
    let mut running = OF_FOLDERS.lock().unwrap();
    drop(running.remove(folder));
    let stand_in = start(ANY_PORT, &folder.join("qdrant"), None);
    let url = format!("http://{}", stand_in.address());
    running.insert(folder.to_owned(), stand_in);
    url
}

/// A server, and an alias on it that is the test's own; what was made under it goes with it.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) alias: String,
    /// The stand-in and its folder; none on a server.
    stand_in: Option<(StandIn, TempDir)>,
}

impl Place {
    /// Starts a stand-in.
    pub(crate) fn stand_in() -> Self {
        Self::stand_in_of_version(VERSION)
    }

    /// Starts a stand-in that reports this version.
    pub(crate) fn stand_in_of_version(version: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stand_in = StandIn::start(options(ANY_PORT, folder.path(), None, version)).unwrap();
        Self {
            url: format!("http://{}", stand_in.address()),
            alias: new_alias(),
            stand_in: Some((stand_in, folder)),
        }
    }

    /// Returns the server to test on, where there is one.
    pub(crate) fn server() -> Option<Self> {
        Some(Self {
            url: server_url()?,
            alias: new_alias(),
            stand_in: None,
        })
    }

    /// Returns the stand-in and, where there is one, the server.
    pub(crate) fn all() -> Vec<Self> {
        [Some(Self::stand_in()), Self::server()]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Opens an index, as another process would.
    pub(crate) async fn open(&self) -> QdrantIndex {
        self.open_with(|_| {}).await
    }

    /// Opens an index with changed settings.
    pub(crate) async fn open_with(&self, change: impl FnOnce(&mut QdrantConfig)) -> QdrantIndex {
        let mut config = config(&self.url, &self.alias);
        change(&mut config);
        QdrantIndex::open(config).await.unwrap()
    }

    /// Returns qdrant-client's own client, to do what an index doesn't.
    pub(crate) fn client(&self) -> Qdrant {
        Qdrant::from_url(&self.url)
            .api_key(std::env::var(SERVER_KEY))
            .skip_compatibility_check()
            .build()
            .unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.stand_in.is_some() {
            return;
        }
        let (client, alias) = (self.client(), self.alias.clone());
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                for collection in client.list_collections().await.unwrap().collections {
                    if collection.name.starts_with(&alias) {
                        client.delete_collection(collection.name).await.unwrap();
                    }
                }
            });
        });
        // What could not be cleaned up is no reason to fail.
        let _ = cleaning.join();
    }
}
