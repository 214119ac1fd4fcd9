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
        "5 of 5 files: 3 new, 1 already in the library, 1 not pictures, 0 refused\n\
         embedding: 3 ready, 0 failed, 0 waiting\n"
    );
    let again = printed(&lucida(folder.path(), &["import", "photos"]), 0);
    assert_eq!(
        again,
        "5 of 5 files: 0 new, 4 already in the library, 1 not pictures, 0 refused\n"
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
        report.starts_with("4 photos, 4 vectors, ") && report.ends_with("0 findings, 0 not repaired\n"),
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
        tagged.starts_with("1 of 1 files: 0 new, 1 already in the library"),
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
                "; 4 findings, 4 not repaired\n4 originals are missing and 0 originals are damaged: restore them"
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
        summary.starts_with("1 of 1 files: 0 new, 0 already in the library, 0 not pictures, 1 refused\n"),
        "{summary}"
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.starts_with("not imported:\n  ./cut.jpg: the file ends before"),
        "{errors}"
    );
}

/// A folder so deep that its path is longer than the system takes, so that nobody can read it, root neither.
#[cfg(unix)]
fn unreadable_folder(below: &Path) {
    let name = "d".repeat(250);
    let half: std::path::PathBuf = std::iter::repeat_n(name.as_str(), 9).collect();
    for half_of in ["upper", "lower"] {
        fs::create_dir_all(below.join(half_of).join(&half)).unwrap();
    }
    // Each path that is used here is short enough.
    fs::rename(below.join("lower"), below.join("upper").join(half).join("lower")).unwrap();
}

#[cfg(unix)]
#[test]
fn a_folder_with_a_subfolder_that_cannot_be_read_is_imported_without_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    let locked = photos.join("locked");
    fs::create_dir_all(&locked).unwrap();
    photo(&photos.join("a.jpg"), 10, ImageFormat::Jpeg);
    photo(&locked.join("b.jpg"), 20, ImageFormat::Jpeg);
    unreadable_folder(&photos);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let is_root = fs::read_dir(&locked).is_ok();
    let output = lucida(folder.path(), &["import", "photos", "--report", "report.jsonl"]);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();

    let summary = printed(&output, 1);
    let errors = String::from_utf8_lossy(&output.stderr);
    let (new, unreadable) = if is_root { (2, 1) } else { (1, 2) };
    assert!(summary.contains(&format!("{new} new")), "{summary}");
    assert!(
        summary.ends_with(&format!("could not be read: {unreadable}\n")),
        "{summary}"
    );
    assert!(errors.contains("dd: its path is too long\n"), "{errors}");
    if is_root {
        eprintln!("not tried: root reads folders without permission");
    } else {
        assert!(
            errors.contains("  photos/locked: permission denied\n"),
            "{errors}"
        );
    }
    let report = fs::read_to_string(folder.path().join("report.jsonl")).unwrap();
    assert_eq!(report.matches(r#""outcome":"unreadable""#).count(), unreadable);
}

#[test]
fn what_was_left_out_is_counted_and_what_was_refused_is_named_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    for below in ["@eaDir/a.jpg", "raw"] {
        fs::create_dir_all(photos.join(below)).unwrap();
    }
    photo(&photos.join("a.jpg"), 10, ImageFormat::Jpeg);
    photo(&photos.join("@eaDir/a.jpg/thumb.jpg"), 11, ImageFormat::Jpeg);
    photo(&photos.join("._a.jpg"), 12, ImageFormat::Jpeg);
    photo(&photos.join("raw/b.jpg"), 13, ImageFormat::Jpeg);
    fs::write(photos.join("Thumbs.db"), "x").unwrap();
    fs::write(photos.join("c.NEF"), "raw bytes of a camera").unwrap();
    fs::write(photos.join("empty.jpg"), "").unwrap();
    // The first bytes of a film, as a phone keeps one beside each photo.
    fs::write(photos.join("clip.mov"), b"\0\0\0\x14ftypqt  \0\0\0\0qt  ").unwrap();
    fs::write(photos.join("clip.MP4"), "moving").unwrap();

    let arguments = [
        "import",
        "photos",
        "--exclude",
        "/raw/",
        "--exclude",
        "*.mp4",
        "--report",
        "r.jsonl",
    ];
    let output = lucida(folder.path(), &arguments);
    assert_eq!(
        printed(&output, 1),
        "4 of 4 files: 1 new, 0 already in the library, 1 not pictures, 2 refused\n\
         embedding: 1 ready, 0 failed, 0 waiting\n\
         left out: 3 files and 2 folders (hidden, of the system, previews of other programs, or by --exclude)\n"
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("  photos/c.NEF: ") && errors.contains("  photos/empty.jpg: the file is empty\n"),
        "{errors}"
    );
    assert!(errors.ends_with("not pictures:\n  photos/clip.mov\n"), "{errors}");
    let report = fs::read_to_string(folder.path().join("r.jsonl")).unwrap();
    let mut outcomes: Vec<(String, String)> = report
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            (text("path"), format!("{} {}", text("outcome"), text("code")))
        })
        .collect();
    outcomes.sort();
    let expected = [
        ("photos/a.jpg", "ready "),
        ("photos/c.NEF", "refused not_an_image"),
        ("photos/clip.mov", "not_a_picture unsupported_image_type"),
        ("photos/empty.jpg", "refused empty_file"),
    ];
    assert_eq!(
        outcomes,
        expected.map(|(path, outcome)| (path.to_owned(), outcome.to_owned()))
    );

    let wrong = lucida(folder.path(), &["import", "photos", "--exclude", "{a,b"]);
    assert_eq!(wrong.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&wrong.stderr);
    assert!(errors.starts_with("--exclude: "), "{errors}");
}

