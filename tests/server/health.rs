//! `lucida health`, as a container's health check runs it: with the settings of the process that it asks.

use std::path::Path;
use std::time::Duration;

use lucida_test_servers::Process;
use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::process::{command, free_address, run};

/// How long a process may take to get ready, on a machine that is busy with other tests.
const START_PATIENCE: Duration = Duration::from_secs(60);

const KEYS: &str = r#"[{name = "a", key = "a-long-random-word", user = "alice", scopes = ["read"]}]"#;

type Settings<'a> = Vec<(&'a str, &'a str)>;

/// Asks with arguments after `health`; returns the exit code and all that was printed.
fn health(dir: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> (i32, String) {
    let output = run(dir, settings, &[&["health"], arguments].concat());
    let printed = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&printed).into_owned(),
    )
}

/// Starts a server, and waits until `health` finds it ready with the same settings.
fn start(dir: &Path, settings: &[(&str, &str)]) -> Process {
    let mut command = command(dir, settings);
    command.arg("serve");
    let mut process = Process::start(&command, &dir.join("server.log")).unwrap();
    while health(dir, settings, &["--ready"]).0 != 0 {
        process.check_starting(START_PATIENCE).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    process
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

#[test]
fn a_server_is_asked_where_it_listens_with_tls_below_a_path_and_behind_a_proxys_variables() {
    let dir = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["photos.example.com".to_owned()]).unwrap();
    std::fs::write(dir.path().join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(dir.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
    let tls = [
        ("server.tls_certificate_file", "cert.pem"),
        ("server.tls_key_file", "key.pem"),
    ];
    let address = free_address();
    let everywhere = [
        format!("0.0.0.0:{}", port(&address)),
        format!("[::]:{}", port(&address)),
    ];
    for (listen, more) in [
        (address.as_str(), Settings::new()),
        (port(&address), tls.to_vec()),
        (
            &everywhere[0],
            vec![("auth.keys", KEYS), ("server.base_path", "/photos")],
        ),
        (&everywhere[1], [&tls[..], &[("auth.keys", KEYS)]].concat()),
    ] {
        let settings = [&[("server.listen", listen)], &more[..]].concat();
        let mut process = start(dir.path(), &settings);
        assert_eq!(
            health(dir.path(), &settings, &[]),
            (0, "alive\n".to_owned()),
            "{settings:?}"
        );
        let mut asked = command(dir.path(), &settings);
        asked.arg("health").envs([
            ("http_proxy", "http://127.0.0.1:1"),
            ("https_proxy", "http://127.0.0.1:1"),
        ]);
        assert!(asked.output().unwrap().status.success());
        process.kill().unwrap();
        let (code, printed) = health(dir.path(), &settings, &["--timeout-secs", "1"]);
        assert_eq!(code, 1, "{printed}");
        assert!(
            printed.contains("no answer from http") && printed.contains("/healthz"),
            "{printed}"
        );
    }
}

#[test]
fn a_server_that_is_alive_and_not_ready_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let address = free_address();
    let settings = [("server.listen", &*address)];
    let _server = start(dir.path(), &settings);
    // The same place by a flag, for a process that was started with one.
    assert_eq!(health(dir.path(), &[], &["--listen", &address]).0, 0);
    let photos = dir.path().join("data/photos");
    std::fs::rename(&photos, dir.path().join("data/unplugged")).unwrap();
    std::fs::write(photos, "").unwrap();
    let (code, printed) = health(dir.path(), &settings, &["--ready"]);
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.contains("503") && printed.contains("not ready: storage"),
        "{printed}"
    );
    assert_eq!(health(dir.path(), &settings, &[]).0, 0);
}

#[test]
fn what_nobody_can_ask_is_a_wrong_configuration() {
    let dir = tempfile::tempdir().unwrap();
    for (settings, arguments, says) in [
        (
            vec![("server.listen", "127.0.0.1:0")],
            &[][..],
            "server.listen: is port 0",
        ),
        (Settings::new(), &["--worker"], "worker.listen: is not set"),
        (Settings::new(), &["--listen", "nowhere"], "server.listen"),
    ] {
        let (code, printed) = health(dir.path(), &settings, arguments);
        assert_eq!(code, 2, "{printed}");
        assert!(printed.contains(says), "{printed}");
    }
}
