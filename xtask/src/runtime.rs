//! ONNX Runtime's shared library, which the server loads when it starts.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cache::{Cache, CacheLock};
use crate::python::Python;
use crate::wheel::{self, Wheel};

const VERSION: &str = "1.31.1";

/// The wheel for one platform and the library in it.
struct Release {
    wheel: Wheel,
    member: &'static str,
    library: &'static str,
}

impl Release {
    const fn new(
        platform: &'static str,
        sha256: &'static str,
        member: &'static str,
        library: &'static str,
    ) -> Self {
        Self {
            wheel: Wheel {
                name: "onnxruntime",
                version: VERSION,
                platform,
                sha256,
            },
            member,
            library,
        }
    }

    /// What this machine needs; none where no build is published.
    fn for_this_machine() -> Option<Self> {
        const LINUX: (&str, &str) = ("onnxruntime/capi/libonnxruntime.so.1.31.1", "libonnxruntime.so");
        const MACOS: (&str, &str) = (
            "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
            "libonnxruntime.dylib",
        );
        const WINDOWS: (&str, &str) = ("onnxruntime/capi/onnxruntime.dll", "onnxruntime.dll");
        let (platform, sha256, (member, library)) = match (std::env::consts::OS, std::env::consts::ARCH) {
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
        Some(Self::new(platform, sha256, member, library))
    }
}

/// Makes sure that the library is in the cache and returns its path.
pub(crate) fn ensure(cache: &Cache) -> Result<PathBuf> {
    let release = Release::for_this_machine().with_context(|| {
        format!(
            "no ONNX Runtime {VERSION} is published for {} on {}: build the server without the feature \
             embedder-onnx, or name a library of your own in its configuration",
            std::env::consts::OS,
            std::env::consts::ARCH
        )
    })?;
    let folder = cache.path("onnxruntime").join(VERSION);
    let library = folder.join(release.library);
    let wheels = std::slice::from_ref(&release.wheel);
    let key = wheel::key(wheels, &[release.member, release.library]);
    if !cache.holds(&folder, &key) {
        let lock = cache.lock()?;
        if !lock.cache().holds(&folder, &key) {
            install(&lock, &release, &folder, &key)?;
        }
    }
    Ok(library)
}

fn install(
    lock: &CacheLock<'_>,
    release: &Release,
    folder: &std::path::Path,
    key: &crate::cache::Key,
) -> Result<()> {
    let unpacked = release.wheel.fetch(lock, &Python::find()?)?;
    lock.replace(folder, key, |made| {
        wheel::take(&unpacked.join(release.member), &made.join(release.library))?;
        for notice in ["LICENSE", "ThirdPartyNotices.txt"] {
            wheel::take(&unpacked.join("onnxruntime").join(notice), &made.join(notice))?;
        }
        Ok(())
    })
}
