//! HEIC, the format of iPhones, read by `heic-decoder`: safe Rust, with the turns that the container asks for applied.

use heic_decoder::hevc::nal::{NAL_SPS, parse_nal_header};
use heic_decoder::hevc::params::parse_sps;
use heic_decoder::isobmff::{self, ParsedHeif, ResolvedImage};
use heic_decoder::{HeifError, bitreader};
use image::{GrayImage, RgbImage};

use super::canvas::Decoded;
use super::error::{corrupt, not_read, truncated};
use lucida_core::{Error, Result};

/// The formats that this build reads, for people.
pub(super) const READ_FORMATS: &str = "JPEG, PNG, WebP, HEIC, GIF, BMP or TIFF";

/// Returns width and height in pixels as seen.
///
/// # Errors
/// Those of [`super::decode`].
pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32)> {
    let info = heic_decoder::probe(bytes).map_err(refused)?;
    let side = |side: usize| u32::try_from(side).map_err(|_| too_many_pixels());
    Ok((side(info.width)?, side(info.height)?))
}

/// Decodes a picture, turned as its container says.
///
/// # Errors
/// Those of [`super::decode`].
pub(super) fn decode(bytes: &[u8], max_pixels: u64) -> Result<Decoded> {
    let (width, height) = size(bytes)?;
    let coded = coded_pixels(&isobmff::parse(bytes).map_err(refused)?);
    if coded.max(u64::from(width) * u64::from(height)) > max_pixels {
        return Err(too_many_pixels());
    }
    let decoded = heic_decoder::decode(bytes).map_err(refused)?;
    let pixels = decoded.to_rgb8().map_err(refused)?;
    let alpha = decoded.alpha.as_ref().and_then(|alpha| {
        let depth = alpha.bit_depth.clamp(8, 16);
        let values = alpha
            .samples
            .iter()
            .map(|&value| (value >> (depth - 8)).clamp(0, 255) as u8);
        GrayImage::from_raw(width, height, values.collect())
    });
    Ok(Decoded {
        pixels: RgbImage::from_raw(width, height, pixels.data)
            .ok_or_else(|| corrupt("the picture has another size than its file says"))?,
        alpha: alpha.filter(|alpha| alpha.iter().any(|&value| value != 255)),
        brightened: None,
    })
}

/// Counts what would be decoded, tiles and alpha included: what is seen of it may be far less.
fn coded_pixels(file: &ParsedHeif) -> u64 {
    let alpha = file.alpha.iter().map(|alpha| coded_pixels(&alpha.image));
    let images = file.images.iter().chain(&file.reference_image).map(image_pixels);
    images.chain(alpha).fold(0, u64::saturating_add)
}

/// Reads a picture's size from its sequence parameters, H.265 section 7.3.2.2; where they are broken the decoder stops
/// before it makes room for any pixel.
fn image_pixels(image: &ResolvedImage) -> u64 {
    let parameters = image.hevc_config.nalus_of_type(NAL_SPS).find_map(|unit| {
        let (_, payload) = parse_nal_header(unit).ok()?;
        parse_sps(&bitreader::strip_emulation_prevention(payload)).ok()
    });
    parameters.map_or(0, |parameters| {
        u64::from(parameters.pic_width_in_luma_samples) * u64::from(parameters.pic_height_in_luma_samples)
    })
}

fn too_many_pixels() -> Error {
    Error::invalid("the picture is stored with more pixels than ingest.max_pixels allows")
        .with_code("too_many_pixels")
        .with_field("file")
}

fn refused(error: HeifError) -> Error {
    match error {
        HeifError::Truncated { .. } => truncated(),
        HeifError::LimitExceeded(_) => too_many_pixels(),
        HeifError::Unsupported(what) => not_read(&format!(
            "this kind of HEIC is not read ({what}): export the photo as JPEG"
        )),
        HeifError::NotHeif(_)
        | HeifError::MalformedBox(_)
        | HeifError::MalformedHevc(_)
        | HeifError::CabacDesync(_) => {
            corrupt("the picture can't be decoded: export the photo again, as JPEG").with_source(error)
        }
    }
}
