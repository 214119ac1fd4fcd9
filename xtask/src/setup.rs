//! `cargo xtask setup`: what `lucida setup` downloads, and the photos of the tests.

use anyhow::Result;
use lucida_setup::Cache;

use crate::photos;

/// What to download besides.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Extras {
    /// Fetch the photos that tests and benchmarks use as well.
    #[arg(long)]
    photos: bool,
    /// Fetch ONNX Runtime with OpenVINO as well, for `device = "openvino"` (84 MB).
    #[arg(long)]
    openvino: bool,
}

/// Runs the command.
pub(crate) fn run(cache: &Cache, extras: Extras) -> Result<()> {
    let photos = extras.photos.then(|| photos::ensure(cache)).transpose()?;
    print!("{}", lucida_setup::ensure(cache, extras.openvino)?);
    if let Some(photos) = photos {
        println!("test photos    {}", photos.display());
    }
    Ok(())
}
