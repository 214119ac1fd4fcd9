//! A collection in memory: the codes of its points, and what searches filter by.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread;

use lucida_core::{CollectionName, Error, IndexFilter, PhotoId, Result, first_local_microsecond_from};

use crate::chunk::Chunk;
use crate::code::{Code, add};
use crate::columns::Facts;
use crate::database::Tables;
use crate::filter::{Matcher, ceil_micros};
use crate::load::Loaded;
use crate::lock::{lock, read, write};
use crate::mask::position;
use crate::rotation::Rotation;
use crate::sketch::Sketch;
use crate::tags::{TagSets, Words};
use crate::write::{Change, Slots};

/// Up to how many points codes of a byte are compared without looking at bits first.
pub(crate) const WITHOUT_BITS: usize = 16_384;

/// How far the mean may move before the sketches are made anew, as a share of what the points differ from it.
const DRIFT: f32 = 0.02;

/// How many chunks are sketched with searches waiting, at the end of making all anew.
const LAST_CHUNKS: usize = 4;

/// An open collection.
pub(crate) struct Collection {
    pub(crate) name: CollectionName,
    pub(crate) dimensions: usize,
    pub(crate) tables: Tables,
    pub(crate) rotation: Rotation,
    state: RwLock<State>,
    slots: Mutex<Slots>,
    sketching: AtomicBool,
    dropped: AtomicBool,
}

/// What searches see.
pub(crate) struct State {
    chunks: Vec<Arc<Chunk>>,
    /// Where the point of a photo is.
    directory: BTreeMap<u128, u32>,
    owners: Words,
    tags: TagSets,
    sketch: Option<Arc<Sketch>>,
    /// The sum of all points, rotated.
    sum: Vec<f64>,
}

/// The points of a collection at one moment.
pub(crate) struct View {
    pub(crate) chunks: Vec<Arc<Chunk>>,
    pub(crate) sketch: Option<Arc<Sketch>>,
    pub(crate) matcher: Matcher,
}

impl Collection {
    /// Opens a collection with what was read of its file.
    pub(crate) fn new(name: CollectionName, dimensions: usize, tables: Tables, loaded: Loaded) -> Self {
        Self {
            name,
            dimensions,
            tables,
            rotation: Rotation::new(dimensions),
            state: RwLock::new(State {
                chunks: loaded.chunks,
                directory: loaded.directory,
                owners: loaded.owners,
                tags: loaded.tags,
                sketch: None,
                sum: loaded.sum,
            }),
            slots: Mutex::new(loaded.slots),
            sketching: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
        }
    }

    /// Checks a vector.
    ///
    /// # Errors
    /// `InvalidInput` for one of other dimensions, or with a number that is not finite.
    pub(crate) fn check(&self, vector: &[f32]) -> Result<()> {
        if vector.len() != self.dimensions {
            return Err(Error::invalid(format!(
                "the vector has {} dimensions, collection `{}` has {}",
                vector.len(),
                self.name,
                self.dimensions
            )));
        }
        if vector.iter().all(|number| number.is_finite()) {
            Ok(())
        } else {
            Err(Error::invalid(
                "the vector has a number that is not finite: the model that made it is broken",
            ))
        }
    }

    /// Encodes a vector.
    pub(crate) fn encode(&self, vector: &[f32]) -> Code {
        let mut rotated = crate::code::normalised(vector);
        self.rotation.apply(&mut rotated);
        Code::of(&rotated)
    }

    /// Counts all points.
    pub(crate) fn count(&self) -> usize {
        read(&self.state).directory.len()
    }

