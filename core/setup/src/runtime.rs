//! ONNX Runtime's shared library, which the server loads when it starts.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache::{Cache, CacheLock, Key};
use crate::python::Python;
use crate::wheel::{self, Wheel};

/// A published build for one platform, and what is taken out of its wheel.
struct Release {
    wheel: Wheel,
    /// The folder of the cache that holds a folder of each version.
    folder: &'static str,
    /// The runtime's library in the wheel, and the name that it gets.
    library: (&'static str, &'static str),
    /// The libraries beside it that keep their names.
    others: &'static [&'static str],
}

impl Release {
    /// What this machine needs for the device `cpu`; none where no build is published.
    fn plain() -> Option<Self> {
        const LINUX: (&str, &str) = ("onnxruntime/capi/libonnxruntime.so.1.31.1", "libonnxruntime.so");
        const MACOS: (&str, &str) = (
            "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
            "libonnxruntime.dylib",
        );
        const WINDOWS: (&str, &str) = ("onnxruntime/capi/onnxruntime.dll", "onnxruntime.dll");
        let (platform, sha256, library) = match (std::env::consts::OS, std::env::consts::ARCH) {
            ("linux", _) if cfg!(not(target_env = "gnu")) => return None,
            ("linux", "x86_64") => (
                "manylinux_2_28_x86_64",
                "5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f",
                LINUX,
            ),
            ("linux", "aarch64") => (
                "manylinux_2_28_aarch64",
                "da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3",
                LINUX,
            ),
            ("macos", "aarch64") => (
                "macosx_14_0_arm64",
                "60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7",
                MACOS,
            ),
            ("windows", "x86_64") => (
                "win_amd64",
                "c3d91b5de31e2fc82d71bd65b2b22bddee8b49057a3a36338e9a868e0ea90c05",
                WINDOWS,
            ),
            ("windows", "aarch64") => (
                "win_arm64",
                "93800007a7023b3ab26ad72e6463d0d57d84ead49a2f6341954d91438e046bc0",
                WINDOWS,
            ),
            _ => return None,
        };
        Some(Self {
            wheel: Wheel {
                name: "onnxruntime",
                version: "1.31.1",
                platform,
                sha256,
            },
            folder: "onnxruntime",
            library,
            others: &[],
        })
    }

    /// What this machine needs for the device `openvino`; none where no build that is whole by itself is published.
    fn openvino() -> Option<Self> {
        if !cfg!(all(
            target_os = "linux",
            target_arch = "x86_64",
            target_env = "gnu"
        )) {
            return None;
        }
        Some(Self {
            wheel: Wheel {
                name: "onnxruntime-openvino",
                version: "1.24.1",
                platform: "manylinux_2_28_x86_64",
                sha256: "3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8",
            },
            folder: "onnxruntime-openvino",
            library: ("onnxruntime/capi/libonnxruntime.so.1.24.1", "libonnxruntime.so"),
            // They find each other by an rpath of their own folder. Left out: the plugins for other devices.
            others: &[
                "libonnxruntime_providers_shared.so",
                "libonnxruntime_providers_openvino.so",
                "libopenvino.so.2541",
                "libopenvino_onnx_frontend.so.2541",
                "libopenvino_intel_cpu_plugin.so",
                "libtbb.so.12",
            ],
        })
    }

    /// Makes sure that the libraries are in the cache and returns the path of the runtime's.
    fn ensure(&self, cache: &Cache) -> Result<PathBuf> {
        let folder = cache.path(self.folder).join(self.wheel.version);
        let (member, library) = self.library;
        let names = [&[member, library], self.others].concat();
        let key = wheel::key(std::slice::from_ref(&self.wheel), &names);
        if !cache.holds(&folder, &key) {
            let lock = cache.lock()?;
            if !lock.cache().holds(&folder, &key) {
                self.install(&lock, &folder, &key)?;
            }
        }
        Ok(folder.join(library))
    }

    fn install(&self, lock: &CacheLock<'_>, folder: &Path, key: &Key) -> Result<()> {
        let unpacked = self.wheel.fetch(lock, &Python::find()?)?;
        let (member, library) = self.library;
        let (libraries, notices) = (unpacked.join("onnxruntime/capi"), unpacked.join("onnxruntime"));
        lock.replace(folder, key, |made| {
            wheel::take(&unpacked.join(member), &made.join(library))?;
            for other in self.others {
                wheel::take(&libraries.join(other), &made.join(other))?;
            }
            for notice in ["LICENSE", "ThirdPartyNotices.txt"] {
                wheel::take(&notices.join(notice), &made.join(notice))?;
            }
            Ok(())
        })
    }
}

/// Makes sure that the library is in the cache and returns its path.
pub(crate) fn ensure(cache: &Cache) -> Result<PathBuf> {
    let release = Release::plain().with_context(|| {
        format!(
            "no ONNX Runtime is published for {}: set embedder.onnx.library to a library that you built, or use \
             `type = \"candle\"` in [embedder]",
            platform()
        )
    })?;
    release.ensure(cache)
}

/// Makes sure that the library for the device `openvino` is in the cache and returns its path; none where no build is
/// published.
pub(crate) fn ensure_openvino(cache: &Cache) -> Result<Option<PathBuf>> {
    Release::openvino()
        .map(|release| release.ensure(cache))
        .transpose()
}

/// Names this machine in a message.
#[must_use]
pub fn platform() -> String {
    format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH)
}
