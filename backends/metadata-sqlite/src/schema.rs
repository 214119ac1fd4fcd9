//! Opening the database file: its settings, and the migrations that bring it to this build's schema.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lucida_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::failed;

/// Each brings the schema from the version before, its place in the list, to the next. Never change one that
/// was released: add another.
const MIGRATIONS: &[&str] = &[include_str!("migrations/0001_ledger.sql")];

/// What SQLite's header says whose file it is: "LucM".
const APPLICATION_ID: i32 = 0x4c75_634d;

/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the file for writing, makes it if need be, and migrates it.
pub(crate) fn open_writer(path: &Path) -> Result<Connection> {
    make_folder(path)?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
    let setting_up = |error| failed("setting up the ledger", error);
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

/// Opens another connection to a file that is there, for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let connection = connect(path, OpenFlags::empty())?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8192;")
        .map_err(|error| failed("opening the ledger for reading", error))?;
    Ok(connection)
}

fn connect(path: &Path, more: OpenFlags) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let opening = |error| {
        let path = path.display();
        failed(&format!("opening the ledger `{path}`"), error).with_field("path")
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
    let missing: Vec<&Path> = path
        .ancestors()
        .skip(1)
        .take_while(|above| !above.exists())
        .collect();
    for folder in missing.into_iter().rev() {
        match fs::create_dir(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(making(error)),
            Ok(()) | Err(_) => {}
        }
        if let Some(parent) = folder.parent().filter(|_| cfg!(unix)) {
            File::open(parent)
                .and_then(|parent| parent.sync_all())
                .map_err(making)?;
        }
    }
    Ok(())
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
                        "the file system of metadata.sqlite.path can't hold a write-ahead log (mode `{mode}`): use a local disk"
                    ),
                ));
            }
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && start.elapsed() < BUSY_TIMEOUT =>
            {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(failed("setting up the ledger", error).with_field("path")),
        }
    }
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let migrating = |error| failed("migrating the ledger", error);
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(migrating)?;
    let number = |pragma: &str| -> Result<i32> {
        transaction
            .pragma_query_value(None, pragma, |row| row.get(0))
            .map_err(migrating)
    };
    let version = usize::try_from(number("user_version")?).unwrap_or(usize::MAX);
    let owner = number("application_id")?;
    let empty: bool = transaction
        .query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| {
            row.get(0)
        })
        .map_err(migrating)?;
    if owner != APPLICATION_ID && !empty {
        return Err(Error::config(
            "path",
            format!(
                "`{}` is another program's database: set metadata.sqlite.path to a file of its own",
                path.display()
            ),
        ));
    }
    if version == MIGRATIONS.len() {
        return Ok(());
    }
    let Some(missing) = MIGRATIONS.get(version..) else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "ledger `{}` has schema version {version}, and this build knows up to {}: run the newer Lucida that \
                 wrote it, or restore a backup from before",
                path.display(),
                MIGRATIONS.len()
            ),
        )
        .with_field("path"));
    };
    for migration in missing {
        transaction.execute_batch(migration).map_err(migrating)?;
    }
    let version = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    transaction
        .pragma_update(None, "user_version", version)
        .and_then(|()| transaction.pragma_update(None, "application_id", APPLICATION_ID))
        .and_then(|()| transaction.commit())
        .map_err(migrating)
}
