//! Opening the database file: its settings, and the migrations that bring it to this build's schema.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lucida_core::{Error, ErrorKind, Result, ResultExt};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::failed;

/// Each brings the schema from the version before, its place in the list, to the next. Never change one that
/// was released: add another.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_jobs.sql")];

/// What SQLite's header says whose file it is: "LucQ".
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

/// Opens another connection to a file that is there, for reading only.
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
                "the file system of queue.sqlite.path can't hold a write-ahead log (mode `{mode}`): use a local disk"
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
    let path = std::path::absolute(path)?;
    let missing: Vec<&Path> = path
        .ancestors()
        .skip(1)
        .take_while(|above| !above.exists())
        .collect();
    let Some(folder) = missing.first() else {
        return Ok(());
    };
    fs::create_dir_all(folder)?;
    let parents = missing.iter().filter_map(|folder| folder.parent());
    for parent in parents.filter(|_| cfg!(unix)) {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let migrating = |error| failed("migrating the queue", &error);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(migrating)?;
    let (version, owner, empty): (usize, i32, bool) = transaction
        .query_row(
            "SELECT (SELECT user_version FROM pragma_user_version), \
             (SELECT application_id FROM pragma_application_id), NOT EXISTS (SELECT 1 FROM sqlite_schema)",
            [],
            |row| {
                let version: u32 = row.get(0)?;
                Ok((version as usize, row.get(1)?, row.get(2)?))
            },
        )
        .map_err(migrating)?;
    if owner != APPLICATION_ID && !empty {
        return Err(Error::config(
            "path",
            format!(
                "`{}` is another program's database, or the ledger's: set queue.sqlite.path to a file of its own",
                path.display()
            ),
        ));
    }
    let missing = MIGRATIONS.get(version..).ok_or_else(|| {
        let known = MIGRATIONS.len();
        Error::new(
            ErrorKind::Unsupported,
            format!(
                "queue `{}` has schema version {version}, and this build knows up to {known}: run the newer Lucida \
                 that wrote it, or move the file away and let the jobs be made anew from the ledger",
                path.display()
            ),
        )
        .with_field("path")
    })?;
    for (migration, version) in missing.iter().zip(version + 1..) {
        transaction
            .execute_batch(&format!(
                "{migration}; PRAGMA user_version = {version}; PRAGMA application_id = {APPLICATION_ID};"
            ))
            .map_err(migrating)?;
    }
    transaction
        .commit()
        .map_err(migrating)
        .context("opening the queue")
}
