//! Finding and loading the ONNX Runtime library, once per process.
//!
//! `ort` panics when it has to load a library by itself and can't. So it never gets to: the library is loaded
//! here, by its full path, and every failure is an error that says where was looked and how to get one.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use lucida_core::{BuildContext, Error, Result};
use ort::environment::Environment;
use ort::logging::LogLevel;
use tracing::{debug, error, info, warn};

use crate::device::Device;
use crate::error::internal;

/// The variable that names the library, as every program built on `ort` reads it.
const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Where Linux distributions, Homebrew and hand-made installations put libraries.
const SYSTEM_FOLDERS: [&str; 8] = [
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/opt/onnxruntime/lib",
    "/opt/homebrew/lib",
];

/// The loaded library; a process can hold one, and ort never unloads it.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

/// The ONNX Runtime of this process.
#[derive(Debug, Clone)]
pub struct Runtime {
    environment: Environment,
    library: Arc<Path>,
}

impl Runtime {
    /// Returns the process's runtime, which can use `device`, loading it the first time.
    ///
    /// # Errors
    /// `Unavailable`, naming every place that was tried, when no usable library is found; `ConfigInvalid`
    /// when `library` names another one than is loaded already, or the one that is was not built for the device.
    pub fn load(device: Device, library: Option<&Path>, context: &BuildContext) -> Result<Self> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = if let Some(runtime) = &*loaded {
            runtime.clone().unless_another_is_wanted(library)?
        } else {
            let runtime = Places::of(device, library, context).load()?;
            info!(library = %runtime.library.display(), version = version(), "loaded ONNX Runtime");
            loaded.insert(runtime).clone()
        };
        device.check(&runtime.library)?;
        Ok(runtime)
    }

    /// Checks that there is a library to load, without loading it.
    ///
    /// # Errors
    /// `Unavailable`, naming every place that was searched.
    pub fn find(device: Device, library: Option<&Path>, context: &BuildContext) -> Result<()> {
        let places = Places::of(device, library, context);
        if places.candidates.iter().any(|library| library.is_file()) {
            return Ok(());
        }
        Err(places.not_found(""))
    }

    /// Returns the environment in which sessions are made.
    #[must_use]
    pub const fn environment(&self) -> &Environment {
        &self.environment
    }

    fn unless_another_is_wanted(self, wanted: Option<&Path>) -> Result<Self> {
        match wanted {
            Some(wanted) if absolute(wanted) != *self.library => Err(Error::config(
                "library",
                format!(
                    "this process has loaded ONNX Runtime from {} and can't load another from {}",
                    self.library.display(),
                    wanted.display()
                ),
            )),
            Some(_) | None => Ok(self),
        }
    }
}

/// Returns what ONNX Runtime reports about its build.
fn version() -> &'static str {
    ort::info()
}

/// Where to look, best first.
#[derive(Debug)]
struct Places {
    device: Device,
    candidates: Vec<PathBuf>,
    /// Folders and files of the search, for the message.
    searched: Vec<String>,
}

impl Places {
    fn of(device: Device, library: Option<&Path>, context: &BuildContext) -> Self {
        if let Some(library) = library {
            return Self::only(device, absolute(library), "embedder.onnx.library");
        }
        if let Some(library) = std::env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()) {
            return Self::only(device, absolute(Path::new(&library)), LIBRARY_VARIABLE);
        }
        let (mut folders, mut searched) = (Vec::new(), Vec::new());
        if let Some(cached) = device.cache_folder() {
            let cached = context.cache_dir.join(cached);
            folders = versions(&cached);
            searched.push(cached.join("*").display().to_string());
        }
        let beside = std::env::current_exe()
            .ok()
            .and_then(|program| Some(program.parent()?.to_path_buf()));
        let from_variable = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let others = beside
            .into_iter()
            .chain(std::env::split_paths(&from_variable).filter(|folder| folder.is_absolute()))
            .chain(SYSTEM_FOLDERS.map(PathBuf::from));
        for folder in others {
            searched.push(folder.display().to_string());
            folders.push(folder);
        }
        let candidates = folders
            .iter()
            .filter(|folder| device.is_served_from(folder))
            .filter_map(|folder| library_in(folder))
            .collect();
        Self {
            device,
            candidates,
            searched,
        }
    }

    /// A library that somebody asked for is the only one tried.
    fn only(device: Device, library: PathBuf, asked_by: &str) -> Self {
        let searched = vec![format!("{} ({asked_by})", library.display())];
        Self {
            device,
            candidates: vec![library],
            searched,
        }
    }

    fn load(&self) -> Result<Runtime> {
        let mut refused = String::new();
        for library in &self.candidates {
            match ort::init_from(library) {
                Ok(builder) => {
                    let environment = builder
                        .with_name("lucida")
                        .with_telemetry(false)
                        .with_logger(Arc::new(log))
                        .build()
                        .map_err(|error| internal("starting ONNX Runtime", error))?;
                    environment.set_log_level(LogLevel::Warning);
                    return Ok(Runtime {
                        environment,
                        library: Arc::from(library.as_path()),
                    });
                }
                Err(failure) => {
                    debug!(library = %library.display(), %failure, "library can't be used");
                    // Writing to a string can't fail.
                    let _ = write!(refused, "; {failure}");
                }
            }
        }
        Err(self.not_found(&refused))
    }

    fn not_found(&self, refused: &str) -> Error {
        Error::unavailable(format!(
            "{}, 1.{} or later, was not found: {}, or set embedder.onnx.library or {LIBRARY_VARIABLE} to its library; \
             looked in {}{refused}",
            self.device.build_name(),
            ort::MINOR_VERSION,
            self.device.way_to_get_it(),
            self.searched.join(", ")
        ))
    }
}

