//! What an index makes of files that are damaged, foreign, or of an earlier version.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use lucida_core::{CollectionName, Error, ErrorKind, IndexFilter, PhotoId, Point, VectorIndex};
use lucida_flat::FlatIndex;
use lucida_testkit::{point, unit_vector, user};
use rusqlite::Connection;
use support::config;

const DIMENSIONS: usize = 256;
const POINTS: u64 = 3_000;

fn name(label: &str) -> CollectionName {
    CollectionName::new(format!("photo_embeddings-{label}")).unwrap()
}

/// Fills a folder, closes it, and returns what is in it.
async fn filled(folder: &Path) -> Vec<Point> {
    let index = FlatIndex::open(config(folder)).await.unwrap();
    index.ensure(&name("a"), DIMENSIONS).await.unwrap();
    index.set_alias(&name("a")).await.unwrap();
    let points: Vec<Point> = (0..POINTS)
        .map(|seed| {
            let vector = unit_vector(DIMENSIONS, seed);
            point(PhotoId::generate(), &user("alice"), vector)
        })
        .collect();
    index.upsert(&name("a"), &points).await.unwrap();
    points
}

fn assert_names_the_fix(error: &Error) {
    let text = error.to_string();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Internal, "index_damaged"),
        "{text}"
    );
    assert!(text.contains("damaged"), "{text}");
    assert!(text.contains("index.embedded.path"), "{text}");
    assert!(text.contains("embedded again from their originals"), "{text}");
}

