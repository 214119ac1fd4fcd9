//! Opening the database file: its settings, and the migrations that bring it to this build's schema.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lucida_core::{Error, ErrorKind, Result, durable};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations, SchemaVersion};

use crate::error::{failed, unmigrated};

/// The mark in SQLite's header by which the file is known as ours: "LucM".
const APPLICATION_ID: i32 = 0x4c75_634d;

/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the file for writing, makes it if need be, and migrates it.
pub(crate) fn open_writer(path: &Path) -> Result<Connection> {
    make_folder(path)?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
    let setting_up = |error| failed("setting up the metadata store", error);
    // In WAL mode with FULL, a commit is one sync of the log; it has happened when the commit returns.
    use_wal(&connection)?;
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384;",
        )
        .map_err(setting_up)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens another connection to an existing file, for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let connection = connect(path, OpenFlags::empty())?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8192;")
        .map_err(|error| failed("opening the metadata store for reading", error))?;
    Ok(connection)
}

fn connect(path: &Path, more: OpenFlags) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let opening = |error| {
        let path = path.display();
        failed(&format!("opening the metadata store `{path}`"), error).with_field("path")
    };
    let connection = Connection::open_with_flags(path, flags).map_err(opening)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(opening)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Makes the folder of the file, durably.
fn make_folder(path: &Path) -> Result<()> {
    let making = |error: std::io::Error| {
        Error::from(error).with_field("path").context(format!(
            "making the folder of metadata.sqlite.path `{}`",
            path.display()
        ))
    };
    let path = std::path::absolute(path).map_err(making)?;
    match path.parent() {
        Some(folder) => durable::make_folder(folder).map_err(making),
        None => Ok(()),
    }
}

/// Turns the log on. SQLite doesn't wait by itself for another process that is doing the same.
fn use_wal(connection: &Connection) -> Result<()> {
    let start = Instant::now();
    loop {
        let mode: rusqlite::Result<String> =
            connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0));
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(Error::config(
                    "path",
                    format!(
                        "the file system of metadata.sqlite.path has no write-ahead log (mode `{mode}`): set it to a file on a local disk"
                    ),
                ));
            }
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < BUSY_TIMEOUT =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(failed("setting up the metadata store", error).with_field("path")),
        }
    }
}

/// Returns the versions of the schema. Never change one that was released: add another.
fn migrations() -> Migrations<'static> {
    let mark = |transaction: &Transaction<'_>| {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        Ok(())
    };
    Migrations::new(vec![M::up_with_hook(
        include_str!("migrations/0001_ledger.sql"),
        mark,
    )])
}

/// Brings the schema to this build's version.
fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let migrating = "migrating the metadata store";
    let migrations = migrations();
    // By one statement, which sees the database as it is at one moment.
    let (owner, empty): (i32, bool) = connection
        .query_row(
            "SELECT (SELECT application_id FROM pragma_application_id), NOT EXISTS (SELECT 1 FROM sqlite_schema)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(|error| failed(migrating, error))?;
    if owner != APPLICATION_ID && !empty {
        return Err(Error::config(
            "path",
            format!(
                "`{}` is the database of another program: set metadata.sqlite.path to a file of its own",
                path.display()
            ),
        ));
    }
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    let migrated = migrations.to_latest(connection);
    let version = migrations
        .current_version(connection)
        .map_err(|error| unmigrated(migrating, error))?;
    match (migrated, version) {
        (_, SchemaVersion::Outside(version)) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "metadata store `{}` has schema version {version}, which is newer than this build: run the Lucida that \
                 wrote it, or restore an older backup",
                path.display()
            ),
        )
        .with_field("path")),
        // It reads the version before its transaction: another process may have migrated the database in between.
        (Err(_), SchemaVersion::Inside(_)) if migrations.pending_migrations(connection).ok() == Some(0) => Ok(()),
        (migrated, _) => migrated.map_err(|error| unmigrated(migrating, error)),
    }
}
