//! `lucida setup`: downloads ONNX Runtime and the starter model into the per-user cache.

use clap::Args;
use lucida_core::{BuildContext, Error};
use lucida_setup::Cache;

use super::outcome::{Outcome, print};

#[derive(Args)]
pub(super) struct SetupArgs {
    /// Downloads ONNX Runtime with OpenVINO as well, for `device = "openvino"` (84 MB)
    #[arg(long)]
    openvino: bool,
}

/// Downloads what is missing, and prints where everything is.
pub(super) fn run(args: &SetupArgs) -> Outcome {
    // anyhow's alternate form has the whole chain, one cause after the other.
    let failed = |error| Error::unavailable(format!("{error:#}"));
    let cache = Cache::at(BuildContext::from_env().cache_dir).map_err(failed)?;
    let ready = lucida_setup::ensure(&cache, args.openvino).map_err(failed)?;
    print(&ready.to_string())
}
