//! Photos in, words typed, the right photo back: the starter model on the photos of scikit-image and scikit-learn.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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

/// Photos by name, and queries for them in each of [`FLOORS`]' languages.
const QUERIES: &str = include_str!("queries.tsv");

/// Each language's mean reciprocal rank at least, a little below what is measured. English is what it was before the
/// starter read other languages, whose mean was 0.27 then.
const FLOORS: [(&str, f64); 15] = [
    ("en", 0.82),
    ("de", 0.65),
    ("fr", 0.61),
    ("es", 0.65),
    ("it", 0.57),
    ("pt", 0.62),
    ("nl", 0.59),
    ("pl", 0.50),
    ("tr", 0.45),
    ("ru", 0.64),
    ("ar", 0.51),
    ("hi", 0.56),
    ("zh", 0.63),
    ("ja", 0.66),
    ("ko", 0.55),
];

#[tokio::test(flavor = "multi_thread")]
async fn words_find_their_photo_first() {
    let Some(folder) = test_photos() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let names = upload_all(&server, &folder).await;

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

#[tokio::test(flavor = "multi_thread")]
async fn words_of_fifteen_languages_find_their_photos() {
    let Some(folder) = test_photos() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]).await;
    let names = upload_all(&server, &folder).await;

    let mut lines = QUERIES.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let languages = lines.next().unwrap();
    let queries: Vec<_> = lines.collect();
    let mut low = Vec::new();
    for ((language, floor), column) in FLOORS.into_iter().zip(1..) {
        assert_eq!(languages[column], language, "the columns are those of FLOORS");
        let mut sum = 0.0;
        for query in &queries {
            let expected: Vec<_> = query[0].split(',').collect();
            sum += reciprocal_rank(&server, &names, query[column], &expected).await;
        }
        let mean = sum / f64::from(u32::try_from(queries.len()).unwrap());
        println!("{language}: {mean:.3}");
        if mean < floor {
            low.push(format!("{language}: {mean:.3}, at least {floor} is expected"));
        }
    }
    assert!(low.is_empty(), "{low:?}");
    assert!(server.stop());
}

/// One by the place of the first of the `expected` photos.
async fn reciprocal_rank(
    server: &Server,
    names: &BTreeMap<String, String>,
    text: &str,
    expected: &[&str],
) -> f64 {
    let found = server.search_text(text, names.len()).await;
    let hits = found["hits"].as_array().unwrap();
    let is_expected = |hit: &serde_json::Value| {
        let name = names[hit["photo"]["id"].as_str().unwrap()].as_str();
        expected.contains(&name)
    };
    let place = hits.iter().position(is_expected).unwrap();
    1.0 / f64::from(u32::try_from(place + 1).unwrap())
}

/// The folder of photos; `None`, with the reason in the output, without it.
fn test_photos() -> Option<PathBuf> {
    let folder = std::env::var_os("LUCIDA_TEST_PHOTOS").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: LUCIDA_TEST_PHOTOS is not set (`cargo xtask test` sets it)");
        assert!(std::env::var_os("CI").is_none(), "CI must not skip this test");
    }
    folder
}

/// Uploads every photo of the folder, and returns their names by id.
async fn upload_all(server: &Server, folder: &Path) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for path in photos_below(folder) {
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let filename = path.file_name().unwrap().to_str().unwrap();
        let answer = server
            .upload(std::fs::read(&path).unwrap(), filename, true)
            .await
            .unwrap();
        let status = answer.status();
        // A file that is not a photo, or of a format that is not read, is refused.
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
    names
}

fn photos_below(folder: &Path) -> Vec<PathBuf> {
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
