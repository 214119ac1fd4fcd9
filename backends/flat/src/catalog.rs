//! The folder of an index: which collections there are, which are open, and where the alias points.
//!
//! Everything here blocks.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use lucida_core::{CollectionName, Error, Result, ResultExt};
use rusqlite::TransactionBehavior;

use crate::collection::{Collection, absent};
use crate::config::FlatConfig;
use crate::database::{self, Known};
use crate::error::{Step, opening};
use crate::load::{Loaded, load};
use crate::lock::{FolderLock, lock};
use crate::migrate::OldIndex;
use crate::pace::Pace;
use crate::readers::Readers;
use crate::threads::Threads;
use crate::writer::{Space, Writer};

/// The collections of one folder.
pub(crate) struct Catalog {
    config: FlatConfig,
    pub(crate) threads: Threads,
    pub(crate) pace: Pace,
    // In this order: the writer is the last to close the file, which cleans up, and the lock goes after that.
    pub(crate) readers: Readers,
    pub(crate) writer: Writer,
    _lock: FolderLock,
    /// Held while collections or the alias change, one change after the other.
    changes: Mutex<()>,
    /// Held for moments only.
    state: Mutex<State>,
}

struct State {
    alias: Option<CollectionName>,
    entries: BTreeMap<CollectionName, Arc<Entry>>,
}

/// A collection, open or not yet.
struct Entry {
    known: Known,
    open: Mutex<Option<Arc<Collection>>>,
}

impl Catalog {
    /// Opens the folder, and the collection under the alias; the others open when they are first used.
    pub(crate) fn open(config: FlatConfig) -> Result<Self> {
        let opening = || opening(&config.path);
        fs::create_dir_all(&config.path).context(opening())?;
        let folder_lock = FolderLock::take(&config.path)?;
        let old = OldIndex::find(&config.path).context(opening())?;
        let mut connection = database::open_writer(&config.path).context(opening())?;
        if let Some(old) = old {
            old.replace(&mut connection, &config.path).context(opening())?;
        }
        let entries = database::collections(&connection).context(opening())?;
        let alias = database::alias(&connection).context(opening())?;
        let entry = |known: Known| {
            let name = known.name.clone();
            let open = Mutex::new(None);
            (name, Arc::new(Entry { known, open }))
        };
        let catalog = Self {
            threads: Threads::new(threads(&config) - 1),
            pace: Pace::default(),
            readers: Readers::new(config.path.clone()),
            writer: Writer::start(connection)?,
            _lock: folder_lock,
            changes: Mutex::new(()),
            state: Mutex::new(State {
                alias,
                entries: entries.into_iter().map(entry).collect(),
            }),
            config,
        };
        if let Some(alias) = catalog.alias() {
            catalog.get(&alias)?;
        }
        Ok(catalog)
    }

    /// Returns how many searches may run at once: enough that a long one doesn't keep the others waiting.
    pub(crate) fn searches_at_once(&self) -> usize {
        (2 * threads(&self.config)).max(4)
    }

    /// Returns a collection, opening it if need be.
    ///
    /// # Errors
    /// `NotFound` for an absent one; those of the database.
    pub(crate) fn get(&self, name: &CollectionName) -> Result<Arc<Collection>> {
        let entry = lock(&self.state).entries.get(name).map(Arc::clone);
        let entry = entry.ok_or_else(|| absent(name))?;
        let mut open = lock(&entry.open);
        if let Some(collection) = &*open {
            return Ok(Arc::clone(collection));
        }
        let started = Instant::now();
        let Known {
            name,
            dimensions,
            tables,
        } = entry.known.clone();
        let loaded = load(&self.readers, &self.threads, &tables, dimensions)
            .context(format!("opening collection `{name}`"))
            .context(opening(&self.config.path))?;
        let collection = Arc::new(Collection::new(name, dimensions, tables, loaded));
        tracing::debug!(
            collection = %collection.name,
            points = collection.count(),
            elapsed_ms = started.elapsed().as_millis() as u64,
            "opened a collection of the index"
        );
        collection.keep_sketched();
        *open = Some(Arc::clone(&collection));
        Ok(collection)
    }

