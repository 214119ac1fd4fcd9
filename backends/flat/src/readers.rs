//! A few connections that only read, beside the writer.

use std::path::PathBuf;
use std::sync::Mutex;

use lucida_core::Result;
use rusqlite::{Connection, OptionalExtension};

use crate::database::{Tables, open_reader};
use crate::error::{Step, damaged};
use crate::lock::lock;

/// How many connections are kept when nobody uses them.
const KEPT: usize = 8;

/// The reading connections, opened when first needed.
#[derive(Debug)]
pub(crate) struct Readers {
    folder: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Reads the file in a folder, once it exists.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            idle: Mutex::default(),
        }
    }

    /// Runs `read` on a connection that is free, or a new one.
    pub(crate) fn run<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = lock(&self.idle).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open_reader(&self.folder)?,
        };
        let outcome = read(&connection);
        let mut idle = lock(&self.idle);
        if idle.len() < KEPT {
            idle.push(connection);
        }
        outcome
    }

    /// Gives the whole vectors of points to `each`, by slot and photo; those that were deleted meanwhile are left out.
    pub(crate) fn vectors(
        &self,
        tables: &Tables,
        dimensions: usize,
        points: &[(u32, u128)],
        mut each: impl FnMut(u128, &[f32]),
    ) -> Result<()> {
        let reading = "reading vectors of the index";
        self.run(|connection| {
            let mut statement = connection.prepare_cached(&tables.vector_at).doing(reading)?;
            let mut vector = Vec::with_capacity(dimensions);
            for (slot, photo) in points {
                let mut rows = statement.query([slot]).doing(reading)?;
                let Some(row) = rows.next().doing(reading)? else {
                    continue;
                };
                let bytes = |column: usize| {
                    let value = row.get_ref(column).doing(reading)?;
                    value.as_blob().map_err(|_| damaged("a vector"))
                };
                // Freed and given to another photo since the search began.
                if bytes(0)? != photo.to_be_bytes() {
                    continue;
                }
                decode(bytes(1)?, dimensions, &mut vector)?;
                each(*photo, &vector);
            }
            Ok(())
        })
    }

    /// Returns the whole vector of a photo.
    pub(crate) fn vector(&self, tables: &Tables, dimensions: usize, photo: u128) -> Result<Option<Vec<f32>>> {
        let reading = "reading a vector of the index";
        self.run(|connection| {
            let bytes: Option<Vec<u8>> = connection
                .prepare_cached(&tables.vector_of)
                .and_then(|mut statement| {
                    statement
                        .query_row([photo.to_be_bytes()], |row| row.get(0))
                        .optional()
                })
                .doing(reading)?;
            let Some(bytes) = bytes else { return Ok(None) };
            let mut vector = Vec::with_capacity(dimensions);
            decode(&bytes, dimensions, &mut vector)?;
            Ok(Some(vector))
        })
    }
}

/// Writes a vector as the database keeps it.
pub(crate) fn encode(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn decode(bytes: &[u8], dimensions: usize, vector: &mut Vec<f32>) -> Result<()> {
    let (numbers, rest) = bytes.as_chunks();
    if numbers.len() != dimensions || !rest.is_empty() {
        return Err(damaged("a vector has another length"));
    }
    vector.clear();
    vector.extend(numbers.iter().map(|number| f32::from_le_bytes(*number)));
    Ok(())
}
