//! The SQLite file: its settings, its schema, and a collection's tables.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lucida_core::{CollectionName, Error, ErrorKind, Result, ResultExt};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use crate::error::{Step, damaged};

const FILE: &str = "index.db";

/// What SQLite's header says whose file it is: "LucV".
const APPLICATION_ID: i32 = 0x4c75_6356;
/// The version of the schema and of the codes.
const VERSION: i32 = 2;

/// How long to wait for a connection of another program, such as one that makes a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE collections (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        dimensions INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE alias (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        collection INTEGER NOT NULL REFERENCES collections (number)
    ) STRICT;
    CREATE TABLE pings (count INTEGER NOT NULL) STRICT;
    INSERT INTO pings VALUES (0);
";

/// Returns the path of the file in an index's folder.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Opens the file for writing, and makes it if need be.
pub(crate) fn open_writer(folder: &Path) -> Result<Connection> {
    let setting_up = "setting up the index's file";
    let mut connection = connect(&file(folder), OpenFlags::SQLITE_OPEN_CREATE)?;
    // A vector of 512 dimensions takes 2 KiB: seven fit a page of this size, and nothing of it is left over. What is
    // freed can be given back to the disk. Both only matter while the file is empty.
    connection
        .execute_batch("PRAGMA page_size = 16384; PRAGMA auto_vacuum = INCREMENTAL;")
        .doing(setting_up)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .doing(setting_up)?;
    if mode != "wal" {
        return Err(Error::config(
            "path",
            format!(
                "the file system of index.embedded.path can't hold a write-ahead log (mode `{mode}`): use a local disk"
            ),
        ));
    }
    // In WAL mode with FULL, a commit is one sync of the log; it has happened when the commit returns.
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864;
             PRAGMA cache_size = -32768;",
        )
        .doing(setting_up)?;
    make_schema(&mut connection, folder)?;
    Ok(connection)
}

/// Opens another connection to a file that exists, for reading only.
pub(crate) fn open_reader(folder: &Path) -> Result<Connection> {
    let connection = connect(&file(folder), OpenFlags::empty())?;
    connection
        .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8192;")
        .doing("opening the index's file to read")?;
    Ok(connection)
}

fn connect(path: &Path, more: OpenFlags) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let opening = format!("opening `{}`", path.display());
    let connection = Connection::open_with_flags(path, flags).doing(&opening)?;
    connection.busy_timeout(BUSY_TIMEOUT).doing(&opening)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn make_schema(connection: &mut Connection, folder: &Path) -> Result<()> {
    let checking = "checking the index's file";
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .doing(checking)?;
    let number = |pragma: &str| -> Result<i32> {
        transaction
            .pragma_query_value(None, pragma, |row| row.get(0))
            .doing(checking)
    };
    let empty: bool = transaction
        .query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| {
            row.get(0)
        })
        .doing(checking)?;
    let (owner, version) = (number("application_id")?, number("user_version")?);
    let path = file(folder);
    if !empty && owner != APPLICATION_ID {
        return Err(Error::config(
            "path",
            format!(
                "`{}` is another program's database: set index.embedded.path to another folder",
                path.display()
            ),
        ));
    }
    if !empty && version == 1 {
        add_local_times(&transaction)
            .and_then(|()| transaction.pragma_update(None, "user_version", VERSION))
            .and_then(|()| transaction.commit())
            .doing("adding local times to the index's file")?;
        return Ok(());
    }
    if !empty && version != VERSION {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "`{}` has version {version}, and this build reads up to version {VERSION}: run the newer Lucida that wrote \
                 it, or move the folder away and the photos are embedded again from their originals",
                path.display()
            ),
        ));
    }
    if empty {
        transaction
            .execute_batch(SCHEMA)
            .and_then(|()| transaction.pragma_update(None, "user_version", VERSION))
            .and_then(|()| transaction.pragma_update(None, "application_id", APPLICATION_ID))
            .and_then(|()| transaction.commit())
            .doing("making the index's file")?;
    }
    Ok(())
}

/// Brings version 1 to version 2: points have a local time. Those of version 1 get theirs when they are written again, and go
/// by UTC until then.
fn add_local_times(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let numbers: Vec<i64> = transaction
        .prepare("SELECT number FROM collections")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for number in numbers {
        let add = format!("ALTER TABLE points_{number} ADD COLUMN taken_at_local INTEGER");
        transaction.execute_batch(&add)?;
    }
    Ok(())
}

/// A collection as the file knows it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) name: CollectionName,
    pub(crate) dimensions: usize,
    pub(crate) tables: Tables,
}

/// Reads which collections there are.
pub(crate) fn collections(connection: &Connection) -> Result<Vec<Known>> {
    let reading = "reading the index's collections";
    let mut statement = connection
        .prepare("SELECT number, name, dimensions FROM collections ORDER BY name")
        .doing(reading)?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .doing(reading)?;
    rows.map(|row| {
        let (number, name, dimensions): (i64, String, i64) = row.doing(reading)?;
        Ok(Known {
            name: CollectionName::new(name).context(damaged("the name of a collection").to_string())?,
            dimensions: usize::try_from(dimensions)
                .ok()
                .filter(|dimensions| *dimensions > 0)
                .ok_or_else(|| damaged("the dimensions of a collection"))?,
            tables: Tables::new(number),
        })
    })
    .collect()
}

