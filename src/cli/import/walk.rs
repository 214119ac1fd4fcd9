//! Which files an import looks at: every file of the folders given, without what programs leave beside photos.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ignore::gitignore::Gitignore;
use ignore::{DirEntry, WalkBuilder};
use lucida_core::{Error, ErrorKind, Result};
use tokio_util::sync::CancellationToken;

use super::rules::Rules;
use super::shown::shown;

/// A file to import.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    /// The file.
    pub(super) path: PathBuf,
    /// The folder given on the command line that it was found in, or itself.
    pub(super) root: Arc<Path>,
}

impl Found {
    /// Returns the names of the folders between the one given and the file.
    pub(super) fn folders(&self) -> impl Iterator<Item = String> + '_ {
        let below = self.path.strip_prefix(&self.root).unwrap_or(Path::new(""));
        let folders = below.parent().into_iter().flat_map(Path::components);
        folders.map(|folder| folder.as_os_str().to_string_lossy().into_owned())
    }
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The files, by path.
    pub(super) files: Vec<Found>,
    /// How many files and folders the rules left out; the files of such a folder are not counted.
    pub(super) left_out_files: u64,
    pub(super) left_out_folders: u64,
    /// Links to folders, which are not followed.
    pub(super) folder_links: u64,
    /// What can't be imported, and why: folders that can't be read, links to nothing, devices.
    pub(super) unreadable: Vec<(PathBuf, String)>,
}

#[derive(Default)]
struct LeftOut {
    files: AtomicU64,
    folders: AtomicU64,
}

/// Lists the files of folders and of the folders in them; a path to a file is that file. Blocks.
///
/// An unreadable folder is reported and the rest is listed. Links to files are followed, links to folders are not.
/// Stops early once `stop` is cancelled.
///
/// # Errors
/// `NotFound` for a path that does not exist; `ConfigInvalid` for a wrong pattern.
pub(super) fn walk(
    paths: &[PathBuf],
    rules: &Rules,
    stop: &CancellationToken,
    found: &AtomicU64,
) -> Result<Listing> {
    let mut listing = Listing::default();
    for path in paths {
        fs::metadata(path).map_err(|error| missing(path, &error))?;
        let root: Arc<Path> = Arc::from(path.as_path());
        let left_out = Arc::new(LeftOut::default());
        let filter = filter(rules.matcher(path)?, rules.own.clone(), Arc::clone(&left_out));
        let entries = WalkBuilder::new(path)
            .standard_filters(false)
            .follow_links(false)
            .filter_entry(filter)
            .build();
        for entry in entries {
            if stop.is_cancelled() {
                break;
            }
            match entry {
                Ok(entry) => listing.add(entry, &root, found),
                Err(error) => {
                    let folder = path_of(&error).unwrap_or(path).to_owned();
                    listing.unreadable.push((folder, reason_of(&error)));
                }
            }
        }
        listing.left_out_files += left_out.files.load(Ordering::Relaxed);
        listing.left_out_folders += left_out.folders.load(Ordering::Relaxed);
    }
    listing.files.sort();
    listing.files.dedup_by(|one, other| one.path == other.path);
    Ok(listing)
}

fn filter(
    matcher: Gitignore,
    own: Vec<PathBuf>,
    left_out: Arc<LeftOut>,
) -> impl Fn(&DirEntry) -> bool + Send + Sync + 'static {
    move |entry| {
        // What was named on the command line is wanted, whatever its name.
        if entry.depth() == 0 {
            return true;
        }
        let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
        if !is_own(entry, &own) && !matcher.matched(entry.path(), is_folder).is_ignore() {
            return true;
        }
        let count = if is_folder {
            &left_out.folders
        } else {
            &left_out.files
        };
        count.fetch_add(1, Ordering::Relaxed);
        false
    }
}

/// Returns whether a file or folder is the library's own: one of `own`, or beside it with a further ending after `-`, as
/// SQLite and the queue name theirs.
fn is_own(entry: &DirEntry, own: &[PathBuf]) -> bool {
    let name = entry.file_name().as_encoded_bytes();
    own.iter().any(|own| {
        let own_name = own.file_name().unwrap_or_default().as_encoded_bytes();
        let Some(ending) = name.strip_prefix(own_name) else {
            return false;
        };
        (ending.is_empty() || ending.starts_with(b"-"))
            && fs::canonicalize(entry.path()).is_ok_and(|path| path.parent() == own.parent())
    })
}

