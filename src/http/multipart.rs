//! Forms in, part by part, never a whole file in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use futures::StreamExt;
use lucida_core::{Error, ErrorKind, Result};
use lucida_library::{Photos, SpoolWriter};

use super::options::MAX_FORM_VALUE_BYTES;

/// How many bytes may be read without any of them belonging to a part: a part's headers, or a preamble. More is
/// somebody who wants memory.
const MAX_BYTES_OUTSIDE_PARTS: u64 = 1 << 20;

/// A form being read, whose size was bounded before.
pub(super) struct Form {
    multipart: Multipart,
    progress: Arc<Progress>,
}

/// How far the reading of a form has come.
#[derive(Default)]
struct Progress {
    read_bytes: AtomicU64,
    /// What was read since the part at hand began and belongs to no part so far.
    outside_bytes: AtomicU64,
}

impl Progress {
    fn count(&self, piece: &Bytes) -> Result<(), axum::BoxError> {
        let length = piece.len() as u64;
        self.read_bytes.fetch_add(length, Ordering::Relaxed);
        let outside = self.outside_bytes.fetch_add(length, Ordering::Relaxed) + length;
        if outside > MAX_BYTES_OUTSIDE_PARTS + length {
            return Err("the form's headers are too large".into());
        }
        Ok(())
    }

    fn deliver(&self, bytes: usize) {
        let outside = self.outside_bytes.load(Ordering::Relaxed);
        self.outside_bytes
            .store(outside.saturating_sub(bytes as u64), Ordering::Relaxed);
    }
}

fn malformed(error: &MultipartError) -> Error {
    // The library's own text says only that reading failed; the innermost cause says why.
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Error::invalid(format!("the form can't be read: {cause}")).with_code("malformed_form")
}

impl Form {
    /// Begins to read a form.
    ///
    /// # Errors
    /// `InvalidInput` (`malformed_form`) for a form without a boundary.
    pub(super) async fn open(request: Request) -> Result<Self> {
        let progress = Arc::new(Progress::default());
        let counting = Arc::clone(&progress);
        let request = request.map(move |body| {
            Body::from_stream(body.into_data_stream().map(move |piece| {
                let piece = piece.map_err(axum::BoxError::from)?;
                counting.count(&piece).map(|()| piece)
            }))
        });
        let multipart = Multipart::from_request(request, &()).await.map_err(|_| {
            Error::invalid("the form can't be read: its header `content-type` has no boundary")
                .with_code("malformed_form")
        })?;
        Ok(Self { multipart, progress })
    }

    /// Returns the next part, `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Part<'_>>> {
        let progress = Arc::clone(&self.progress);
        let field = match self.multipart.next_field().await {
            Ok(Some(field)) => field,
            Ok(None) => return Ok(None),
            // Some clients write a form without parts as nothing at all.
            Err(_) if progress.read_bytes.load(Ordering::Relaxed) == 0 => return Ok(None),
            Err(error) => return Err(malformed(&error)),
        };
        progress.outside_bytes.store(0, Ordering::Relaxed);
        let name = field.name().unwrap_or_default().to_owned();
        Ok(Some(Part {
            name,
            field,
            progress,
        }))
    }
}

/// One part of a form.
pub(super) struct Part<'a> {
    /// The part's name.
    pub(super) name: String,
    field: Field<'a>,
    progress: Arc<Progress>,
}

