//! The database files: how one is opened and migrated, and what SQLite's errors mean to the users of each.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use lucida_core::{Error, ErrorKind, Result, durable};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use rusqlite_migration::{M, Migrations, SchemaVersion};

/// How long to wait for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A kind of database file: its name, its settings and its schema.
pub(crate) struct Database {
    /// The name in messages, such as `metadata store`.
    pub(crate) name: &'static str,
    /// The setting that holds its path.
    pub(crate) setting: &'static str,
    /// The mark in SQLite's header by which the file is known as ours.
    pub(crate) application_id: i32,
    /// What brings the schema from each version to the next, beginning with an empty file. Never change one that was
    /// released: add another.
    pub(crate) migrations: &'static [&'static str],
    /// The page cache of the connection that writes and of one that reads, in KiB.
    pub(crate) cache_kib: (u32, u32),
    /// The size that the write-ahead log is cut back to, in bytes.
    pub(crate) journal_bytes: u64,
    /// What to do about a damaged file.
    pub(crate) when_damaged: &'static str,
    /// What to do about a file of a newer build.
    pub(crate) when_newer: &'static str,
}

impl Database {
    /// Opens the file for writing, creates it if it is missing, and migrates it.
    pub(crate) fn open_writer(&self, path: &Path) -> Result<Connection> {
        self.create_folder(path)?;
        let mut connection = self.connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
        self.use_wal(&connection)?;
        // In WAL mode with FULL, a commit is one sync of the log; it has happened when the commit returns.
        let pragmas = format!(
            "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = {}; PRAGMA cache_size = -{};",
            self.journal_bytes, self.cache_kib.0
        );
        connection
            .execute_batch(&pragmas)
            .map_err(|error| self.failed(&format!("setting up the {}", self.name), error))?;
        self.migrate(&mut connection, path)?;
        Ok(connection)
    }

    /// Opens another connection to an existing file, for reading only.
    pub(crate) fn open_reader(&self, path: &Path) -> Result<Connection> {
        let connection = self.connect(path, OpenFlags::empty())?;
        let pragmas = format!(
            "PRAGMA query_only = ON; PRAGMA cache_size = -{};",
            self.cache_kib.1
        );
        connection
            .execute_batch(&pragmas)
            .map_err(|error| self.failed(&format!("opening the {} for reading", self.name), error))?;
        Ok(connection)
    }

    fn connect(&self, path: &Path, more: OpenFlags) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
        let opening = |error| {
            let doing = format!("opening the {} `{}`", self.name, path.display());
            self.failed(&doing, error).with_field("path")
        };
        let connection = Connection::open_with_flags(path, flags).map_err(opening)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(opening)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    /// Creates the folder of the file, durably.
    fn create_folder(&self, path: &Path) -> Result<()> {
        let creating = |error: std::io::Error| {
            Error::from(error).with_field("path").context(format!(
                "creating the folder of {} `{}`",
                self.setting,
                path.display()
            ))
        };
        let path = std::path::absolute(path).map_err(creating)?;
        match path.parent() {
            Some(folder) => durable::make_folder(folder).map_err(creating),
            None => Ok(()),
        }
    }

