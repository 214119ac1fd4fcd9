//! Servers in containers, with a script in the place of `docker` that records how it is called.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use lucida_test_servers::{Container, Docker, Kind};

/// The script `docker.sh`, linked into a folder.
struct Script {
    folder: tempfile::TempDir,
}

impl Script {
    /// Lets `run` run these commands, and containers publish `port`.
    fn new(port: u16, run: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker.sh");
        symlink(script, folder.path().join("docker")).unwrap();
        fs::write(folder.path().join("run"), run).unwrap();
        fs::write(folder.path().join("port"), port.to_string()).unwrap();
        Self { folder }
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("docker")
    }

    fn docker(&self) -> Docker {
        Docker::at(self.program()).unwrap()
    }

    /// Returns the calls of a subcommand, without it.
    fn calls(&self, subcommand: &str) -> Vec<String> {
        let calls = fs::read_to_string(self.folder.path().join("calls")).unwrap();
        let prefix = format!("{subcommand} ");
        let of_it = calls.lines().filter_map(|call| call.strip_prefix(&prefix));
        of_it.map(str::to_owned).collect()
    }
}

/// Answers handshakes as a broker does, on a port that it returns.
fn broker() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut greeting = [0; 8];
            if stream.read_exact(&mut greeting).is_ok() {
                let _ = stream.write_all(&[1, 0, 0, 0, 0, 0, 0, 0, 10, 0, 10]);
            }
        }
    });
    port
}

#[test]
fn a_container_is_published_on_loopback_and_removed_at_the_end() {
    let port = broker();
    let script = Script::new(port, "exec sleep 600");
    let container: Container = script.docker().start(Kind::Rabbitmq).unwrap();
    let url = format!("amqp://lucida-test:lucida-test-secret@127.0.0.1:{port}/%2f");
    assert_eq!(container.variables(), [("LUCIDA_TEST_RABBITMQ_URI", url)]);

    let runs = script.calls("run");
    let [run] = runs.as_slice() else {
        panic!("run was called so: {runs:?}");
    };
    assert!(run.contains("--publish 127.0.0.1::5672 "), "{run}");
    let image = run.split(' ').next_back().unwrap();
    let (name, version) = image.split_once(':').expect("the image has a version");
    assert!(name == "rabbitmq" && version != "latest", "{image}");
    let container_name = run
        .split(' ')
        .skip_while(|word| *word != "--name")
        .nth(1)
        .unwrap();
    assert!(script.calls("rm").is_empty());

    drop(container);
    assert_eq!(
        script.calls("rm"),
        [format!("--force --volumes {container_name}")]
    );
}

#[test]
fn a_container_that_does_not_start_is_reported_with_its_log_and_removed() {
    let script = Script::new(1, "echo no space left on device >&2; exit 125");
    let error = script.docker().start(Kind::Mongodb).unwrap_err().to_string();
    assert!(
        error.starts_with("MongoDB did not start in a container: "),
        "{error}"
    );
    assert!(
        error.ends_with("the end of its log:\nno space left on device"),
        "{error}"
    );
    assert_eq!(script.calls("rm").len(), 1);
}

#[test]
fn without_an_engine_that_answers_there_is_no_docker() {
    assert!(Docker::at(Path::new("/no/such/docker").into()).is_none());
    // `docker version` fails, too, where no engine answers it.
    assert!(Docker::at("false".into()).is_none());
}
