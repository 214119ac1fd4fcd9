//! OpenCLIP: from `open_clip_config.json` and its tensors' names to towers (`model.py`, `transformer.py` and `hf_model.py`
//! of `open_clip_torch` 3.3).

mod config;
mod preprocessing;
mod towers;

pub(super) use self::config::OpenClipConfig;
pub(super) use self::preprocessing::{Preprocessing, clip_mean, clip_std};

/// The file that describes the model.
pub(super) const CONFIG_FILE: &str = "open_clip_config.json";

/// Which files hold the weights, the best first.
pub(super) const WEIGHT_FILES: [&str; 2] = ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"];
