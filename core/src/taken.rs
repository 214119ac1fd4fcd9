//! When a photo was taken: the moment, and the local time, which is what the clock showed where it was taken.
//!
//! Local times are kept as microseconds since 1970 of a clock without a zone. For a photo of unknown offset that is the
//! number of its moment, since its local time is then the one in UTC.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::fmt::temporal::{Pieces, PiecesNumericOffset, PiecesOffset};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::error::Error;

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// When a photo was taken, as a user gives it: RFC 3339, such as `2024-08-17T18:04:05+02:00`.
///
/// With `Z` or `-00:00` the moment is known and the local time is not, as RFC 9557 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TakenAt {
    /// The moment.
    pub moment: Timestamp,
    /// The local time, where the offset from UTC is known.
    pub local: Option<DateTime>,
}

impl FromStr for TakenAt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |error| {
            Error::invalid(format!(
                "`{text}` is not a time like 2024-08-17T18:04:05+02:00: {error}"
            ))
        };
        let moment: Timestamp = text.parse().map_err(refused)?;
        let local = match Pieces::parse(text).map_err(refused)?.offset() {
            Some(PiecesOffset::Numeric(offset)) if !is_unknown(offset) => {
                Some(offset.offset().to_datetime(moment))
            }
            Some(_) | None => None,
        };
        Ok(Self { moment, local })
    }
}

/// Returns whether this is `-00:00`.
fn is_unknown(offset: PiecesNumericOffset) -> bool {
    offset.is_negative() && offset.offset() == Offset::UTC
}

impl TryFrom<String> for TakenAt {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Timestamp> for TakenAt {
    fn from(moment: Timestamp) -> Self {
        Self { moment, local: None }
    }
}

/// Returns the local time of a photo: `local`, or the time in UTC where that is unknown.
pub(crate) fn local_time(moment: Option<Timestamp>, local: Option<DateTime>) -> Option<DateTime> {
    local.or_else(|| moment.map(|moment| Offset::UTC.to_datetime(moment)))
}

/// Returns a local time as stores keep it, cut to the microsecond below.
#[must_use]
pub fn local_microsecond(local: DateTime) -> i64 {
    saturate(nanoseconds(local).div_euclid(1_000))
}

/// Returns the first microsecond that is not before a local time, for stores that filter by such numbers.
#[must_use]
pub fn first_local_microsecond_from(local: DateTime) -> i64 {
    saturate(-(-nanoseconds(local)).div_euclid(1_000))
}

/// Returns the local time of a number of [`local_microsecond`]; `None` outside the years -9999 to 9999.
#[must_use]
pub fn local_from_microsecond(microsecond: i64) -> Option<DateTime> {
    EPOCH.checked_add(SignedDuration::from_micros(microsecond)).ok()
}

/// Cuts a local time to the microsecond below, which is what every store keeps.
#[must_use]
pub fn cut_local(local: DateTime) -> DateTime {
    local_from_microsecond(local_microsecond(local)).unwrap_or(local)
}

fn nanoseconds(local: DateTime) -> i128 {
    local.duration_since(EPOCH).as_nanos()
}

fn saturate(microseconds: i128) -> i64 {
    i64::try_from(microseconds).unwrap_or(if microseconds < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_offset_gives_the_local_time_and_z_does_not() {
        for (text, moment, local) in [
            (
                "2025-09-30T23:45:00-04:00",
                "2025-10-01T03:45:00Z",
                Some("2025-09-30T23:45:00"),
            ),
            (
                "2025-01-15T10:00:00+00:00",
                "2025-01-15T10:00:00Z",
                Some("2025-01-15T10:00:00"),
            ),
            ("2025-10-01T03:45:00Z", "2025-10-01T03:45:00Z", None),
            ("2025-10-01T03:45:00-00:00", "2025-10-01T03:45:00Z", None),
        ] {
            let taken: TakenAt = text.parse().unwrap();
            assert_eq!(taken.moment.to_string(), moment, "{text}");
            assert_eq!(taken.local, local.map(|local| local.parse().unwrap()), "{text}");
        }
        for text in ["", "june", "2025-09-30", "2025-09-30T23:45:00"] {
            assert!(text.parse::<TakenAt>().is_err(), "{text}");
        }
    }

    #[test]
    fn local_times_are_cut_down_and_bounds_are_cut_up() {
        for (nanoseconds, below, above) in
            [(0, 0, 0), (1, 0, 1), (1_000, 1, 1), (-1, -1, 0), (-1_000, -1, -1)]
        {
            let local = EPOCH
                .checked_add(SignedDuration::from_nanos(nanoseconds))
                .unwrap();
            assert_eq!(local_microsecond(local), below, "{nanoseconds} ns");
            assert_eq!(first_local_microsecond_from(local), above, "{nanoseconds} ns");
        }
    }

    #[test]
    fn every_local_time_survives_as_a_number() {
        for local in [DateTime::MIN, DateTime::MAX, EPOCH] {
            let cut = local_from_microsecond(local_microsecond(local)).unwrap();
            assert_eq!(cut, cut_local(local));
            assert_eq!(local.duration_since(cut).as_micros(), 0, "{local}");
        }
        assert_eq!(local_from_microsecond(i64::MAX), None);
    }

    #[test]
    fn a_photo_of_unknown_offset_has_its_time_in_utc() {
        let moment: Timestamp = "2025-10-01T03:45:00.5Z".parse().unwrap();
        let local = local_time(Some(moment), None).unwrap();
        assert_eq!(local.to_string(), "2025-10-01T03:45:00.5");
        assert_eq!(local_microsecond(local), moment.as_microsecond());
    }
}
