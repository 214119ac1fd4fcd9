//! What is said of a server that doesn't start.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use lucida_test_servers::{Kind, Programs, Server};

#[test]
fn a_server_that_ends_is_told_with_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("minio/minio");
    fs::create_dir(folder.path().join("minio")).unwrap();
    fs::write(&program, "#!/bin/sh\necho the disk is on fire >&2\nexit 3\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

    let programs = Programs::new(folder.path().into(), None);
    let error = Server::start(Kind::Minio, &programs).unwrap_err().to_string();
    assert!(
        error.starts_with("MinIO did not start: cannot connect to port"),
        "{error}"
    );
    assert!(error.contains("; it ended (exit status: 3) after "), "{error}");
    assert!(
        error.ends_with("the end of its log:\nthe disk is on fire"),
        "{error}"
    );
}

#[test]
fn a_program_that_is_missing_is_told_with_what_installs_it() {
    let programs = Programs::new("/no/such/folder".into(), None);
    let error = Server::start(Kind::Ferretdb, &programs).unwrap_err().to_string();
    assert_eq!(
        error,
        "no FerretDB in /no/such/folder/ferretdb/ferretdb: `cargo xtask servers` installs it"
    );
}
