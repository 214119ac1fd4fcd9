//! What became of the files: counted, named where something is wrong, and written to the report file.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{LineWriter, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use lucida_core::{Error, PhotoId, Result, ResultExt as _};
use serde::Serialize;

use super::file::Refusal;
use super::shown::{printable, shown};
use super::target::Standing;
use super::walk::Listing;

/// How many names of files that are no pictures are printed; the report file has them all.
const NAMED_AS_NO_PICTURE: usize = 20;

/// What became of a file, once that is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// New, and found by searches.
    Ready(PhotoId),
    /// In the library before, and found by searches.
    Known(PhotoId),
    /// New or known, and not embedded yet.
    Waiting(PhotoId),
    /// Stored, but it can't be embedded.
    Failed(PhotoId, Refusal),
    /// Stored, and deleted by somebody since.
    Gone(PhotoId),
    /// Not stored.
    Refused(Refusal),
    /// A folder or a file that can't be read.
    Unreadable(String),
}

impl Fate {
    /// Returns what became of a photo; `None` while it is to be embedded.
    pub(super) fn of(id: PhotoId, standing: Standing, was_to_be_embedded: bool) -> Option<Self> {
        match standing {
            Standing::Ready if was_to_be_embedded => Some(Self::Ready(id)),
            Standing::Ready => Some(Self::Known(id)),
            Standing::Failed(refusal) => Some(Self::Failed(id, refusal)),
            Standing::Gone => Some(Self::Gone(id)),
            Standing::Waiting(_) => None,
        }
    }
}

/// What became of the files so far.
#[derive(Default)]
pub(super) struct Report {
    /// How many files were found, and of how many it is certain what became of them.
    files: u64,
    settled: u64,
    /// How many are in the library now, and how many were before.
    new: u64,
    known: u64,
    refused: u64,
    no_pictures: u64,
    /// What became of the photos that were to be embedded.
    ready: u64,
    failed: u64,
    waiting: u64,
    unreadable: u64,
    left_out_files: u64,
    left_out_folders: u64,
    folder_links: u64,
    refusals: Vec<String>,
    failures: Vec<String>,
    unread: Vec<String>,
    others: Vec<String>,
    file: Option<ReportFile>,
}

/// The report file, and the first fault of writing it.
struct ReportFile {
    path: PathBuf,
    writer: LineWriter<File>,
    fault: Option<Error>,
}

