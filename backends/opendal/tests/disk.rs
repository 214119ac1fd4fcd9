//! What the disk storage promises beyond the contract: no litter, clear errors, and folders that come and go.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use lucida_core::config::parse;
use lucida_core::{BlobKey, ErrorKind, Storage, stream_of};
use lucida_opendal::{DiskConfig, DiskStorage};
use tempfile::TempDir;

async fn open(root: &Path) -> lucida_core::Result<DiskStorage> {
    DiskStorage::open(DiskConfig {
        root: root.to_owned(),
    })
    .await
}

async fn opened() -> (DiskStorage, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (open(folder.path()).await.unwrap(), folder)
}

fn key(name: &str) -> BlobKey {
    BlobKey::new(name).unwrap()
}

fn litter(root: &Path) -> usize {
    fs::read_dir(root.join("+unfinished")).unwrap().count()
}

async fn names(storage: &DiskStorage) -> Vec<String> {
    let mut names: Vec<String> = storage
        .list("")
        .map_ok(|stat| stat.key.to_string())
        .try_collect()
        .await
        .unwrap();
    names.sort();
    names
}

#[tokio::test]
async fn leftovers_of_a_crash_are_never_listed_and_go_when_they_are_old() {
    let (storage, folder) = opened().await;
    let day = Duration::from_secs(24 * 60 * 60);
    for (name, age) in [("old", 2 * day), ("young", day / 2)] {
        let left = File::create(folder.path().join("+unfinished").join(name)).unwrap();
        left.set_modified(SystemTime::now() - age).unwrap();
    }
    assert_eq!(names(&storage).await, Vec::<String>::new());
    open(folder.path()).await.unwrap();
    assert!(!folder.path().join("+unfinished/old").exists());
    assert!(folder.path().join("+unfinished/young").exists());
}

