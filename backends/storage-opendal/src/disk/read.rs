//! Reading a blob in pieces, on threads that may block.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, stream};
use lucida_core::{Blob, BlobKey, ByteStream, Result, stream_of};

use super::error::{absent, failed, is_absent};
use super::folders::Folders;
use super::store::blocking;
use crate::range::cut;

/// How much is read at once; most photos come in one or two pieces.
const PIECE_BYTES: u64 = 256 * 1024;

/// A blob, or a range of it, that is being read.
struct Reading {
    key: BlobKey,
    file: File,
    left: u64,
}

/// Opens a blob and reads its first piece at once, so that a small one costs one hop to a blocking thread.
pub(super) fn open(key: BlobKey, path: &Path, folders: &Folders, range: Option<Range<u64>>) -> Result<Blob> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
    let (mut file, size_bytes) = match opened {
        Ok((file, metadata)) if metadata.is_file() => (file, metadata.len()),
        Ok(_) => return Err(absent(&key)),
        Err(error) if is_absent(&error) => {
            folders.mounted()?;
            return Err(absent(&key));
        }
        Err(error) => return Err(failed(format!("opening blob `{key}`"), error)),
    };
    let range = cut(&key, range, size_bytes)?;
    if range.start > 0 {
        file.seek(SeekFrom::Start(range.start))
            .map_err(|error| failed(format!("reading blob `{key}`"), error))?;
    }
    let mut reading = Reading {
        key,
        file,
        left: range.end - range.start,
    };
    let first = reading.piece()?;
    let stream = match reading.left {
        0 => stream_of(first),
        _ => stream::iter([Ok(first)]).chain(rest(reading)).boxed(),
    };
    Ok(Blob { size_bytes, stream })
}

impl Reading {
    fn piece(&mut self) -> Result<Bytes> {
        let size = self.left.min(PIECE_BYTES);
        let mut piece = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        let read = (&self.file).take(size).read_to_end(&mut piece);
        let read = read.and_then(|read| {
            if read as u64 == size {
                Ok(size)
            } else {
                Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the file became shorter",
                ))
            }
        });
        self.left -= read.map_err(|error| failed(format!("reading blob `{}`", self.key), error))?;
        Ok(piece.into())
    }
}

fn rest(reading: Reading) -> ByteStream {
    stream::try_unfold(reading, |mut reading| async move {
        if reading.left == 0 {
            return Ok(None);
        }
        blocking(move || Ok(Some((reading.piece()?, reading)))).await
    })
    .boxed()
}
