//! The plugin: reads the EXIF block of an original, on a thread of its own.

use async_trait::async_trait;
use lucida_core::{DecodeSize, EnrichInput, Enrichment, Error, Hook, Plugin, Result};
use lucida_picture::{stored_orientation, xmp_property};
use tracing::debug;

use crate::attributes::ExifAttributes;
use crate::block;
use crate::config::ExifConfig;
use crate::taken::Taken;

/// Where XMP has the time of the shot, else that of the digitisation.
const XMP_TIMES: [&str; 3] = ["exif:DateTimeOriginal", "photoshop:DateCreated", "xmp:CreateDate"];

/// Adds to each photo what its EXIF tells.
#[derive(Debug, Clone, Default)]
pub struct ExifPlugin {
    config: ExifConfig,
}

impl ExifPlugin {
    /// The plugin's name, which is the key of its attributes.
    pub const NAME: &'static str = "exif";

    /// Makes the plugin.
    #[must_use]
    pub const fn new(config: ExifConfig) -> Self {
        Self { config }
    }

    /// Reads a file's EXIF; computes, so not on an async thread. What can't be understood is left out.
    #[must_use]
    pub fn read(&self, file: &[u8]) -> Enrichment {
        let mut found =
            block::find(file).map_or_else(ExifAttributes::default, |block| ExifAttributes::read(&block));
        // XMP may say it where EXIF doesn't, and the picture was turned by that.
        found.orientation = found
            .orientation
            .or_else(|| stored_orientation(file).map(u32::from));
        found.taken = found.taken.or_else(|| {
            let mut written = XMP_TIMES.iter().filter_map(|name| xmp_property(file, name));
            written.find_map(|written| Taken::parse(&written))
        });
        if !self.config.gps {
            found.place = None;
        }
        let attributes = match serde_json::to_value(&found) {
            Ok(value) if value.as_object().is_some_and(|fields| !fields.is_empty()) => Some(value),
            Ok(_) => None,
            Err(error) => {
                debug!(%error, "EXIF attributes can't be written as JSON");
                None
            }
        };
        Enrichment {
            attributes,
            taken_at: found.taken.map(|taken| taken.at),
            ..Enrichment::default()
        }
    }
}

#[async_trait]
impl Plugin for ExifPlugin {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn hooks(&self) -> &[Hook] {
        &[Hook::Enrich]
    }

    /// The fields are in the file: no pixel is looked at.
    fn decode_size(&self) -> DecodeSize {
        DecodeSize::ANY
    }

    async fn enrich(&self, input: &EnrichInput) -> Result<Enrichment> {
        let (plugin, file) = (self.clone(), input.original.clone());
        tokio::task::spawn_blocking(move || plugin.read(&file))
            .await
            .map_err(|error| Error::internal("reading the EXIF of a photo failed").with_source(error))
    }
}
