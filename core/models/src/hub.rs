//! Fetches a model's files from a Hugging Face hub into its usual cache.
//!
//! The cache is the one that Python's `huggingface_hub` uses, so what either has downloaded the other finds. Only
//! what a model needs is fetched; each file is checked against the hub's hash before it counts; what breaks off
//! goes on where it was, in this process or the next.

mod cache;
mod client;
mod config;
mod download;
mod error;
mod exports;
mod hash;
mod pick;
mod progress;
mod repo;

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use config::{HubConfig, HubOptions};
pub use exports::Exports;
pub use repo::RepoId;

use self::cache::RepoCache;
use self::client::Hub;
use self::download::Download;
use self::pick::{Picked, Preference, pick};
use self::repo::{Commit, is_revision};
use crate::export_only::is_export_only;
use lucida_core::{Backoff, Error, ErrorKind, Result};

/// What tells a model's family.
const CONFIG_FILE: &str = "config.json";
/// How the name of an ONNX file ends.
const GRAPH: &str = ".onnx";
/// The code of an error about a model that is published for another engine.
const EXPORT_ONLY: &str = "export_only";

/// How often a hub that fails is asked before that is the answer.
const TRIES: u32 = 3;
const BETWEEN_TRIES: Backoff = Backoff {
    min: Duration::from_millis(500),
    max: Duration::from_secs(5),
};

/// Returns the folder with a model's files, which are downloaded as far as they are missing.
///
/// A commit that is wholly in the cache needs no network. A branch or tag is looked up each time; when the hub
/// can't be reached, fails or refuses the token, what it last was is used with a warning. Dropping the future stops
/// the download, and the next call goes on with it.
///
/// # Errors
/// - `NotFound` for a repository, revision or file that the hub doesn't have, or that is not in the cache while
///   `offline`
/// - `PermissionDenied` for a repository that needs a token, or another one, and for a cache that can't be written
/// - `Unsupported` for a repository without weights in a format that is read here
/// - `ConfigInvalid` for an endpoint, a revision or a token that can't be
/// - `Unavailable` when the hub can't be reached, a file doesn't have its hash, or the disk is full
pub async fn fetch(repo: &RepoId, options: &HubOptions) -> Result<PathBuf> {
    let cancelled = CancellationToken::new();
    let _cancel_when_dropped = cancelled.clone().drop_guard();
    let (repo, options) = (repo.clone(), options.clone());
    tokio::task::spawn_blocking(move || Fetch::new(&repo, &options)?.run(cancelled))
        .await
        .map_err(|error| Error::internal("downloading a model failed").with_source(error))?
}

