//! What becomes of a folder that an earlier version wrote with another engine.
//!
//! Up to version 0.1 the embedded index was the engine of Qdrant: a file `alias` and a folder `collections`, with a
//! `manifest.json` in each collection. This build can't read its vectors. So the collections are made anew under their
//! names, empty, the alias points where it pointed, and the old files are moved aside. The library finds that its
//! photos have no points, and embeds them again from their originals.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lucida_core::durable::sync_folder;
use lucida_core::{CollectionName, Result, ResultExt};
use rusqlite::{Connection, TransactionBehavior};
use serde::Deserialize;

use crate::database;
use crate::error::Step;

const ALIAS: &str = "alias";
const COLLECTIONS: &str = "collections";
const MANIFEST: &str = "manifest.json";
const ASIDE: &str = "old-engine";

/// What is known of an index of the former engine.
#[derive(Debug)]
pub(crate) struct OldIndex {
    alias: Option<CollectionName>,
    collections: Vec<(CollectionName, usize)>,
}

#[derive(Deserialize)]
struct Manifest {
    dimensions: usize,
}

impl OldIndex {
    /// Looks for one in a folder.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>> {
        let (alias, collections) = (folder.join(ALIAS), folder.join(COLLECTIONS));
        if !alias.exists() && !collections.exists() {
            return Ok(None);
        }
        let mut old = Self {
            alias: fs::read_to_string(alias)
                .ok()
                .and_then(|name| CollectionName::new(name.trim()).ok()),
            collections: Vec::new(),
        };
        let entries = match fs::read_dir(&collections) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(old)),
            Err(error) => {
                return Err(
                    lucida_core::Error::from(error).context(format!("reading `{}`", collections.display()))
                );
            }
        };
        for entry in entries.flatten() {
            // Those that were being made or deleted have no name or no manifest, and are nobody's.
            let name = CollectionName::new(entry.file_name().to_string_lossy());
            let manifest = fs::read(entry.path().join(MANIFEST)).ok();
            let manifest = manifest.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
            if let (Ok(name), Some(manifest)) = (name, manifest)
                && manifest.dimensions > 0
            {
                old.collections.push((name, manifest.dimensions));
            }
        }
        Ok(Some(old))
    }

    /// Makes its collections in the new file, and moves the old files aside. A crash in between does no harm: the
    /// collections are made at once or not at all, and what is left of the old files is moved at the next start.
    pub(crate) fn replace(&self, connection: &mut Connection, folder: &Path) -> Result<()> {
        if database::collections(connection)?.is_empty() && !self.collections.is_empty() {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .doing("replacing the former index")?;
            for (name, dimensions) in &self.collections {
                let known = database::create(&transaction, name, *dimensions)?;
                if self.alias.as_ref() == Some(name) {
                    database::set_alias(&transaction, &known.tables)?;
                }
            }
            transaction.commit().doing("replacing the former index")?;
        }
        let aside = move_aside(folder).context(format!("moving `{}` aside", folder.display()))?;
        tracing::warn!(
            kept = %aside.display(),
            collections = self.collections.len(),
            "the index was written by the engine of an earlier version, which this one can't read: every photo is \
             embedded again from its original, a few dozen a second, and is found by searches as soon as it is; the old \
             files can be deleted"
        );
        Ok(())
    }
}

fn move_aside(folder: &Path) -> io::Result<PathBuf> {
    let names = (1..).map(|number| match number {
        1 => ASIDE.to_owned(),
        number => format!("{ASIDE}-{number}"),
    });
    for aside in names.map(|name| folder.join(name)) {
        match fs::create_dir(&aside) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        }
        // The collections last: as long as they are there, the next start goes on here.
        for name in [ALIAS, COLLECTIONS] {
            match fs::rename(folder.join(name), aside.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        sync_folder(&aside)?;
        sync_folder(folder)?;
        return Ok(aside);
    }
    Err(io::Error::other("no name is free"))
}
