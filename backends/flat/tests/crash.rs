//! What was acknowledged survives SIGKILL in the middle of writes: none lost, none twice.
//!
//! The test starts this very binary as a child that writes until it is killed, 40 times on one folder, and opens the
//! folder itself in between. By then 100,000 points were written.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use lucida_core::{CollectionName, IndexFilter, PhotoId, Point, VectorIndex};
use lucida_flat::FlatIndex;
use lucida_testkit::{unit_vector, user};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use support::config;

const FOLDER: &str = "LUCIDA_TEST_CRASH_FOLDER";
const ROUND: &str = "LUCIDA_TEST_CRASH_ROUND";
const DIMENSIONS: usize = 16;
/// How many times the child is killed, unless the environment says so.
const ROUNDS: u64 = 40;
const ROUNDS_VARIABLE: &str = "LUCIDA_TEST_CRASH_ROUNDS";
/// How many points a child writes before it is killed: 100,000 in all rounds.
const POINTS_PER_ROUND: usize = 2_500;
/// Of the photos that a round did not touch, one in this many is looked at.
const UNTOUCHED_SHARE: u64 = 64;
const WRITERS: u64 = 4;
/// The cosine of a vector with itself, with its rounding.
const SAME: f32 = 0.9999;

fn collection() -> CollectionName {
    CollectionName::new("photo_embeddings-crash").unwrap()
}

/// Not a test of its own: the child that `acknowledged_writes_survive_being_killed` starts and kills.
#[test]
#[ignore = "the child of another test"]
fn child_that_writes_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let index = FlatIndex::open(config(Path::new(&folder))).await.unwrap();
        index.ensure(&collection(), DIMENSIONS).await.unwrap();
        index.set_alias(&collection()).await.unwrap();
        let index = Arc::new(index);
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write_for_ever(Arc::clone(&index), round * WRITERS + writer)))
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// Writes, overwrites and deletes; a line says what is about to happen, and one that it was acknowledged.
async fn write_for_ever(index: Arc<FlatIndex>, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut written: Vec<PhotoId> = Vec::new();
    for version in (seed << 32).. {
        let overwrite = !written.is_empty() && random.random_bool(0.3);
        let delete = written.len() > 20 && random.random_bool(0.1);
        if delete {
            let id = written.swap_remove(random.random_range(0..written.len()));
            say(&format!("begin delete {id} 0"));
            index.delete(&collection(), &[id]).await.unwrap();
            say(&format!("done delete {id} 0"));
            continue;
        }
        let ids: Vec<PhotoId> = if overwrite {
            vec![written[random.random_range(0..written.len())]]
        } else {
            let new: Vec<_> = (0..random.random_range(1..100))
                .map(|_| PhotoId::generate())
                .collect();
            written.extend(&new);
            new
        };
        let points: Vec<Point> = ids.iter().map(|id| point(*id, version)).collect();
        for id in &ids {
            say(&format!("begin upsert {id} {version}"));
        }
        index.upsert(&collection(), &points).await.unwrap();
        for id in &ids {
            say(&format!("done upsert {id} {version}"));
        }
    }
}

fn point(id: PhotoId, version: u64) -> Point {
    Point {
        photo_id: id,
        vector: unit_vector(DIMENSIONS, version),
        user_id: user("alice"),
        taken_at: None,
        taken_at_local: None,
        tags: [format!("v{version}")].into(),
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// What the parent knows of a photo: the state acknowledged last (`None`: deleted), and those that were begun since.
#[derive(Debug, Default)]
struct Known {
    acknowledged: Option<Option<u64>>,
    begun: Vec<Option<u64>>,
    touched: bool,
}

impl Known {
    fn may_be(&self, state: Option<u64>) -> bool {
        self.begun.contains(&state) || self.acknowledged.unwrap_or(None) == state
    }
}

#[test]
fn acknowledged_writes_survive_being_killed() {
    let folder = tempfile::tempdir().unwrap();
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut known: BTreeMap<PhotoId, Known> = BTreeMap::new();
    let rounds = std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        let mut child = start(folder.path(), round);
        let lines = read_lines(&mut child);
        let before = known.len();
        // Somewhere in the middle of the batch that is being written then.
        let after = Duration::from_micros(random.random_range(0..20_000));
        while known.len() < before + POINTS_PER_ROUND {
            match lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => note(&mut known, &line),
                Err(RecvTimeoutError::Timeout) => panic!("the child writes nothing in round {round}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the child ended by itself in round {round}"),
            }
        }
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            note(&mut known, &line);
        }
        check(folder.path(), round, &mut known);
    }
    println!("{} photos were written", known.len());
    assert!(known.len() as u64 >= rounds * POINTS_PER_ROUND as u64);
}

fn start(folder: &Path, round: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "child_that_writes_until_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn read_lines(child: &mut Child) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines() {
            let Ok(line) = line else { return };
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

fn note(known: &mut BTreeMap<PhotoId, Known>, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [stage, what, id, version] = words[..] else {
        return;
    };
    // The last line may be cut, and the test harness prints its own.
    let (Ok(id), Ok(version)) = (id.parse::<PhotoId>(), version.parse::<u64>()) else {
        return;
    };
    let state = (what == "upsert").then_some(version);
    match stage {
        "begin" => {
            let known = known.entry(id).or_default();
            known.begun.push(state);
            known.touched = true;
        }
        "done" => {
            let known = known.entry(id).or_default();
            known.acknowledged = Some(state);
            known.begun.clear();
        }
        _ => {}
    }
}

/// Opens the index and compares it with what was acknowledged, in both directions.
fn check(folder: &Path, round: u64, known: &mut BTreeMap<PhotoId, Known>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let index = FlatIndex::open(config(folder)).await.unwrap();
        let name = collection();
        assert_eq!(index.alias().await.unwrap(), Some(name.clone()));
        let ids = index.ids(&name, None, usize::MAX).await.unwrap();
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert_eq!(index.count(&name).await.unwrap(), ids.len() as u64);
        for id in &ids {
            assert!(known.contains_key(id), "{id} was never written");
        }
        for (number, (id, known)) in known.iter_mut().enumerate() {
            let sampled = number as u64 % UNTOUCHED_SHARE == round % UNTOUCHED_SHARE;
            if !known.touched && !sampled {
                let there = known.acknowledged.unwrap_or(None).is_some();
                assert_eq!(ids.binary_search(id).is_ok(), there, "{id}");
                continue;
            }
            let vector = index.vector(&name, id).await.unwrap();
            let states = known.begun.iter().copied().chain(known.acknowledged);
            let state = match &vector {
                None => None,
                Some(vector) => {
                    let state = states
                        .flatten()
                        .find(|version| dot(vector, &unit_vector(DIMENSIONS, *version)) > SAME);
                    assert!(
                        state.is_some(),
                        "{id} has a vector that was never written: {known:?}"
                    );
                    state
                }
            };
            assert!(known.may_be(state), "{id} is {state:?}, not {known:?}");
            assert_eq!(ids.binary_search(id).is_ok(), state.is_some(), "{id}");
            if let Some(version) = state.filter(|_| sampled) {
                let filter = IndexFilter {
                    user_id: Some(user("alice")),
                    tags: vec![format!("v{version}")],
                    ..IndexFilter::default()
                };
                let probe = unit_vector(DIMENSIONS, version);
                let hits = index.search(&name, &probe, &filter, 100).await.unwrap();
                let copies = hits.iter().filter(|hit| hit.photo_id == *id).count();
                assert_eq!(copies, 1, "{id} by its tag");
            }
            *known = Known {
                acknowledged: Some(state),
                ..Known::default()
            };
        }
    });
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
