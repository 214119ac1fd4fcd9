//! One file of an import: opened so that nothing can hang on it, looked at, and read while it stays as it is.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use futures::Stream;
use lucida_core::{Error, ImageFormat};
use tokio::io::AsyncReadExt as _;

use super::walk::{SPECIAL, io_reason};

/// How much of a file is read to recognise its format, in bytes.
const HEAD_BYTES: u64 = 4096;

/// How much of a file is read at once, in bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// Endings of files that programs and cameras keep beside photos and that have no media type.
const SIDECARS: &[&str] = &[
    "aae", "bak", "cos", "dop", "db", "ini", "jsonl", "lrcat", "lrf", "lrv", "modd", "moff", "nfo", "on1",
    "pp3", "thm", "tmp", "url", "xmp",
];

/// Why a file is not in the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The reason for programs, such as `truncated_image`.
    pub(super) code: String,
    /// The reason for people.
    pub(super) reason: String,
    /// Whether its name already says that it isn't a picture: a video, a text, a sidecar.
    pub(super) no_picture: bool,
    /// Whether it changed while it was read.
    pub(super) changed: bool,
}

impl Refusal {
    pub(super) fn new(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            reason: reason.into(),
            no_picture: false,
            changed: false,
        }
    }

    /// The refusal of a photo that failed, by the error of its record.
    pub(super) fn of_failed_photo(error: Option<Self>) -> Self {
        error.unwrap_or_else(|| Self::new("internal", "no reason was recorded"))
    }

    fn unreadable(error: &io::Error) -> Self {
        let reason = if error.kind() == io::ErrorKind::NotFound {
            "the file no longer exists".to_owned()
        } else {
            format!("the file can't be read: {}", io_reason(error))
        };
        Self::new("unreadable", reason)
    }

    fn changed() -> Self {
        Self {
            changed: true,
            ..Self::new(
                "changed",
                "the file changed while it was read: import it again once it is complete",
            )
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// What shows that a file is still as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    size_bytes: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size_bytes: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }

    /// Returns whether the file was last written at least `age` ago; a time in the future counts as such.
    pub(super) fn is_older_than(&self, age: std::time::Duration) -> bool {
        let since = self.modified.and_then(|modified| modified.elapsed().ok());
        since.is_none_or(|since| since >= age)
    }
}

/// A file that is open and looks like a picture.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    stamp: Stamp,
    format: ImageFormat,
}

impl Opened {
    /// Opens a file and looks at its first bytes; a pipe does not block. Blocks otherwise.
    ///
    /// # Errors
    /// Why it can't be imported.
    pub(super) fn open(path: &Path) -> Result<Self, Refusal> {
        let unreadable = |error: io::Error| Refusal::unreadable(&error);
        let mut options = fs::OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.custom_flags(libc::O_NONBLOCK);
        }
        let mut file = options.open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(Refusal::new("not_a_file", SPECIAL));
        }
        let mut head = Vec::new();
        (&mut file)
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        let format = lucida_picture::sniff(&head).map_err(|error| Refusal {
            no_picture: is_named_as_something_else(path),
            ..Refusal::from(error)
        })?;
        Ok(Self {
            file,
            stamp: Stamp::of(&metadata),
            format,
        })
    }

    /// Returns the file's size when it was opened, in bytes.
    pub(super) const fn size_bytes(&self) -> u64 {
        self.stamp.size_bytes
    }

    /// Returns the media type of its first bytes.
    pub(super) const fn content_type(&self) -> &'static str {
        self.format.content_type()
    }

    /// Reads the file in pieces, as many bytes as it had when it was opened. The last item is an error where it can't
    /// be read or has changed meanwhile; `fault` then says why.
    pub(super) fn pieces(self, fault: Fault) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let Self { file, stamp, .. } = self;
        let reading = Reading {
            file: tokio::fs::File::from_std(file),
            stamp,
            left_bytes: stamp.size_bytes,
            fault,
        };
        futures::stream::try_unfold(reading, |mut reading| async move {
            match reading.next().await {
                Ok(piece) => Ok(piece.map(|piece| (piece, reading))),
                Err(refusal) => {
                    let error = io::Error::other(refusal.reason.clone());
                    // The first reason is the one that counts.
                    let _ = reading.fault.0.set(refusal);
                    Err(error)
                }
            }
        })
    }
}

/// Why the reading of a file ended early, for the reader of its pieces.
#[derive(Debug, Clone, Default)]
pub(super) struct Fault(Arc<OnceLock<Refusal>>);

