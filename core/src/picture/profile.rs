//! The colours that a picture's numbers stand for, and their conversion to sRGB for people to see.

use std::fmt;
use std::sync::Arc;

use image::RgbImage;
use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients,
    RenderingIntent, TransferCharacteristics, TransformOptions,
};
use tracing::debug;

/// The largest profile that is kept, in bytes; those of cameras and screens have a few thousand.
const MAX_BYTES: usize = 4 << 20;

/// What a file says of its colours.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Profile {
    /// An ICC profile, as stored.
    Icc(Arc<[u8]>),
    /// Code points of ITU-T H.273: primaries and transfer characteristics.
    Coded(u8, u8),
    /// Nothing that can be used.
    Unknown,
}

impl Profile {
    /// Keeps an ICC profile.
    pub(super) fn icc(bytes: &[u8]) -> Self {
        if bytes.len() > MAX_BYTES {
            return Self::Unknown;
        }
        Self::Icc(bytes.into())
    }

    /// Keeps code points.
    pub(super) fn coded(primaries: u16, transfer: u16) -> Self {
        match (u8::try_from(primaries), u8::try_from(transfer)) {
            (Ok(primaries), Ok(transfer)) => Self::Coded(primaries, transfer),
            _ => Self::Unknown,
        }
    }

    /// Converts pixels to sRGB in place; computes. Pixels whose profile is that of sRGB, of other colours than RGB and
    /// grey, or unusable stay as they are.
    pub(super) fn convert(&self, pixels: &mut RgbImage) {
        let Some(profile) = self.parsed() else { return };
        let options = TransformOptions {
            rendering_intent: RenderingIntent::RelativeColorimetric,
            ..TransformOptions::default()
        };
        let srgb = ColorProfile::new_srgb();
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "other spaces are not those of the pixels"
        )]
        let converted = match profile.color_space {
            DataColorSpace::Rgb => profile
                .create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, options)
                .and_then(|transform| {
                    let mut converted = vec![0; pixels.len()];
                    transform.transform(pixels, &mut converted)?;
                    Ok(converted)
                }),
            DataColorSpace::Gray => profile
                .create_transform_8bit(Layout::Gray, &srgb, Layout::Rgb, options)
                .and_then(|transform| {
                    let greys: Vec<u8> = pixels.as_chunks::<3>().0.iter().map(|pixel| pixel[0]).collect();
                    let mut converted = vec![0; pixels.len()];
                    transform.transform(&greys, &mut converted)?;
                    Ok(converted)
                }),
            _ => return,
        };
        match converted {
            Ok(converted) => pixels.copy_from_slice(&converted),
            Err(error) => debug!(%error, "colour profile can't be used"),
        }
    }

    fn parsed(&self) -> Option<ColorProfile> {
        match self {
            Self::Icc(bytes) => ColorProfile::new_from_slice(bytes)
                .inspect_err(|error| debug!(%error, "colour profile can't be read"))
                .ok(),
            // BT.709 with the curves of sRGB or of BT.709 itself, and what is not stated, is shown as sRGB.
            Self::Coded(1 | 2, 1 | 2 | 6 | 13) | Self::Unknown => None,
            Self::Coded(primaries, transfer) => {
                let primaries = match primaries {
                    2 => CicpColorPrimaries::Bt709,
                    other => CicpColorPrimaries::try_from(*other).ok()?,
                };
                let transfer = match transfer {
                    1 | 2 | 6 => TransferCharacteristics::Srgb,
                    other => TransferCharacteristics::try_from(*other).ok()?,
                };
                Some(ColorProfile::new_from_cicp(CicpProfile {
                    color_primaries: primaries,
                    transfer_characteristics: transfer,
                    matrix_coefficients: MatrixCoefficients::Identity,
                    full_range: true,
                }))
            }
        }
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Icc(bytes) => write!(f, "Icc({} bytes)", bytes.len()),
            Self::Coded(primaries, transfer) => write!(f, "Coded({primaries}, {transfer})"),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}
