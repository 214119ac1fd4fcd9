//! `[worker]`: where `lucida worker` tells how it is.

use lucida_core::Settings;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Listen;

/// Where `lucida worker` tells how it is; how it works is in `ingest`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkerSettings {
    /// Address and port of `/healthz`, `/readyz` and `/metrics`; without it a worker listens nowhere. Anybody who reaches
    /// it may ask, without a key: it tells counts and how each part is, nothing of a user's. Port 0 takes a free one.
    #[schemars(example = &"0.0.0.0:9090")]
    pub listen: Option<Listen>,
}

impl Settings for WorkerSettings {}
