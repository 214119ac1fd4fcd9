//! The figures in the README, with what they are held against measured in the same run.
//!
//! `cargo xtask bench` builds the server in release mode and runs this program, which starts the server on a free
//! port of loopback, in temporary folders and with its default configuration. Tables of Markdown go to stdout and
//! progress to stderr. Nothing else should run meanwhile.

#![expect(
    clippy::print_stdout,
    reason = "a command line tool writes its results to stdout"
)]

mod client;
mod cluster;
mod compare;
mod embed;
mod explain;
mod families;
mod family_subjects;
mod import;
mod ingest;
mod library;
mod load;
mod memory;
mod models;
mod overload;
mod photos;
mod process;
mod python_service;
mod reference;
mod relay;
mod report;
mod runs;
mod search;
mod server;
mod several;
mod slow;
mod start;
mod statistics;
mod subjects;
mod texts;
mod traffic;
mod workers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};

use crate::family_subjects::FamilySubjects;
use crate::library::Library;
use crate::photos::Photos;
use crate::python_service::PythonService;
use crate::reference::Reference;
use crate::report::Section;
use crate::server::{Program, Setting};
use crate::subjects::Subjects;

/// Reports the progress on stderr.
macro_rules! progress {
    ($($argument:tt)*) => { eprintln!($($argument)*) };
}
use progress;

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    about = "Measures the server against its own reference, and against the service that it replaces"
)]
struct Cli {
    /// What to measure; all but the last six unless given
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Short runs over small libraries, to see whether everything works
    #[arg(long)]
    quick: bool,
    /// Configures the servers under measurement beyond their defaults; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Setting>,
    /// The server's program; the one beside this program unless given
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// The folder of photos that scikit-image and scikit-learn carry
    #[arg(long, value_name = "FOLDER", env = "LUCIDA_TEST_PHOTOS")]
    photos: Option<PathBuf>,
    /// The folder of models of full size
    #[arg(long, value_name = "FOLDER")]
    models: Option<PathBuf>,
    /// The Python that runs the service to compare with
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// The script of the service to compare with
    #[arg(long, value_name = "FILE")]
    service: Option<PathBuf>,
    /// The folder of models of full size in several families
    #[arg(long, value_name = "FOLDER")]
    family_models: Option<PathBuf>,
    /// The Python that runs these families' own libraries
    #[arg(long, value_name = "FILE")]
    family_python: Option<PathBuf>,
    /// The script of the service over these libraries
    #[arg(long, value_name = "FILE")]
    family_service: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Photos embedded per second, against ONNX Runtime in process
    Embed,
    /// Photos taken in per second
    Ingest,
    /// Latency of searches by the size of the library
    Search,
    /// Latency of searches while photos are taken in
    Import,
    /// How clients are answered when there are ten times too many
    Overload,
    /// Time from start to ready
    Start,
    /// Resident memory
    Memory,
    /// Start and memory of each engine with CLIP of full size
    Models,
    /// Each engine with CLIP of full size against the Python service
    Compare,
    /// Photos per second of SigLIP and MobileCLIP, against ONNX Runtime in process and their own libraries in Python
    Families,
    /// Memory of a server with CLIP, SigLIP and e5 at once
    Several,
    /// Photos embedded per second by 1, 2 and 4 workers of a cluster, with a model that sleeps
    Workers,
    /// Bytes that a photo and a search take in a cluster, on the network
    Traffic,
}

impl Part {
    /// Returns whether it needs what is not there at once: models of full size and Python, or servers.
    const fn is_extra(self) -> bool {
        matches!(
            self,
            Self::Models | Self::Compare | Self::Families | Self::Several | Self::Workers | Self::Traffic
        )
    }
}

/// How long and how often to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    quick: bool,
}

