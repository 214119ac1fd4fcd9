//! The ends of a range of times in filters: a day, a local time, or a moment.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::temporal::Pieces;
use lucida_core::{Error, Result};
use serde::Deserialize;

use crate::field::invalid;

/// When a range begins or ends, as a client writes it.
///
/// Without an offset it is compared with what the clock showed where a photo was taken; with one, or `Z`, with the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum FilterTime {
    /// All of a day.
    Day(Date),
    /// A date and time without an offset.
    Local(DateTime),
    /// A moment.
    Moment(Timestamp),
}

impl FromStr for FilterTime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = || -> std::result::Result<Self, jiff::Error> {
            let pieces = Pieces::parse(text)?;
            if pieces.offset().is_some() || pieces.time_zone_annotation().is_some() {
                return text.parse().map(Self::Moment);
            }
            Ok(match pieces.time() {
                Some(time) => Self::Local(pieces.date().to_datetime(time)),
                None => Self::Day(pieces.date()),
            })
        };
        read().map_err(|error| {
            Error::invalid(format!(
                "`{text}` is not a day like 2024-06-30 or a time like 2024-06-30T12:00:00Z: {error}"
            ))
        })
    }
}

impl TryFrom<String> for FilterTime {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl fmt::Display for FilterTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(day) => day.fmt(f),
            Self::Local(local) => local.fmt(f),
            Self::Moment(moment) => moment.fmt(f),
        }
    }
}

/// A range of times, as filters of the metadata store and the index have it: each start included, each end not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenRange {
    /// From this moment on.
    pub taken_from: Option<Timestamp>,
    /// Before this moment.
    pub taken_to: Option<Timestamp>,
    /// From this local time on.
    pub local_from: Option<DateTime>,
    /// Before this local time.
    pub local_to: Option<DateTime>,
}

impl TakenRange {
    /// Makes the range of `taken_from` and `taken_to`, whose names begin with `prefix`. A day at its end is included.
    ///
    /// # Errors
    /// `InvalidInput` for a range that ends before it begins.
    pub fn new(prefix: &str, from: Option<FilterTime>, to: Option<FilterTime>) -> Result<Self> {
        let mut range = Self::default();
        match from {
            None => {}
            Some(FilterTime::Day(day)) => range.local_from = Some(day.at(0, 0, 0, 0)),
            Some(FilterTime::Local(local)) => range.local_from = Some(local),
            Some(FilterTime::Moment(moment)) => range.taken_from = Some(moment),
        }
        match to {
            None => {}
            Some(FilterTime::Day(day)) => {
                let next = day.tomorrow().map(|next| next.at(0, 0, 0, 0));
                range.local_to = Some(next.unwrap_or(DateTime::MAX));
            }
            Some(FilterTime::Local(local)) => range.local_to = Some(local),
            Some(FilterTime::Moment(moment)) => range.taken_to = Some(moment),
        }
        // A moment and a local time can't be compared: how far they are apart depends on the photo.
        let is_empty = matches!((range.taken_from, range.taken_to), (Some(from), Some(to)) if from >= to)
            || matches!((range.local_from, range.local_to), (Some(from), Some(to)) if from >= to);
        match (from, to) {
            (Some(from), Some(to)) if is_empty => Err(invalid(
                format!("{prefix}taken_to"),
                format!("`{prefix}taken_to` ({to}) must be after `{prefix}taken_from` ({from})"),
            )),
            (None | Some(_), None | Some(_)) => Ok(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, to: &str) -> Result<TakenRange> {
        let read = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        TakenRange::new("filter.", read(from), read(to))
    }

    fn local(text: &str) -> Option<DateTime> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_time_without_an_offset_is_local_and_one_with_an_offset_is_a_moment() {
        for (from, to, expected) in [
            ("", "", TakenRange::default()),
            (
                "2025-09-30",
                "2025-09-30",
                TakenRange {
                    local_from: local("2025-09-30T00:00:00"),
                    local_to: local("2025-10-01T00:00:00"),
                    ..TakenRange::default()
                },
            ),
            (
                "2025-09-30T12:00",
                "2025-09-30 18:30:00.5",
                TakenRange {
                    local_from: local("2025-09-30T12:00:00"),
                    local_to: local("2025-09-30T18:30:00.5"),
                    ..TakenRange::default()
                },
            ),
            (
                "2025-09-30T12:00:00-04:00",
                "2025-10-01T00:00:00Z",
                TakenRange {
                    taken_from: Some("2025-09-30T16:00:00Z".parse().unwrap()),
                    taken_to: Some("2025-10-01T00:00:00Z".parse().unwrap()),
                    ..TakenRange::default()
                },
            ),
            (
                "2025-10-01T00:00:00Z",
                "2025-09-30",
                TakenRange {
                    taken_from: Some("2025-10-01T00:00:00Z".parse().unwrap()),
                    local_to: local("2025-10-01T00:00:00"),
                    ..TakenRange::default()
                },
            ),
            (
                "",
                "9999-12-31",
                TakenRange {
                    local_to: Some(DateTime::MAX),
                    ..TakenRange::default()
                },
            ),
        ] {
            assert_eq!(range(from, to).unwrap(), expected, "{from} to {to}");
        }
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_refused_as_it_was_written() {
        for (from, to) in [
            ("2025-10-01", "2025-09-30"),
            ("2025-09-30T12:00:00", "2025-09-30T12:00:00"),
            ("2025-10-01T00:00:00Z", "2025-09-30T20:00:00-04:00"),
        ] {
            let error = range(from, to).unwrap_err();
            assert_eq!(error.field(), Some("filter.taken_to"), "{from} to {to}");
            assert!(error.to_string().contains(from), "{error}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "june",
            "2025-13-01",
            "2025-09-30T25:00",
            "2025-09-30T12:00[Europe/Berlin]",
            "1719748800",
        ] {
            assert!(text.parse::<FilterTime>().is_err(), "{text}");
        }
    }
}
