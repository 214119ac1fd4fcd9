//! A JSON value in a record of the metadata store, which processes share and change by compare-and-set.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use lucida_core::{Error, ErrorKind, MetadataStore, Result};

/// How often a change is tried against other processes that change the record at the same time.
const MAX_CONFLICTS: usize = 32;

/// What to do with a record that can't be read, which another version has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Start with the default value; the next change replaces the record.
    StartOver,
    /// Return an error and leave the record alone.
    Refuse,
}

/// A record by its name, with the type of its value.
pub(crate) struct StateRecord<T> {
    name: &'static str,
    unreadable: Unreadable,
    value: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> StateRecord<T> {
    pub(crate) const fn new(name: &'static str, unreadable: Unreadable) -> Self {
        Self {
            name,
            unreadable,
            value: PhantomData,
        }
    }

    /// Reads the value and its version; `None` for a missing record, and for an unreadable one that may be replaced.
    async fn read_versioned(&self, metadata: &dyn MetadataStore) -> Result<(Option<T>, Option<u64>)> {
        let Some(record) = metadata.record(self.name).await? else {
            return Ok((None, None));
        };
        match (serde_json::from_value(record.value), self.unreadable) {
            (Ok(value), _) => Ok((Some(value), Some(record.version))),
            (Err(_), Unreadable::StartOver) => Ok((None, Some(record.version))),
            (Err(error), Unreadable::Refuse) => Err(Error::internal(format!(
                "the record `{}` of the metadata store can't be read: a newer version has written it",
                self.name
            ))
            .with_source(error)),
        }
    }

    /// Reads the value; `None` for a missing record, and for an unreadable one that may be replaced.
    ///
    /// # Errors
    /// `Internal` for an unreadable record that must be kept; those of the metadata store.
    pub(crate) async fn find(&self, metadata: &dyn MetadataStore) -> Result<Option<T>> {
        Ok(self.read_versioned(metadata).await?.0)
    }

    /// Writes the value of a task that one process at a time runs.
    ///
    /// Where two processes run it after all, one of the two values is kept: either is a place to resume from.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub(crate) async fn save(&self, metadata: &dyn MetadataStore, value: &T) -> Result<()> {
        let version = metadata.record(self.name).await?.map(|record| record.version);
        match metadata.put_record(self.name, &self.json(value)?, version).await {
            Err(error) if error.kind() != ErrorKind::Conflict => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Deletes the record.
    ///
    /// # Errors
    /// Those of the metadata store.
    pub(crate) async fn delete(&self, metadata: &dyn MetadataStore) -> Result<()> {
        metadata.delete_record(self.name).await
    }

    fn json(&self, value: &T) -> Result<serde_json::Value> {
        serde_json::to_value(value).map_err(|error| {
            Error::internal(format!("the record `{}` can't be written as JSON", self.name)).with_source(error)
        })
    }
}

impl<T: Serialize + DeserializeOwned + Default + Clone + PartialEq> StateRecord<T> {
    /// Reads the value; that of a missing record is the default.
    ///
    /// # Errors
    /// Those of [`StateRecord::find`].
    pub(crate) async fn read(&self, metadata: &dyn MetadataStore) -> Result<T> {
        Ok(self.find(metadata).await?.unwrap_or_default())
    }

    /// Changes the value, again on the newest one where another process was faster; returns what is stored.
    ///
    /// # Errors
    /// Those of `change`, with nothing written; `Conflict` when other processes change the record all the time; those of
    /// [`StateRecord::find`].
    pub(crate) async fn change(
        &self,
        metadata: &dyn MetadataStore,
        change: impl Fn(&mut T) -> Result<()> + Send + Sync,
    ) -> Result<T> {
        for _ in 0..MAX_CONFLICTS {
            let (value, version) = self.read_versioned(metadata).await?;
            let before = value.unwrap_or_default();
            let mut value = before.clone();
            change(&mut value)?;
            if value == before {
                return Ok(value);
            }
            match metadata.put_record(self.name, &self.json(&value)?, version).await {
                Ok(_) => return Ok(value),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::conflict(format!(
            "too many processes change the record `{}` of the metadata store at once",
            self.name
        )))
    }
}
