//! Reads a collection's codes from the file, on every core.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use lucida_core::{Error, Result};
use rusqlite::{Connection, Row};

use crate::chunk::Chunk;
use crate::code::{Code, add};
use crate::columns::{Facts, NO_TIME};
use crate::database::Tables;
use crate::error::{Step, damaged};
use crate::lock::lock;
use crate::mask::{CHUNK, position};
use crate::readers::Readers;
use crate::tags::{NO_TAGS, TagSets, Words};
use crate::threads::Threads;
use crate::write::Slots;

const READING: &str = "reading the index's points";

/// How many chunks are worth a thread.
const CHUNKS_PER_THREAD: usize = 4;

/// A collection as it was read.
pub(crate) struct Loaded {
    pub(crate) chunks: Vec<Arc<Chunk>>,
    pub(crate) directory: BTreeMap<u128, u32>,
    pub(crate) owners: Words,
    pub(crate) tags: TagSets,
    pub(crate) slots: Slots,
    pub(crate) sum: Vec<f64>,
}

impl Loaded {
    /// An empty collection.
    pub(crate) fn empty(dimensions: usize) -> Self {
        Self {
            chunks: Vec::new(),
            directory: BTreeMap::new(),
            owners: Words::default(),
            tags: TagSets::default(),
            slots: Slots {
                free: Vec::new(),
                next: 0,
            },
            sum: vec![0.0; dimensions],
        }
    }
}

/// What one thread has read.
struct Part {
    chunks: Vec<(usize, Chunk)>,
    sum: Vec<f64>,
    values: Vec<i8>,
    owners: HashMap<String, u32>,
    /// The number of each set, and how many points beyond the first have it.
    tags: HashMap<String, (u32, u32)>,
    failed: Option<Error>,
}

/// Reads a collection.
///
/// # Errors
/// Those of the database; `Internal` (`index_damaged`) when what is stored makes no sense.
pub(crate) fn load(
    readers: &Readers,
    threads: &Threads,
    tables: &Tables,
    dimensions: usize,
) -> Result<Loaded> {
    let last: Option<i64> = readers.run(|connection| {
        connection
            .query_row(&tables.last_slot, [], |row| row.get(0))
            .doing(READING)
    })?;
    let Some(last) = last else {
        return Ok(Loaded::empty(dimensions));
    };
    let last = u32::try_from(last).map_err(|_| damaged("the place of a point"))?;
    let chunks = position(last).0 + 1;
    let names = Mutex::new((Words::default(), TagSets::default()));
    let parts = threads.split(
        chunks,
        CHUNKS_PER_THREAD,
        || Part {
            chunks: Vec::new(),
            sum: vec![0.0; dimensions],
            values: vec![0; dimensions],
            owners: HashMap::new(),
            tags: HashMap::new(),
            failed: None,
        },
        |part, at| {
            if part.failed.is_none() {
                let read = readers.run(|connection| read_chunk(connection, tables, at, part, &names));
                match read {
                    Ok(chunk) => part.chunks.push((at, chunk)),
                    Err(error) => part.failed = Some(error),
                }
            }
        },
    );
    let mut loaded = Loaded::empty(dimensions);
    loaded.chunks.resize_with(chunks, Arc::default);
    for part in parts {
        if let Some(error) = part.failed {
            return Err(error);
        }
        for (sum, more) in loaded.sum.iter_mut().zip(part.sum) {
            *sum += more;
        }
        for (number, more) in part.tags.into_values() {
            lock(&names).1.add_users(number, more);
        }
        for (at, chunk) in part.chunks {
            loaded.chunks[at] = Arc::new(chunk);
        }
    }
    (loaded.owners, loaded.tags) = names
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    // Free slots are taken from the end, so the last is the lowest.
    let mut points = Vec::new();
    for slot in (0..=last).rev() {
        let (at, place) = position(slot);
        let columns = &loaded.chunks[at].columns;
        if columns.is_live(place) {
            points.push((columns.photos[place], slot));
        } else {
            loaded.slots.free.push(slot);
        }
    }
    loaded.slots.next = last + 1;
    let count = points.len();
    points.reverse();
    loaded.directory = points.into_iter().collect();
    if loaded.directory.len() != count {
        return Err(damaged("a photo has two points"));
    }
    Ok(loaded)
}

fn read_chunk(
    connection: &Connection,
    tables: &Tables,
    at: usize,
    part: &mut Part,
    names: &Mutex<(Words, TagSets)>,
) -> Result<Chunk> {
    let dimensions = part.values.len();
    let mut chunk = Chunk::default();
    {
        let codes = Arc::make_mut(&mut chunk.codes);
        codes.scales.reserve(CHUNK);
        codes.values.reserve(CHUNK * dimensions);
    }
    let [first, end] = [at, at + 1].map(|at| i64::try_from(at * CHUNK).unwrap_or(i64::MAX));
    let mut statement = connection.prepare_cached(&tables.points).doing(READING)?;
    let mut rows = statement.query((first, end)).doing(READING)?;
    while let Some(row) = rows.next().doing(READING)? {
        let slot: i64 = row.get(0).doing(READING)?;
        let place = usize::try_from(slot - first).ok().filter(|place| *place < CHUNK);
        let place = place.ok_or_else(|| damaged("the order of points"))?;
        let facts = facts(row, part, names)?;
        let code = row.get_ref(5).doing(READING)?;
        let (scale, values) = code
            .as_blob()
            .ok()
            .and_then(|bytes| Code::split(bytes, dimensions))
            .ok_or_else(|| damaged("a code has another length"))?;
        for (value, byte) in part.values.iter_mut().zip(values) {
            *value = i8::from_le_bytes([*byte]);
        }
        add(&mut part.sum, scale, &part.values);
        Arc::make_mut(&mut chunk.columns).set(place, &facts);
        Arc::make_mut(&mut chunk.codes).set(place, scale, &part.values);
    }
    Ok(chunk)
}

fn facts(row: &Row<'_>, part: &mut Part, names: &Mutex<(Words, TagSets)>) -> Result<Facts> {
    let photo: [u8; 16] = row.get(1).doing(READING)?;
    let text = |column: usize| -> Result<Option<&str>> {
        let value = row.get_ref(column).doing(READING)?;
        value.as_str_or_null().map_err(|_| damaged("a text"))
    };
    let owner = text(2)?.ok_or_else(|| damaged("a point without an owner"))?;
    let owner = match part.owners.get(owner) {
        Some(number) => *number,
        None => {
            let number = lock(names).0.intern(owner);
            part.owners.insert(owner.to_owned(), number);
            number
        }
    };
    let tags = match text(4)? {
        None => NO_TAGS,
        Some(tags) => match part.tags.get_mut(tags) {
            Some((number, more)) => {
                *more += 1;
                *number
            }
            None => {
                let set: BTreeSet<String> =
                    serde_json::from_str(tags).map_err(|error| damaged("tags").with_source(error))?;
                let number = lock(names).1.acquire(&set, 1);
                part.tags.insert(tags.to_owned(), (number, 0));
                number
            }
        },
    };
    let taken_at: Option<i64> = row.get(3).doing(READING)?;
    let local_time: Option<i64> = row.get(6).doing(READING)?;
    Ok(Facts {
        photo: u128::from_be_bytes(photo),
        owner,
        taken_at: taken_at.unwrap_or(NO_TIME),
        local_time: local_time.or(taken_at).unwrap_or(NO_TIME),
        tags,
    })
}
