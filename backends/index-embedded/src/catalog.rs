//! The folder of an index: which collections there are, which are open, and where the alias points.
//!
//! Everything here blocks. Layout: `lock`, `alias` (the name of a collection), `collections/<name>/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use lucida_core::CollectionName;
use lucida_core::{Error, Result, ResultExt};

use crate::collection::{Collection, Manifest};
use crate::config::EmbeddedConfig;
use crate::durable;
use crate::lock::{FolderLock, lock};
use crate::space;

const ALIAS_FILE: &str = "alias";
const COLLECTIONS: &str = "collections";
/// The beginning of the names of folders to delete; no collection's name has a dot.
const DOOMED: &str = ".dropped-";
/// How long deleting a collection waits for calls that still use it.
const USERS_WAIT: Duration = Duration::from_secs(10);

/// The collections of one folder.
pub(crate) struct Catalog {
    config: EmbeddedConfig,
    collections: PathBuf,
    lock: Arc<FolderLock>,
    /// Held while collections or the alias change, so that one change at a time touches the disk.
    changes: Mutex<()>,
    /// Held for moments only.
    state: Mutex<State>,
}

struct State {
    alias: Option<CollectionName>,
    slots: BTreeMap<CollectionName, Arc<Slot>>,
}

/// A collection that is there, open or not yet.
struct Slot {
    manifest: Manifest,
    content: Mutex<Content>,
}

enum Content {
    Closed,
    Open(Arc<Collection>),
    Dropped,
}

impl Slot {
    fn new(manifest: Manifest) -> Arc<Self> {
        Arc::new(Self {
            manifest,
            content: Mutex::new(Content::Closed),
        })
    }
}

impl Catalog {
    /// Opens the folder, and the collection under the alias; the others open when they are first used.
    pub(crate) fn open(config: EmbeddedConfig) -> Result<Self> {
        let opening = || format!("opening index `{}`", config.path.display());
        let collections = config.path.join(COLLECTIONS);
        fs::create_dir_all(&collections).context(opening())?;
        let lock = Arc::new(FolderLock::take(&config.path)?);
        let catalog = Self {
            state: Mutex::new(State {
                alias: read_alias(&config.path).context(opening())?,
                slots: find(&collections).context(opening())?,
            }),
            collections,
            lock,
            changes: Mutex::new(()),
            config,
        };
        if let Some(alias) = catalog.alias() {
            match catalog.get(&alias) {
                Err(error) if error.kind() == lucida_core::ErrorKind::NotFound => {
                    tracing::warn!(collection = %alias, "the alias points to a collection that isn't there");
                }
                opened => drop(opened?),
            }
        }
        Ok(catalog)
    }

    /// Returns a collection, opening it if need be.
    pub(crate) fn get(&self, name: &CollectionName) -> Result<Arc<Collection>> {
        let slot = lock(&self.state).slots.get(name).map(Arc::clone);
        let Some(slot) = slot else {
            return Err(absent(name));
        };
        let mut content = lock(&slot.content);
        match &*content {
            Content::Open(collection) => Ok(Arc::clone(collection)),
            Content::Dropped => Err(absent(name)),
            Content::Closed => {
                let started = Instant::now();
                space::check(&self.collections, space::WRITE_BYTES)?;
                let collection = Collection::open(
                    &self.folder(name),
                    &slot.manifest,
                    &self.config,
                    Arc::clone(&self.lock),
                )
                .context(format!("opening collection `{name}`"))?;
                let collection = Arc::new(collection);
                *content = Content::Open(Arc::clone(&collection));
                tracing::debug!(
                    collection = %name,
                    elapsed_ms = started.elapsed().as_millis() as u64,
                    "opened a collection of the index"
                );
                Ok(collection)
            }
        }
    }

    /// Makes a collection, or checks that the one there is the same.
    pub(crate) fn ensure(&self, name: &CollectionName, dimensions: usize) -> Result<()> {
        if dimensions == 0 {
            return Err(Error::invalid(
                "a collection needs vectors of at least one dimension",
            ));
        }
        let wanted = Manifest::new(dimensions);
        let _changing = self.changing();
        if let Some(slot) = lock(&self.state).slots.get(name) {
            return if slot.manifest == wanted {
                Ok(())
            } else {
                Err(Error::conflict(format!(
                    "collection `{name}` is for vectors of {} dimensions, not {dimensions}: drop it, or use another name",
                    slot.manifest.dimensions
                )))
            };
        }
        space::check(&self.collections, space::WRITE_BYTES)?;
        let folder = self.folder(name);
        // What an attempt that failed in the middle left behind has no manifest.
        delete_folder(&folder)
            .and_then(|()| Collection::create(&folder, &wanted, &self.config))
            .context(format!("making collection `{name}`"))?;
        lock(&self.state).slots.insert(name.clone(), Slot::new(wanted));
        Ok(())
    }

