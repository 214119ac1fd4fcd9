//! The metadata store on mongodb.

mod config;
mod error;
mod factory;
mod store;

pub use config::MongodbConfig;
pub use factory::factory;
pub use store::MongodbMetadata;
