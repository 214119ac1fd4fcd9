//! Forms in, part by part, never a whole file in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use futures::StreamExt;
use lucida_core::pipeline::{Photos, SpoolWriter};
use lucida_core::{Error, ErrorKind, Result};

use super::json::{stalled, too_large};
use super::options::{MAX_FORM_VALUE_BYTES, MIN_UPLOAD_BYTES_PER_SEC, STALL_TIMEOUT};
use super::state::HttpState;

/// How many bytes may be read without any of them belonging to a part: headers, a preamble, or what a reader has
/// ahead. More is somebody who wants memory.
const MAX_BYTES_OUTSIDE_PARTS: u64 = 1 << 20;

/// A form being read.
pub(super) struct Form {
    multipart: Multipart,
    progress: Arc<Progress>,
}

/// How far the reading of a form has come.
struct Progress {
    max_bytes: u64,
    started: Instant,
    read_bytes: AtomicU64,
    delivered_bytes: AtomicU64,
    too_large: AtomicBool,
}

impl Progress {
    fn count(&self, piece: &Bytes) -> Result<(), axum::BoxError> {
        let length = piece.len() as u64;
        let read = self.read_bytes.fetch_add(length, Ordering::Relaxed) + length;
        if read > self.max_bytes {
            self.too_large.store(true, Ordering::Relaxed);
            return Err("the body is too large".into());
        }
        if read - self.delivered_bytes.load(Ordering::Relaxed) > MAX_BYTES_OUTSIDE_PARTS + length {
            return Err("the form's headers are too large".into());
        }
        Ok(())
    }

    fn is_too_slow(&self) -> bool {
        let read = self.read_bytes.load(Ordering::Relaxed);
        self.started.elapsed() > STALL_TIMEOUT + Duration::from_secs(read / MIN_UPLOAD_BYTES_PER_SEC)
    }

    fn refusal(&self, error: &MultipartError) -> Error {
        if self.too_large.load(Ordering::Relaxed) {
            return too_large(self.max_bytes);
        }
        Error::invalid(format!("the form can't be read: {}", error.body_text())).with_code("malformed_form")
    }
}

/// Tells whether a request says that its body is a form.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    kind.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("multipart/form-data")
}

impl Form {
    /// Begins to read a form; one whose announced length is over the limit is refused before any of it is read.
    pub(super) async fn open(request: Request, state: &HttpState) -> Result<Self> {
        let max_bytes = state.options().max_upload_bytes;
        if !is_form(request.headers()) {
            let message = "the body must be a form: send `multipart/form-data` with a part named `file`";
            return Err(Error::new(ErrorKind::Unsupported, message).with_code("unsupported_media_type"));
        }
        let announced = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > max_bytes) {
            return Err(too_large(max_bytes));
        }
        let progress = Arc::new(Progress {
            max_bytes,
            started: Instant::now(),
            read_bytes: AtomicU64::new(0),
            delivered_bytes: AtomicU64::new(0),
            too_large: AtomicBool::new(false),
        });
        let counting = Arc::clone(&progress);
        let request = request.map(move |body| {
            Body::from_stream(body.into_data_stream().map(move |piece| {
                let piece = piece.map_err(axum::BoxError::from)?;
                counting.count(&piece).map(|()| piece)
            }))
        });
        let multipart = Multipart::from_request(request, &()).await.map_err(|error| {
            let message = format!("the form can't be read: {}", error.body_text());
            Error::invalid(message).with_code("malformed_form")
        })?;
        Ok(Self { multipart, progress })
    }

    /// Returns the next part, `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Part<'_>>> {
        let progress = Arc::clone(&self.progress);
        let next = tokio::time::timeout(STALL_TIMEOUT, self.multipart.next_field());
        let field = match next.await.map_err(|_| stalled())? {
            Ok(Some(field)) => field,
            Ok(None) => return Ok(None),
            // Some clients write a form without parts as nothing at all.
            Err(_) if progress.read_bytes.load(Ordering::Relaxed) == 0 => return Ok(None),
            Err(error) => return Err(progress.refusal(&error)),
        };
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
        let chunk = tokio::time::timeout(STALL_TIMEOUT, self.field.chunk())
            .await
            .map_err(|_| stalled())?;
        let chunk = chunk.map_err(|error| self.progress.refusal(&error))?;
        if self.progress.is_too_slow() {
            return Err(stalled());
        }
        if let Some(piece) = &chunk {
            self.progress
                .delivered_bytes
                .fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Ok(chunk)
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

    /// Reads a part that is a value rather than a file.
    pub(super) async fn value(mut self) -> Result<Vec<u8>> {
        let mut value = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if value.len() + piece.len() > MAX_FORM_VALUE_BYTES {
                let name = &self.name;
                let message =
                    format!("`{name}` is larger than {MAX_FORM_VALUE_BYTES} bytes, the most that is taken");
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
