//! The errors of pictures that can't be read.

use image::error::{ImageError, LimitErrorKind};
use lucida_core::{Error, ErrorKind, ImageFormat, Result, metrics, panics};
use tracing::error;

/// Runs code that reads a picture; a panic in it becomes an error of that picture, is logged once and counted.
pub(crate) fn guarded<T>(format: ImageFormat, run: impl FnOnce() -> Result<T>) -> Result<T> {
    panics::catch(run).unwrap_or_else(|panic| {
        error!(%format, panic, "picture decoder panicked");
        metrics::PICTURE_PANICS.increment(&[format.name()]);
        Err(corrupt(
            "the picture can't be decoded: the decoder failed on it; export the photo again, as JPEG or PNG",
        ))
    })
}

/// Returns the error of a file that ends before its picture does.
#[must_use]
pub fn truncated() -> Error {
    Error::invalid("the file ends before its picture does: upload it again from a whole copy")
        .with_code("truncated_image")
        .with_field("file")
}

/// Returns the error of a damaged file.
pub(crate) fn corrupt(message: &str) -> Error {
    Error::invalid(message)
        .with_code("corrupt_image")
        .with_field("file")
}

/// Returns the error of a variant of a format that is not read.
pub(crate) fn not_read(message: &str) -> Error {
    Error::new(ErrorKind::Unsupported, message)
        .with_code("unsupported_image_type")
        .with_field("file")
}

/// Turns the error of a decoder into one of the picture.
pub(crate) fn decode_error(error: ImageError) -> Error {
    let corrupt = |error: ImageError| {
        Error::invalid("the picture can't be decoded: export the photo again, as JPEG or PNG")
            .with_code("corrupt_image")
            .with_field("file")
            .with_source(error)
    };
    match error {
        ImageError::Unsupported(_) => Error::new(
            ErrorKind::Unsupported,
            "this kind of picture is not read: export the photo as JPEG or PNG",
        )
        .with_code("unsupported_image_type")
        .with_field("file")
        .with_source(error),
        ImageError::Limits(ref limit) if matches!(limit.kind(), LimitErrorKind::InsufficientMemory) => {
            Error::invalid("the picture needs more memory than ingest.max_pixels allows")
                .with_code("too_many_pixels")
                .with_field("file")
                .with_source(error)
        }
        ImageError::IoError(ref io) if io.kind() == std::io::ErrorKind::UnexpectedEof => truncated(),
        ImageError::Decoding(_)
        | ImageError::Encoding(_)
        | ImageError::Parameter(_)
        | ImageError::Limits(_)
        | ImageError::IoError(_) => corrupt(error),
    }
}
