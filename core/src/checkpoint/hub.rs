//! Fetches a model's files from a Hugging Face hub into its usual cache.
