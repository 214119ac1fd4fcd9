//! `[worker]`: where `lucida worker` reports health and metrics.

use lucida_core::Settings;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Listen;

/// Where `lucida worker` reports health and metrics; its work is configured in `ingest`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerSettings {
    /// Address and port of `/healthz`, `/readyz` and `/metrics`; without it a worker doesn't listen. They need no key, and
    /// show counts and the health of each part but nothing of a user's. Port 0 takes a free one.
    #[schemars(example = &"0.0.0.0:9090")]
    pub listen: Option<Listen>,
}

impl Settings for WorkerSettings {}