impl Listing {
    fn add(&mut self, entry: DirEntry, root: &Arc<Path>, found: &AtomicU64) {
        let Some(kind) = entry.file_type() else {
            return;
        };
        if kind.is_dir() {
            return;
        }
        let path = entry.into_path();
        if kind.is_symlink() {
            match fs::metadata(&path) {
                Ok(target) if target.is_dir() => {
                    self.folder_links += 1;
                    return;
                }
                Ok(target) if target.is_file() => {}
                Ok(_) => return self.unreadable.push((path, SPECIAL.to_owned())),
                Err(error) => {
                    let reason = format!("the link leads nowhere: {}", io_reason(&error));
                    return self.unreadable.push((path, reason));
                }
            }
        } else if !kind.is_file() {
            return self.unreadable.push((path, SPECIAL.to_owned()));
        }
        found.fetch_add(1, Ordering::Relaxed);
        self.files.push(Found {
            path,
            root: Arc::clone(root),
        });
    }
}

/// Why a pipe, a socket or a device is not imported.
pub(super) const SPECIAL: &str = "not a regular file but a pipe, a socket or a device";

fn missing(path: &Path, error: &io::Error) -> Error {
    let message = format!("can't import {}: {}", shown(path), io_reason(error));
    let kind = if error.kind() == io::ErrorKind::PermissionDenied {
        ErrorKind::PermissionDenied
    } else {
        ErrorKind::NotFound
    };
    Error::new(kind, message)
}

/// Returns the folder or file that an error of the walk is about.
fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        ignore::Error::Loop { child, .. } => Some(child),
        ignore::Error::Partial(errors) => errors.iter().find_map(path_of),
        ignore::Error::Io(_)
        | ignore::Error::Glob { .. }
        | ignore::Error::UnrecognizedFileType(_)
        | ignore::Error::InvalidDefinition => None,
    }
}

fn reason_of(error: &ignore::Error) -> String {
    error.io_error().map_or_else(|| error.to_string(), io_reason)
}

/// Returns the reason of a file system's error in a few words.
#[expect(clippy::wildcard_enum_match_arm, reason = "std's kinds are open-ended")]
pub(super) fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::NotADirectory => "a part of its path is a file, and not a folder".to_owned(),
        io::ErrorKind::InvalidFilename => "its path is too long".to_owned(),
        _ => error.to_string(),
    }
}

