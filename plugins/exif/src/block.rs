//! Takes a file's EXIF block apart, wherever the file keeps it.

use exif::{Error, Exif, Reader};
use lucida_picture::exif_block;
use tracing::debug;

/// Finds and parses the block; `None` where there is none, or none that can be understood at all. Of a block that
/// is damaged in part, the sound part counts.
pub(crate) fn find(file: &[u8]) -> Option<Exif> {
    let block = exif_block(file)?;
    let mut reader = Reader::new();
    reader.continue_on_error(true);
    let parsed = reader.read_raw(block.into_owned()).or_else(|error| {
        error.distill_partial_result(|errors| {
            debug!(errors = errors.len(), "EXIF is damaged in part");
        })
    });
    match parsed {
        Ok(exif) => Some(exif),
        Err(Error::NotFound(_)) => None,
        Err(error) => {
            debug!(%error, "no EXIF can be read");
            None
        }
    }
}
