//! Folders of photos are imported into a running server.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use image::{ImageFormat, Rgb, RgbImage};
use lucida_test_servers::Process;
use serde_json::Value;

use super::process::{Server, free_address, run};

/// How long something may take that happens in another process.
const PATIENCE: Duration = Duration::from_secs(180);

const KEY: &str = "a-key-for-tests";

fn photo(path: &Path, shade: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_fn(80, 60, |x, y| {
        Rgb([shade, u8::try_from(x).unwrap(), u8::try_from(y).unwrap()])
    })
    .save_with_format(path, ImageFormat::Jpeg)
    .unwrap();
}

fn printed(output: &Output, code: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A server that asks for a key, whose file is beside its data.
async fn server_with_key(dir: &Path) -> Server {
    fs::write(dir.join("key"), format!("{KEY}\n")).unwrap();
    let config = r#"
        [[auth.keys]]
        name = "laptop"
        key_file = "key"
        user = "alice"
        scopes = ["read", "write"]
    "#;
    fs::write(dir.join("lucida.toml"), config).unwrap();
    Server::start(dir, &[("config", "lucida.toml")]).await
}

async fn photos_of_alice(server: &Server) -> Vec<Value> {
    let answer = server
        .client
        .get(format!("{}/v1/photos?limit=100", server.url))
        .header("x-api-key", KEY)
        .send()
        .await
        .unwrap();
    let list: Value = answer.json().await.unwrap();
    list["photos"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_imported_into_a_running_server_with_its_folders_as_tags() {
    let dir = tempfile::tempdir().unwrap();
    let server = server_with_key(dir.path()).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let photos = elsewhere.path().join("photos");
    photo(&photos.join("a.jpg"), 10);
    // A mark of direction in a name must not get into a tag: the server refuses it there.
    photo(&photos.join("2024/Sommer\u{200F} am Meer/Käse \"€\" %41.jpg"), 20);
    fs::write(photos.join("broken.jpg"), "").unwrap();
    fs::copy(dir.path().join("key"), elsewhere.path().join("key")).unwrap();

    let import = [
        "import",
        "photos",
        "--server",
        &server.url,
        "--key-file",
        "key",
        "--folder-tags",
    ];
    let import = [import.as_slice(), &["--tag", "family"]].concat();
    let output = run(elsewhere.path(), &[], &import);
    assert_eq!(
        printed(&output, 1),
        "3 of 3 files: 2 new, 0 already in the library, 0 not pictures, 1 refused\n\
         embedding: 2 ready, 0 failed, 0 waiting\n"
    );
    assert_eq!(
        errors(&output),
        "not imported:\n  photos/broken.jpg: the file is empty\n"
    );
    assert!(!elsewhere.path().join("data").exists());

    let mut found: Vec<_> = photos_of_alice(&server)
        .await
        .iter()
        .map(|photo| {
            (
                photo["filename"].clone(),
                photo["tags"].clone(),
                photo["state"].clone(),
            )
        })
        .collect();
    found.sort_by_key(|(name, ..)| name.to_string());
    assert_eq!(
        found,
        [
            (
                serde_json::json!("Käse \"€\" %41.jpg"),
                serde_json::json!(["2024", "Sommer am Meer", "family"]),
                serde_json::json!("ready")
            ),
            (
                serde_json::json!("a.jpg"),
                serde_json::json!(["family"]),
                serde_json::json!("ready")
            ),
        ]
    );

    // Again: nothing is new, and a further tag reaches the photos that are there.
    let again = [import.as_slice(), &["--tag", "again"]].concat();
    let again = run(elsewhere.path(), &[], &again);
    assert!(
        printed(&again, 1).starts_with("3 of 3 files: 0 new, 2 already in the library"),
        "{again:?}"
    );
    for photo in photos_of_alice(&server).await {
        let tags: Vec<&str> = photo["tags"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert!(tags.contains(&"family") && tags.contains(&"again"), "{tags:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_beside_a_server_names_the_command_that_imports_through_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = server_with_key(dir.path()).await;
    photo(&dir.path().join("my photos/a.jpg"), 10);
    let listen = format!("server.listen={}", server.url.trim_start_matches("http://"));
    let settings = [("config", "lucida.toml")];
    let output = run(
        dir.path(),
        &settings,
        &["import", "my photos", "--tag", "it's", "--set", &listen],
    );
    printed(&output, 1);
    let expected = format!(
        "\n  lucida import 'my photos' --tag 'it'\\''s' --server {} --key-file key\n",
        server.url
    );
    let said = errors(&output);
    assert!(
        said.contains("a server answers at") && said.ends_with(&expected),
        "{said}"
    );

    // The line is right.
    let command = expected
        .trim()
        .replacen("lucida", env!("CARGO_BIN_EXE_lucida"), 1);
    let output = Command::new("sh")
        .current_dir(dir.path())
        .args(["-c", &command])
        .output()
        .unwrap();
    assert!(
        printed(&output, 0).starts_with("1 of 1 files: 1 new"),
        "{output:?}"
    );

    // Where no server answers at the configured address its own address isn't known.
    let other = format!("server.listen={}", free_address());
    let output = run(dir.path(), &settings, &["import", "my photos", "--set", &other]);
    assert!(
        errors(&output).ends_with("\n  lucida import 'my photos' --server http://HOST:PORT --key-file key\n"),
        "{}",
        errors(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_wrong_key_and_a_wrong_address_end_the_import_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let server = server_with_key(dir.path()).await;
    photo(&dir.path().join("photos/a.jpg"), 10);
    photo(&dir.path().join("photos/b.jpg"), 20);
    fs::write(dir.path().join("wrong"), "another-key").unwrap();
    let import = |arguments: &[&str]| {
        let arguments = [["import", "photos"].as_slice(), arguments].concat();
        run(dir.path(), &[], &arguments)
    };

    let without = import(&["--server", &server.url]);
    assert_eq!(without.status.code(), Some(1));
    let said = errors(&without);
    assert!(said.contains("asks for a key: pass --key-file FILE"), "{said}");
    let wrong = import(&["--server", &server.url, "--key-file", "wrong"]);
    assert!(
        errors(&wrong).contains("refuses the key of --key-file"),
        "{wrong:?}"
    );
    let nobody = import(&["--server", &format!("http://{}", free_address())]);
    assert!(
        errors(&nobody).contains("no server answers at http://127.0.0.1:"),
        "{nobody:?}"
    );
    let prefix = import(&["--server", &format!("{}/elsewhere", server.url)]);
    assert!(errors(&prefix).contains("GET /healthz gives 404"), "{prefix:?}");
    let no_url = import(&["--server", "127.0.0.1:8080"]);
    assert_eq!(no_url.status.code(), Some(2));
    assert!(errors(&no_url).starts_with("--server: "), "{no_url:?}");
    assert!(photos_of_alice(&server).await.is_empty());
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_watched_folder_is_imported_as_photos_come_until_ctrl_c() {
    let dir = tempfile::tempdir().unwrap();
    let server = server_with_key(dir.path()).await;
    let photos = dir.path().join("photos");
    photo(&photos.join("a.jpg"), 10);
    let mut command = Command::new(env!("CARGO_BIN_EXE_lucida"));
    command
        .current_dir(dir.path())
        .args(["import", "photos", "--watch", "--server", &server.url])
        .args(["--key-file", "key"]);
    let mut import = Process::start(&command, &dir.path().join("import.log")).unwrap();
    let count = |wanted: usize| {
        let server = &server;
        async move {
            let started = Instant::now();
            while photos_of_alice(server).await.len() < wanted {
                assert!(started.elapsed() < PATIENCE, "{wanted} photos did not come");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    };
    count(1).await;
    photo(&photos.join("later/b.jpg"), 20);
    count(2).await;
    // The same name with other bytes is another photo.
    photo(&photos.join("later/b.jpg"), 30);
    count(3).await;
    import.interrupt().unwrap();
    assert_eq!(import.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_import_waits_for_a_server_that_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let listen = free_address();
    let address = format!("server.listen={listen}");
    let start = async || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lucida"));
        command.current_dir(dir.path()).args(["serve", "--set", &address]);
        Server::spawn(command, dir.path(), &listen).await
    };
    let server = start().await;
    for shade in 0..40 {
        photo(&dir.path().join(format!("photos/{shade}.jpg")), shade);
    }
    let child = Command::new(env!("CARGO_BIN_EXE_lucida"))
        .current_dir(dir.path())
        .args([
            "import",
            "photos",
            "--server",
            &server.url,
            "--report",
            "report.jsonl",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let report = dir.path().join("report.jsonl");
    let started = Instant::now();
    while !fs::read_to_string(&report).is_ok_and(|report| report.contains("ready")) {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.kill();
    let server = start().await;
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap())
        .await
        .unwrap();
    let summary = printed(&output, 0);
    assert!(
        summary.ends_with("embedding: 40 ready, 0 failed, 0 waiting\n"),
        "{summary}"
    );
    let stats = server.json("/v1/stats").await;
    assert_eq!(stats["photos"]["ready"], 40);
}
