//! Makes the driver's client: what the connection string says, and what the ledger needs of it.

use std::time::Duration;

use lucida_core::config::Secret;
use lucida_core::{Error, ErrorKind, Result, ResultExt};
use mongodb::Client;
use mongodb::options::{
    Acknowledgment, ClientOptions, ConnectionString, ReadConcern, ReadConcernLevel, ReadPreference,
    SelectionCriteria, WriteConcern,
};

use crate::config::{ConnectionStringIn, MongodbConfig};
use crate::error;

/// How the server's log and its list of connections name this program, unless the connection string does.
const APP_NAME: &str = "lucida";

/// Makes a client; no server is asked yet, but DNS is for `mongodb+srv`.
pub(crate) async fn connect(config: &MongodbConfig) -> Result<Client> {
    let (field, uri) = read(config).await?;
    let parsed = parse(field, &uri)?;
    let options = ClientOptions::parse(parsed)
        .await
        .map_err(|error| error::refused(field, &error))?;
    Client::with_options(completed(options, config)).map_err(|error| error::refused(field, &error))
}

/// Returns the connection string and the setting that it came from.
async fn read(config: &MongodbConfig) -> Result<(&'static str, Secret)> {
    let file = match config.connection_string()? {
        ConnectionStringIn::Setting(uri) => return Ok(("uri", uri.clone())),
        ConnectionStringIn::File(file) => file,
    };
    let text = tokio::fs::read_to_string(file)
        .await
        .context(format!("reading the connection string in {}", file.display()))
        .map_err(|error| error.with_kind(ErrorKind::ConfigInvalid).with_field("uri_file"))?;
    Ok(("uri_file", Secret::new(text.trim())))
}

/// Reads a connection string and refuses what would break the ledger's promises, without any I/O.
///
/// The driver's own words about a wrong one may quote a piece of the password, so they are not passed on.
pub(crate) fn parse(field: &'static str, uri: &Secret) -> Result<ConnectionString> {
    let parsed = ConnectionString::parse(uri.expose()).map_err(|_| {
        let servers = uri.expose().split('?').next().unwrap_or_default();
        Error::config(
            field,
            if ConnectionString::parse(servers).is_ok() {
                "has an option after its `?` that MongoDB's connection strings don't have, or with a wrong value"
            } else {
                "is no connection string: it looks like `mongodb://user:password@host:27017/?replicaSet=rs0`, with \
                 each of : / ? # [ ] @ % in the user or password written as % and two hexadecimal digits"
            },
        )
    })?;
    let refused = |option: &str, only: &str| {
        let message = format!("sets `{option}`: leave it out, since the ledger is only safe with `{only}`");
        Err(Error::config(field, message))
    };
    match &parsed.write_concern {
        Some(concern) if !matches!(concern.w, None | Some(Acknowledgment::Majority)) => {
            return refused("w", "majority");
        }
        Some(concern) if concern.journal == Some(false) => return refused("journal", "true"),
        Some(_) | None => {}
    }
    match &parsed.read_concern {
        Some(concern) if concern.level != ReadConcernLevel::Majority => {
            return refused("readConcernLevel", "majority");
        }
        Some(_) | None => {}
    }
    match &parsed.read_preference {
        Some(preference) if *preference != ReadPreference::Primary => {
            return refused("readPreference", "primary");
        }
        Some(_) | None => {}
    }
    Ok(parsed)
}

/// Sets what the connection string left open, and what the ledger relies on.
///
/// `retryWrites` and `retryReads` stay on unless the string turns them off: the driver then repeats a call once when
/// the primary changes under it, and a replica set knows a repeated write by its number and does not apply it twice.
fn completed(mut options: ClientOptions, config: &MongodbConfig) -> ClientOptions {
    let milliseconds = Duration::from_millis;
    options.app_name.get_or_insert_with(|| APP_NAME.to_owned());
    options.max_pool_size.get_or_insert(config.max_connections);
    options.min_pool_size.get_or_insert(config.min_connections);
    options
        .max_idle_time
        .get_or_insert(Duration::from_secs(config.max_idle_secs));
    options
        .connect_timeout
        .get_or_insert(milliseconds(config.connect_timeout_ms));
    options
        .server_selection_timeout
        .get_or_insert(milliseconds(config.server_selection_timeout_ms));
    let given = options.write_concern.take().and_then(|concern| concern.w_timeout);
    options.write_concern = Some(
        WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .journal(true)
            .w_timeout(given.unwrap_or(milliseconds(config.operation_timeout_ms)))
            .build(),
    );
    options.read_concern = Some(ReadConcern::majority());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options
}
