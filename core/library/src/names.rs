//! Files whose names promise another format than their bytes hold, which exports leave behind all the time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use lucida_core::ImageFormat;

/// The key of the note among a photo's attributes; plugins have names of their own.
pub(super) const KEY: &str = "file";

/// Notes in a photo's attributes that its name promises another format; the bytes count.
pub(super) fn note(filename: Option<&str>, format: ImageFormat) -> BTreeMap<String, Value> {
    let promised = filename
        .and_then(ImageFormat::promised_by)
        .filter(|promised| *promised != format);
    let note = promised.map(|promised| {
        let note = format!("named like {promised}, but its bytes are {format}");
        (
            KEY.to_owned(),
            json!({ "named_as": promised, "format": format, "note": note }),
        )
    });
    note.into_iter().collect()
}