    /// Returns ids in ascending order.
    pub(crate) fn ids(&self, after: Option<&PhotoId>, limit: usize) -> Vec<PhotoId> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_uuid().as_u128()));
        let state = read(&self.state);
        let range = state.directory.range((start, Bound::Unbounded));
        range.take(limit).map(|(photo, _)| photo_id(*photo)).collect()
    }

    /// Returns where the point of a photo is.
    pub(crate) fn slot(&self, photo: u128) -> Option<u32> {
        read(&self.state).directory.get(&photo).copied()
    }

    /// Returns the points as they are now, and a filter in their numbers.
    pub(crate) fn view(&self, filter: &IndexFilter) -> View {
        let state = read(&self.state);
        let matcher = state.matcher(filter);
        View {
            chunks: state.chunks.clone(),
            sketch: state.sketch.clone(),
            matcher,
        }
    }

    /// Returns which slots are free; for the writer.
    pub(crate) fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        lock(&self.slots)
    }

    /// Shows changes that are committed to searches.
    pub(crate) fn apply(&self, changes: &[Change]) {
        let mut state = write(&self.state);
        for change in changes {
            match change {
                Change::Put { slot, point } => {
                    let owner = state.owners.intern(point.owner.as_str());
                    let tags = state.tags.acquire(&point.tags, 1);
                    let facts = Facts {
                        photo: point.photo,
                        owner,
                        taken_at: point.taken_at,
                        local_time: point.taken_at_local.unwrap_or(point.taken_at),
                        tags,
                    };
                    state.put(*slot, &facts, &point.code);
                }
                Change::Remove { slot, photo } => {
                    state.remove(*slot, *photo, self.dimensions);
                    self.slots().free.push(*slot);
                }
            }
        }
    }

    /// Makes the sketches in the background where there are none yet, or the points have moved away from their centre.
    pub(crate) fn keep_sketched(self: &Arc<Self>) {
        if !self.needs_sketch() || self.sketching.swap(true, Ordering::AcqRel) {
            return;
        }
        let collection = Arc::clone(self);
        let started = thread::Builder::new()
            .name("index-sketch".to_owned())
            .spawn(move || {
                collection.sketch();
                collection.sketching.store(false, Ordering::Release);
            });
        if let Err(error) = started {
            // Searches compare codes meanwhile, or look at more of them; the next write tries again.
            self.sketching.store(false, Ordering::Release);
            tracing::warn!(%error, "the index can't start a thread for its sketches, trying again later");
        }
    }

    /// Returns whether there are enough points for sketches, and those that there are don't fit.
    pub(crate) fn needs_sketch(&self) -> bool {
        let state = read(&self.state);
        if state.directory.len() <= WITHOUT_BITS {
            return false;
        }
        let Some(sketch) = &state.sketch else { return true };
        let centre = state.centre();
        let square: f32 = centre.iter().map(|number| number * number).sum();
        // Unit vectors differ from their mean by the root of 1 - its square, in the mean of squares.
        sketch.drift(&centre) > DRIFT * (1.0 - square).max(0.001)
    }

    /// Makes all sketches anew, around the mean of now.
    pub(crate) fn sketch(&self) {
        let (mut chunks, sketch) = {
            let state = read(&self.state);
            (state.chunks.clone(), Arc::new(Sketch::around(state.centre())))
        };
        let mut made: Vec<_> = chunks
            .iter()
            .map(|chunk| Arc::new(sketch.of(&chunk.codes)))
            .collect();
        let changed = |chunks: &[Arc<Chunk>], state: &State| -> Vec<usize> {
            let is_new = |at: &usize| {
                let was = chunks.get(*at);
                was.is_none_or(|was| !Arc::ptr_eq(&was.codes, &state.chunks[*at].codes))
            };
            (0..state.chunks.len()).filter(is_new).collect()
        };
        loop {
            let later: Vec<(usize, Arc<Chunk>)> = {
                let state = read(&self.state);
                let later = changed(&chunks, &state).into_iter();
                later.map(|at| (at, Arc::clone(&state.chunks[at]))).collect()
            };
            for (at, chunk) in later {
                let bits = Arc::new(sketch.of(&chunk.codes));
                if at < chunks.len() {
                    (chunks[at], made[at]) = (chunk, bits);
                } else {
                    chunks.push(chunk);
                    made.push(bits);
                }
            }
            let mut state = write(&self.state);
            let last = changed(&chunks, &state);
            if last.len() > LAST_CHUNKS {
                continue;
            }
            for at in last {
                let bits = Arc::new(sketch.of(&state.chunks[at].codes));
                if at < made.len() {
                    made[at] = bits;
                } else {
                    made.push(bits);
                }
            }
            for (chunk, bits) in state.chunks.iter_mut().zip(made) {
                Arc::make_mut(chunk).bits = Some(bits);
            }
            state.sketch = Some(sketch);
            return;
        }
    }

    /// Notes that the collection is being deleted.
    pub(crate) fn discard(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    /// Fails once the collection is being deleted.
    ///
    /// # Errors
    /// `NotFound` then.
    pub(crate) fn exists(&self) -> Result<()> {
        if self.dropped.load(Ordering::Acquire) {
            return Err(absent(&self.name));
        }
        Ok(())
    }
}