#[cfg(unix)]
#[test]
fn pipes_sockets_links_and_odd_names_neither_stop_nor_hang_an_import() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    fs::create_dir_all(photos.join("new\nline")).unwrap();
    photo(&photos.join("new\nline/a.jpg"), 10, ImageFormat::Jpeg);
    photo(
        &photos.join(OsStr::from_bytes(b"caf\xe9.jpg")),
        20,
        ImageFormat::Jpeg,
    );
    photo(&photos.join("Käse \"€\" %41.jpg"), 30, ImageFormat::Jpeg);
    fs::write(photos.join("bad\u{1b}[31m\n.jpg"), "").unwrap();
    let fifo = Command::new("mkfifo")
        .arg(photos.join("pipe.jpg"))
        .status()
        .unwrap();
    assert!(fifo.success());
    let _socket = std::os::unix::net::UnixListener::bind(photos.join("socket")).unwrap();
    symlink("../photos", photos.join("loop")).unwrap();
    symlink("self", photos.join("self")).unwrap();
    symlink("nothing", photos.join("dangling.jpg")).unwrap();

    let output = lucida(folder.path(), &["import", "photos"]);
    let summary = printed(&output, 1);
    assert!(
        summary.starts_with("4 of 4 files: 3 new, 0 already in the library, 0 not pictures, 1 refused\n"),
        "{summary}"
    );
    assert!(
        summary.contains("not followed: 1 link to a folder; name their targets to import them\n"),
        "{summary}"
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    for line in [
        "  photos/bad\\u{1b}[31m\\n.jpg: the file is empty\n",
        "  photos/pipe.jpg: not a regular file but a pipe, a socket or a device\n",
        "  photos/socket: not a regular file but a pipe, a socket or a device\n",
        "  photos/dangling.jpg: the link leads nowhere: ",
        "  photos/self: the link leads nowhere: ",
    ] {
        assert!(errors.contains(line), "{line}\nis not in\n{errors}");
    }
    assert!(!errors.contains('\u{1b}'), "{errors}");
}

#[test]
fn a_library_inside_the_folder_is_not_imported_into_itself() {
    let folder = tempfile::tempdir().unwrap();
    photo(&folder.path().join("a.jpg"), 10, ImageFormat::Jpeg);
    // A photo whose name only begins like a file of the library.
    fs::create_dir(folder.path().join("data")).unwrap();
    photo(&folder.path().join("data/metadata.db.jpg"), 20, ImageFormat::Jpeg);
    printed(&lucida(folder.path(), &["import", "."]), 0);
    let again = printed(&lucida(folder.path(), &["import", "."]), 0);
    assert!(
        again.starts_with("2 of 2 files: 0 new, 2 already in the library"),
        "{again}"
    );
}

#[test]
fn the_report_and_the_log_may_be_written_into_the_imported_folder() {
    let folder = tempfile::tempdir().unwrap();
    photo(&folder.path().join("a.jpg"), 10, ImageFormat::Jpeg);
    let import = ["import", ".", "--report", "report", "--log-file", "./log"];
    for summary in [
        "1 of 1 files: 1 new",
        "1 of 1 files: 0 new, 1 already in the library",
    ] {
        let text = printed(&lucida(folder.path(), &import), 0);
        assert!(text.starts_with(summary), "{text}");
    }
    let report = fs::read_to_string(folder.path().join("report")).unwrap();
    assert_eq!(report.lines().count(), 1, "{report}");
}

