//! Photos in, words typed, the right photo back: the starter model on the photos of scikit-image and scikit-learn.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::process::Server;

/// What is typed, and the photos of which one must come first.
const WORDS: [(&str, &[&str]); 10] = [
    ("cat", &["chelsea"]),
    ("coffee", &["coffee"]),
    ("rocket", &["rocket"]),
    ("motorcycle", &["motorcycle_left", "motorcycle_right"]),
    ("flower", &["flower"]),
    ("temple", &["china"]),
    ("page", &["page", "text"]),
    ("horse", &["horse"]),
    ("grass", &["grass"]),
    ("brick wall", &["brick"]),
];

/// How many of the words must find their photo first.
const ENOUGH: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn words_find_their_photo_first() {
    let Some(folder) = std::env::var_os("LUCIDA_TEST_PHOTOS").map(PathBuf::from) else {
        println!("skipped: LUCIDA_TEST_PHOTOS is not set (`cargo xtask test` sets it)");
        assert!(std::env::var_os("CI").is_none(), "CI must not skip this test");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let mut names = BTreeMap::new();
    for path in photos_below(&folder) {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let filename = path.file_name().unwrap().to_str().unwrap();
        let answer = server
            .upload(std::fs::read(&path).unwrap(), filename, true)
            .await
            .unwrap();
        let status = answer.status();
        // What is no photo, or not of a kind that is read, is told so.
        if [415, 422].contains(&status.as_u16()) {
            println!("{filename}: {}", answer.text().await.unwrap());
            continue;
        }
        let photo: serde_json::Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{filename}: {photo}");
        names.insert(photo["id"].as_str().unwrap().to_owned(), stem);
    }
    assert!(
        names.len() >= 20,
        "only {} photos in {}",
        names.len(),
        folder.display()
    );

    let mut right = 0;
    for (word, expected) in WORDS {
        let found = server.search_text(word, 3).await;
        let hits = found["hits"].as_array().unwrap();
        let found: Vec<_> = hits
            .iter()
            .map(|hit| names[hit["photo"]["id"].as_str().unwrap()].as_str())
            .collect();
        let first = expected.contains(&found[0]);
        right += usize::from(first);
        println!("{word}: {found:?}{}", if first { "" } else { "  <- not first" });
    }
    assert!(
        right >= ENOUGH,
        "only {right} of {} words found their photo first",
        WORDS.len()
    );

    // More like this one: the motorcycle's other view is nearest to it.
    let left = names
        .iter()
        .find(|(_, name)| *name == "motorcycle_left")
        .map(|(id, _)| id);
    let body = serde_json::json!({ "photo_id": left.unwrap(), "limit": 1 });
    let answer = server
        .client
        .post(format!("{}/v1/search", server.url))
        .json(&body)
        .send()
        .await
        .unwrap();
    let found: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(
        names[found["hits"][0]["photo"]["id"].as_str().unwrap()],
        "motorcycle_right"
    );
    assert!(server.stop());
}

fn photos_below(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let extension = path
                .extension()
                .and_then(|extension| extension.to_str())
                .unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if ["jpg", "jpeg", "png", "tif", "tiff", "gif", "webp", "bmp"].contains(&extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