impl Part<'_> {
    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.field.chunk().await.map_err(|error| malformed(&error))?;
        self.progress.deliver(chunk.as_ref().map_or(0, Bytes::len));
        Ok(chunk)
    }

    /// Reads a part without keeping any of it.
    pub(super) async fn skip(mut self) -> Result<()> {
        while self.chunk().await?.is_some() {}
        Ok(())
    }

    /// Writes a file's part to the spool, and returns it with the file's name.
    pub(super) async fn spool(mut self, photos: &Photos) -> Result<(SpoolWriter, Option<String>)> {
        let filename = match self.field.file_name() {
            Some("") => {
                return Err(
                    Error::invalid("no file was chosen: `file` has neither a name nor bytes")
                        .with_code("missing_field")
                        .with_field(self.name),
                );
            }
            name => name.and_then(clean_filename),
        };
        let mut spool = photos.spool().await.map_err(server_fault)?;
        while let Some(piece) = self.chunk().await? {
            spool.write(piece).await.map_err(server_fault)?;
        }
        Ok((spool, filename))
    }

    /// Reads a part that names a file by URL.
    pub(super) async fn url(self) -> Result<String> {
        let url = self.value().await?;
        Ok(String::from_utf8_lossy(&url).trim().to_owned())
    }

    /// Reads a part that is a value rather than a file.
    pub(super) async fn value(mut self) -> Result<Vec<u8>> {
        let mut value = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if value.len() + piece.len() > MAX_FORM_VALUE_BYTES {
                let name = &self.name;
                let message = format!(
                    "`{name}` is larger than {MAX_FORM_VALUE_BYTES} bytes, which is the fixed limit of a form's values"
                );
                return Err(Error::invalid(message)
                    .with_code("payload_too_large")
                    .with_field(name));
            }
            value.extend_from_slice(&piece);
        }
        Ok(value)
    }

    /// Refuses a part that the call doesn't have.
    pub(super) fn unknown(self, known: &str) -> Error {
        let name = self.name;
        let message = format!("unknown part `{name}`, expected {known}");
        Error::invalid(message)
            .with_code("unknown_field")
            .with_field(name)
    }
}

/// Fetches the file that a URL names into the spool, and returns it with the file's name.
pub(super) async fn fetch(url: &str, photos: &Photos) -> Result<(SpoolWriter, Option<String>)> {
    let fetcher = photos.fetcher().ok_or_else(|| {
        let message = "this server fetches no URLs: send the file itself, or add [[plugins]] with type = \"url-ingest\"";
        Error::invalid(message).with_code("url_ingest_off").with_field("url")
    })?;
    let of_url = |error: Error| error.with_field("url");
    let mut fetched = fetcher.fetch(url).await.map_err(of_url)?;
    let mut spool = photos.spool().await.map_err(server_fault)?;
    while let Some(piece) = fetched.bytes.next().await {
        spool.write(piece.map_err(of_url)?).await.map_err(server_fault)?;
    }
    let filename = fetched.filename.as_deref().and_then(clean_filename);
    Ok((spool, filename))
}

/// Refuses a form that has a part twice.
pub(super) fn duplicate(name: &str, fix: &str) -> Error {
    let message = format!("the form has more than one `{name}`{fix}");
    Error::invalid(message)
        .with_code("duplicate_part")
        .with_field(name)
}

/// Refuses a form without its file.
pub(super) fn missing_file() -> Error {
    Error::invalid("the form has no part `file`: send the photo as one, as `curl -F file=@photo.jpg` does")
        .with_code("missing_field")
        .with_field("file")
}

/// A spool that can't be written is never the caller's fault, whatever the file system says.
fn server_fault(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::AlreadyExists | ErrorKind::PermissionDenied => {
            let whole = error.to_string();
            Error::unavailable("the server's spool folder can't be written to").with_source(whole)
        }
        ErrorKind::InvalidInput
        | ErrorKind::Unsupported
        | ErrorKind::ConfigInvalid
        | ErrorKind::Conflict
        | ErrorKind::Overloaded
        | ErrorKind::Timeout
        | ErrorKind::Unavailable
        | ErrorKind::Internal => error,
    }
}

/// Takes the last component of a file's name, without control characters, at most 255 bytes long; its extension
/// stays.
pub(crate) fn clean_filename(name: &str) -> Option<String> {
    const MAX_BYTES: usize = 255;
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().filter(|character| !character.is_control()).collect();
    let clean = clean.trim();
    if clean.is_empty() {
        return None;
    }
    let (stem, extension) = match clean.rsplit_once('.') {
        Some((stem, extension)) if extension.len() < 16 => (stem, format!(".{extension}")),
        Some(_) | None => (clean, String::new()),
    };
    let room = stem.floor_char_boundary(MAX_BYTES - extension.len());
    Some(format!("{}{extension}", &stem[..room]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filename_is_a_name_and_no_path() {
        for (given, expected) in [
            ("photo.jpg", Some("photo.jpg")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Users\\me\\cat.png", Some("cat.png")),
            ("line\r\nbreak.png", Some("linebreak.png")),
            ("Käse €.webp", Some("Käse €.webp")),
            ("folder/", None),
        ] {
            assert_eq!(clean_filename(given).as_deref(), expected, "{given:?}");
        }
        let long = clean_filename(&format!("{}.jpg", "ä".repeat(300))).unwrap();
        assert!(long.len() <= 255 && long.ends_with("ä.jpg"), "{long}");
    }
}
