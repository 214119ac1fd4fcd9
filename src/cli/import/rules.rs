//! What an import leaves out: what programs leave beside photos, and what the caller excludes.

use std::fs;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use lucida_core::{Error, Result};

/// What is left out unless a later `!pattern` takes it back, in the syntax of `.gitignore`.
const LEFT_OUT: &[&str] = &[
    // Hidden: `.DS_Store`, `.thumbnails`, `._IMG_1.JPG`, `.@__thumb` (QNAP), `.dtrash` (digiKam), `.stversions`.
    ".*",
    // Synology, QNAP, NetApp.
    "@eaDir/",
    "\\#recycle/",
    "\\#snapshot/",
    "@Recycle/",
    "@Recently-Snapshot/",
    "~snapshot/",
    // Windows.
    "$RECYCLE.BIN/",
    "RECYCLER/",
    "System Volume Information/",
    "Thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    // Linux, and archives that a Mac packed.
    "lost+found/",
    "__MACOSX/",
    // Previews and databases of Lightroom, Apple Photos, iPhoto, Aperture and Capture One; their originals stay in.
    "*.lrdata/",
    "*.lrcat-data/",
    "*.photoslibrary/resources/",
    "*.photoslibrary/database/",
    "*.photoslibrary/private/",
    "*.photoslibrary/scopes/",
    "*.photoslibrary/Thumbnails/",
    "*.photoslibrary/Previews/",
    "*.photolibrary/Thumbnails/",
    "*.photolibrary/Previews/",
    "*.photolibrary/Data*/",
    "*.migratedphotolibrary/Thumbnails/",
    "*.migratedphotolibrary/Previews/",
    "*.aplibrary/Thumbnails/",
    "*.aplibrary/Previews/",
    "CaptureOne/Cache/",
];

/// What is left out.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// Patterns of the caller, after the built-in ones.
    patterns: Vec<String>,
    /// The library's own folders and files, as canonical paths; they are never imported into it.
    pub(super) own: Vec<PathBuf>,
}

impl Rules {
    /// Makes rules of the built-in patterns and the caller's.
    ///
    /// # Errors
    /// `ConfigInvalid` for a pattern that is not one.
    pub(super) fn new(patterns: Vec<String>) -> Result<Self> {
        for pattern in &patterns {
            if pattern.trim().is_empty() || pattern.starts_with('#') {
                let message = format!(
                    "`{pattern}` matches nothing: a pattern that begins with `#` is a comment, write `\\#` for the character"
                );
                return Err(Error::config("--exclude", message));
            }
        }
        let rules = Self {
            patterns,
            own: Vec::new(),
        };
        rules.matcher(Path::new("."))?;
        Ok(rules)
    }

    /// Leaves out folders and files, those that exist.
    pub(super) fn leave_out(&mut self, paths: &[PathBuf]) {
        let existing = paths.iter().filter_map(|path| fs::canonicalize(path).ok());
        self.own.extend(existing);
    }

    /// Builds the matcher of the files below a folder.
    ///
    /// # Errors
    /// `ConfigInvalid` for a pattern that is not one.
    pub(super) fn matcher(&self, root: &Path) -> Result<Gitignore> {
        let wrong = |error: ignore::Error| {
            Error::config(
                "--exclude",
                format!("not a pattern as in .gitignore files: {error}"),
            )
        };
        let mut builder = GitignoreBuilder::new(root);
        // Cameras and Windows write names in capitals: `*.mov` means `.MOV` too.
        builder.case_insensitive(true).map_err(wrong)?;
        let caller = self.patterns.iter().map(String::as_str);
        for pattern in LEFT_OUT.iter().copied().chain(caller) {
            builder.add_line(None, pattern).map_err(wrong)?;
        }
        builder.build().map_err(wrong)
    }
}
