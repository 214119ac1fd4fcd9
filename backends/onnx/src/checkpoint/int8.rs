//! Weights in 8-bit integers: made from a checkpoint once, kept in the cache, mapped from there.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Instant;

use lucida_core::{Error, Result};
use lucida_models::checkpoint::WeightsId;
use tracing::{info, warn};

use super::placement::Placement;
use super::rounding::encode;
use crate::graph::{Location, Weight};

/// Changes whenever other bytes are made of the same weights.
const SCHEME: &[u8] = b"lucida int8 1\n";

/// Where the kernels like their weights to begin.
const ALIGNMENT_BYTES: usize = 64;

/// `SCHEME`, then the BLAKE3 hash of what follows the head, then zeros.
const HEAD_BYTES: usize = ALIGNMENT_BYTES;

const HASH_BYTES: usize = blake3::OUT_LEN;

const BLOCK_BYTES: usize = 1 << 20;

/// Finds the weights of a graph in the cache's file of them, which is created if it is missing or damaged; `id` tells
/// which numbers they come from.
///
/// Any number of processes may do this at once: each makes a file of its own, and the last one takes its place, with the
/// same bytes in it.
///
/// # Errors
/// `Internal`, naming the file that can't be written or the tensor that can't be read.
pub(super) fn place(weights: &[Weight<'_>], id: &WeightsId, cache: &Path) -> Result<Placement> {
    let folder = cache.join("int8");
    let name = format!("{}.weights", key(weights, id));
    let path = folder.join(&name);
    let mut end = HEAD_BYTES;
    let offsets: Vec<_> = weights
        .iter()
        .map(|weight| {
            let offset = end.next_multiple_of(ALIGNMENT_BYTES);
            end = offset + weight.size_bytes();
            offset
        })
        .collect();
    if !is_whole(&path, end) {
        let started = Instant::now();
        make(weights, &offsets, &folder, &path)?;
        let seconds = started.elapsed().as_secs_f32();
        info!(file = %path.display(), seconds, "made the weights' 8-bit form");
    }
    // The runtime refuses links.
    let folder = folder
        .canonicalize()
        .map_err(|error| unwritable(&folder, error))?;
    let location = |offset_bytes| Location {
        file: name.clone(),
        offset_bytes,
    };
    Ok(Placement {
        folder,
        locations: offsets.into_iter().map(location).collect(),
    })
}

/// Names the file: by the numbers that it comes from, how they are rounded and how they are laid out.
fn key(weights: &[Weight<'_>], id: &WeightsId) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(SCHEME).update(id.as_bytes());
    for weight in weights {
        hasher.update(format!("{:?} {:?};", weight.form, weight.matrix()).as_bytes());
    }
    hasher.finalize()
}

/// Returns whether a file is there and is what its head says. Reads it, since a map's pages would count as this process's
/// memory.
fn is_whole(path: &Path, size_bytes: usize) -> bool {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
        Err(error) => {
            warn!(file = %path.display(), %error, "the weights' 8-bit form can't be read; computing it again");
            return false;
        }
    };
    let check = || -> io::Result<bool> {
        if usize::try_from(file.metadata()?.len()).ok() != Some(size_bytes) {
            return Ok(false);
        }
        let mut head = [0; HEAD_BYTES];
        (&file).read_exact(&mut head)?;
        Ok(head == make_head(&hash_rest(&file)?))
    };
    match check() {
        Ok(true) => true,
        Ok(false) => {
            warn!(file = %path.display(), "the weights' 8-bit form is damaged; computing it again");
            false
        }
        Err(error) => {
            warn!(file = %path.display(), %error, "the weights' 8-bit form can't be read; computing it again");
            false
        }
    }
}

fn make_head(hash: &blake3::Hash) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..SCHEME.len()].copy_from_slice(SCHEME);
    head[SCHEME.len()..SCHEME.len() + HASH_BYTES].copy_from_slice(hash.as_bytes());
    head
}

fn hash_rest(mut file: &File) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hasher.finalize()),
            count => hasher.update(&block[..count]),
        };
    }
}

fn make(weights: &[Weight<'_>], offsets: &[usize], folder: &Path, path: &Path) -> Result<()> {
    let failed = |error| unwritable(path, error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut writer = BufWriter::with_capacity(BLOCK_BYTES, file.as_file_mut());
    writer.write_all(&[0; HEAD_BYTES]).map_err(failed)?;
    let mut end = HEAD_BYTES;
    for (weight, &offset) in weights.iter().zip(offsets) {
        writer
            .write_all(&[0; ALIGNMENT_BYTES][..offset - end])
            .map_err(failed)?;
        let bytes = encode(weight)?;
        writer.write_all(&bytes).map_err(failed)?;
        end = offset + weight.size_bytes();
    }
    writer.flush().map_err(failed)?;
    drop(writer);
    let seal = |file: &mut File| -> io::Result<()> {
        file.seek(SeekFrom::Start(HEAD_BYTES as u64))?;
        let head = make_head(&hash_rest(file)?);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&head)?;
        file.sync_all()
    };
    seal(file.as_file_mut()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    let message = format!(
        "{} can't be written: make room there, or set `precision` to \"fp32\", which needs no file",
        path.display()
    );
    Error::internal(message).with_source(error)
}
