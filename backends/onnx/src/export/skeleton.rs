//! A model without its large weights: these stay in their file, and the graph says where.
//!
//! ONNX Runtime reads a file as a whole, copies the weights out of it, and for a while holds both. Weights that lie
//! elsewhere it maps instead. So every large one is rewritten as lying elsewhere: where it is, in the middle of the file.
//! It may begin at an odd address there, which x86-64 and AArch64, for which there are builds of the library, read as well.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use super::outline::{EXTERNAL_DATA, GRAPH, INITIALIZER, LOCATION};
use super::wire::{take_integer, write_bytes, write_number};

/// `TensorProto`'s fields for numbers as bytes, and for where they are: 1 says elsewhere.
const RAW_DATA: u64 = 9;
const DATA_LOCATION: u64 = 14;

/// Weights of fewer bytes stay: among them are shapes, which the runtime wants to see before it runs.
const LARGE_BYTES: u64 = 4096;

/// Reads a model, of which the large weights are skipped and then said to be in the file `name`.
///
/// # Errors
/// `InvalidData` for a file that is no model, and what reading gives.
pub(super) fn read(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let end = file.metadata()?.len();
    let source = BufReader::new(file);
    let mut reader = Reader { source, at: 0, name };
    reader.message(end, |reader, number, end, target| {
        if number != GRAPH {
            return Ok(false);
        }
        let graph = reader.message(end, |reader, number, end, target| {
            if number != INITIALIZER {
                return Ok(false);
            }
            write_bytes(target, INITIALIZER, &reader.tensor(end)?);
            Ok(true)
        })?;
        write_bytes(target, GRAPH, &graph);
        Ok(true)
    })
}

struct Reader<'a> {
    source: BufReader<File>,
    at: u64,
    name: &'a str,
}

impl Reader<'_> {
    /// Copies a message that goes to `end`. `special` is given each field of bytes, as its number and its end, and either
    /// reads it and writes another in its place, or leaves it and says `false`.
    fn message(
        &mut self,
        end: u64,
        mut special: impl FnMut(&mut Self, u64, u64, &mut Vec<u8>) -> io::Result<bool>,
    ) -> io::Result<Vec<u8>> {
        let mut target = Vec::new();
        while self.at < end {
            let key = self.integer(end)?;
            let number = key >> 3;
            match key & 7 {
                0 => {
                    let value = self.integer(end)?;
                    write_number(&mut target, number, value);
                }
                2 => {
                    let length = self.integer(end)?;
                    let field_end = self
                        .at
                        .checked_add(length)
                        .filter(|&at| at <= end)
                        .ok_or_else(damaged)?;
                    if !special(self, number, field_end, &mut target)? {
                        write_bytes(&mut target, number, &self.bytes(length)?);
                    }
                }
                // No message of a model has fields of any other kind.
                _ => return Err(damaged()),
            }
        }
        if self.at == end {
            Ok(target)
        } else {
            Err(damaged())
        }
    }

    fn tensor(&mut self, end: u64) -> io::Result<Vec<u8>> {
        let mut skipped = None;
        let mut tensor = self.message(end, |reader, number, end, _| {
            let length = end - reader.at;
            if number != RAW_DATA || length < LARGE_BYTES {
                return Ok(false);
            }
            skipped = Some((reader.at, length));
            reader.skip(length)?;
            Ok(true)
        })?;
        if let Some((offset, length)) = skipped {
            let places = [
                (LOCATION, self.name),
                ("offset", &offset.to_string()),
                ("length", &length.to_string()),
            ];
            for (key, value) in places {
                let mut entry = Vec::new();
                write_bytes(&mut entry, 1, key.as_bytes());
                write_bytes(&mut entry, 2, value.as_bytes());
                write_bytes(&mut tensor, EXTERNAL_DATA, &entry);
            }
            write_number(&mut tensor, DATA_LOCATION, 1);
        }
        Ok(tensor)
    }

    /// Reads an integer, byte by byte to its last, which is before `end`.
    fn integer(&mut self, end: u64) -> io::Result<u64> {
        let mut bytes = Vec::with_capacity(10);
        while self.at < end && bytes.last().is_none_or(|&byte| byte >= 0x80) {
            bytes.append(&mut self.bytes(1)?);
        }
        take_integer(&mut &bytes[..]).ok_or_else(damaged)
    }

    /// Reads so many bytes, none of which are set aside before they are there.
    fn bytes(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.source.by_ref().take(length).read_to_end(&mut bytes)?;
        self.at += length;
        if read as u64 == length {
            Ok(bytes)
        } else {
            Err(damaged())
        }
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        self.source
            .seek_relative(length.try_into().map_err(|_| damaged())?)?;
        self.at += length;
        Ok(())
    }
}

fn damaged() -> io::Error {
    io::ErrorKind::InvalidData.into()
}
