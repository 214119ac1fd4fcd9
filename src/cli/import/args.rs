//! The arguments of `lucida import`.

use std::path::PathBuf;

use clap::Args;
use lucida_core::UserId;

use crate::cli::config_args::ConfigArgs;

#[derive(Args)]
pub(in crate::cli) struct ImportArgs {
    /// The folders, with the folders in them, or single files
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Imports into the running server at this address, such as http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<String>,
    /// A file that holds the key for that server
    #[arg(long, value_name = "FILE", requires = "server")]
    pub(super) key_file: Option<PathBuf>,
    /// Whose photos they become; a server goes by the key
    #[arg(long, default_value = UserId::LOCAL, conflicts_with = "server")]
    pub(super) user: String,
    /// A tag for each of them, those that the library has already too; can be repeated
    #[arg(long, value_name = "TAG")]
    pub(super) tag: Vec<String>,
    /// Gives each photo the names of the folders between PATH and the file as tags
    #[arg(long)]
    pub(super) folder_tags: bool,
    /// Leaves out what matches, as in .gitignore files and in any case (`*.mov`, `/raw/`); `!pattern` takes back
    /// what is left out by itself (hidden files, @eaDir, #recycle, Thumbs.db and the like); can be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(super) exclude: Vec<String>,
    /// Goes on importing what is put into the folders, until Ctrl-C; best with --server, since the library is held
    #[arg(long)]
    pub(super) watch: bool,
    /// Ends when the files are stored, and leaves embedding to the running server
    #[arg(long, requires = "server")]
    pub(super) no_wait: bool,
    /// Writes what became of each file to this file, one JSON object per line
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Shows the log, above the live line; log.filter says how much of it
    #[arg(short, long)]
    pub(super) verbose: bool,
    /// Writes the log to this file
    #[arg(long, value_name = "FILE", conflicts_with = "verbose")]
    pub(super) log_file: Option<PathBuf>,
    /// How many photos are embedded at once, in place of ingest.workers
    #[arg(long, value_name = "N", conflicts_with = "server")]
    pub(super) workers: Option<usize>,
}
