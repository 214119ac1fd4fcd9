//! A durable job queue in SQLite, in process, the embedded default.
