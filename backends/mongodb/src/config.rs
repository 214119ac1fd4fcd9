//! The settings of `metadata.mongodb`.

use std::path::{Path, PathBuf};

use lucida_core::config::{Secret, check_range, local};
use lucida_core::{BuildContext, Error, Result, Settings};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::uri;

/// The most bytes of a collection's prefix.
const PREFIX_BYTES: usize = 63;

/// The metadata store in MongoDB, shared by any number of processes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MongodbConfig {
    /// The connection string: servers, user, TLS. Its own options, such as `connectTimeoutMS`, take precedence over the
    /// settings below; `w`, `readConcernLevel` and `readPreference` may only be `majority`, `majority` and `primary`.
    #[schemars(example = "mongodb://lucida:secret@db1,db2,db3/?replicaSet=rs0&authSource=admin&tls=true")]
    pub uri: Option<Secret>,
    /// A file that holds the connection string, instead of `uri`.
    #[schemars(example = "/run/secrets/mongodb-uri")]
    pub uri_file: Option<PathBuf>,
    /// The database; without it, the one that the connection string names, else `lucida`. It is created by the first write.
    #[schemars(example = &"lucida")]
    pub database: Option<String>,
    /// A prefix for the names of collections, so that one database can hold several metadata stores; may be empty.
    #[schemars(example = &"staging_")]
    pub collection_prefix: String,
    /// The most connections to a server, 1 to 10000; further calls wait for one.
    #[schemars(example = 50)]
    pub max_connections: u32,
    /// The connections to a server that stay open while idle, at most `max_connections`.
    #[schemars(example = 1)]
    pub min_connections: u32,
    /// After how many seconds an idle connection is closed, at least 1; less than the firewalls in between allow.
    #[schemars(example = 300)]
    pub max_idle_secs: u64,
    /// How long connecting to a server may take, in milliseconds, at least 1.
    #[schemars(example = 3000)]
    pub connect_timeout_ms: u64,
    /// How long a call waits for a primary, in milliseconds, at least 1, such as during an election.
    #[schemars(example = 5000)]
    pub server_selection_timeout_ms: u64,
    /// How long the server may work on one call, in milliseconds, at least 1: it stops a longer read, and fails a write that
    /// a majority has not confirmed by then. Less than `resilience.metadata.timeout_ms`.
    #[schemars(example = 8000)]
    pub operation_timeout_ms: u64,
}

/// Where the connection string is.
pub(crate) enum ConnectionStringIn<'a> {
    Setting(&'a Secret),
    File(&'a Path),
}

impl Default for MongodbConfig {
    fn default() -> Self {
        Self {
            uri: None,
            uri_file: None,
            database: None,
            collection_prefix: String::new(),
            max_connections: 50,
            min_connections: 1,
            max_idle_secs: 300,
            connect_timeout_ms: 3000,
            server_selection_timeout_ms: 5000,
            operation_timeout_ms: 8000,
        }
    }
}

impl MongodbConfig {
    /// Returns where the connection string is.
    ///
    /// # Errors
    /// `ConfigInvalid` where it is nowhere or in two places.
    pub(crate) fn connection_string(&self) -> Result<ConnectionStringIn<'_>> {
        match (&self.uri, &self.uri_file) {
            (Some(uri), None) => Ok(ConnectionStringIn::Setting(uri)),
            (None, Some(file)) => Ok(ConnectionStringIn::File(file)),
            (None, None) | (Some(_), Some(_)) => {
                let message = "metadata.mongodb needs exactly one of `uri` and `uri_file`";
                Err(Error::config("uri", message))
            }
        }
    }
}

impl Settings for MongodbConfig {
    fn validate(&self) -> Result<()> {
        if let ConnectionStringIn::Setting(text) = self.connection_string()? {
            uri::database(self.database.as_deref(), "uri", &uri::parse("uri", text)?)?;
        } else if let Some(name) = &self.database {
            uri::check(name, "database")?;
        }
        let prefix = &self.collection_prefix;
        let fits = prefix
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !fits || prefix.len() > PREFIX_BYTES || prefix.starts_with("system") {
            let message = format!(
                "`{prefix}` can't begin the names of collections: use up to {PREFIX_BYTES} of A-Z a-z 0-9 _ -, not \
                 beginning with `system`"
            );
            return Err(Error::config("collection_prefix", message));
        }
        check_range("max_connections", self.max_connections, &(1..=10_000))?;
        if self.min_connections > self.max_connections {
            return Err(Error::config(
                "min_connections",
                "must be at most `max_connections`",
            ));
        }
        for (field, value) in [
            ("max_idle_secs", self.max_idle_secs),
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("server_selection_timeout_ms", self.server_selection_timeout_ms),
            ("operation_timeout_ms", self.operation_timeout_ms),
        ] {
            if value == 0 {
                return Err(Error::config(field, "must be at least 1"));
            }
        }
        Ok(())
    }

    fn check_local(&self, _: &BuildContext) -> Vec<Error> {
        let files = [("uri_file", &self.uri_file)];
        files
            .into_iter()
            .filter_map(|(field, file)| local::readable_file(field, file.as_ref()?).err())
            .collect()
    }
}