fn overwrite(path: &Path, at: u64, length: usize) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&vec![0xa5; length]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_an_error_that_names_the_fix() {
    let page = 16_384;
    let mut found = 0;
    let whole = tempfile::tempdir().unwrap();
    let points = filled(whole.path()).await;
    let whole = whole.path().join("index/index.db");
    let pages = fs::metadata(&whole).unwrap().len() / page;
    let damaged: Vec<u64> = (0..16).chain((16..pages).step_by(pages as usize / 8)).collect();
    for damaged_page in damaged {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("index/index.db");
        fs::create_dir(folder.path().join("index")).unwrap();
        fs::copy(&whole, &file).unwrap();
        overwrite(&file, damaged_page * page, page as usize);
        match FlatIndex::open(config(folder.path())).await {
            Err(error) => {
                assert_names_the_fix(&error);
                found += 1;
            }
            // The page is one that opening doesn't read: then what needs it says so, or nothing does.
            Ok(index) => {
                for point in points.iter().step_by(11) {
                    match index.vector(&name("a"), &point.photo_id).await {
                        Ok(vector) => assert_eq!(vector.as_ref(), Some(&point.vector)),
                        Err(error) => {
                            assert_names_the_fix(&error);
                            found += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(found >= 16, "only {found} errors");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_off_is_an_error_that_names_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let file = folder.path().join("index/index.db");
    let length = fs::metadata(&file).unwrap().len();
    File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(length / 16)
        .unwrap();
    let opened = FlatIndex::open(config(folder.path())).await;
    assert_names_the_fix(&opened.err().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_is_an_error_that_names_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("index")).unwrap();
    fs::write(folder.path().join("index/index.db"), vec![b'x'; 20_000]).unwrap();
    let opened = FlatIndex::open(config(folder.path())).await;
    assert_names_the_fix(&opened.err().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_folder_was_moved_away_the_index_starts_empty() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    fs::rename(folder.path().join("index"), folder.path().join("moved")).unwrap();
    let index = FlatIndex::open(config(folder.path())).await.unwrap();
    assert_eq!(index.alias().await.unwrap(), None);
    assert!(index.collections().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn points_of_a_file_without_local_times_go_by_utc_until_they_are_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut points = {
        let index = FlatIndex::open(config(folder.path())).await.unwrap();
        let mut points = Vec::new();
        for label in ["a", "b"] {
            index.ensure(&name(label), DIMENSIONS).await.unwrap();
            let mut point = point(PhotoId::generate(), &user("alice"), unit_vector(DIMENSIONS, 1));
            point.taken_at = Some("2025-10-01T03:45:00Z".parse().unwrap());
            index
                .upsert(&name(label), std::slice::from_ref(&point))
                .await
                .unwrap();
            points.push(point);
        }
        points
    };
    // The first version of the file had no such column.
    Connection::open(folder.path().join("index/index.db"))
        .unwrap()
        .execute_batch(
            "ALTER TABLE points_1 DROP COLUMN taken_at_local; ALTER TABLE points_2 DROP COLUMN taken_at_local;
             PRAGMA user_version = 1;",
        )
        .unwrap();
    let found_on = async |index: &FlatIndex, label: &str, day: &str| {
        let start: DateTime = day.parse().unwrap();
        let filter = IndexFilter {
            local_from: Some(start),
            local_to: Some(start + SignedDuration::from_hours(24)),
            ..IndexFilter::default()
        };
        let vector = unit_vector(DIMENSIONS, 1);
        let hits = index.search(&name(label), &vector, &filter, 10).await.unwrap();
        hits.len()
    };
    {
        let index = FlatIndex::open(config(folder.path())).await.unwrap();
        assert_eq!(found_on(&index, "a", "2025-10-01").await, 1);
        assert_eq!(found_on(&index, "b", "2025-10-01").await, 1);
        points[1].taken_at_local = Some("2025-09-30T23:45:00".parse().unwrap());
        index.upsert(&name("b"), &points[1..]).await.unwrap();
        assert_eq!(found_on(&index, "b", "2025-09-30").await, 1);
    }
    let index = FlatIndex::open(config(folder.path())).await.unwrap();
    assert_eq!(found_on(&index, "a", "2025-10-01").await, 1);
    assert_eq!(found_on(&index, "b", "2025-10-01").await, 0);
    assert_eq!(found_on(&index, "b", "2025-09-30").await, 1);
}

/// The files that the engine of version 0.1 left: of a collection that serves, one that is kept, and one that was never
/// finished.
fn old_index(folder: &Path) {
    let index = folder.join("index");
    for (label, dimensions) in [("serving", Some(512)), ("kept", Some(384)), ("unfinished", None)] {
        let collection = index.join("collections").join(name(label).as_str());
        fs::create_dir_all(collection.join("shard/segments")).unwrap();
        fs::write(collection.join("journal"), b"\x01").unwrap();
        if let Some(dimensions) = dimensions {
            let manifest =
                format!("{{\"format\": 1, \"dimensions\": {dimensions}, \"distance\": \"cosine\"}}");
            fs::write(collection.join("manifest.json"), manifest).unwrap();
        }
    }
    fs::write(index.join("alias"), format!("{}\n", name("serving"))).unwrap();
    fs::write(index.join("lock"), "1\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_the_former_engine_keeps_its_collections_and_alias_and_its_files() {
    let folder = tempfile::tempdir().unwrap();
    old_index(folder.path());
    for opening in 0..2 {
        let index = FlatIndex::open(config(folder.path())).await.unwrap();
        assert_eq!(index.alias().await.unwrap(), Some(name("serving")));
        assert_eq!(
            index.collections().await.unwrap(),
            [name("kept"), name("serving")]
        );
        assert_eq!(index.count(&name("serving")).await.unwrap(), opening);
        index.ensure(&name("kept"), 384).await.unwrap();
        let new = point(PhotoId::generate(), &user("alice"), unit_vector(512, opening));
        index.upsert(&name("serving"), &[new]).await.unwrap();
    }
    let old = folder.path().join("index/old-engine");
    assert_eq!(
        fs::read_to_string(old.join("alias")).unwrap().trim(),
        name("serving").as_str()
    );
    let kept = old.join("collections").join(name("kept").as_str());
    assert!(kept.join("manifest.json").exists());
    assert!(!folder.path().join("index/collections").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_the_former_engines_files_are_moved_aside_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    old_index(folder.path());
    drop(FlatIndex::open(config(folder.path())).await.unwrap());
    // As if only the alias had been moved; meanwhile nothing else could be written.
    let index = folder.path().join("index");
    fs::rename(index.join("old-engine/collections"), index.join("collections")).unwrap();
    let index = FlatIndex::open(config(folder.path())).await.unwrap();
    assert_eq!(index.alias().await.unwrap(), Some(name("serving")));
    assert_eq!(
        index.collections().await.unwrap(),
        [name("kept"), name("serving")]
    );
    let moved = folder.path().join("index/old-engine-2/collections");
    assert!(moved.join(name("kept").as_str()).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_gets_back_what_a_deleted_collection_took() {
    let folder = tempfile::tempdir().unwrap();
    let points = filled(folder.path()).await;
    let index = FlatIndex::open(config(folder.path())).await.unwrap();
    index.ensure(&name("b"), DIMENSIONS).await.unwrap();
    index.upsert(&name("b"), &points[..10]).await.unwrap();
    index.set_alias(&name("b")).await.unwrap();
    index.drop_collection(&name("a")).await.unwrap();
    // Closing waits for the writer, which has given nothing back yet in a file that is busy.
    let file = folder.path().join("index/index.db");
    let size = || fs::metadata(&file).unwrap().len();
    let full = POINTS * (DIMENSIONS * 5) as u64;
    for _ in 0..600 {
        index.upsert(&name("b"), &points[..1]).await.unwrap();
        if size() < full / 4 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(index.count(&name("b")).await.unwrap(), 10);
    let hits = index
        .search(&name("b"), &points[3].vector, &IndexFilter::default(), 1)
        .await
        .unwrap();
    assert_eq!(hits[0].photo_id, points[3].photo_id);
    drop(index);
    assert!(size() < full / 4, "{} bytes of {full}", size());
}
