//! A real Weaviate takes its vectors from the server, and its official client finds photos by them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lucida_test_servers::Process;

use super::clients::{Clients, Runtime};
use super::process::{Server, free_address};

/// How long Weaviate may take to get ready, on a machine that is busy with other tests.
const START_PATIENCE: Duration = Duration::from_secs(120);

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

/// The program that `cargo xtask test` has built.
fn program_or_skip() -> Option<PathBuf> {
    let program = std::env::var_os("LUCIDA_TEST_WEAVIATE");
    if program.is_none() {
        println!("skipped: LUCIDA_TEST_WEAVIATE is not set (`cargo xtask test` sets it)");
        assert!(std::env::var_os("CI").is_none(), "CI must not skip this test");
    }
    program.map(PathBuf::from)
}

/// Starts Weaviate with its data in a folder and the address of its inference container, as its operators set it.
async fn start(program: &Path, dir: &Path, http: &str, grpc: &str, inference: &str) -> Process {
    let others: Vec<_> = (0..4).map(|_| free_address()).collect();
    let mut command = Command::new(program);
    command
        .current_dir(dir)
        .args(["--host", "127.0.0.1", "--port", port(http), "--scheme", "http"])
        .envs([
            ("PERSISTENCE_DATA_PATH", "data"),
            ("AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED", "true"),
            ("ENABLE_MODULES", "multi2vec-clip"),
            ("CLIP_INFERENCE_API", inference),
            ("DISABLE_TELEMETRY", "true"),
            ("GO_PROFILING_DISABLE", "true"),
            ("CLUSTER_HOSTNAME", "one"),
            ("CLUSTER_ADVERTISE_ADDR", "127.0.0.1"),
            ("GRPC_PORT", port(grpc)),
            ("CLUSTER_GOSSIP_BIND_PORT", port(&others[0])),
            ("CLUSTER_DATA_BIND_PORT", port(&others[1])),
            ("RAFT_PORT", port(&others[2])),
            ("RAFT_INTERNAL_RPC_PORT", port(&others[3])),
            ("RAFT_BOOTSTRAP_EXPECT", "1"),
        ]);
    let mut process = Process::start(&command, &dir.join("weaviate.log")).unwrap();
    let ready = format!("http://{http}/v1/.well-known/ready");
    let client = reqwest::Client::new();
    while !client
        .get(&ready)
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
    {
        process.check_starting(START_PATIENCE).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_weaviate_client_finds_photos_by_the_servers_vectors() {
    let (Some(clients), Some(program)) = (Clients::or_skip(), program_or_skip()) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let plugins = r#"[{type = "api-openai"}, {type = "api-weaviate"}]"#;
    let server = Server::start(dir.path(), &[("plugins", plugins)]).await;
    let (http, grpc) = (free_address(), free_address());
    let _weaviate = start(&program, dir.path(), &http, &grpc, &server.url).await;
    let mut command = clients.command("weaviate_client.py", Runtime::Python);
    command.args([&server.url, port(&http), port(&grpc)]);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{stdout}");
    assert!(
        output.status.success() && !stdout.trim().is_empty(),
        "{stdout}{stderr}"
    );
}