/// Reads where the alias points.
pub(crate) fn alias(connection: &Connection) -> Result<Option<CollectionName>> {
    let name: Option<String> = connection
        .query_row(
            "SELECT name FROM collections JOIN alias ON collection = number",
            [],
            |row| row.get(0),
        )
        .optional()
        .doing("reading the index's alias")?;
    name.map(CollectionName::new).transpose()
}

/// Adds a collection and its tables, inside a transaction.
pub(crate) fn create(
    transaction: &Transaction<'_>,
    name: &CollectionName,
    dimensions: usize,
) -> Result<Known> {
    let making = "making a collection of the index";
    let stored =
        i64::try_from(dimensions).map_err(|_| Error::invalid("a vector can't have so many dimensions"))?;
    transaction
        .execute(
            "INSERT INTO collections (name, dimensions) VALUES (?1, ?2)",
            (name.as_str(), stored),
        )
        .doing(making)?;
    let tables = Tables::new(transaction.last_insert_rowid());
    transaction.execute_batch(&tables.create()).doing(making)?;
    Ok(Known {
        name: name.clone(),
        dimensions,
        tables,
    })
}

/// Points the alias, inside a transaction or as one.
pub(crate) fn set_alias(connection: &Connection, tables: &Tables) -> Result<()> {
    connection
        .execute("INSERT OR REPLACE INTO alias VALUES (1, ?1)", [tables.number])
        .doing("pointing the index's alias")
        .map(drop)
}

/// Deletes a collection and its tables.
pub(crate) fn drop_collection(connection: &mut Connection, tables: &Tables) -> Result<()> {
    let dropping = "deleting a collection of the index";
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .doing(dropping)?;
    transaction
        .execute("DELETE FROM collections WHERE number = ?1", [tables.number])
        .and_then(|_| transaction.execute_batch(&tables.drop()))
        .and_then(|()| transaction.commit())
        .doing(dropping)
}

/// The statements on the tables of a collection.
///
/// `points` has what is in memory, and little else; opening reads it from one end to the other. `vectors` has the whole
/// vectors, which are read a few at a time.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    number: i64,
    pub(crate) put_point: String,
    pub(crate) put_vector: String,
    pub(crate) delete_point: String,
    pub(crate) delete_vector: String,
    pub(crate) last_slot: String,
    pub(crate) points: String,
    pub(crate) vector_at: String,
    pub(crate) vector_of: String,
}

impl Tables {
    fn new(number: i64) -> Self {
        Self {
            number,
            put_point: format!(
                "INSERT INTO points_{number} (slot, photo, owner, taken_at, tags, code, taken_at_local)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (slot) DO UPDATE SET photo = excluded.photo, owner = excluded.owner,
                     taken_at = excluded.taken_at, tags = excluded.tags, code = excluded.code,
                     taken_at_local = excluded.taken_at_local"
            ),
            put_vector: format!(
                "INSERT INTO vectors_{number} (slot, photo, vector) VALUES (?1, ?2, ?3)
                 ON CONFLICT (slot) DO UPDATE SET photo = excluded.photo, vector = excluded.vector"
            ),
            delete_point: format!("DELETE FROM points_{number} WHERE slot = ?1"),
            delete_vector: format!("DELETE FROM vectors_{number} WHERE slot = ?1"),
            last_slot: format!("SELECT max(slot) FROM points_{number}"),
            points: format!(
                "SELECT slot, photo, owner, taken_at, tags, code, taken_at_local FROM points_{number}
                 WHERE slot >= ?1 AND slot < ?2 ORDER BY slot"
            ),
            vector_at: format!("SELECT photo, vector FROM vectors_{number} WHERE slot = ?1"),
            vector_of: format!(
                "SELECT vector FROM points_{number} AS p JOIN vectors_{number} AS v ON v.slot = p.slot
                 WHERE p.photo = ?1"
            ),
        }
    }

    fn create(&self) -> String {
        let number = self.number;
        format!(
            "CREATE TABLE points_{number} (
                 slot INTEGER PRIMARY KEY,
                 photo BLOB NOT NULL UNIQUE,
                 owner TEXT NOT NULL,
                 taken_at INTEGER,
                 tags TEXT,
                 code BLOB NOT NULL,
                 taken_at_local INTEGER
             ) STRICT;
             CREATE TABLE vectors_{number} (
                 slot INTEGER PRIMARY KEY,
                 photo BLOB NOT NULL,
                 vector BLOB NOT NULL
             ) STRICT;"
        )
    }

    fn drop(&self) -> String {
        let number = self.number;
        format!("DROP TABLE points_{number}; DROP TABLE vectors_{number};")
    }
}
