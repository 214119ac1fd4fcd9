//! When a photo was taken: what the camera's clock said, and where on Earth that clock was set.

use exif::{Exif, Tag};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Serialize, Serializer};

use crate::date::{self, MAX_OFFSET_SECS, parse_offset};
use crate::fields::{ascii, number_at, text};

/// Every zone on Earth differs from UTC by a multiple of this.
const ZONE_STEP_SECS: i64 = 15 * 60;

/// How far the last fix may be from the shot, and the camera's clock from the right time, to tell its zone by both.
const ZONE_SLACK_SECS: i64 = 5 * 60;

/// How the time in UTC is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TakenSource {
    /// The camera wrote its offset from UTC.
    Offset,
    /// The camera wrote the satellites' time, which is UTC.
    Gps,
    /// The camera wrote neither: its clock is taken for UTC, and may be wrong by the hours of its time zone.
    AssumedUtc,
}

/// When a photo was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// The moment; the photo's own `taken_at`, so not repeated here.
    #[serde(skip)]
    pub at: Timestamp,
    /// What the camera's clock said.
    #[serde(rename = "taken_at_local", skip_serializing_if = "Option::is_none")]
    pub local: Option<DateTime>,
    /// How far the camera's clock was from UTC, such as `+02:00`.
    #[serde(
        rename = "taken_at_offset",
        skip_serializing_if = "Option::is_none",
        serialize_with = "write_offset"
    )]
    pub offset: Option<Offset>,
    /// How the moment is known.
    #[serde(rename = "taken_at_source")]
    pub source: TakenSource,
}

impl Taken {
    /// Reads the time of the shot, else that of the digitisation.
    ///
    /// The time of the last change is left alone: programs set it when they write a file.
    #[must_use]
    pub fn read(exif: &Exif) -> Option<Self> {
        let shot = Clock {
            time: Tag::DateTimeOriginal,
            fraction: Tag::SubSecTimeOriginal,
            offset: Tag::OffsetTimeOriginal,
        };
        let digitised = Clock {
            time: Tag::DateTimeDigitized,
            fraction: Tag::SubSecTimeDigitized,
            offset: Tag::OffsetTimeDigitized,
        };
        let gps = gps_time(exif);
        let (local, offset) = match shot.read(exif).or_else(|| digitised.read(exif)) {
            Some(read) => read,
            None => {
                return gps.map(|at| Self {
                    at,
                    local: None,
                    offset: None,
                    source: TakenSource::Gps,
                });
            }
        };
        if let Some(taken) = Self::with_offset(local, offset) {
            return Some(taken);
        }
        let as_utc = Offset::UTC.to_timestamp(local).ok()?;
        let ahead = |gps: &Timestamp| as_utc.duration_since(*gps).as_secs();
        let near = |gps: &Timestamp| ahead(gps).unsigned_abs() <= u64::from(MAX_OFFSET_SECS.unsigned_abs());
        let (at, source, offset) = match gps.filter(near) {
            Some(at) => (at, TakenSource::Gps, zone(ahead(&at))),
            // Nothing is further from UTC, so this time belongs to another shot.
            None => (as_utc, TakenSource::AssumedUtc, None),
        };
        Some(Self {
            at,
            local: Some(local),
            offset,
            source,
        })
    }
}

impl Taken {
    /// Reads a time as XMP writes it.
    #[must_use]
    pub fn parse(written: &str) -> Option<Self> {
        let time = date::parse(written.as_bytes())?;
        Self::with_offset(time.local, time.offset).or_else(|| {
            Some(Self {
                at: Offset::UTC.to_timestamp(time.local).ok()?,
                local: Some(time.local),
                offset: None,
                source: TakenSource::AssumedUtc,
            })
        })
    }

    fn with_offset(local: DateTime, offset: Option<Offset>) -> Option<Self> {
        let offset = offset?;
        Some(Self {
            at: offset.to_timestamp(local).ok()?,
            local: Some(local),
            offset: Some(offset),
            source: TakenSource::Offset,
        })
    }
}

/// Returns the offset of a clock that is so many seconds ahead of the satellites' time.
fn zone(ahead_secs: i64) -> Option<Offset> {
    let offset = (ahead_secs + ZONE_STEP_SECS / 2).div_euclid(ZONE_STEP_SECS) * ZONE_STEP_SECS;
    let is_near = (ahead_secs - offset).abs() <= ZONE_SLACK_SECS;
    let offset = Offset::from_seconds(i32::try_from(offset).ok()?).ok()?;
    is_near.then_some(offset)
}

/// The three fields that tell one time.
struct Clock {
    time: Tag,
    fraction: Tag,
    offset: Tag,
}

impl Clock {
    fn read(&self, exif: &Exif) -> Option<(DateTime, Option<Offset>)> {
        let written = ascii(exif, self.time)?;
        let time = date::parse(written)?;
        let mut local = time.local;
        if !time.has_fraction
            && let Some(nanosecond) = ascii(exif, self.fraction).and_then(nanoseconds)
        {
            local = local.with().subsec_nanosecond(nanosecond).build().ok()?;
        }
        let offset = text(exif, self.offset).and_then(|written| parse_offset(&written));
        let offset = offset.or(time.offset).or_else(|| {
            // That offset belongs to the last change; it holds here when that was the shot.
            let unchanged = ascii(exif, Tag::DateTime) == Some(written);
            let written = unchanged.then(|| text(exif, Tag::OffsetTime)).flatten()?;
            parse_offset(&written)
        });
        Some((local, offset))
    }
}

/// Reads the digits after the decimal point of a second; padding with spaces is common.
fn nanoseconds(fraction: &[u8]) -> Option<i32> {
    let end = fraction
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\0'))
        .unwrap_or(fraction.len());
    let digits = &fraction[..end];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nine = digits.iter().copied().chain([b'0'; 9]).take(9);
    Some(nine.fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0')))
}

/// Reads the satellites' date and time.
fn gps_time(exif: &Exif) -> Option<Timestamp> {
    let date = date::parse_date(&text(exif, Tag::GPSDateStamp)?)?;
    let [hour, minute, second] = [0, 1, 2].map(|at| number_at(exif, Tag::GPSTimeStamp, at));
    let (hour, minute, second) = (hour?, minute?, second?);
    if date.year() < 1980 || !(0.0..24.0).contains(&hour) || !(0.0..60.0).contains(&minute) {
        return None;
    }
    if !(0.0..61.0).contains(&second) {
        return None;
    }
    let midnight = date.at(0, 0, 0, 0);
    let midnight = Offset::UTC.to_timestamp(midnight).ok()?;
    let since = hour.mul_add(3600.0, minute.mul_add(60.0, second));
    #[expect(clippy::cast_possible_truncation, reason = "a day has few milliseconds")]
    let millis = (since * 1000.0).round() as i64;
    midnight
        .checked_add(jiff::SignedDuration::from_millis(millis))
        .ok()
}

fn write_offset<S: Serializer>(offset: &Option<Offset>, serializer: S) -> Result<S::Ok, S::Error> {
    let secs = offset.map_or(0, Offset::seconds);
    let sign = if secs < 0 { '-' } else { '+' };
    let minutes = secs.abs() / 60;
    serializer.collect_str(&format_args!("{sign}{:02}:{:02}", minutes / 60, minutes % 60))
}