/// Lists the files of a folder and of the folders in it, by path, as an import without rules of the caller does.
///
/// # Errors
/// That of the first folder that can't be read.
pub(in crate::cli) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let rules = Rules::new(Vec::new())?;
    let listing = walk(
        &[folder.to_owned()],
        &rules,
        &CancellationToken::new(),
        &AtomicU64::new(0),
    )?;
    if let Some((path, reason)) = listing.unreadable.first() {
        let message = format!("can't read {}: {reason}", shown(path));
        return Err(Error::new(ErrorKind::PermissionDenied, message));
    }
    Ok(listing.files.into_iter().map(|file| file.path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        root
    }

    fn list(root: &Path, patterns: &[&str]) -> (Vec<String>, Listing) {
        let patterns = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let rules = Rules::new(patterns).unwrap();
        let listing = walk(
            &[root.to_owned()],
            &rules,
            &CancellationToken::new(),
            &AtomicU64::new(0),
        )
        .unwrap();
        let names = listing
            .files
            .iter()
            .map(|file| {
                file.path
                    .strip_prefix(root)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        (names, listing)
    }

    #[test]
    fn files_of_all_folders_are_listed_by_name_without_hidden_ones() {
        let root = tree(&["z.jpg", "b/c/a.jpg", "b/.hidden.jpg", ".git/x.jpg"]);
        let found = files(root.path()).unwrap();
        assert_eq!(found, [root.path().join("b/c/a.jpg"), root.path().join("z.jpg")]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = files(Path::new("/no/such/folder")).unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }

    #[test]
    fn what_nas_systems_and_photo_programs_leave_beside_photos_is_left_out_and_counted() {
        let root = tree(&[
            "a.jpg",
            "#recycle/old.jpg",
            "2024/@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg",
            "2024/b.jpg",
            "2024/THUMBS.DB",
            "2024/._b.jpg",
            "2024/.DS_Store",
            ".thumbnails/1.jpg",
            "Catalog Previews.lrdata/0/1.jpg",
            "My.photoslibrary/originals/0/c.jpg",
            "My.photoslibrary/resources/derivatives/c.jpg",
            "resources/d.jpg",
        ]);
        let (names, listing) = list(root.path(), &[]);
        assert_eq!(
            names,
            [
                "2024/b.jpg",
                "My.photoslibrary/originals/0/c.jpg",
                "a.jpg",
                "resources/d.jpg"
            ]
        );
        assert_eq!((listing.left_out_files, listing.left_out_folders), (3, 5));
    }

    #[test]
    fn patterns_are_those_of_gitignore_and_can_take_back_what_is_left_out() {
        let files = ["a.jpg", "raw/b.jpg", "x/raw/c.jpg", "clip.MOV", ".hidden/d.jpg"];
        let root = tree(&files);
        assert_eq!(list(root.path(), &["/raw", "*.mov"]).0, ["a.jpg", "x/raw/c.jpg"]);
        assert_eq!(
            list(root.path(), &["raw/", "!.hidden/", "*.mov"]).0,
            [".hidden/d.jpg", "a.jpg"]
        );
    }

    #[test]
    fn a_pattern_that_is_wrong_or_a_comment_is_refused() {
        for pattern in ["{a,b", "#recycle", " "] {
            let error = Rules::new(vec![pattern.to_owned()]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{pattern}: {error}");
        }
    }

    #[test]
    fn a_hidden_folder_or_a_file_that_is_named_is_taken() {
        let root = tree(&[".private/a.jpg", "b.jpg"]);
        assert_eq!(list(&root.path().join(".private"), &[]).0, ["a.jpg"]);
        let (names, _) = list(&root.path().join("b.jpg"), &[]);
        assert_eq!(names, [""]);
    }

    #[test]
    fn the_librarys_own_folder_is_never_imported_into_itself() {
        let root = tree(&["a.jpg", "data/photos/originals/00/x"]);
        let mut rules = Rules::new(Vec::new()).unwrap();
        rules.leave_out(&[root.path().join("data/photos"), root.path().join("missing")]);
        let listing = walk(
            &[root.path().to_owned()],
            &rules,
            &CancellationToken::new(),
            &AtomicU64::new(0),
        )
        .unwrap();
        assert_eq!((listing.files.len(), listing.left_out_folders), (1, 1));
    }

    #[test]
    fn folders_between_the_one_given_and_the_file_are_its_folders() {
        let file = Found {
            path: "/p/2024/summer/a.jpg".into(),
            root: Arc::from(Path::new("/p")),
        };
        assert_eq!(file.folders().collect::<Vec<_>>(), ["2024", "summer"]);
        let itself = Found {
            path: "/p/a.jpg".into(),
            root: Arc::from(Path::new("/p/a.jpg")),
        };
        assert_eq!(itself.folders().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn pipes_sockets_and_links_to_nothing_are_reported_and_a_loop_of_links_ends() {
        use std::os::unix::fs::symlink;
        use std::os::unix::net::UnixListener;
        let root = tree(&["a.jpg", "sub/b.jpg"]);
        let _socket = UnixListener::bind(root.path().join("socket")).unwrap();
        symlink(root.path(), root.path().join("sub/loop")).unwrap();
        symlink("nothing", root.path().join("dangling.jpg")).unwrap();
        symlink("a.jpg", root.path().join("link.jpg")).unwrap();
        let (names, listing) = list(root.path(), &[]);
        assert_eq!(names, ["a.jpg", "link.jpg", "sub/b.jpg"]);
        assert_eq!(listing.folder_links, 1);
        let mut reasons: Vec<_> = listing
            .unreadable
            .iter()
            .map(|(path, reason)| (path.file_name().unwrap().to_str().unwrap(), reason.as_str()))
            .collect();
        reasons.sort_unstable();
        assert_eq!(
            reasons,
            [
                ("dangling.jpg", "the link leads nowhere: no such file or folder"),
                ("socket", SPECIAL)
            ]
        );
    }
}
