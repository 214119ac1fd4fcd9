//! `lucida import`: takes in every photo of a folder, in this process, without a server.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt as _;
use lucida_core::pipeline::{Photos, UploadDetails, Uploaded};
use lucida_core::{Error, PhotoId, PhotoState, Result, ResultExt as _, UserId, clean_tags};
use tokio_util::sync::CancellationToken;

use super::{ConfigArgs, Failure, Outcome, print};
use crate::config::Flag;
use crate::registry::Registry;
use crate::signals::stop_on_signals;
use crate::{app, telemetry};

/// How many files are read at once.
const UPLOADS: usize = 4;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(2);

#[derive(Args)]
pub(super) struct ImportArgs {
    /// The folder
    dir: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
    /// Whose photos they become
    #[arg(long, default_value = UserId::LOCAL)]
    user: String,
    /// A tag for each of them; can be repeated
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// How many photos are embedded at once, in place of ingest.workers
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

/// What became of the files.
#[derive(Default)]
struct Counts {
    new: Vec<PhotoId>,
    duplicates: u64,
    skipped: u64,
    refused: u64,
}

impl Counts {
    fn files(&self) -> u64 {
        self.new.len() as u64 + self.duplicates + self.skipped + self.refused
    }
}

/// What became of one file.
enum Taken {
    New(PhotoId),
    Duplicate,
    NoPicture,
    Refused(Error),
}

pub(super) async fn run(registry: &Registry, args: ImportArgs) -> Outcome {
    let workers = args
        .workers
        .map(|workers| Flag::new("ingest.workers", workers.to_string(), "--workers"));
    let config = args.config.load(registry, workers)?;
    telemetry::start_logs(&config.log)?;
    let user = UserId::new(args.user)?;
    let files = files(&args.dir)?;
    let photos = app::open(registry, &config).await?;
    let shutdown = CancellationToken::new();
    stop_on_signals(&shutdown)?;
    let running = photos.start_workers(&shutdown);

    let details = UploadDetails {
        tags: clean_tags("--tag", &args.tag)?,
        ..UploadDetails::default()
    };
    let counts = take_all(&photos, &user, &details, &files, &shutdown).await;
    let embedded = if config.ingest.workers > 0 {
        wait_for_all(&photos, &counts.new, &shutdown).await?
    } else {
        Embedded::default()
    };
    let stopped = shutdown.is_cancelled();
    shutdown.cancel();
    running.finished().await;

    let waiting = counts.new.len() as u64 - embedded.ready - embedded.failed;
    print(&format!(
        "{} of {} files: {} new, {} there already, {} no pictures, {} refused\n\
         of the new photos {} are ready, {} failed, {waiting} wait for a worker\n",
        counts.files(),
        files.len(),
        counts.new.len(),
        counts.duplicates,
        counts.skipped,
        counts.refused,
        embedded.ready,
        embedded.failed,
    ))?;
    if counts.refused > 0 || embedded.failed > 0 || stopped {
        return Err(Failure::Bad);
    }
    Ok(())
}

/// Lists the files of a folder and of the folders in it, by name; hidden ones, and links to folders, are left out.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).context(format!("reading folder {}", folder.display()))?;
        for entry in entries {
            let entry = entry.context(format!("reading folder {}", folder.display()))?;
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type().context(format!("reading {}", path.display()))?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() || (kind.is_symlink() && path.is_file()) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

async fn take_all(
    photos: &Photos,
    user: &UserId,
    details: &UploadDetails,
    files: &[PathBuf],
    shutdown: &CancellationToken,
) -> Counts {
    let mut counts = Counts::default();
    let mut told = Instant::now();
    let uploads = futures::stream::iter(files)
        .take_until(shutdown.cancelled())
        .map(|path| async move { (path, take(photos, user, details, path).await) })
        .buffered(UPLOADS);
    tokio::pin!(uploads);
    while let Some((path, taken)) = uploads.next().await {
        match taken {
            Taken::New(id) => counts.new.push(id),
            Taken::Duplicate => counts.duplicates += 1,
            Taken::NoPicture => counts.skipped += 1,
            Taken::Refused(error) => {
                counts.refused += 1;
                eprintln!("{}: {error}", path.display());
            }
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            eprintln!("took in {} of {} files", counts.files(), files.len());
        }
    }
    counts
}

async fn take(photos: &Photos, user: &UserId, details: &UploadDetails, path: &Path) -> Taken {
    match upload(photos, user, details, path).await {
        Ok(Uploaded::New(photo)) => Taken::New(photo.id),
        Ok(Uploaded::Existing(_)) => Taken::Duplicate,
        Err(error) if error.code() == "not_an_image" => Taken::NoPicture,
        Err(error) => Taken::Refused(error),
    }
}

async fn upload(photos: &Photos, user: &UserId, details: &UploadDetails, path: &Path) -> Result<Uploaded> {
    let spool = photos.spool_file(path).await?;
    let details = UploadDetails {
        filename: path.file_name().map(|name| name.to_string_lossy().into_owned()),
        ..details.clone()
    };
    photos.upload(user, spool, details).await
}

/// What became of the new photos.
#[derive(Default)]
struct Embedded {
    ready: u64,
    failed: u64,
}

async fn wait_for_all(photos: &Photos, ids: &[PhotoId], shutdown: &CancellationToken) -> Result<Embedded> {
    let mut embedded = Embedded::default();
    let mut told = Instant::now();
    for id in ids {
        let photo = loop {
            if shutdown.is_cancelled() {
                return Ok(embedded);
            }
            let photo = photos.wait_until_settled(id, TELL_EVERY).await?;
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let done = embedded.ready + embedded.failed;
                eprintln!("embedded {done} of {} new photos", ids.len());
            }
            if photo.state != PhotoState::Pending {
                break photo;
            }
        };
        if photo.state == PhotoState::Failed {
            embedded.failed += 1;
            let name = photo.filename.unwrap_or_default();
            let reason = photo.error.map(|error| error.message).unwrap_or_default();
            eprintln!("{name} ({id}): {reason}");
        } else {
            embedded.ready += 1;
        }
    }
    Ok(embedded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_all_folders_are_listed_by_name_without_hidden_ones() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("b/c")).unwrap();
        fs::create_dir_all(root.path().join(".git")).unwrap();
        for name in ["z.jpg", "b/c/a.jpg", "b/.hidden.jpg", ".git/x.jpg"] {
            fs::write(root.path().join(name), "x").unwrap();
        }
        let found = files(root.path()).unwrap();
        assert_eq!(found, [root.path().join("b/c/a.jpg"), root.path().join("z.jpg")]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = files(Path::new("/no/such/folder")).unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }
}
