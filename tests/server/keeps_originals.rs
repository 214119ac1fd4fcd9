//! The photos outlive the metadata store, and a backup that is made while uploads run has all that was acknowledged before.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lucida_testkit::{eventually, jpeg};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::process::{Server, run};

/// Uploads a photo with its metadata, and returns its id.
async fn add(server: &Server, bytes: &[u8], name: &str, metadata: Value) -> String {
    let form = Form::new()
        .part("file", Part::bytes(bytes.to_vec()).file_name(name.to_owned()))
        .text("metadata", metadata.to_string());
    let url = format!("{}/v1/photos?wait=true", server.url);
    let answer = server.client.post(url).multipart(form).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    answer.json::<Value>().await.unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn until_ready(server: &Server, id: &str) -> Value {
    let path = format!("/v1/photos/{id}");
    eventually("the photo is ready", async || {
        let photo = server.json(&path).await;
        assert_ne!(photo["state"], "failed", "{photo}");
        photo["state"] == "ready"
    })
    .await;
    server.json(&path).await
}

/// Runs a command, and returns its exit code and what it printed.
fn told(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let output = run(dir, &[], arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    (output.status.code().unwrap(), format!("{text}{errors}"))
}

/// What a user sees of a photo that the metadata store has to know.
fn seen(photo: &Value) -> Vec<Value> {
    let keys = [
        "id",
        "user_id",
        "filename",
        "hash",
        "created_at",
        "taken_at",
        "tags",
        "width",
        "height",
    ];
    keys.iter().map(|key| photo[*key].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_metadata_store_index_and_queue_a_rebuild_brings_every_photo_back() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let metadata = json!({ "tags": ["trip", "Küste"], "taken_at": "2020-02-02T20:20:20Z" });
    let red = add(&server, &jpeg(300, 200, [220, 30, 30]), "Größe 1.jpg", metadata).await;
    let blue = add(&server, &jpeg(300, 200, [30, 30, 220]), "blue.jpg", json!({})).await;
    let gone = add(&server, &jpeg(300, 200, [30, 220, 30]), "gone.jpg", json!({})).await;
    let answer = server
        .client
        .delete(format!("{}/v1/photos/{gone}", server.url))
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 204);
    let edit = json!({ "add_tags": ["sea"], "taken_at": "2021-01-01T00:00:00Z" });
    let url = format!("{}/v1/photos/{blue}", server.url);
    let answer = server.client.patch(url).json(&edit).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut before = BTreeMap::new();
    for id in [&red, &blue] {
        before.insert(id.clone(), seen(&until_ready(&server, id).await));
    }
    assert!(server.stop());

    let data = dir.path().join("data");
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() == "photos" {
            continue;
        }
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
    let (code, text) = told(dir.path(), &["rebuild"]);
    assert!(
        code == 0 && text.contains("2 originals: 2 records made, 0 known already, 0 deleted"),
        "{text}"
    );
    let (code, text) = told(dir.path(), &["rebuild"]);
    assert!(
        code == 0 && text.contains("2 originals: 0 records made, 2 known already"),
        "{text}"
    );
    let server = Server::start(dir.path(), &[]).await;
    for (id, photo) in &before {
        assert_eq!(seen(&until_ready(&server, id).await), *photo);
    }
    let list = server.json("/v1/photos").await;
    assert_eq!(list["photos"].as_array().unwrap().len(), 2);
    for (tag, id) in [("trip", &red), ("sea", &blue)] {
        let query = json!({ "text": "colours", "filter": { "tags": [tag] } });
        let url = format!("{}/v1/search", server.url);
        let found = server.client.post(url).json(&query).send().await.unwrap();
        let found: Value = found.json().await.unwrap();
        let hits = found["hits"].as_array().unwrap();
        assert_eq!(
            (hits.len(), hits[0]["photo"]["id"].as_str()),
            (1, Some(&**id)),
            "{found}"
        );
    }
    assert!(server.stop());
    let (code, text) = told(dir.path(), &["check", "--verify", "--grace-secs", "0"]);
    assert!(
        code == 0 && text.contains("2 originals verified; 0 findings"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_of_the_metadata_store_loses_no_acknowledged_photo() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let first = add(&server, &jpeg(300, 200, [220, 30, 30]), "first.jpg", json!({})).await;
    assert!(server.stop());
    // The next process begins a new journal, in which everything of the second photo is.
    let server = Server::start(dir.path(), &[]).await;
    let second = add(
        &server,
        &jpeg(300, 200, [30, 30, 220]),
        "second.jpg",
        json!({ "tags": ["b"] }),
    )
    .await;
    server.kill();
    let wal = dir.path().join("data/metadata.db-wal");
    let mut file = fs::File::options().read(true).write(true).open(&wal).unwrap();
    // Behind the journal's own head of 32 bytes, in its first frame.
    let mut bytes = [0; 8];
    file.seek(SeekFrom::Start(100)).unwrap();
    file.read_exact(&mut bytes).unwrap();
    file.seek(SeekFrom::Start(100)).unwrap();
    file.write_all(&bytes.map(|byte| !byte)).unwrap();
    drop(file);

    let (code, text) = told(dir.path(), &["check", "--grace-secs", "0"]);
    let original = format!("/{second} (second.jpg, of local)");
    let line = text
        .lines()
        .find(|line| line.starts_with("an original is in storage and in no record: "));
    assert!(
        code == 1 && line.is_some_and(|line| line.ends_with(&original)),
        "{text}"
    );
    assert!(
        text.contains("1 original is in storage and in no record"),
        "{text}"
    );
    // Nothing deletes it.
    let (code, text) = told(dir.path(), &["check", "--repair", "--grace-secs", "0"]);
    assert!(code == 1 && text.contains(&original), "{text}");
    let (code, text) = told(dir.path(), &["rebuild"]);
    assert!(
        code == 0 && text.contains("1 records made, 1 known already"),
        "{text}"
    );
    let server = Server::start(dir.path(), &[]).await;
    until_ready(&server, &first).await;
    assert_eq!(until_ready(&server, &second).await["tags"], json!(["b"]));
}

/// Returns the shell blocks of the README's section about backups.
fn recipe() -> (String, String) {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, section) = readme.split_once("\n## Back up and restore\n").unwrap();
    let mut blocks = section.split("```sh\n").skip(1);
    let mut next = || blocks.next().unwrap().split("```").next().unwrap().to_owned();
    (next(), next())
}

/// Runs a script as somebody who pastes it would, with this build's `lucida`.
fn paste(dir: &Path, script: &str) {
    let bin = dir.join("bin");
    if !bin.exists() {
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_lucida"), bin.join("lucida")).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(dir)
        .env("PATH", path)
        .output()
        .unwrap();
    // Shown where the test fails; `cp` reports files that are being written.
    eprintln!("{}", String::from_utf8_lossy(&output.stdout));
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_backup_has_every_photo_that_was_acknowledged_before_it_began() {
    if Command::new("sqlite3").arg("--version").output().is_err() {
        println!("skipped: the recipe needs the program sqlite3");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let mut acknowledged = Vec::new();
    for number in 0..6_u8 {
        let bytes = jpeg(200, 150, [number * 40, 30, 200 - number * 30]).to_vec();
        let answer = server
            .upload(bytes.clone(), &format!("{number}.jpg"), false)
            .await
            .unwrap();
        assert_eq!(answer.status(), 202);
        let id = answer.json::<Value>().await.unwrap()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        acknowledged.push((id, bytes));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let uploads = {
        let (stop, client, url) = (Arc::clone(&stop), server.client.clone(), server.url.clone());
        tokio::spawn(async move {
            let mut number = 0_u8;
            while !stop.load(Ordering::SeqCst) {
                number = number.wrapping_add(1);
                let bytes = jpeg(160, 100 + u32::from(number), [number, 200, 30]).to_vec();
                let answer = crate::process::upload(&client, &url, bytes, "more.jpg", false).await;
                assert!(answer.unwrap().status().is_success());
            }
            number
        })
    };
    let (backup, restore) = recipe();
    let folder = dir.path().to_owned();
    tokio::task::spawn_blocking(move || paste(&folder, &backup))
        .await
        .unwrap();
    stop.store(true, Ordering::SeqCst);
    let meanwhile = uploads.await.unwrap();
    assert!(meanwhile > 0, "nothing was uploaded during the backup");
    server.kill();

    let (restore, serve) = restore.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(serve, "lucida serve");
    paste(dir.path(), restore);
    let restored = Server::start(&dir.path().join("restored"), &[]).await;
    for (id, bytes) in &acknowledged {
        until_ready(&restored, id).await;
        let original = restored.get(&format!("/v1/photos/{id}/content")).await.unwrap();
        assert!(
            original.bytes().await.unwrap() == *bytes,
            "the original of {id} differs"
        );
    }
    // The index is filled in the background, as after a change of the model.
    for (id, _) in &acknowledged {
        let url = format!("{}/v1/search", restored.url);
        eventually("the photo is found again", async || {
            let query = json!({ "photo_id": id });
            let found = restored.client.post(&url).json(&query).send().await.unwrap();
            found.status() == 200
        })
        .await;
    }
}
