//! The reference for embedding photos: ONNX Runtime in this process, on the same files, with nothing around it.
//!
//! It decodes and prepares each photo with the server's own functions and runs a graph on it: the starter's on both
//! views, or an export of an image tower as people publish it. It neither blends labels nor answers anybody. Several
//! ways to use the cores are tried, and the fastest counts.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lucida_core::{BuildContext, DecodeSize};
use lucida_models::checkpoint::{ImageRecipe, ModelFolder};
use lucida_onnx::{Device, Region, Runtime, resize};
use lucida_picture::{DecodeOptions, Normaliser, decode};
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::TensorRef;
use serde::Deserialize;

use crate::load::{Answer, Outcome};
use crate::photos::Photos;

/// An image model, by itself.
pub(crate) struct Reference {
    runtime: Runtime,
    graph: PathBuf,
    input: &'static str,
    output: &'static str,
    preparation: Preparation,
}

/// What is done to a photo before the model sees it.
enum Preparation {
    /// Two views: the centre crop and the squashed whole.
    Starter(StarterRecipe),
    /// What the checkpoint's folder says.
    Checkpoint(Box<ImageRecipe>),
}

/// What `starter.json` says on pixels.
#[derive(Debug, Clone, Copy, Deserialize)]
struct StarterRecipe {
    size_pixels: u32,
    mean: f32,
    scale: f32,
    crop_resize: f64,
}

/// A way to use the cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    /// So many threads, each of which decodes a photo and then runs a session of its own on one thread.
    SideBySide { workers: usize },
    /// So many threads decode, and one session computes on so many threads.
    Pipeline { decoders: usize, threads: usize },
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SideBySide { workers } => write!(f, "{workers} workers side by side"),
            Self::Pipeline { decoders, threads } => {
                write!(f, "{decoders} decoding threads and a session on {threads}")
            }
        }
    }
}

/// A setup whose sessions are loaded.
pub(crate) struct Loaded {
    setup: Setup,
    sessions: Vec<Mutex<Session>>,
}

impl Reference {
    /// Takes the starter model from the cache.
    pub(crate) fn starter() -> Result<Self> {
        #[derive(Deserialize)]
        struct Manifest {
            image: StarterRecipe,
        }
        let context = BuildContext::from_env();
        let folder = context.cache_dir.join("models/starter");
        let manifest: Manifest = serde_json::from_slice(&read(&folder.join("starter.json"))?)
            .context("starter.json is not as expected")?;
        Ok(Self {
            runtime: Runtime::load(Device::Cpu, None, &context)?,
            graph: folder.join("image.onnx"),
            input: "pixels",
            output: "logits",
            preparation: Preparation::Starter(manifest.image),
        })
    }

    /// Takes an export of an image tower with the names of its input and output, and the folder of its checkpoint, which says
    /// how pictures are prepared.
    pub(crate) fn export(
        checkpoint: &Path,
        graph: PathBuf,
        [input, output]: [&'static str; 2],
    ) -> Result<Self> {
        let recipe = ModelFolder::open(checkpoint)?.image_recipe()?;
        Ok(Self {
            runtime: Runtime::load(Device::Cpu, None, &BuildContext::from_env())?,
            graph,
            input,
            output,
            preparation: Preparation::Checkpoint(Box::new(recipe)),
        })
    }

    /// Lists the ways to use this machine's cores that are worth a try.
    pub(crate) fn setups() -> Vec<Setup> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let mut setups = vec![
            Setup::SideBySide { workers: cores },
            Setup::SideBySide { workers: cores + 1 },
            Setup::Pipeline {
                decoders: cores,
                threads: cores,
            },
        ];
        if cores > 1 {
            setups.push(Setup::Pipeline {
                decoders: 1,
                threads: cores - 1,
            });
        }
        setups
    }

    /// Loads the sessions of a setup.
    pub(crate) fn load(&self, setup: Setup) -> Result<Loaded> {
        let (count, threads) = match setup {
            Setup::SideBySide { workers } => (workers, 1),
            Setup::Pipeline { threads, .. } => (1, threads),
        };
        let sessions = (0..count).map(|_| self.session(threads).map(Mutex::new));
        Ok(Loaded {
            setup,
            sessions: sessions.collect::<Result<_>>()?,
        })
    }

    fn session(&self, threads: usize) -> Result<Session> {
        let open = |builder: SessionBuilder| {
            builder
                .with_optimization_level(GraphOptimizationLevel::All)?
                .with_intra_threads(threads)?
                // Threads that wait busily would take the cores from decoding.
                .with_intra_op_spinning(false)?
                .commit_from_file(&self.graph)
        };
        let builder = Session::builder(self.runtime.environment()).context("cannot make a session")?;
        open(builder).with_context(|| format!("cannot load {}", self.graph.display()))
    }

    /// Embeds photos for a while, as fast as it goes.
    pub(crate) fn run(&self, loaded: &Loaded, photos: &Photos, window: Duration) -> Result<Outcome> {
        let run = Run {
            reference: self,
            photos,
            next: AtomicUsize::new(0),
            started: Instant::now(),
            window,
        };
        let answers = match loaded.setup {
            Setup::SideBySide { .. } => run.side_by_side(&loaded.sessions)?,
            Setup::Pipeline { decoders, .. } => run.pipeline(&loaded.sessions[0], decoders)?,
        };
        Ok(Outcome::of(answers, window))
    }

