//! The photo ledger in SQLite, the embedded default.