/// Finds the folder of a repository that is wholly in the cache; `None` where it isn't.
fn downloaded(repo: &RepoId, options: &HubOptions) -> Result<Option<PathBuf>> {
    match Fetch::new(repo, options)?.cached() {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// One call of [`fetch`], on a blocking thread.
struct Fetch<'a> {
    repo: &'a RepoId,
    options: &'a HubOptions,
    revision: &'a str,
    cache: RepoCache,
}

impl<'a> Fetch<'a> {
    fn new(repo: &'a RepoId, options: &'a HubOptions) -> Result<Self> {
        let revision = repo.revision().unwrap_or(&options.revision);
        if !is_revision(revision) {
            let message = format!("`{revision}` is not a branch, tag or commit; expected one like \"main\"");
            return Err(Error::config("hub.revision", message));
        }
        let cache = RepoCache::new(&options.cache_dir, repo);
        Ok(Self {
            repo,
            options,
            revision,
            cache,
        })
    }

    fn run(&self, cancelled: CancellationToken) -> Result<PathBuf> {
        if self.options.offline {
            return self.cached();
        }
        if let Some(commit) = Commit::parse(self.revision)
            && let Some(listing) = self.cache.listing(&commit)
            && self.missing(&commit, &self.pick(&commit, &listing)?).is_empty()
        {
            return Ok(self.cache.snapshot(&commit));
        }
        let hub = Hub::new(self.options, cancelled)?;
        let mut failures = 0;
        loop {
            let error = match self.download(&hub) {
                Ok(snapshot) => return Ok(snapshot),
                Err(error) => error,
            };
            // A token that has run out does not keep a start from using what it was good for.
            let replaceable = error.is_transient() || error.kind() == ErrorKind::PermissionDenied;
            if replaceable && let Ok(snapshot) = self.cached() {
                warn!(%error, repo = %self.repo, snapshot = %snapshot.display(), "using the model as it is cached");
                return Ok(snapshot);
            }
            if !error.is_transient() {
                return Err(error);
            }
            failures += 1;
            if failures == TRIES {
                return Err(error);
            }
            warn!(%error, repo = %self.repo, failures, "asking the hub again");
            hub.wait(BETWEEN_TRIES.delay(failures))?;
        }
    }

    fn download(&self, hub: &Hub) -> Result<PathBuf> {
        let listing = hub.list(self.repo, self.revision)?;
        self.cache.keep_listing(&listing.commit, &listing.files);
        let download = Download {
            hub,
            cache: &self.cache,
            repo: self.repo,
            commit: &listing.commit,
        };
        let is_graph = |file: &String| file.ends_with(GRAPH);
        if listing.files.iter().any(is_graph) && listing.files.iter().any(|file| file == CONFIG_FILE) {
            // It says whether the export is needed.
            download.fetch(&[CONFIG_FILE.to_owned()])?;
        }
        let picked = self.pick(&listing.commit, &listing.files)?;
        download.fetch(&picked.files)?;
        self.cache.set_commit(self.revision, &listing.commit)?;
        Ok(self.cache.snapshot(&listing.commit))
    }

    /// Finds a snapshot without any network. One that another program downloaded may lack something that only
    /// its loader can tell; one of ours is whole.
    fn cached(&self) -> Result<PathBuf> {
        let missing = match self.cache.commit(self.revision) {
            Some(commit) => {
                let present = self.cache.files(&commit);
                let listing = self.cache.listing(&commit).unwrap_or(present);
                match self.pick(&commit, &listing) {
                    Ok(picked) => {
                        let missing = self.missing(&commit, &picked);
                        if missing.is_empty() {
                            return Ok(self.cache.snapshot(&commit));
                        }
                        format!("lacks {}", missing.join(", "))
                    }
                    Err(error) if error.code() == EXPORT_ONLY => return Err(error),
                    Err(_) => "has no weights".to_owned(),
                }
            }
            None => "has nothing of it".to_owned(),
        };
        Err(Error::not_found(format!(
            "`{}` at revision `{}` is needed offline, and the cache {} {missing}: start once without hub.offline \
             and HF_HUB_OFFLINE to download it, or copy the cache from a machine that has it",
            self.repo,
            self.revision,
            self.options.cache_dir.display(),
        )))
    }

    fn missing(&self, commit: &Commit, picked: &Picked) -> Vec<String> {
        let absent = |file: &&String| !self.cache.has(commit, file);
        picked.files.iter().filter(absent).cloned().collect()
    }

    /// Picks what a model needs. The weights of some families are of no use to any engine: the export is fetched then.
    fn pick(&self, commit: &Commit, files: &[String]) -> Result<Picked> {
        let export_only = self.is_export_only(commit);
        if export_only && self.options.exports == Exports::Unused {
            let message = format!(
                "`{}` is published as an ONNX export, and no engine computes its weights: set the embedder's type to `onnx`",
                self.repo
            );
            return Err(Error::new(ErrorKind::Unsupported, message).with_code(EXPORT_ONLY));
        }
        let preference = Preference {
            exports_first: export_only,
            int8: self.options.exports == Exports::Int8,
        };
        let picked = pick(files, preference);
        if picked.has_weights {
            return Ok(picked);
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "`{}` at revision `{}` has no weights that can be read: neither model.safetensors nor \
                 pytorch_model.bin nor an ONNX file",
                self.repo, self.revision
            ),
        ))
    }

    /// Returns by the configuration in a snapshot, if it is cached, whether no engine computes the model's weights.
    fn is_export_only(&self, commit: &Commit) -> bool {
        let path = self.cache.snapshot(commit).join(CONFIG_FILE);
        let config = std::fs::read(path).ok();
        config
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .is_some_and(|config| is_export_only(&config))
    }
}
