//! A folder of photos is taken in from the command line, without a server, and `lucida check` finds all in order.

#![cfg(all(
    feature = "storage-disk",
    feature = "metadata-sqlite",
    feature = "index-embedded",
    feature = "queue-sqlite",
    feature = "embedder-onnx",
    feature = "plugin-exif",
    feature = "plugin-thumbnail"
))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use image::{ImageFormat, Rgb, RgbImage};

fn lucida(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lucida"))
        .current_dir(folder)
        .args(arguments)
        .args(["--set", "log.filter=warn"])
        .output()
        .unwrap()
}

/// Checks the exit code, and returns what was printed.
fn printed(output: &Output, code: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn photo(path: &Path, shade: u8, format: ImageFormat) {
    RgbImage::from_fn(80, 60, |x, y| {
        Rgb([shade, u8::try_from(x).unwrap(), u8::try_from(y).unwrap()])
    })
    .save_with_format(path, format)
    .unwrap();
}

fn manifests_below(folder: &Path) -> Vec<String> {
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    files
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn a_folder_is_taken_in_once_and_a_missing_blob_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fs::create_dir_all(photos.join("2024/summer")).unwrap();
    photo(&photos.join("a.jpg"), 10, ImageFormat::Jpeg);
    photo(&photos.join("2024/b.png"), 90, ImageFormat::Png);
    photo(&photos.join("2024/summer/c.webp"), 200, ImageFormat::WebP);
    fs::copy(photos.join("a.jpg"), photos.join("2024/copy of a.jpg")).unwrap();
    fs::write(photos.join("notes.txt"), "no picture").unwrap();

    let first = printed(&lucida(folder.path(), &["import", "photos"]), 0);
    assert_eq!(
        first,
        "5 of 5 files: 3 new, 1 there already, 1 no pictures, 0 refused\n\
         of the new photos 3 are ready, 0 failed, 0 wait for a worker\n"
    );
    let again = printed(&lucida(folder.path(), &["import", "photos"]), 0);
    assert!(
        again.starts_with("5 of 5 files: 0 new, 4 there already, 1 no pictures"),
        "{again}"
    );
    let others = printed(
        &lucida(
            folder.path(),
            &[
                "import",
                "photos/2024/summer",
                "--user",
                "alice",
                "--tag",
                "summer",
            ],
        ),
        0,
    );
    assert!(others.starts_with("1 of 1 files: 1 new"), "{others}");

    let check = ["check", "--grace-secs", "0"];
    let report = printed(&lucida(folder.path(), &check), 0);
    assert!(
        report.starts_with("4 photos, 4 vectors, ") && report.ends_with("0 findings, 0 not mended\n"),
        "{report}"
    );

    // The tag reaches the photos that are known already.
    let tagged = [
        "import",
        "photos/2024/summer",
        "--user",
        "alice",
        "--tag",
        "again",
    ];
    let tagged = printed(&lucida(folder.path(), &tagged), 0);
    assert!(
        tagged.starts_with("1 of 1 files: 0 new, 1 there already"),
        "{tagged}"
    );
    let manifests = folder.path().join("data/photos/manifests");
    let both = manifests_below(&manifests)
        .into_iter()
        .filter(|text| text.contains("\"summer\"") && text.contains("\"again\""));
    assert_eq!(both.count(), 1);

    // All originals are lost but the records and the vectors stay: a repair says so, by name, as long as it takes.
    fs::remove_dir_all(folder.path().join("data/photos/originals")).unwrap();
    for repair in [&check[..], &["check", "--repair"], &["check", "--repair"]] {
        let report = printed(&lucida(folder.path(), repair), 1);
        let mut names: Vec<_> = report
            .lines()
            .filter_map(|line| line.strip_prefix("a photo's original is missing: "))
            .filter_map(|subject| subject.split_once(' '))
            .map(|(_, name)| name)
            .collect();
        names.sort_unstable();
        // Of two files with the same bytes either may have come first.
        assert_eq!(names.len(), 4, "{report}");
        names.retain(|name| !name.ends_with("a.jpg)"));
        assert_eq!(names, ["(b.png)", "(c.webp)", "(c.webp)"], "{report}");
        assert!(
            report.contains(
                "; 4 findings, 4 not mended\n4 originals are missing and 0 are damaged: restore them"
            ),
            "{report}"
        );
    }
}

#[test]
fn a_broken_photo_is_named_and_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.jpg");
    photo(&path, 10, ImageFormat::Jpeg);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let output = lucida(folder.path(), &["import", "."]);
    let summary = printed(&output, 1);
    assert!(
        summary.starts_with("1 of 1 files: 0 new, 0 there already, 0 no pictures, 1 refused"),
        "{summary}"
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("cut.jpg: the file ends before"), "{errors}");
}