    /// Returns the names of all collections in order.
    pub(crate) fn names(&self) -> Vec<CollectionName> {
        lock(&self.state).slots.keys().cloned().collect()
    }

    /// Returns where the alias points.
    pub(crate) fn alias(&self) -> Option<CollectionName> {
        lock(&self.state).alias.clone()
    }

    /// Points the alias to a collection, durably.
    pub(crate) fn set_alias(&self, name: &CollectionName) -> Result<()> {
        let _changing = self.changing();
        if !lock(&self.state).slots.contains_key(name) {
            return Err(absent(name));
        }
        let path = self.config.path.join(ALIAS_FILE);
        durable::replace(&path, format!("{name}\n").as_bytes())
            .context(format!("writing `{}`", path.display()))?;
        lock(&self.state).alias = Some(name.clone());
        Ok(())
    }

    /// Deletes a collection; an absent one is fine.
    pub(crate) fn drop_collection(&self, name: &CollectionName) -> Result<()> {
        let _changing = self.changing();
        let slot = {
            let mut state = lock(&self.state);
            if state.alias.as_ref() == Some(name) {
                return Err(Error::conflict(format!(
                    "collection `{name}` is in use: point alias `{}` to another one first",
                    self.config.collection
                )));
            }
            let Some(slot) = state.slots.remove(name) else {
                return Ok(());
            };
            slot
        };
        let content = std::mem::replace(&mut *lock(&slot.content), Content::Dropped);
        if let Content::Open(collection) = content {
            collection.discard();
            close(collection);
        }
        let folder = self.folder(name);
        let doomed = self.collections.join(format!("{DOOMED}{name}"));
        let dropping = || format!("deleting collection `{name}`");
        delete_folder(&doomed).context(dropping())?;
        fs::rename(&folder, &doomed)
            .and_then(|()| durable::sync_folder(&self.collections))
            .context(dropping())?;
        delete_folder(&doomed).context(dropping())
    }

    /// Checks that the folder is still there, and has room.
    pub(crate) fn ping(&self) -> Result<()> {
        fs::read_dir(&self.collections).map_err(|error| {
            Error::unavailable(format!(
                "index `{}` can't be read: {error}",
                self.config.path.display()
            ))
            .with_source(error)
        })?;
        space::check(&self.collections, space::WRITE_BYTES)
    }

    /// Returns the alias's name.
    pub(crate) fn alias_name(&self) -> &str {
        &self.config.collection
    }

    fn folder(&self, name: &CollectionName) -> PathBuf {
        self.collections.join(name.as_str())
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        lock(&self.changes)
    }
}

fn absent(name: &CollectionName) -> Error {
    Error::not_found(format!("the index has no collection `{name}`"))
}

/// Waits for the calls that still use a collection, and closes it.
fn close(collection: Arc<Collection>) {
    let last = Instant::now() + USERS_WAIT;
    let mut collection = collection;
    while let Err(shared) = Arc::try_unwrap(collection).map(drop) {
        if Instant::now() > last {
            // What still goes on in it will fail, as it would a moment later anyway.
            return;
        }
        collection = shared;
        thread::sleep(Duration::from_millis(2));
    }
}

fn delete_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::from(error).context(format!("deleting `{}`", folder.display())))
        }
        _ => Ok(()),
    }
}

fn read_alias(folder: &Path) -> Result<Option<CollectionName>> {
    let path = folder.join(ALIAS_FILE);
    match fs::read_to_string(&path) {
        Ok(name) => CollectionName::new(name.trim())
            .map(Some)
            .context(format!("`{}` is damaged", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::from(error).context(format!("reading `{}`", path.display()))),
    }
}

/// Finds the collections, and deletes what was left of ones that were being made or dropped.
fn find(collections: &Path) -> Result<BTreeMap<CollectionName, Arc<Slot>>> {
    let mut slots = BTreeMap::new();
    for entry in fs::read_dir(collections)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let folder = entry.path();
        if name.starts_with(DOOMED) {
            delete_folder(&folder)?;
            continue;
        }
        let Ok(name) = CollectionName::new(name) else {
            continue;
        };
        match Manifest::read(&folder)? {
            Some(manifest) => {
                slots.insert(name, Slot::new(manifest));
            }
            None if folder.is_dir() => delete_folder(&folder)?,
            None => {}
        }
    }
    Ok(slots)
}