    /// Makes a collection, or checks that the existing one is the same.
    pub(crate) fn ensure(&self, name: &CollectionName, dimensions: usize) -> Result<()> {
        if dimensions == 0 {
            return Err(Error::invalid(
                "a collection needs vectors of at least one dimension",
            ));
        }
        let _changing = lock(&self.changes);
        if let Some(entry) = lock(&self.state).entries.get(name) {
            let there = entry.known.dimensions;
            return if there == dimensions {
                Ok(())
            } else {
                Err(Error::conflict(format!(
                    "collection `{name}` is for vectors of {there} dimensions, not {dimensions}: drop it, or use \
                     another name"
                )))
            };
        }
        let wanted = name.clone();
        let known = self.writer.run(move |connection| {
            let making = "making a collection of the index";
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .doing(making)?;
            let known = database::create(&transaction, &wanted, dimensions)?;
            transaction.commit().doing(making)?;
            Ok((known, Space::Same))
        })?;
        let collection = Collection::new(
            known.name.clone(),
            dimensions,
            known.tables.clone(),
            Loaded::empty(dimensions),
        );
        let open = Mutex::new(Some(Arc::new(collection)));
        let entry = Arc::new(Entry { known, open });
        lock(&self.state).entries.insert(name.clone(), entry);
        Ok(())
    }

    /// Returns the names of all collections.
    pub(crate) fn names(&self) -> Vec<CollectionName> {
        lock(&self.state).entries.keys().cloned().collect()
    }

    /// Returns where the alias points.
    pub(crate) fn alias(&self) -> Option<CollectionName> {
        lock(&self.state).alias.clone()
    }

    /// Points the alias to a collection.
    pub(crate) fn set_alias(&self, name: &CollectionName) -> Result<()> {
        let _changing = lock(&self.changes);
        let entry = lock(&self.state).entries.get(name).map(Arc::clone);
        let tables = entry.ok_or_else(|| absent(name))?.known.tables.clone();
        self.writer.run(move |connection| {
            database::set_alias(connection, &tables)?;
            Ok(((), Space::Same))
        })?;
        lock(&self.state).alias = Some(name.clone());
        Ok(())
    }

    /// Deletes a collection; an absent one is fine.
    pub(crate) fn drop_collection(&self, name: &CollectionName) -> Result<()> {
        let _changing = lock(&self.changes);
        let entry = {
            let state = lock(&self.state);
            if state.alias.as_ref() == Some(name) {
                return Err(Error::conflict(format!(
                    "collection `{name}` is in use: point alias `{}` to another one first",
                    self.config.collection
                )));
            }
            state.entries.get(name).map(Arc::clone)
        };
        let Some(entry) = entry else { return Ok(()) };
        let open = lock(&entry.open).clone();
        let tables = entry.known.tables.clone();
        self.writer.run(move |connection| {
            database::drop_collection(connection, &tables)?;
            // On the writer's thread, so that no write comes between.
            if let Some(collection) = open {
                collection.discard();
            }
            Ok(((), Space::Freed))
        })?;
        lock(&self.state).entries.remove(name);
        Ok(())
    }

    /// Checks that the file exists and can be written to.
    pub(crate) fn ping(&self) -> Result<()> {
        let file = database::file(&self.config.path);
        fs::metadata(&file).map_err(|error| {
            Error::unavailable(format!(
                "the index's file `{}` can't be read: {error}",
                file.display()
            ))
            .with_source(error)
        })?;
        // A write, so that a disk that is full or read-only doesn't look healthy.
        self.writer.run(|connection| {
            connection
                .execute("UPDATE pings SET count = count + 1", [])
                .doing("writing to the index")?;
            Ok(((), Space::Same))
        })
    }

    /// Returns the alias's name.
    pub(crate) fn alias_name(&self) -> &str {
        &self.config.collection
    }
}

/// Returns how many threads one search may use.
fn threads(config: &FlatConfig) -> usize {
    match config.search_threads {
        0 => thread::available_parallelism().map_or(2, usize::from),
        threads => threads,
    }
}
