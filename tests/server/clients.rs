//! The real clients of other products' APIs, each run by a script in `tests/clients` against the real server.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::Server;

/// The scripts, and what they are run with.
const SCRIPTS: [(&str, Runtime); 7] = [
    ("openai_client.py", Runtime::Python),
    ("openai_client.mjs", Runtime::Node),
    ("langchain_client.py", Runtime::Python),
    ("langchain_tei_client.py", Runtime::Python),
    ("llama_index_client.py", Runtime::Python),
    ("huggingface_client.py", Runtime::Python),
    ("ollama_client.py", Runtime::Python),
];

/// What a script is run by.
#[derive(Clone, Copy)]
pub(crate) enum Runtime {
    Python,
    Node,
}

/// Where `cargo xtask test` has put the clients.
pub(crate) struct Clients {
    python: PathBuf,
    packages: Option<PathBuf>,
    node: PathBuf,
}

impl Clients {
    /// Returns the clients, or says why the test is skipped.
    pub(crate) fn or_skip() -> Option<Self> {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let clients = path("LUCIDA_TEST_CLIENTS_PYTHON").zip(path("LUCIDA_TEST_CLIENTS_NODE"));
        let Some((python, node)) = clients else {
            println!("skipped: LUCIDA_TEST_CLIENTS_PYTHON is not set (`cargo xtask test` sets it)");
            assert!(std::env::var_os("CI").is_none(), "CI must not skip this test");
            return None;
        };
        Some(Self {
            python,
            packages: path("LUCIDA_TEST_CLIENTS_PACKAGES"),
            node,
        })
    }

    /// Returns the command of a script, to which the arguments are still missing.
    pub(crate) fn command(&self, script: &str, runtime: Runtime) -> Command {
        let mut command = match runtime {
            Runtime::Python => Command::new(&self.python),
            Runtime::Node => Command::new("node"),
        };
        if let (Runtime::Python, Some(packages)) = (runtime, &self.packages) {
            command.env("PYTHONPATH", packages);
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        command
            .arg(folder.join(script))
            .env("LUCIDA_TEST_CLIENTS_NODE", &self.node)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // The server is on this machine, whatever proxy the network has.
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1");
        command
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_of_other_products_get_the_servers_own_vectors() {
    let Some(clients) = Clients::or_skip() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let plugins = "[{type = \"api-openai\"}, {type = \"api-tei\"}, {type = \"api-ollama\"}]";
    let server = Server::start(dir.path(), &[("plugins", plugins)]).await;
    let mut failures = Vec::new();
    for (script, runtime) in SCRIPTS {
        let mut command = clients.command(script, runtime);
        command.arg(&server.url);
        let output = tokio::task::spawn_blocking(move || command.output());
        let output = output.await.unwrap().unwrap();
        let (stdout, stderr) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        println!("{script}\n{stdout}");
        // A script that ends early for whatever reason has printed nothing.
        if !output.status.success() || stdout.trim().is_empty() {
            failures.push(format!("{script} ({}):\n{stdout}{stderr}", output.status));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
