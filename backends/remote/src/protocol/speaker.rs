//! The protocol that a configuration names, ready to be spoken.

use std::sync::Arc;

use super::Speak;
use super::immich::Immich;
use super::lucida::Lucida;
use super::openai::Openai;
use super::tei::Tei;
use crate::client::Client;
use crate::config::{Protocol, RemoteConfig};

/// Returns what speaks the configured protocol.
pub(crate) fn speaker(config: &RemoteConfig, client: Client) -> Arc<dyn Speak> {
    let model = config.model.clone();
    match config.protocol {
        Protocol::Lucida => Arc::new(Lucida { client, model }),
        Protocol::Openai => Arc::new(Openai {
            client,
            model: model.unwrap_or_default(),
            dimensions: config.dimensions,
            takes_images: config.openai_images,
        }),
        Protocol::Tei => Arc::new(Tei { client, model }),
        Protocol::Immich => Arc::new(Immich {
            client,
            model: model.unwrap_or_default(),
        }),
    }
}
