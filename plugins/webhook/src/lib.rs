//! Reports to another server, by signed HTTP calls, when a photo became ready, failed, or was deleted.
//!
//! The events come from the outbox of the metadata store, where they are stored together with the change they are about:
//! none is lost, and those of one photo arrive in order. The signature is that of Standard Webhooks.

mod config;
mod factory;
mod message;
mod plugin;
mod receiver;
mod signature;

pub use config::WebhookConfig;
pub use factory::factory;
pub use plugin::WebhookPlugin;
