//! Opening the database file: its settings, and the migrations that bring it to this build's schema.

use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lucida_core::{Error, ErrorKind, Result, durable};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations, SchemaVersion};

use crate::error::{failed, unmigrated};

/// The mark in SQLite's header by which the file is known as ours: "LucQ".
const APPLICATION_ID: i32 = 0x4c75_6351;

/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the file, makes it if need be, and migrates it.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    make_folder(path).map_err(|error| {
        let made = Error::from(error).with_field("path");
        made.context(format!(
            "making the folder of queue.sqlite.path `{}`",
            path.display()
        ))
    })?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens another connection to an existing file, for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let connection = connect(path, OpenFlags::empty())?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(|error| failed("opening the queue for reading", &error))?;
    Ok(connection)
}

fn connect(path: &Path, more: OpenFlags) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let opening =
        |error| failed(&format!("opening the queue `{}`", path.display()), &error).with_field("path");
    let connection = Connection::open_with_flags(path, flags).map_err(opening)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(opening)?;
    let start = Instant::now();
    let mode: String = loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)) {
            // SQLite doesn't wait by itself for another process that is turning the log on.
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < BUSY_TIMEOUT =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            outcome => break outcome.map_err(opening)?,
        }
    };
    if mode != "wal" {
        return Err(Error::config(
            "path",
            format!(
                "the file system of queue.sqlite.path has no write-ahead log (mode `{mode}`): set it to a file on a local disk"
            ),
        ));
    }
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -4096;",
        )
        .map_err(opening)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Makes the folder of the file, durably.
fn make_folder(path: &Path) -> io::Result<()> {
    match std::path::absolute(path)?.parent() {
        Some(folder) => durable::make_folder(folder),
        None => Ok(()),
    }
}

/// Returns the versions of the schema. Never change one that was released: add another.
fn migrations() -> Migrations<'static> {
    let mark = |transaction: &Transaction<'_>| {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        Ok(())
    };
    Migrations::new(vec![M::up_with_hook(
        include_str!("migrations/0001_jobs.sql"),
        mark,
    )])
}

/// Brings the schema to this build's version.
fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let migrating = "migrating the queue";
    let migrations = migrations();
    // By one statement, which sees the database as it is at one moment.
    let (owner, empty): (i32, bool) = connection
        .query_row(
            "SELECT (SELECT application_id FROM pragma_application_id), NOT EXISTS (SELECT 1 FROM sqlite_schema)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .map_err(|error| failed(migrating, &error))?;
    if owner != APPLICATION_ID && !empty {
        return Err(Error::config(
            "path",
            format!(
                "`{}` is the database of another program or the metadata store: set queue.sqlite.path to a file of its own",
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
                "queue `{}` has schema version {version}, which is newer than this build: run the Lucida that wrote it, or \
                 move the file away, and the jobs are made again from the metadata store",
                path.display()
            ),
        )
        .with_field("path")),
        // It reads the version before its transaction: another process may have migrated the database in between.
        (Err(_), SchemaVersion::Inside(_)) if migrations.pending_migrations(connection).ok() == Some(0) => Ok(()),
        (migrated, _) => migrated.map_err(|error| unmigrated(migrating, error)),
    }
}
