//! What becomes `attributes.exif` of a photo.

use exif::{Exif, Tag};
use serde::Serialize;

use crate::fields::{ascii, number_at, positive, rounded, text, whole};
use crate::taken::Taken;

/// What a photo's EXIF tells; what it does not tell, or tells wrongly, is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ExifAttributes {
    /// When the photo was taken, and how that is known.
    #[serde(flatten)]
    pub taken: Option<Taken>,
    /// Who made the camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// Which camera it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Which lens it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lens: Option<String>,
    /// The program that wrote the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// How long light came in, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure_secs: Option<f64>,
    /// The focal length divided by the aperture's diameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f_number: Option<f64>,
    /// The sensitivity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso: Option<u32>,
    /// The focal length in millimetres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focal_length_mm: Option<f64>,
    /// The focal length that sees as much on 35 mm film, in millimetres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focal_length_35mm_mm: Option<u32>,
    /// How the stored picture must be turned, 1 to 8 as EXIF counts; Lucida has turned it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orientation: Option<u32>,
    /// Where the camera was.
    #[serde(flatten)]
    pub place: Option<Place>,
}

/// A place on Earth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Place {
    /// Degrees north of the equator, negative south of it.
    pub latitude: f64,
    /// Degrees east of Greenwich, negative west of it.
    pub longitude: f64,
    /// Metres above sea level, negative below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub altitude_metres: Option<f64>,
}

impl ExifAttributes {
    /// Reads a parsed block.
    #[must_use]
    pub fn read(exif: &Exif) -> Self {
        Self {
            taken: Taken::read(exif),
            make: text(exif, Tag::Make),
            model: text(exif, Tag::Model),
            lens: text(exif, Tag::LensModel),
            software: text(exif, Tag::Software),
            exposure_secs: positive(exif, Tag::ExposureTime),
            f_number: positive(exif, Tag::FNumber),
            iso: iso(exif),
            focal_length_mm: positive(exif, Tag::FocalLength),
            focal_length_35mm_mm: whole(exif, Tag::FocalLengthIn35mmFilm).filter(|length| *length > 0),
            orientation: whole(exif, Tag::Orientation).filter(|turn| (1..=8).contains(turn)),
            place: Place::read(exif),
        }
    }
}

/// The old field ends at 65,535, which then says to look at the newer ones.
fn iso(exif: &Exif) -> Option<u32> {
    const BEYOND: u32 = 65_535;
    let newer = || {
        [
            Tag::RecommendedExposureIndex,
            Tag::StandardOutputSensitivity,
            Tag::ISOSpeed,
        ]
        .into_iter()
        .find_map(|tag| whole(exif, tag).filter(|iso| *iso > 0))
    };
    match whole(exif, Tag::PhotographicSensitivity) {
        Some(0) | None => newer(),
        Some(BEYOND) => newer().or(Some(BEYOND)),
        Some(iso) => Some(iso),
    }
}

impl Place {
    /// Reads the place; one without both coordinates, out of range, or at 0° 0°, which cameras without a fix write,
    /// is none.
    fn read(exif: &Exif) -> Option<Self> {
        let latitude = degrees(exif, Tag::GPSLatitude, Tag::GPSLatitudeRef, b'S', 90.0)?;
        let longitude = degrees(exif, Tag::GPSLongitude, Tag::GPSLongitudeRef, b'W', 180.0)?;
        if latitude == 0.0 && longitude == 0.0 {
            return None;
        }
        let altitude = number_at(exif, Tag::GPSAltitude, 0).map(|metres| {
            // 1 is below sea level; 3 is the same in EXIF 3.0, measured from the ellipsoid's sea level.
            let below = matches!(whole(exif, Tag::GPSAltitudeRef), Some(1 | 3));
            rounded(if below { -metres } else { metres })
        });
        Some(Self {
            latitude,
            longitude,
            altitude_metres: altitude,
        })
    }
}

/// Reads degrees, minutes and seconds as decimal degrees.
fn degrees(exif: &Exif, value: Tag, reference: Tag, negative: u8, at_most: f64) -> Option<f64> {
    let whole = number_at(exif, value, 0)?;
    let minutes = number_at(exif, value, 1).unwrap_or(0.0);
    let seconds = number_at(exif, value, 2).unwrap_or(0.0);
    let degrees = whole + minutes / 60.0 + seconds / 3600.0;
    if !(0.0..=at_most).contains(&degrees) {
        return None;
    }
    let is_negative = ascii(exif, reference)?.first()?.eq_ignore_ascii_case(&negative);
    Some(rounded(if is_negative { -degrees } else { degrees }))
}