    /// Decodes and prepares a photo: `(views, 3, size, size)` f32, normalised.
    fn prepare(&self, jpeg: &[u8]) -> Result<Vec<f32>> {
        let options = DecodeOptions {
            max_pixels: 100_000_000,
            accept_truncated: false,
            size: self.preparation.decode_size(),
        };
        let picture = decode(jpeg, &options)?;
        let (views, side) = self.preparation.shape();
        let length = 3 * side * side;
        let mut planes = vec![0.0; views * length];
        match &self.preparation {
            Preparation::Starter(recipe) => {
                let regions = [
                    Region::centre_crop(&picture, recipe.size_pixels, recipe.short_side()),
                    Region::whole(&picture),
                ];
                let normaliser = Normaliser::new(1.0, [recipe.mean; 3], [recipe.scale; 3]);
                for (region, planes) in regions.into_iter().zip(planes.chunks_exact_mut(length)) {
                    normaliser.write(&resize(&picture, region, recipe.size_pixels)?, planes);
                }
            }
            Preparation::Checkpoint(recipe) => recipe.planes(&recipe.prepare(&picture)?, &mut planes),
        }
        Ok(planes)
    }

    fn infer(&self, session: &Mutex<Session>, planes: &[f32]) -> Result<()> {
        let (views, side) = self.preparation.shape();
        let input = TensorRef::from_array_view(([views, 3, side, side], planes))?;
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        let outputs = session.run(ort::inputs![self.input => input])?;
        let (_, numbers) = outputs[self.output].try_extract_tensor::<f32>()?;
        ensure!(
            numbers.iter().all(|number| number.is_finite()),
            "the image model gave a number that is not finite"
        );
        Ok(())
    }
}

impl Preparation {
    /// Returns what the server's decoder is told too.
    fn decode_size(&self) -> DecodeSize {
        match self {
            Self::Starter(recipe) => DecodeSize::short_side(recipe.short_side() * 2),
            Self::Checkpoint(recipe) => recipe.decode_size(),
        }
    }

    /// Returns how many views of a photo there are, and their side.
    const fn shape(&self) -> (usize, usize) {
        match self {
            Self::Starter(recipe) => (2, recipe.size_pixels as usize),
            Self::Checkpoint(recipe) => (1, recipe.size_pixels() as usize),
        }
    }
}

impl StarterRecipe {
    /// Returns the short side that a photo is resized to before the crop.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few hundred pixels"
    )]
    fn short_side(self) -> u32 {
        (f64::from(self.size_pixels) * self.crop_resize).round() as u32
    }
}

impl Loaded {
    /// Returns the setup.
    pub(crate) const fn setup(&self) -> Setup {
        self.setup
    }
}

/// One measurement under way.
struct Run<'a> {
    reference: &'a Reference,
    photos: &'a Photos,
    next: AtomicUsize,
    started: Instant,
    window: Duration,
}

/// A photo that is ready for the session, and when its turn began.
type Prepared = (Instant, Vec<f32>);

impl Run<'_> {
    /// Prepares the next photo, until the time is over.
    fn next(&self) -> Result<Option<Prepared>> {
        let begun = Instant::now();
        if self.started.elapsed() >= self.window {
            return Ok(None);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(Some((begun, self.reference.prepare(self.photos.get(number))?)))
    }

    fn finish(&self, session: &Mutex<Session>, (begun, planes): &Prepared) -> Result<Answer> {
        self.reference.infer(session, planes)?;
        Ok(Answer {
            at: self.started.elapsed(),
            latency: begun.elapsed(),
        })
    }

    fn side_by_side(&self, sessions: &[Mutex<Session>]) -> Result<Vec<Answer>> {
        std::thread::scope(|scope| {
            let work = |session| {
                move || {
                    let mut answers = Vec::new();
                    while let Some(prepared) = self.next()? {
                        answers.push(self.finish(session, &prepared)?);
                    }
                    Ok(answers)
                }
            };
            let workers: Vec<_> = sessions
                .iter()
                .map(|session| scope.spawn(work(session)))
                .collect();
            let answers: Result<Vec<_>> = workers.into_iter().map(joined).collect();
            Ok(answers?.concat())
        })
    }

    fn pipeline(&self, session: &Mutex<Session>, decoders: usize) -> Result<Vec<Answer>> {
        std::thread::scope(|scope| {
            // Owned by the closure, so that decoders whose session failed notice it and stop.
            let (sender, receiver) = mpsc::sync_channel::<Prepared>(decoders);
            let sender = Arc::new(sender);
            let decoders: Vec<_> = (0..decoders)
                .map(|_| {
                    let sender = Arc::clone(&sender);
                    scope.spawn(move || {
                        while let Some(prepared) = self.next()? {
                            if sender.send(prepared).is_err() {
                                break;
                            }
                        }
                        Ok(())
                    })
                })
                .collect();
            drop(sender);
            let answers = receiver
                .iter()
                .map(|prepared| self.finish(session, &prepared))
                .collect();
            drop(receiver);
            decoders.into_iter().try_for_each(joined)?;
            answers
        })
    }
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    thread
        .join()
        .unwrap_or_else(|_| bail!("a thread of the reference panicked"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}: run `cargo xtask setup`", path.display()))
}
