//! The collections and aliases of the stand-in, and the journal that they come back from.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use qdrant_client::qdrant::alias_operations::Action;
use qdrant_client::qdrant::{ChangeAliases, CreateCollection};
use tonic::Status;

use super::journal::{Change, Journal};
use super::shard::Collection;

/// What the stand-in holds.
pub(crate) struct State {
    pub(crate) collections: BTreeMap<String, Collection>,
    pub(crate) aliases: BTreeMap<String, String>,
}

impl State {
    /// Returns a collection by its name or an alias.
    pub(crate) fn get(&self, name: &str) -> Result<&Collection, Status> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        self.collections
            .get(name)
            .ok_or_else(|| Status::not_found(format!("Not found: Collection `{name}` doesn't exist!")))
    }

    fn get_mut(&mut self, name: &str) -> Result<&mut Collection, Status> {
        self.get(name)?;
        let name = self.aliases.get(name).map_or(name, String::as_str);
        Ok(self.collections.get_mut(name).expect("it was there a moment ago"))
    }

    /// Applies a change; returns whether there was anything to do.
    fn apply(&mut self, change: &Change) -> Result<bool, Status> {
        match change {
            Change::CreateCollection(request) => self.create(request),
            Change::DeleteCollection(request) => {
                let name = &request.collection_name;
                self.aliases.retain(|_, collection| collection != name);
                Ok(self.collections.remove(name).is_some())
            }
            Change::Aliases(request) => self.change_aliases(request),
            Change::CreateIndex(request) => self
                .get_mut(&request.collection_name)?
                .create_index(request)
                .map(|()| true),
            Change::Upsert(request) => self
                .get_mut(&request.collection_name)?
                .upsert(request)
                .map(|()| true),
            Change::Delete(request) => self
                .get_mut(&request.collection_name)?
                .delete(request)
                .map(|()| true),
        }
    }

    fn create(&mut self, request: &CreateCollection) -> Result<bool, Status> {
        let name = &request.collection_name;
        if self.collections.contains_key(name) {
            return Err(exists(name));
        }
        if self.aliases.contains_key(name) {
            return Err(Status::invalid_argument(format!(
                "Wrong input: Can't create collection with name {name}. Alias with the same name already exists"
            )));
        }
        let collection = Collection::create(request)?;
        self.collections.insert(name.clone(), collection);
        Ok(true)
    }

    /// Does one action after the other. As with a server, those before one that fails are done.
    fn change_aliases(&mut self, request: &ChangeAliases) -> Result<bool, Status> {
        for change in &request.actions {
            match &change.action {
                Some(Action::CreateAlias(create)) => {
                    if !self.collections.contains_key(&create.collection_name) {
                        return Err(Status::not_found(format!(
                            "Not found: Collection `{}` doesn't exist!",
                            create.collection_name
                        )));
                    }
                    if self.collections.contains_key(&create.alias_name) {
                        return Err(exists(&create.alias_name));
                    }
                    self.aliases
                        .insert(create.alias_name.clone(), create.collection_name.clone());
                }
                Some(Action::DeleteAlias(delete)) => {
                    self.aliases.remove(&delete.alias_name);
                }
                Some(Action::RenameAlias(rename)) => {
                    let Some(collection) = self.aliases.remove(&rename.old_alias_name) else {
                        return Err(Status::not_found(format!(
                            "Not found: Alias {} does not exists!",
                            rename.old_alias_name
                        )));
                    };
                    self.aliases.insert(rename.new_alias_name.clone(), collection);
                }
                None => return Err(Status::invalid_argument("Malformed AliasOperation type")),
            }
        }
        Ok(true)
    }
}

fn exists(name: &str) -> Status {
    Status::already_exists(format!("Wrong input: Collection `{name}` already exists!"))
}

/// The state and its journal.
pub(crate) struct Store {
    state: RwLock<State>,
    journal: Mutex<Journal>,
}

impl Store {
    /// Applies the journal in a folder to an empty state.
    pub(crate) fn open(folder: &Path) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (journal, changes) = Journal::open(folder)?;
        let mut state = State {
            collections: BTreeMap::new(),
            aliases: BTreeMap::new(),
        };
        for change in changes {
            // What failed then fails now, and leaves behind the same.
            let _ = state.apply(&change);
        }
        Ok(Self {
            state: RwLock::new(state),
            journal: Mutex::new(journal),
        })
    }

    /// Returns the state to read.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies a change and notes it, whatever came of it.
    pub(crate) fn change(&self, change: &Change) -> Result<bool, Status> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let changed = state.apply(change);
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal
            .append(change)
            .map_err(|error| Status::internal(format!("Service internal error: {error}")))?;
        changed
    }
}
