//! When a photo was taken: what the camera's clock said, and where on Earth that clock was set.

use exif::{DateTime as ExifTime, Exif, Tag};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Serialize, Serializer};

use crate::fields::{ascii, number_at, text};

/// No clock on Earth is further from UTC; a GPS time further away than this from the camera's own is stale.
const MAX_OFFSET_SECS: i32 = 14 * 3600;

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
        if let Some(offset) = offset
            && let Ok(at) = offset.to_timestamp(local)
        {
            return Some(Self {
                at,
                local: Some(local),
                offset: Some(offset),
                source: TakenSource::Offset,
            });
        }
        let as_utc = Offset::UTC.to_timestamp(local).ok()?;
        let near = |gps: &Timestamp| {
            let apart = gps.duration_since(as_utc).as_secs().unsigned_abs();
            apart <= u64::from(MAX_OFFSET_SECS.unsigned_abs())
        };
        let (at, source) = match gps.filter(near) {
            Some(at) => (at, TakenSource::Gps),
            None => (as_utc, TakenSource::AssumedUtc),
        };
        Some(Self {
            at,
            local: Some(local),
            offset: None,
            source,
        })
    }
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
        let mut time = ExifTime::from_ascii(written).ok()?;
        if let Some(fraction) = ascii(exif, self.fraction) {
            // A fraction that is none leaves whole seconds.
            drop(time.parse_subsec(fraction));
        }
        let offset = text(exif, self.offset)
            .or_else(|| {
                // That offset belongs to the last change; it holds here when that was the shot.
                let unchanged = ascii(exif, Tag::DateTime) == Some(written);
                unchanged.then(|| text(exif, Tag::OffsetTime)).flatten()
            })
            .and_then(|written| parse_offset(&written));
        Some((civil(&time)?, offset))
    }
}

fn civil(time: &ExifTime) -> Option<DateTime> {
    let small = |number: u8| i8::try_from(number).ok();
    // Years below this are what a camera writes that does not know.
    if time.year < 1800 {
        return None;
    }
    // A leap second has no place of its own in Unix time.
    let second = if time.second == 60 { 59 } else { time.second };
    DateTime::new(
        i16::try_from(time.year).ok()?,
        small(time.month)?,
        small(time.day)?,
        small(time.hour)?,
        small(time.minute)?,
        small(second)?,
        i32::try_from(time.nanosecond.unwrap_or(0)).ok()?,
    )
    .ok()
}

/// Reads `+02:00`, `-0330`, `+02` and `Z`.
fn parse_offset(written: &str) -> Option<Offset> {
    if written.eq_ignore_ascii_case("z") {
        return Some(Offset::UTC);
    }
    let (sign, digits) = match written.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        2 => (digits.parse::<i32>().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    let secs = sign * (hours * 3600 + minutes * 60);
    if minutes >= 60 || secs.abs() > MAX_OFFSET_SECS {
        return None;
    }
    Offset::from_seconds(secs).ok()
}

/// Reads the satellites' date and time.
fn gps_time(exif: &Exif) -> Option<Timestamp> {
    let date = text(exif, Tag::GPSDateStamp)?;
    let mut parts = date.split([':', '-']);
    let mut part = || parts.next()?.parse::<i16>().ok();
    let (year, month, day) = (part()?, part()?, part()?);
    let [hour, minute, second] = [0, 1, 2].map(|at| number_at(exif, Tag::GPSTimeStamp, at));
    let (hour, minute, second) = (hour?, minute?, second?);
    if year < 1980 || !(0.0..24.0).contains(&hour) || !(0.0..60.0).contains(&minute) {
        return None;
    }
    if !(0.0..61.0).contains(&second) {
        return None;
    }
    let midnight = DateTime::new(
        year,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
        0,
        0,
        0,
        0,
    )
    .ok()?;
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