/// Returns the subfolders of `folder`, the highest version first.
fn versions(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    let numbers = |path: &PathBuf| -> Vec<u64> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.split('.').map_while(|part| part.parse().ok()).collect()
    };
    found.sort_by_key(|path| std::cmp::Reverse(numbers(path)));
    found
}

fn library_in(folder: &Path) -> Option<PathBuf> {
    let plain = format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}");
    [plain.clone(), format!("{plain}.1")]
        .into_iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

/// Makes a path full, so that the loader opens this file and doesn't search for its name.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

fn log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Verbose | LogLevel::Info => debug!(category, location, "{message}"),
        LogLevel::Warning => warn!(category, location, "{message}"),
        LogLevel::Error | LogLevel::Fatal => error!(category, location, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_in_the_cache_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["1.9.0", "1.31.1", "1.24.10", "1.24.9"] {
            std::fs::create_dir(folder.path().join(version)).unwrap();
        }
        let names: Vec<_> = versions(folder.path())
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["1.31.1", "1.24.10", "1.24.9", "1.9.0"]);
    }

    #[test]
    fn a_missing_library_names_every_place_that_was_searched() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            candidates: Vec::new(),
            ..Places::of(
                Device::Cpu,
                None,
                &BuildContext {
                    cache_dir: folder.path().to_path_buf(),
                    served_as: None,
                    inspection: None,
                },
            )
        };
        let error = places.load().unwrap_err();
        assert_eq!(error.kind(), lucida_core::ErrorKind::Unavailable);
        assert!(
            error.message().contains(folder.path().to_str().unwrap()),
            "{error}"
        );
        assert!(error.message().contains("/usr/local/lib"), "{error}");
    }

    #[test]
    fn a_device_takes_no_library_that_comes_without_its_provider() {
        let folder = tempfile::tempdir().unwrap();
        let context = BuildContext {
            cache_dir: folder.path().to_path_buf(),
            served_as: None,
            inspection: None,
        };
        let (plain, openvino) = ("onnxruntime/1.31.1", "onnxruntime-openvino/1.24.1");
        for version in [plain, openvino] {
            let version = folder.path().join(version);
            std::fs::create_dir_all(&version).unwrap();
            std::fs::write(version.join(format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}")), "").unwrap();
        }
        let in_cache = |device| {
            let mut found = Places::of(device, None, &context).candidates;
            found.retain(|library| library.starts_with(folder.path()));
            found
        };
        assert!(in_cache(Device::Cpu)[0].starts_with(folder.path().join(plain)));
        assert!(in_cache(Device::OpenVino).is_empty());
        let provider = format!("{DLL_PREFIX}onnxruntime_providers_openvino{DLL_SUFFIX}");
        std::fs::write(folder.path().join(openvino).join(provider), "").unwrap();
        assert!(in_cache(Device::OpenVino)[0].starts_with(folder.path().join(openvino)));
        assert!(in_cache(Device::Cuda).is_empty());
    }

    #[test]
    fn a_missing_build_for_openvino_says_which_command_fetches_it() {
        let places = Places {
            device: Device::OpenVino,
            candidates: Vec::new(),
            searched: vec!["/nowhere".to_owned()],
        };
        let error = places.load().unwrap_err();
        assert!(error.message().contains("ONNX Runtime with OpenVINO"), "{error}");
        assert!(error.message().contains("lucida setup --openvino"), "{error}");
    }
}
