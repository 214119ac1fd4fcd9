//! Converts pixels to sRGB for people to see.

use image::RgbImage;
use lucida_core::ColourProfile;
use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients,
    RenderingIntent, TransferCharacteristics, TransformOptions,
};
use tracing::debug;

/// Converts pixels to sRGB in place; computes. Pixels whose profile is that of sRGB, of other colours than RGB and
/// grey, or unusable stay as they are.
pub(crate) fn to_srgb(profile: &ColourProfile, pixels: &mut RgbImage) {
    let Some(profile) = parsed(profile) else { return };
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

fn parsed(profile: &ColourProfile) -> Option<ColorProfile> {
    match profile {
        ColourProfile::Icc(bytes) => ColorProfile::new_from_slice(bytes)
            .inspect_err(|error| debug!(%error, "colour profile can't be read"))
            .ok(),
        // BT.709 with the curves of sRGB or of BT.709 itself, and what is not stated, is shown as sRGB.
        ColourProfile::Coded(1 | 2, 1 | 2 | 6 | 13) | ColourProfile::Unknown => None,
        ColourProfile::Coded(primaries, transfer) => {
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
