//! Makes the driver's client: what the connection string says, and what the metadata store needs of it.

use std::time::Duration;

use lucida_core::config::Secret;
use lucida_core::{ErrorKind, Result, ResultExt};
use mongodb::options::{
    Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Database};

use crate::config::{ConnectionStringIn, MongodbConfig};
use crate::{error, uri};

/// How the server's log and its list of connections name this program, unless the connection string does.
const APP_NAME: &str = "lucida";

/// Makes a client and names the database; no server is asked yet, but DNS is for `mongodb+srv`.
pub(crate) async fn connect(config: &MongodbConfig) -> Result<Database> {
    let (field, uri) = read(config).await?;
    let parsed = uri::parse(field, &uri)?;
    let database = uri::database(config.database.as_deref(), field, &parsed)?;
    let options = ClientOptions::parse(parsed)
        .await
        .map_err(|error| error::refused(field, &error))?;
    let client = Client::with_options(completed(options, config));
    Ok(client
        .map_err(|error| error::refused(field, &error))?
        .database(&database))
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

/// Sets what the connection string left open, and what the metadata store relies on.
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
