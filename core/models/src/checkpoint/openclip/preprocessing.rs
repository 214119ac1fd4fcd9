//! What happens to a picture in an OpenCLIP model.

use serde::Deserialize;
use serde_json::Value;

/// OpenAI's mean of each channel.
pub(in crate::checkpoint) const fn clip_mean() -> [f32; 3] {
    [0.481_454_66, 0.457_827_5, 0.408_210_73]
}
/// OpenAI's standard deviation of each channel.
pub(in crate::checkpoint) const fn clip_std() -> [f32; 3] {
    [0.268_629_54, 0.261_302_6, 0.275_777_1]
}

/// What happens to a picture; what is left out has OpenCLIP's own value.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(in crate::checkpoint) struct Preprocessing {
    pub(in crate::checkpoint) mean: [f32; 3],
    pub(in crate::checkpoint) std: [f32; 3],
    pub(in crate::checkpoint) interpolation: String,
    pub(in crate::checkpoint) resize_mode: String,
    /// The grey, from 0 to 255, around a picture that is resized by its long side; black where it is left out.
    pub(in crate::checkpoint) fill_color: Value,
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self {
            mean: clip_mean(),
            std: clip_std(),
            interpolation: "bicubic".to_owned(),
            resize_mode: "shortest".to_owned(),
            fill_color: Value::Null,
        }
    }
}
