//! The commands of the README's first five minutes, as they stand there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::Server;

/// Returns the first block of commands below a heading.
fn commands_below(heading: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, section) = readme.split_once(heading).unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

fn has(program: &str) -> bool {
    let version = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_five_minutes_of_the_readme_work_when_they_are_pasted() {
    if let Some(missing) = ["curl", "jq"].into_iter().find(|program| !has(program)) {
        eprintln!("skipped: needs the program `{missing}`");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    // Where the reader stands: the root of the repository, after a release build.
    let here = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::os::unix::fs::symlink(root.join("examples"), here.path().join("examples")).unwrap();
    fs::create_dir_all(here.path().join("target/release")).unwrap();
    std::os::unix::fs::symlink(
        env!("CARGO_BIN_EXE_lucida"),
        here.path().join("target/release/lucida"),
    )
    .unwrap();
    let commands = commands_below("## Five minutes with curl").replace("http://127.0.0.1:8080", &server.url);
    let output = Command::new("bash")
        .current_dir(here.path())
        .args(["-euo", "pipefail", "-c", &commands])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "\"ready\"");
    // The first hit for "a cat" and for the cat's face is the cat.
    assert!(
        lines.iter().filter(|line| line.contains("\"cat.jpg\"")).count() >= 3,
        "{told}"
    );
    assert!(told.contains("\"width\": 451"), "{told}");
    assert!(
        told.contains("4 of 4 files: 3 new, 1 already in the library"),
        "{told}"
    );
    let original = fs::read(root.join("examples/photos/cat.jpg")).unwrap();
    assert_eq!(fs::read(here.path().join("original.jpg")).unwrap(), original);
    assert!(fs::metadata(here.path().join("preview.jpg")).unwrap().len() > 1000);
}
