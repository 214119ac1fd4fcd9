//! Every metric of Lucida, with its labels and its help text; the only place where their names appear.
//!
//! Labels are closed sets: states, outcomes, types, routes. Never ids or messages.

use std::time::Duration;

use metrics::Label;

/// The histogram buckets of durations, in seconds.
pub const DURATION_BUCKETS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The histogram buckets of batch sizes, in items.
pub const ITEM_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// A metric's name, labels and meaning.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The full name, with its unit.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// The names of its labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// The help text.
    pub help: &'static str,
}

impl Metric {
    fn labels(&self, values: &[&str]) -> Vec<Label> {
        debug_assert_eq!(values.len(), self.labels.len(), "labels of {}", self.name);
        self.labels
            .iter()
            .zip(values)
            .map(|(name, value)| Label::new(*name, (*value).to_owned()))
            .collect()
    }
}

/// A metric that only goes up.
#[derive(Debug)]
pub struct Counter(Metric);

impl Counter {
    /// Adds one.
    pub fn increment(&self, values: &[&str]) {
        self.add(1, values);
    }

    /// Adds a number; 0 makes the series appear.
    pub fn add(&self, number: u64, values: &[&str]) {
        metrics::counter!(self.0.name, self.0.labels(values)).increment(number);
    }
}

/// A metric that goes up and down.
#[derive(Debug)]
pub struct Gauge(Metric);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64, values: &[&str]) {
        metrics::gauge!(self.0.name, self.0.labels(values)).set(value);
    }
}

/// A metric that counts by size.
#[derive(Debug)]
pub struct Histogram(Metric);

/// What a histogram records.
pub trait Measure {
    /// Returns the value in the histogram's unit.
    fn value(self) -> f64;
}

impl Measure for Duration {
    fn value(self) -> f64 {
        self.as_secs_f64()
    }
}

impl Measure for f64 {
    fn value(self) -> f64 {
        self
    }
}

impl Histogram {
    /// Records a value: a duration in seconds, or a number.
    pub fn record(&self, value: impl Measure, values: &[&str]) {
        metrics::histogram!(self.0.name, self.0.labels(values)).record(value.value());
    }
}

macro_rules! metrics_table {
    ($($constant:ident = $kind:ident($name:literal, [$($label:literal),*], $help:literal);)*) => {
        $(
            #[doc = $help]
            pub static $constant: $kind = $kind(Metric {
                name: $name,
                kind: MetricKind::$kind,
                labels: &[$($label),*],
                help: $help,
            });
        )*

        /// Every metric there is.
        pub static ALL: &[&Metric] = &[$(&$constant.0),*];
    };
}