#[test]
fn a_library_in_memory_is_refused_since_it_would_end_with_the_import() {
    let folder = tempfile::tempdir().unwrap();
    photo(&folder.path().join("a.jpg"), 10, ImageFormat::Jpeg);
    for role in ["storage", "metadata"] {
        let output = lucida(
            folder.path(),
            &["import", "a.jpg", "--set", &format!("{role}.type=memory")],
        );
        printed(&output, 2);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            errors.starts_with(&format!("{role}.type: `memory` forgets")),
            "{errors}"
        );
        assert!(!folder.path().join("data").exists(), "nothing was created");
    }
}

#[test]
fn a_path_that_does_not_exist_is_named_and_single_files_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    photo(&folder.path().join("a.jpg"), 10, ImageFormat::Jpeg);
    photo(&folder.path().join("b.jpg"), 20, ImageFormat::Jpeg);
    let one = printed(&lucida(folder.path(), &["import", "b.jpg"]), 0);
    assert!(one.starts_with("1 of 1 files: 1 new"), "{one}");
    let output = lucida(folder.path(), &["import", "a.jpg", "Fotos"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("can't import Fotos: no such file or folder"),
        "{errors}"
    );
}

#[test]
fn the_log_is_kept_out_of_what_an_import_prints_and_goes_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    for shade in 0..40 {
        photo(
            &folder.path().join(format!("photos/{shade}.png")),
            shade,
            ImageFormat::Png,
        );
    }
    let import = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_lucida"))
            .current_dir(folder.path())
            .args(["import", "photos"])
            .args(arguments)
            .output()
            .unwrap()
    };
    let output = import(&["--log-file", "import.log"]);
    let summary = printed(&output, 0);
    assert!(
        summary.ends_with("embedding: 40 ready, 0 failed, 0 waiting\n"),
        "{summary}"
    );
    assert!(!String::from_utf8_lossy(&output.stderr).contains("INFO"));
    let log = fs::read_to_string(folder.path().join("import.log")).unwrap();
    assert_eq!(log.matches("photo is ready").count(), 40, "{log}");
    // Its own reconciler does not get into the way of its workers.
    assert!(!log.contains("WARN"), "{log}");

    let output = import(&["-v"]);
    printed(&output, 0);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("worker stopped"), "{errors}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_an_import_that_goes_on_when_it_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    for shade in 0..60 {
        photo(
            &folder.path().join(format!("photos/{shade}.png")),
            shade,
            ImageFormat::Png,
        );
    }
    let report = folder.path().join("report.jsonl");
    let child = Command::new(env!("CARGO_BIN_EXE_lucida"))
        .current_dir(folder.path())
        .args(["import", "photos", "--report", "report.jsonl"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !fs::read_to_string(&report).is_ok_and(|report| report.contains(r#""outcome":"ready""#)) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    let output = child.wait_with_output().unwrap();
    printed(&output, 130);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("interrupted after ")
            && errors.contains(" of 60 files; run the same command again to go on"),
        "{errors}"
    );
    let report = fs::read_to_string(&report).unwrap();
    let before = report.matches(r#""outcome":"ready""#).count();
    let waiting = report.matches(r#""outcome":"waiting""#).count();
    assert!((1..60).contains(&before), "{report}");

    let rest = printed(&lucida(folder.path(), &["import", "photos"]), 0);
    let new = 60 - before - waiting;
    assert!(
        rest.starts_with(&format!(
            "60 of 60 files: {new} new, {} already in the library",
            60 - new
        )),
        "{before} ready, {waiting} waiting; {rest}"
    );
    let check = printed(&lucida(folder.path(), &["check", "--grace-secs", "0"]), 0);
    assert!(check.starts_with("60 photos, 60 vectors"), "{check}");
}

#[cfg(unix)]
#[test]
fn on_a_terminal_one_line_tells_how_far_the_import_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("photos")).unwrap();
    for shade in 0..20 {
        photo(
            &folder.path().join(format!("photos/{shade}.png")),
            shade,
            ImageFormat::Png,
        );
    }
    // `script` runs a command on a terminal of its own.
    let command = format!("stty cols 120; {} import photos", env!("CARGO_BIN_EXE_lucida"));
    let output = Command::new("script")
        .current_dir(folder.path())
        .env("TERM", "xterm")
        .args(["-qec", &command, "/dev/null"])
        .stdin(std::process::Stdio::null())
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: needs the program `script` of util-linux");
        return;
    };
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains(" of 20 files, "), "{shown}");
    assert!(
        shown.contains(" photos/s, ") && shown.contains(" new, 0 known)"),
        "{shown}"
    );
    assert!(!shown.contains("INFO"), "{shown}");
    assert!(
        !shown.contains("()") && !shown.contains("(looking"),
        "a line shows what it was not made for: {shown}"
    );
}