impl State {
    fn matcher(&self, filter: &IndexFilter) -> Matcher {
        let mut matcher = Matcher {
            taken_from: filter.taken_from.map(ceil_micros),
            taken_to: filter.taken_to.map(ceil_micros),
            local_from: filter.local_from.map(first_local_microsecond_from),
            local_to: filter.local_to.map(first_local_microsecond_from),
            ..Matcher::default()
        };
        if let Some(user) = &filter.user_id {
            matcher.owner = self.owners.get(user.as_str());
            matcher.nothing |= matcher.owner.is_none();
        }
        if !filter.tags.is_empty() {
            matcher.tags = self.tags.with_all(&filter.tags);
            matcher.nothing |= matcher.tags.is_none();
        }
        let slot = |id: &PhotoId| self.directory.get(&id.as_uuid().as_u128()).copied();
        matcher.exclude = filter.exclude.iter().filter_map(slot).collect();
        matcher
    }

    fn centre(&self) -> Vec<f32> {
        #[expect(clippy::cast_precision_loss, reason = "points are far below 2^52")]
        let count = self.directory.len().max(1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "means of unit vectors are within -1 and 1"
        )]
        self.sum.iter().map(|sum| (sum / count) as f32).collect()
    }

    fn put(&mut self, slot: u32, facts: &Facts, code: &Code) {
        let (at, place) = position(slot);
        if at >= self.chunks.len() {
            self.chunks.resize_with(at + 1, Arc::default);
        }
        let sketch = self.sketch.clone();
        let chunk = Arc::make_mut(&mut self.chunks[at]);
        if chunk.columns.is_live(place) {
            self.tags.release(chunk.columns.tags[place]);
            let (scale, values) = chunk.codes.get(place, code.values.len());
            add(&mut self.sum, -scale, values);
        }
        let columns = Arc::make_mut(&mut chunk.columns);
        columns.set(place, facts);
        chunk.set_code(place, code.scale, &code.values, sketch.as_deref());
        add(&mut self.sum, code.scale, &code.values);
        self.directory.insert(facts.photo, slot);
    }

    fn remove(&mut self, slot: u32, photo: u128, dimensions: usize) {
        let (at, place) = position(slot);
        let chunk = Arc::make_mut(&mut self.chunks[at]);
        let (scale, values) = chunk.codes.get(place, dimensions);
        add(&mut self.sum, -scale, values);
        self.tags.release(chunk.columns.tags[place]);
        Arc::make_mut(&mut chunk.columns).clear(place);
        self.directory.remove(&photo);
    }
}

/// Returns the photo of a number.
pub(crate) fn photo_id(photo: u128) -> PhotoId {
    PhotoId::from_uuid(uuid::Uuid::from_u128(photo))
}

/// Makes the error for a collection that the index doesn't have.
pub(crate) fn absent(name: &CollectionName) -> Error {
    Error::not_found(format!("the index has no collection `{name}`"))
}
