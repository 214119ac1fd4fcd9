//! The journal of one collection: every write since the engine's data was last flushed.
//!
//! The engine's own log isn't replayed when the engine opens and isn't synced by a write, so this one is what makes
//! a write durable. A file is a header (`LUCIDAJ1`, the engine's next operation number, a checksum) and records
//! (length, checksum, MessagePack); the last record may be torn by a crash, and then it was never acknowledged.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lucida_core::{Error, Result, ResultExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::durable;
use crate::point::StoredPoint;

const MAGIC: &[u8; 8] = b"LUCIDAJ1";
const HEADER_BYTES: usize = 24;
const RECORD_HEADER_BYTES: usize = 12;

/// One write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// Points written, each over the one of the same id.
    Upsert(Vec<StoredPoint>),
    /// Points deleted.
    Delete(Vec<Uuid>),
}

impl Entry {
    /// Turns it into a record of the journal.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let mut record = vec![0; RECORD_HEADER_BYTES];
        rmp_serde::encode::write(&mut record, self)
            .map_err(|error| Error::internal("a journal entry can't be written").with_source(error))?;
        let body = &record[RECORD_HEADER_BYTES..];
        let length = u32::try_from(body.len())
            .map_err(|_| Error::invalid("a write of 4 GiB is too large: write fewer points at once"))?;
        let checksum = checksum(body);
        record[..4].copy_from_slice(&length.to_le_bytes());
        record[4..RECORD_HEADER_BYTES].copy_from_slice(&checksum);
        Ok(record)
    }
}

/// A journal open for writing.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
}

impl Journal {
    /// Starts an empty journal in place of whatever is there, atomically and durably.
    pub(crate) fn start(path: &Path, next_op: u64) -> Result<Self> {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&next_op.to_le_bytes());
        header.extend_from_slice(&checksum(&header));
        let file =
            durable::replace(path, &header).context(format!("starting journal `{}`", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
            bytes: HEADER_BYTES as u64,
        })
    }

    /// Appends a record; it is durable after the next sync of the file.
    pub(crate) fn append(&mut self, record: &[u8]) -> Result<()> {
        let mut file = &*self.file;
        let appended = file
            .seek(SeekFrom::Start(self.bytes))
            .and_then(|_| file.write_all(record));
        match appended {
            Ok(()) => {
                self.bytes += record.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A record cut short would hide the ones after it; if this fails too, the next one overwrites it.
                let _ = self.file.set_len(self.bytes);
                Err(Error::from(error).context(format!("writing journal `{}`", self.path.display())))
            }
        }
    }

    /// Returns the file, for syncing it without holding up writes.
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Returns how many bytes of records it has.
    pub(crate) fn record_bytes(&self) -> u64 {
        self.bytes - HEADER_BYTES as u64
    }
}

/// A journal as found at opening.
#[derive(Debug)]
pub(crate) struct Found {
    /// The journal, to go on writing to.
    pub(crate) journal: Journal,
    /// The operation number that the engine had reached when the journal was started.
    pub(crate) next_op: u64,
    content: Vec<u8>,
    records: Vec<Range<usize>>,
}

impl Found {
    /// Reads a journal and cuts off a torn end.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let reading = || format!("reading journal `{}`", path.display());
        let content = fs::read(path).context(reading())?;
        let header = content
            .get(..HEADER_BYTES)
            .filter(|header| header.starts_with(MAGIC) && header[16..] == checksum(&header[..16]));
        let Some(header) = header else {
            return Err(Error::internal(format!(
                "journal `{}` is damaged: restore the folder from a backup, or delete the collection's folder \
                 and run `lucida check --repair`",
                path.display()
            )));
        };
        let next_op = u64::from_le_bytes(array(&header[8..16]));
        let (records, end) = records(&content);
        let file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .context(reading())?;
        if end < content.len() {
            tracing::warn!(
                journal = %path.display(),
                bytes = content.len() - end,
                "the journal's end was cut off by a crash: leaving it out"
            );
            cut(&file, end as u64).context(reading())?;
        }
        let journal = Journal {
            path: path.to_owned(),
            file: Arc::new(file),
            bytes: end as u64,
        };
        Ok(Self {
            journal,
            next_op,
            content,
            records,
        })
    }

    /// Returns how many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Decodes the entries in the order they were written.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Result<Entry>> {
        self.records.iter().map(|range| {
            rmp_serde::from_slice(&self.content[range.clone()]).map_err(|error| {
                Error::internal("an entry of the journal can't be read: it was written by another version")
                    .with_source(error)
            })
        })
    }
}

fn cut(file: &File, bytes: u64) -> io::Result<()> {
    file.set_len(bytes)?;
    file.sync_all()
}

/// Finds the whole records and where they end.
fn records(content: &[u8]) -> (Vec<Range<usize>>, usize) {
    let mut found = Vec::new();
    let mut end = HEADER_BYTES;
    while let Some(header) = content.get(end..end + RECORD_HEADER_BYTES) {
        let start = end + RECORD_HEADER_BYTES;
        let length = u32::from_le_bytes(array(&header[..4])) as usize;
        let Some(body) = content.get(start..start + length) else {
            break;
        };
        if header[4..] != checksum(body) {
            break;
        }
        end = start + length;
        found.push(start..end);
    }
    (found, end)
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    array(&blake3::hash(bytes).as_bytes()[..8])
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(byte: u8) -> Entry {
        Entry::Delete(vec![Uuid::from_bytes([byte; 16])])
    }

    fn entries(path: &Path) -> Vec<Entry> {
        Found::read(path).unwrap().entries().map(Result::unwrap).collect()
    }

    #[test]
    fn what_was_written_is_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::start(&path, 7).unwrap();
        for byte in 1..4 {
            journal.append(&entry(byte).encode().unwrap()).unwrap();
        }
        assert_eq!(entries(&path), [entry(1), entry(2), entry(3)]);
        assert_eq!(Found::read(&path).unwrap().next_op, 7);
    }

    #[test]
    fn every_torn_end_loses_the_last_record_only_and_writing_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::start(&path, 0).unwrap();
        journal.append(&entry(1).encode().unwrap()).unwrap();
        let whole = fs::read(&path).unwrap();
        let torn = entry(2).encode().unwrap();
        for length in 0..torn.len() {
            fs::write(&path, [&whole[..], &torn[..length]].concat()).unwrap();
            let mut found = Found::read(&path).unwrap();
            assert_eq!(found.len(), 1, "{length} bytes");
            found.journal.append(&entry(3).encode().unwrap()).unwrap();
            assert_eq!(entries(&path), [entry(1), entry(3)], "{length} bytes");
        }
    }

    #[test]
    fn a_record_with_a_flipped_bit_ends_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::start(&path, 0).unwrap();
        journal.append(&entry(1).encode().unwrap()).unwrap();
        let mut content = fs::read(&path).unwrap();
        *content.last_mut().unwrap() ^= 1;
        fs::write(&path, content).unwrap();
        assert!(entries(&path).is_empty());
    }

    #[test]
    fn a_damaged_header_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        drop(Journal::start(&path, 0).unwrap());
        fs::write(&path, vec![0; HEADER_BYTES]).unwrap();
        let error = Found::read(&path).unwrap_err();
        assert!(error.to_string().contains("journal"), "{error}");
    }
}
