//! The metrics that a server with the default settings has no series of.

/// Metrics without a series until `[[models]]`, an API plugin or one that takes events is configured and used.
pub(crate) const WITH_SETTINGS: [&str; 7] = [
    "lucida_model_opened_total",
    "lucida_model_closed_total",
    "lucida_model_reserved_bytes",
    "lucida_api_inputs_refused_total",
    "lucida_outbox_deliveries_total",
    "lucida_outbox_events",
    "lucida_outbox_oldest_seconds",
];