/// A line of the report file.
#[derive(Serialize)]
struct Line<'a> {
    /// The path, with U+FFFD for what is not UTF-8.
    path: std::borrow::Cow<'a, str>,
    /// The path's bytes, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    photo_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl Report {
    /// Makes a report that is also written to a file, one JSON object per line.
    ///
    /// # Errors
    /// `ConfigInvalid` for a file that can't be made.
    pub(super) fn new(path: Option<PathBuf>) -> Result<Self> {
        let open = |path: PathBuf| {
            let file = File::create(&path).map_err(|error| {
                Error::config("--report", format!("can't write {}", shown(&path))).with_source(error)
            })?;
            Ok::<_, Error>(ReportFile {
                path,
                writer: LineWriter::new(file),
                fault: None,
            })
        };
        Ok(Self {
            file: path.map(open).transpose()?,
            ..Self::default()
        })
    }

    /// Adds what a walk found.
    pub(super) fn listed(&mut self, listing: &Listing) {
        self.files += listing.files.len() as u64;
        self.left_out_files = listing.left_out_files;
        self.left_out_folders = listing.left_out_folders;
        self.folder_links = listing.folder_links;
    }

    /// Adds a file that the library has now; what becomes of it follows.
    pub(super) const fn taken(&mut self, is_new: bool) {
        if is_new {
            self.new += 1;
        } else {
            self.known += 1;
        }
    }

    /// Adds what became of a file.
    pub(super) fn settle(&mut self, path: &Path, fate: &Fate) {
        self.settled += u64::from(!matches!(fate, Fate::Unreadable(_)));
        match fate {
            Fate::Ready(_) => self.ready += 1,
            Fate::Known(_) | Fate::Gone(_) => {}
            Fate::Waiting(_) => self.waiting += 1,
            Fate::Failed(_, refusal) => {
                self.failed += 1;
                self.failures.push(named(path, &refusal.reason));
            }
            Fate::Refused(refusal) if refusal.no_picture => {
                self.no_pictures += 1;
                self.others.push(shown(path));
            }
            Fate::Refused(refusal) => {
                self.refused += 1;
                self.refusals.push(named(path, &refusal.reason));
            }
            Fate::Unreadable(reason) => {
                self.unreadable += 1;
                self.unread.push(named(path, reason));
            }
        }
        if let Some(file) = &mut self.file {
            file.write(path, fate);
        }
    }

    /// Returns how many files there are, and of how many it is certain what became of them.
    pub(super) const fn progress(&self) -> (u64, u64) {
        (self.files, self.settled)
    }

    /// Returns how many of the files are done: those that nothing is left to do for.
    pub(super) fn done(&self) -> String {
        format!("{} of {} files", self.settled - self.waiting, self.files)
    }

    /// Returns how many photos are new.
    pub(super) const fn new_photos(&self) -> u64 {
        self.new
    }

    /// Returns whether no file and nothing unreadable was found.
    pub(super) const fn is_empty(&self) -> bool {
        self.files + self.unreadable == 0
    }

    /// Returns whether every file is in the library, or was left out on purpose.
    pub(super) const fn is_good(&self) -> bool {
        self.refused == 0 && self.failed == 0 && self.unreadable == 0
    }

    /// Returns the counts for the live line.
    pub(super) fn counts(&self) -> String {
        let mut counts = format!("{} new, {} known", self.new, self.known);
        let wrong = self.refused + self.failed + self.unreadable;
        if wrong > 0 {
            // Writing to a string can't fail.
            let _ = write!(counts, ", {wrong} refused");
        }
        counts
    }

    /// Returns what is wrong, by name.
    pub(super) fn names(&self) -> String {
        let mut text = String::new();
        let lists = [
            ("not imported", &self.refusals),
            ("could not be read", &self.unread),
            ("stored, but can't be searched", &self.failures),
        ];
        for (title, names) in lists {
            list(&mut text, title, names, usize::MAX);
        }
        list(&mut text, "not pictures", &self.others, NAMED_AS_NO_PICTURE);
        text
    }

    /// Returns the closing lines.
    pub(super) fn summary(&self) -> String {
        let mut text = format!(
            "{} of {} files: {} new, {} already in the library, {} not pictures, {} refused\n",
            self.new + self.known + self.no_pictures + self.refused,
            self.files,
            self.new,
            self.known,
            self.no_pictures,
            self.refused,
        );
        // Writing to a string can't fail.
        if self.ready + self.failed + self.waiting > 0 {
            let _ = writeln!(
                text,
                "embedding: {} ready, {} failed, {} waiting",
                self.ready, self.failed, self.waiting
            );
        }
        if self.left_out_files + self.left_out_folders > 0 {
            let _ = writeln!(
                text,
                "left out: {} and {} (hidden, of the system, previews of other programs, or by --exclude)",
                counted(self.left_out_files, "file", "files"),
                counted(self.left_out_folders, "folder", "folders"),
            );
        }
        if self.folder_links > 0 {
            let _ = writeln!(
                text,
                "not followed: {}; name their targets to import them",
                counted(self.folder_links, "link to a folder", "links to folders"),
            );
        }
        if self.unreadable > 0 {
            let _ = writeln!(text, "could not be read: {}", self.unreadable);
        }
        text
    }

    /// Writes what is left of the report file.
    ///
    /// # Errors
    /// Those of the file system, naming the file.
    pub(super) fn close(&mut self) -> Result<()> {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        let writing = format!("writing {}", shown(&file.path));
        match file.fault {
            Some(fault) => Err(fault.context(writing)),
            None => file.writer.flush().context(writing),
        }
    }
}

