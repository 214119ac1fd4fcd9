//! The Qdrant engine in process, the embedded default vector index.