impl Effort {
    const fn pick<T: Copy>(self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How often a measurement is repeated, the reference in turn with the server.
    pub(crate) const fn rounds(self) -> usize {
        self.pick(1, 5)
    }

    /// How long a closed loop runs.
    pub(crate) const fn window(self) -> Duration {
        Duration::from_secs(self.pick(3, 8))
    }

    /// How long each setup of the reference is tried.
    pub(crate) const fn trial(self) -> Duration {
        Duration::from_secs(self.pick(2, 5))
    }

    /// How long the server is loaded before it counts.
    pub(crate) const fn warm_up(self) -> Duration {
        Duration::from_secs(2)
    }

    /// How many photos a burst of uploads has.
    pub(crate) const fn uploads(self) -> usize {
        self.pick(40, 200)
    }

    /// How many searches are timed.
    pub(crate) const fn searches(self) -> usize {
        self.pick(200, 1000)
    }

    /// How many photos the libraries have that searches are timed in.
    pub(crate) fn sizes(self) -> impl Iterator<Item = usize> {
        [1_000, 10_000, 100_000, 1_000_000]
            .into_iter()
            .filter(move |size| *size <= self.largest())
    }

    /// How many photos the largest library has.
    pub(crate) const fn largest(self) -> usize {
        self.pick(10_000, 1_000_000)
    }

    /// How often a comparison is repeated.
    pub(crate) const fn compare_rounds(self) -> usize {
        self.pick(1, 3)
    }

    /// How many different photos of twelve megapixels there are.
    pub(crate) const fn large_photos(self) -> usize {
        self.pick(4, 16)
    }

    /// How long more is asked of the server than it can.
    pub(crate) const fn flood(self) -> Duration {
        Duration::from_secs(self.pick(10, 60))
    }

    /// How many photos wait for each worker of a cluster.
    pub(crate) const fn photos_per_worker(self) -> usize {
        self.pick(20, 60)
    }

    /// How often the server is started for one figure.
    pub(crate) const fn starts(self) -> usize {
        self.pick(3, 5)
    }
}

/// What a photo has where only the way through the cluster counts.
const SMALL_MEGAPIXELS: f64 = 0.02;

/// How many different pictures there are.
const PICTURES: usize = 64;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|word| word == slow::SUBCOMMAND).is_some() {
        return slow::run_server(std::iter::once("lucida".into()).chain(arguments));
    }
    match block_on(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(cli: Cli) -> Result<()> {
    // The clients share the cores with the server: one thread of theirs takes the least of it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the runtime")?.block_on(run(cli))
}

async fn run(cli: Cli) -> Result<()> {
    let effort = Effort { quick: cli.quick };
    let program = Program::locate(cli.server, cli.set)?;
    let folder = cli
        .photos
        .unwrap_or_else(|| lucida_core::BuildContext::from_env().cache_dir.join("photos"));
    progress!("making {PICTURES} photos of one megapixel");
    let photos = Photos::make(&folder, 1.0, PICTURES)?;
    let flag = if cli.quick { " --quick" } else { "" };
    println!("Measured by `cargo xtask bench{flag}` on {}.", process::machine());
    let mut bench = Bench {
        program,
        photos,
        effort,
        photos_folder: folder,
        subjects: PythonService::of(cli.models, cli.python, cli.service).map(Subjects),
        families: PythonService::of(cli.family_models, cli.family_python, cli.family_service)
            .map(FamilySubjects),
        library: None,
    };
    for part in Part::value_variants() {
        let is_wanted = if cli.parts.is_empty() {
            !part.is_extra()
        } else {
            cli.parts.contains(part)
        };
        if is_wanted {
            progress!("{}", format!("{part:?}").to_lowercase());
            let sections = bench.measure(*part).await;
            for section in sections.with_context(|| format!("measuring {part:?} failed"))? {
                println!("\n{section}");
            }
        }
    }
    Ok(())
}

/// What the measurements share.
struct Bench {
    program: Program,
    photos: Photos,
    effort: Effort,
    photos_folder: PathBuf,
    subjects: Option<Subjects>,
    families: Option<FamilySubjects>,
    /// Made when it is first needed.
    library: Option<Library>,
}

impl Bench {
    async fn measure(&mut self, part: Part) -> Result<Vec<Section>> {
        let (program, photos, effort) = (&self.program, &self.photos, self.effort);
        let section = match part {
            Part::Embed => {
                let subject = embed::Subject {
                    heading: "Embedding photos",
                    model: "the starter model",
                    program,
                    reference: Reference::starter()?,
                    clients: [1, 8],
                };
                embed::measure(&subject, photos, effort).await
            }
            Part::Ingest => ingest::measure(program, photos, effort).await,
            Part::Search => {
                let library = library(&mut self.library, program, photos).await?;
                search::measure(program, library, effort).await
            }
            Part::Import => import::measure(program, photos, effort).await,
            Part::Overload => overload::measure(program, photos, effort).await,
            Part::Start => {
                let library = library(&mut self.library, program, photos).await?;
                start::measure(program, library, effort).await
            }
            Part::Memory => {
                let library = library(&mut self.library, program, photos).await?;
                memory::measure(program, photos, library, effort).await
            }
            Part::Models => models::measure(program, self.subjects()?, photos, effort).await,
            Part::Families => return families::measure(program, self.families()?, photos, effort).await,
            Part::Several => several::measure(program, self.families()?, photos, effort).await,
            Part::Workers => {
                let small = Photos::make(&self.photos_folder, SMALL_MEGAPIXELS, PICTURES)?;
                workers::measure(program, &small, effort).await
            }
            Part::Traffic => traffic::measure(program, photos, effort).await,
            Part::Compare => {
                let count = effort.large_photos();
                progress!("making {count} photos of twelve megapixels");
                let large = Photos::make(&self.photos_folder, 12.0, count)?;
                return compare::measure(program, self.subjects()?, photos, &large, effort).await;
            }
        };
        Ok(vec![section?])
    }

    fn subjects(&self) -> Result<&Subjects> {
        let subjects = self.subjects.as_ref();
        subjects.context("needs --models, --python and --service: `cargo xtask bench` gives them")
    }

    fn families(&self) -> Result<&FamilySubjects> {
        let families = self.families.as_ref();
        families.context(
            "needs --family-models, --family-python and --family-service: `cargo xtask bench` gives them",
        )
    }
}

async fn library<'a>(
    slot: &'a mut Option<Library>,
    program: &Program,
    photos: &Photos,
) -> Result<&'a mut Library> {
    let library = match slot.take() {
        Some(library) => library,
        None => Library::create(program, photos).await?,
    };
    Ok(slot.insert(library))
}