    /// Turns the write-ahead log on. SQLite doesn't wait by itself for another process that is doing the same.
    fn use_wal(&self, connection: &Connection) -> Result<()> {
        let start = Instant::now();
        let mode: String = loop {
            match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)) {
                Err(error)
                    if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                        && start.elapsed() < BUSY_TIMEOUT =>
                {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => {
                    let doing = format!("setting up the {}", self.name);
                    return Err(self.failed(&doing, error).with_field("path"));
                }
                Ok(mode) => break mode,
            }
        };
        if mode == "wal" {
            return Ok(());
        }
        let message = format!(
            "the file system of {} has no write-ahead log (mode `{mode}`): set it to a file on a local disk",
            self.setting
        );
        Err(Error::config("path", message))
    }

    /// Brings the schema to this build's version.
    fn migrate(&self, connection: &mut Connection, path: &Path) -> Result<()> {
        let migrating = format!("migrating the {}", self.name);
        let application_id = self.application_id;
        let mark = move |transaction: &Transaction<'_>| {
            transaction.pragma_update(None, "application_id", application_id)?;
            Ok(())
        };
        let steps = self.migrations.iter().enumerate();
        let steps = steps.map(|(number, step)| match number {
            0 => M::up_with_hook(step, mark),
            _ => M::up(step),
        });
        let migrations = Migrations::from_iter(steps);
        // By one statement, which sees the database as it is at one moment.
        let (owner, empty): (i32, bool) = connection
            .query_row(
                "SELECT (SELECT application_id FROM pragma_application_id), NOT EXISTS (SELECT 1 FROM sqlite_schema)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(|error| self.failed(&migrating, error))?;
        if owner != application_id && !empty {
            let message = format!(
                "`{}` is the database of another program, or not the {}: set {} to another file",
                path.display(),
                self.name,
                self.setting
            );
            return Err(Error::config("path", message));
        }
        connection.set_transaction_behavior(TransactionBehavior::Immediate);
        let migrated = migrations.to_latest(connection);
        let version = migrations
            .current_version(connection)
            .map_err(|error| self.unmigrated(&migrating, error))?;
        match (migrated, version) {
            (_, SchemaVersion::Outside(version)) => Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{} `{}` has schema version {version}, which is newer than this build: {}",
                    self.name,
                    path.display(),
                    self.when_newer
                ),
            )
            .with_field("path")),
            // It reads the version before its transaction: another process may have migrated the database in between.
            (Err(_), SchemaVersion::Inside(_))
                if migrations.pending_migrations(connection).ok() == Some(0) =>
            {
                Ok(())
            }
            (migrated, _) => migrated.map_err(|error| self.unmigrated(&migrating, error)),
        }
    }

    /// Makes Lucida's error of one of SQLite's.
    pub(crate) fn failed(&self, doing: &str, error: rusqlite::Error) -> Error {
        self.described(&error).with_source(error).context(doing)
    }

    /// Makes Lucida's error of one of SQLite's that several callers wait for.
    pub(crate) fn failed_for_all(&self, doing: &str, error: &rusqlite::Error) -> Error {
        self.described(error).context(format!("{doing} ({error})"))
    }

    fn unmigrated(&self, doing: &str, error: rusqlite_migration::Error) -> Error {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the library's errors are open-ended"
        )]
        match error {
            rusqlite_migration::Error::RusqliteError { err, .. } => self.failed(doing, err),
            other => Error::internal("the schema could not be changed")
                .with_source(other)
                .context(doing),
        }
    }

    fn described(&self, error: &rusqlite::Error) -> Error {
        let Self { name, setting, .. } = self;
        let Some(code) = error.sqlite_error_code() else {
            return Error::internal(format!("the {name} has a row that this build can't read"));
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "SQLite's codes are open-ended")]
        match code {
            ErrorCode::DiskFull => Error::unavailable(format!(
                "the disk is full: free space, or move {setting} to a larger disk"
            ))
            .with_code("storage_full"),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::unavailable(format!(
                "another process has locked the file of {setting} for too long: stop that process"
            )),
            ErrorCode::SystemIoFailure | ErrorCode::OperationAborted | ErrorCode::OutOfMemory => {
                Error::unavailable(format!("the disk of {setting} failed: check that disk"))
            }
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "the file of {setting} can't be opened for writing: check the owner and mode of it and its folder"
                ),
            ),
            ErrorCode::NotADatabase => Error::config(
                "path",
                format!("the file of {setting} is not a SQLite database: set it to another file"),
            ),
            ErrorCode::DatabaseCorrupt => {
                Error::internal(format!("the file of {setting} is damaged: {}", self.when_damaged))
            }
            _ => Error::internal(format!("SQLite refused a statement on the file of {setting}")),
        }
    }
}