impl ReportFile {
    fn write(&mut self, path: &Path, fate: &Fate) {
        let (outcome, id, refusal, reason) = match fate {
            Fate::Ready(id) => ("ready", Some(id), None, None),
            Fate::Known(id) => ("known", Some(id), None, None),
            Fate::Waiting(id) => ("waiting", Some(id), None, None),
            Fate::Gone(id) => ("deleted", Some(id), None, None),
            Fate::Failed(id, refusal) => ("failed", Some(id), Some(refusal), None),
            Fate::Refused(refusal) if refusal.no_picture => ("not_a_picture", None, Some(refusal), None),
            Fate::Refused(refusal) => ("refused", None, Some(refusal), None),
            Fate::Unreadable(reason) => ("unreadable", None, None, Some(reason.as_str())),
        };
        let line = Line {
            path: path.to_string_lossy(),
            path_base64: path.to_str().is_none().then(|| {
                base64::engine::general_purpose::STANDARD.encode(path.as_os_str().as_encoded_bytes())
            }),
            outcome,
            photo_id: id.map(ToString::to_string),
            code: refusal.map(|refusal| refusal.code.as_str()),
            reason: refusal.map(|refusal| refusal.reason.as_str()).or(reason),
        };
        let written = serde_json::to_writer(&mut self.writer, &line)
            .map_err(std::io::Error::from)
            .and_then(|()| self.writer.write_all(b"\n"));
        if let Err(error) = written {
            self.fault.get_or_insert_with(|| Error::from(error));
        }
    }
}

fn named(path: &Path, reason: &str) -> String {
    format!("{}: {}", shown(path), printable(reason))
}

fn list(text: &mut String, title: &str, names: &[String], at_most: usize) {
    if names.is_empty() {
        return;
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    // Writing to a string can't fail.
    let _ = writeln!(text, "{title}:");
    for name in sorted.iter().take(at_most) {
        let _ = writeln!(text, "  {name}");
    }
    if sorted.len() > at_most {
        let _ = writeln!(
            text,
            "  and {} more; --report FILE lists all",
            sorted.len() - at_most
        );
    }
}

/// Returns a count with its noun in the right number.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reason: &str, no_picture: bool) -> Fate {
        Fate::Refused(Refusal {
            no_picture,
            ..Refusal::new("some_code", reason)
        })
    }

    #[test]
    fn what_was_refused_is_named_with_its_reason_on_one_line() {
        let mut report = Report::default();
        report.settle(Path::new("b\n.jpg"), &refusal("the file is empty", false));
        report.settle(Path::new("a.jpg"), &refusal("broken\nfor good", false));
        report.settle(Path::new("clip.mov"), &refusal("not an image", true));
        assert!(!report.is_good());
        assert_eq!(
            report.names(),
            "not imported:\n  a.jpg: broken\\nfor good\n  b\\n.jpg: the file is empty\nnot pictures:\n  clip.mov\n"
        );
    }

    #[test]
    fn only_the_first_names_of_what_is_no_picture_are_printed() {
        let mut report = Report::default();
        for number in 0..25 {
            report.settle(
                Path::new(&format!("{number:02}.mov")),
                &refusal("not an image", true),
            );
        }
        assert!(report.is_good());
        assert!(
            report
                .names()
                .ends_with("  19.mov\n  and 5 more; --report FILE lists all\n"),
            "{}",
            report.names()
        );
    }

    #[test]
    fn the_report_file_has_an_object_per_file_even_for_names_that_are_not_utf_8() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.jsonl");
        let mut report = Report::new(Some(path.clone())).unwrap();
        report.settle(Path::new("new\nline.jpg"), &refusal("the file is empty", false));
        report.settle(
            Path::new("sub"),
            &Fate::Unreadable("permission denied".to_owned()),
        );
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt as _;
            let name = std::ffi::OsStr::from_bytes(b"caf\xe9.jpg");
            report.settle(Path::new(name), &refusal("the file is empty", false));
        }
        report.close().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            lines[0],
            serde_json::json!({
                "path": "new\nline.jpg", "outcome": "refused", "code": "some_code", "reason": "the file is empty"
            })
        );
        assert_eq!(
            lines[1],
            serde_json::json!({ "path": "sub", "outcome": "unreadable", "reason": "permission denied" })
        );
        #[cfg(unix)]
        assert_eq!(lines[2]["path_base64"], "Y2Fm6S5qcGc=");
    }

    #[test]
    fn a_report_file_that_cannot_be_made_is_named() {
        let error = Report::new(Some("/no/such/folder/report.jsonl".into()))
            .err()
            .unwrap();
        assert_eq!(error.field(), Some("--report"));
        assert!(
            error.to_string().contains("/no/such/folder/report.jsonl"),
            "{error}"
        );
    }
}