impl Fault {
    pub(super) fn get(&self) -> Option<Refusal> {
        self.0.get().cloned()
    }
}

struct Reading {
    file: tokio::fs::File,
    stamp: Stamp,
    left_bytes: u64,
    fault: Fault,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let unreadable = |error: io::Error| Refusal::unreadable(&error);
        if self.left_bytes == 0 {
            let now = Stamp::of(&self.file.metadata().await.map_err(unreadable)?);
            return if now == self.stamp {
                Ok(None)
            } else {
                Err(Refusal::changed())
            };
        }
        let room = usize::try_from(self.left_bytes)
            .unwrap_or(usize::MAX)
            .min(PIECE_BYTES);
        let mut piece = vec![0; room];
        let read = self.file.read(&mut piece).await.map_err(unreadable)?;
        if read == 0 {
            return Err(Refusal::changed());
        }
        piece.truncate(read);
        self.left_bytes -= read as u64;
        Ok(Some(Bytes::from(piece)))
    }
}

/// Returns whether a file's name says that it is a video, a sound, a text, an archive or a sidecar.
fn is_named_as_something_else(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let extension = extension.to_ascii_lowercase();
    SIDECARS.contains(&extension.as_str())
        || mime_guess::from_ext(&extension)
            .first()
            // Unknown bytes may be a picture, as Photoshop's are.
            .is_some_and(|guess| {
                guess.type_() != mime_guess::mime::IMAGE
                    && guess != mime_guess::mime::APPLICATION_OCTET_STREAM
            })
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use std::io::Write as _;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn a_video_and_a_sidecar_are_no_pictures_and_a_raw_file_is_refused() {
        for (name, no_picture) in [
            ("clip.MOV", true),
            ("clip.mp4", true),
            ("notes.txt", true),
            ("IMG_1.AAE", true),
            ("IMG_1.xmp", true),
            ("metadata.json", true),
            ("album.PDF", true),
            ("backup.zip", true),
            ("song.m4a", true),
            ("raw.dng", false),
            ("raw.CR3", false),
            ("new.jxl", false),
            ("scan.jp2", false),
            ("IMG_1.NEF", false),
            ("cover.psd", false),
            ("IMG_1.jpg", false),
            ("no extension", false),
        ] {
            // What is inside may be recognised, as a film's first bytes are.
            for bytes in [
                &b"neither this nor that"[..],
                b"\0\0\0\x14ftypqt  \0\0\0\0qt  ",
                b"8BPS\0\x01",
            ] {
                let (_folder, path) = file(name, bytes);
                let refusal = Opened::open(&path).unwrap_err();
                assert_eq!(refusal.no_picture, no_picture, "{name}: {}", refusal.reason);
            }
        }
        let (_folder, path) = file("empty.jpg", b"");
        let refusal = Opened::open(&path).unwrap_err();
        assert_eq!((refusal.code.as_str(), refusal.no_picture), ("empty_file", false));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_without_waiting_for_its_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe.jpg");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert_eq!(Opened::open(&path).unwrap_err().code, "not_a_file");
    }

    #[tokio::test]
    async fn a_file_that_grows_or_shrinks_while_it_is_read_is_refused() {
        for grows in [true, false] {
            let (_folder, path) = file("a.png", PNG);
            let opened = Opened::open(&path).unwrap();
            let mut writer = fs::OpenOptions::new().write(true).open(&path).unwrap();
            if grows {
                writer.seek(io::SeekFrom::End(0)).unwrap();
                writer.write_all(b"more").unwrap();
            } else {
                writer.set_len(9).unwrap();
            }
            let fault = Fault::default();
            let pieces: Vec<_> = Box::pin(opened.pieces(fault.clone())).collect().await;
            assert!(pieces.last().unwrap().is_err(), "{grows}");
            assert!(fault.get().unwrap().changed);
        }
        let (_folder, path) = file("a.png", PNG);
        let fault = Fault::default();
        let pieces: Vec<_> = Box::pin(Opened::open(&path).unwrap().pieces(fault.clone()))
            .map(Result::unwrap)
            .collect()
            .await;
        assert_eq!(pieces.concat(), PNG);
        assert_eq!(fault.get(), None);
    }

    #[test]
    fn a_file_that_vanished_is_said_to_be_gone() {
        let refusal = Opened::open(Path::new("/no/such/photo.jpg")).unwrap_err();
        assert_eq!(refusal.reason, "the file no longer exists");
    }
}
