//! What the server and the plugins that speak another product's API share: JSON bodies, inputs, models by name.

mod access;
pub mod field;
mod filter_time;
mod input;
pub mod json;
mod models;
mod openai;
mod photo;
mod request;
mod tags;

pub use access::Auth;
pub use filter_time::{FilterTime, TakenRange};
pub use input::{Embedded, Input, check_text, embed, is_fetched, picture_in_base64, picture_in_data_uri};
pub use models::Models;
pub use openai::openai_error;
pub use photo::PhotoBody;
pub use request::{ApiRequest, MAX_INPUTS, answered};
pub use tags::TagsBody;