metrics_table! {
    HTTP_REQUESTS = Counter("lucida_http_requests_total", ["route", "method", "status"],
        "HTTP requests answered, by route template, method and status.");
    HTTP_REQUEST_DURATION = Histogram("lucida_http_request_duration_seconds", ["route", "method"],
        "Time from the request's head to the response's head.");
    HTTP_REQUESTS_IN_FLIGHT = Gauge("lucida_http_requests_in_flight", [],
        "HTTP requests that are being answered now.");
    STORAGE_OPERATION_DURATION = Histogram("lucida_storage_operation_duration_seconds",
        ["backend", "operation", "outcome"], "Time that one call of the blob store took, retries apart.");
    METADATA_OPERATION_DURATION = Histogram("lucida_metadata_operation_duration_seconds",
        ["backend", "operation", "outcome"], "Time that one call of the metadata store took, retries apart.");
    INDEX_OPERATION_DURATION = Histogram("lucida_index_operation_duration_seconds",
        ["backend", "operation", "outcome"], "Time that one call of the vector index took, retries apart.");
    QUEUE_OPERATION_DURATION = Histogram("lucida_queue_operation_duration_seconds",
        ["backend", "operation", "outcome"], "Time that one call of the job queue took, retries apart.");
    BREAKER_OPEN = Gauge("lucida_breaker_open", ["part"],
        "1 while a part is not asked because it did not answer, else 0.");
    EMBEDDER_BATCH_ITEMS = Histogram("lucida_embedder_batch_items", ["model", "tower"],
        "Inputs per computed batch.");
    EMBEDDER_QUEUE_DEPTH = Gauge("lucida_embedder_queue_depth", ["model", "tower", "lane"],
        "Inputs waiting for a tower.");
    EMBEDDER_INFERENCE_DURATION = Histogram("lucida_embedder_inference_duration_seconds", ["model", "tower"],
        "Time that computing one batch took.");
    EMBEDDER_PREPROCESS_DURATION = Histogram("lucida_embedder_preprocess_duration_seconds", ["model", "tower"],
        "Time that preparing one input took.");
    EMBEDDER_OVERLOADED = Counter("lucida_embedder_overloaded_total", ["model"],
        "Inputs refused because a lane was full.");
    EMBEDDER_LOADED = Gauge("lucida_embedder_loaded", ["model", "tower"],
        "1 while a tower is in memory, else 0.");
    MODEL_OPENED = Counter("lucida_model_opened_total", ["model"],
        "How often a further model was opened for requests.");
    MODEL_CLOSED = Counter("lucida_model_closed_total", ["model", "reason"],
        "How often a further model was closed, because it was idle or to make room in memory.");
    MODEL_RESERVED_BYTES = Gauge("lucida_model_reserved_bytes", ["model"],
        "Bytes of weights that are counted for a further model while it is open, else 0.");
    INGEST_PHOTOS = Counter("lucida_ingest_photos_total", ["outcome"],
        "Tries to bring a photo to ready, by how they ended: ready, added to another model, retried, failed, dropped.");
    INGEST_DURATION = Histogram("lucida_ingest_duration_seconds", [],
        "Time from the upload of a photo until it was ready.");
    PICTURE_PANICS = Counter("lucida_picture_panics_total", ["format"],
        "Pictures that a decoder panicked on; each was refused.");
    RECONCILE_REPAIRS = Counter("lucida_reconcile_repairs_total", ["finding"],
        "Findings of the reconciler, repaired where possible.");
    DAMAGED_ORIGINALS = Gauge("lucida_damaged_originals", ["damage"],
        "Originals that are known to be missing, of a wrong size, or of wrong bytes.");
    UNKNOWN_ORIGINALS = Gauge("lucida_unknown_originals", [],
        "Originals that no record names, as the last comparison of all stores counted them.");
    SCRUBBED_BYTES = Counter("lucida_scrubbed_bytes_total", [],
        "Bytes of originals that were read again and compared with their hashes.");
    MODEL_CHANGE_PHOTOS = Gauge("lucida_model_change_photos", ["state"],
        "Photos of the change of the model that this process carries on: done, total; 0 of 0 without one.");
    PHOTOS = Gauge("lucida_photos", ["state"], "Photos in the metadata store.");
    QUEUE_JOBS = Gauge("lucida_queue_jobs", ["state"], "Jobs in the queue: ready, delayed, in_flight, dead.");
    API_INPUTS_REFUSED = Counter("lucida_api_inputs_refused_total", ["plugin"],
        "Inputs that a plugin's API refused because of the input itself, such as pictures that can't be decoded.");
    PLUGIN_DURATION = Histogram("lucida_plugin_duration_seconds", ["plugin", "hook", "outcome"],
        "Time that one call of a plugin's hook took; of the plugin `mcp`, of a tool.");
    OUTBOX_DELIVERIES = Counter("lucida_outbox_deliveries_total", ["plugin", "outcome"],
        "Deliveries of events to a plugin, by how they ended: delivered, retried, dead.");
    OUTBOX_EVENTS = Gauge("lucida_outbox_events", ["plugin", "state"],
        "Events in the outbox of the metadata store: pending, dead.");
    OUTBOX_OLDEST = Gauge("lucida_outbox_oldest_seconds", ["plugin"],
        "Age of the oldest event that waits for its delivery; 0 without one.");
    BUILD_INFO = Gauge("lucida_build_info", ["version", "model"],
        "Always 1; its labels say what is running.");
}

/// Hands every metric's help text and unit to the installed recorder.
pub fn describe_all() {
    for metric in ALL {
        match metric.kind {
            MetricKind::Counter => metrics::describe_counter!(metric.name, metric.help),
            MetricKind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            MetricKind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_follows_the_convention_once() {
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        for metric in ALL {
            assert!(metric.name.starts_with("lucida_"), "{}", metric.name);
            assert_eq!(
                metric.kind == MetricKind::Counter,
                metric.name.ends_with("_total"),
                "{}",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