#[tokio::test]
async fn a_put_whose_caller_goes_away_leaves_nothing() {
    let (storage, folder) = opened().await;
    let large = Bytes::from(vec![7; 3 << 20]);
    let (sent, mut written) = tokio::sync::mpsc::channel(1);
    let body = stream::iter([Ok(large)])
        .chain(stream::once(async move {
            // Asked for the second piece, the storage has written the first.
            let _ = sent.send(()).await;
            std::future::pending().await
        }))
        .boxed();
    let name = key("a");
    let mut put = storage.put(&name, body);
    tokio::select! {
        _ = &mut put => unreachable!("the body never ends"),
        _ = written.recv() => {}
    }
    assert_eq!(litter(folder.path()), 1);
    drop(put);
    assert_eq!(litter(folder.path()), 0);
    assert_eq!(names(&storage).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_failed_large_put_leaves_nothing_and_keeps_the_old_blob() {
    let (storage, folder) = opened().await;
    storage.put(&key("a"), stream_of("old")).await.unwrap();
    let body = stream::iter([
        Ok(Bytes::from(vec![7; 3 << 20])),
        Err(lucida_core::Error::invalid("the upload stopped")),
    ]);
    let error = storage.put(&key("a"), body.boxed()).await.unwrap_err();
    assert_eq!(error.message(), "the upload stopped");
    assert_eq!(litter(folder.path()), 0);
    let blob = storage.get(&key("a"), None).await.unwrap();
    assert_eq!(blob.bytes().await.unwrap(), "old");
}

#[tokio::test]
async fn a_large_blob_comes_back_in_pieces_of_at_most_256_kib() {
    let (storage, _folder) = opened().await;
    let content: Vec<u8> = (0..3_000_017_u32).map(|at| (at % 251) as u8).collect();
    let body = stream::iter(
        content
            .chunks(70_001)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect::<Vec<_>>(),
    );
    assert_eq!(storage.put(&key("a"), body.boxed()).await.unwrap(), 3_000_017);
    let range = 1_000_003..2_999_999_u64;
    let blob = storage.get(&key("a"), Some(range)).await.unwrap();
    assert_eq!(blob.size_bytes, 3_000_017);
    let pieces: Vec<Bytes> = blob.stream.try_collect().await.unwrap();
    assert!(pieces.iter().all(|piece| piece.len() <= 256 * 1024));
    assert!(
        pieces.concat() == content[1_000_003..2_999_999],
        "other bytes came back"
    );
}

#[tokio::test]
async fn files_that_are_no_blobs_are_not_listed() {
    let (storage, folder) = opened().await;
    storage.put(&key("originals/aa/1"), stream_of("x")).await.unwrap();
    fs::write(folder.path().join("notes of mine.txt"), "").unwrap();
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    fs::write(folder.path().join("lost+found/1"), "").unwrap();
    assert_eq!(names(&storage).await, ["originals/aa/1"]);
}

#[tokio::test]
async fn a_folder_goes_with_its_last_blob() {
    let (storage, folder) = opened().await;
    for name in ["derived/aa/1/thumbnail/s", "derived/aa/2/thumbnail/s"] {
        storage.put(&key(name), stream_of("x")).await.unwrap();
    }
    storage.delete(&key("derived/aa/1/thumbnail/s")).await.unwrap();
    assert!(!folder.path().join("derived/aa/1").exists());
    assert!(folder.path().join("derived/aa/2/thumbnail/s").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn puts_and_deletes_in_one_folder_do_not_disturb_each_other() {
    let (storage, folder) = opened().await;
    let tasks = (0..8).map(|task| {
        let storage = storage.clone();
        tokio::spawn(async move {
            for turn in 0..40 {
                let key = key(&format!("derived/aa/one/{task}"));
                storage.put(&key, stream_of(vec![task; 10])).await.unwrap();
                let blob = storage.get(&key, None).await.unwrap();
                assert_eq!(blob.bytes().await.unwrap(), vec![task; 10], "turn {turn}");
                storage.delete(&key).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(litter(folder.path()), 0);
    assert!(!folder.path().join("derived").exists());
}

#[tokio::test]
async fn a_name_that_is_anothers_folder_is_refused_and_harms_neither() {
    let (storage, folder) = opened().await;
    storage.put(&key("a/b"), stream_of("x")).await.unwrap();
    for name in ["a", "a/b/c"] {
        let error = storage.put(&key(name), stream_of("y")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert_eq!(
            storage.stat(&key(name)).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            storage
                .get(&key(name), None)
                .await
                .err()
                .map(|error| error.kind()),
            Some(ErrorKind::NotFound)
        );
        storage.delete(&key(name)).await.unwrap();
    }
    assert_eq!(names(&storage).await, ["a/b"]);
    assert_eq!(litter(folder.path()), 0);
}

#[tokio::test]
async fn a_name_longer_than_the_file_system_allows_is_refused() {
    let (storage, _folder) = opened().await;
    let long = key(&"n".repeat(300));
    let error = storage.put(&long, stream_of("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(storage.stat(&long).await.unwrap_err().kind(), ErrorKind::NotFound);
    storage.delete(&long).await.unwrap();
}

#[tokio::test]
async fn a_root_and_its_parents_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder.path().join("a/b/photos")).await.unwrap();
    storage.ping().await.unwrap();
}

#[tokio::test]
async fn a_root_that_is_a_file_is_an_error_that_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    for root in [file.clone(), file.join("below")] {
        let error = open(&root).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
        assert_eq!(error.field(), Some("root"));
        assert!(error.to_string().contains("storage.disk.root"), "{error}");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_root_that_cannot_be_written_is_an_error_that_names_the_setting() {
    // Nobody may make a folder here, not even root.
    let error = open(Path::new("/sys/lucida")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("storage.disk.root"), "{error}");
}

#[tokio::test]
async fn a_root_that_vanishes_is_unavailable_and_is_not_made_again() {
    let (storage, folder) = opened().await;
    let root = folder.path().to_owned();
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(storage.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
    let error = storage.put(&key("a/b"), stream_of("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!root.exists());
}

#[test]
fn an_empty_root_is_refused_without_touching_the_disk() {
    let error = parse::<DiskConfig>(&serde_json::json!({ "root": "" })).unwrap_err();
    assert_eq!(
        (error.kind(), error.field()),
        (ErrorKind::ConfigInvalid, Some("root"))
    );
}

/// A disk that is not mounted looks empty; taken for that, every photo on it would seem lost.
#[tokio::test]
async fn a_folder_that_is_gone_makes_nothing_absent() {
    let (storage, folder) = opened().await;
    let blob = key("a/b");
    storage.put(&blob, stream_of("there")).await.unwrap();
    let aside = folder.path().with_extension("aside");
    fs::rename(folder.path(), &aside).unwrap();
    for mount_point in [false, true] {
        if mount_point {
            fs::create_dir(folder.path()).unwrap();
        }
        let kinds = [
            storage.get(&blob, None).await.map(drop).unwrap_err().kind(),
            storage.stat(&blob).await.map(drop).unwrap_err().kind(),
            storage.delete(&blob).await.unwrap_err().kind(),
            storage.list("").next().await.unwrap().unwrap_err().kind(),
            storage.list("a/").next().await.unwrap().unwrap_err().kind(),
            storage.ping().await.unwrap_err().kind(),
        ];
        assert_eq!(kinds, [ErrorKind::Unavailable; 6]);
    }
    fs::remove_dir(folder.path()).unwrap();
    fs::rename(&aside, folder.path()).unwrap();
    assert_eq!(
        storage.get(&blob, None).await.unwrap().bytes().await.unwrap(),
        "there"
    );
    assert_eq!(names(&storage).await, ["a/b"]);
}
