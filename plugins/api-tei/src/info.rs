//! The call `/info`.

use lucida_core::Result;
use serde_json::{Value, json};

use crate::plugin::Service;

impl Service {
    /// Describes the model and the limits, as far as they are known; what text-embeddings-inference has and Lucida lacks is
    /// null.
    ///
    /// # Errors
    /// `NotFound` for a model that isn't served.
    pub(crate) fn info(&self) -> Result<Value> {
        let model = self.model()?;
        Ok(json!({
            "model_id": model.model,
            "model_sha": model.fingerprint,
            "model_dtype": null,
            "model_type": { "embedding": { "pooling": null } },
            "max_concurrent_requests": null,
            "max_input_length": model.texts.max_tokens,
            "max_batch_tokens": null,
            "max_batch_requests": null,
            "max_client_batch_size": self.config.max_client_batch_size,
            "auto_truncate": self.config.auto_truncate,
            "tokenization_workers": null,
            "version": env!("CARGO_PKG_VERSION"),
            "sha": null,
            "docker_label": null,
        }))
    }
}
