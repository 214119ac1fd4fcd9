//! Dates and times as cameras and programs spell them.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

/// No clock on Earth is further from UTC.
pub(crate) const MAX_OFFSET_SECS: i32 = 14 * 3600;

/// Years below this are what a camera writes that does not know.
const FIRST_YEAR: i16 = 1800;

/// A time as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// What the clock showed.
    pub(crate) local: DateTime,
    /// How far the clock was from UTC, where that is written with the time.
    pub(crate) offset: Option<Offset>,
    /// Whether a part of a second is written with the time.
    pub(crate) has_fraction: bool,
}

/// Reads a date with a time: `2024:07:03 14:05:06` as EXIF asks for it, ISO 8601 with and without separators, `/`, `-`
/// and `.` in dates, one digit where two are usual, the day first where that is certain, `PM`, parts of seconds, and an
/// offset behind the time.
///
/// `None` for a date that no calendar has, for one without a time, and for what cameras write that know neither.
pub(crate) fn parse(text: &[u8]) -> Option<Written> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.trim_matches(|character: char| character == '\0' || character.is_whitespace());
    let mut reader = Reader(text.as_bytes());
    let date = reader.date()?;
    reader.skip(b" Tt:_,");
    let (time, has_fraction, is_next_day) = reader.time()?;
    reader.skip(b" ");
    let offset = reader.offset()?;
    let date = if is_next_day {
        date.checked_add(1.day()).ok()?
    } else {
        date
    };
    (date.year() >= FIRST_YEAR).then(|| Written {
        local: date.to_datetime(time),
        offset,
        has_fraction,
    })
}

/// Reads a date alone, the year first.
pub(crate) fn parse_date(text: &str) -> Option<Date> {
    Reader(text.trim().as_bytes()).date()
}

/// Reads `+02:00`, `+5:30`, `-0330`, `+02` and `Z`.
pub(crate) fn parse_offset(written: &str) -> Option<Offset> {
    if written.eq_ignore_ascii_case("z") {
        return Some(Offset::UTC);
    }
    let (sign, digits) = match written.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "00"),
    };
    let number = |digits: &str, lengths: &[usize]| -> Option<i32> {
        let is_number = lengths.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    };
    let (hours, minutes) = (number(hours, &[1, 2])?, number(minutes, &[2])?);
    let secs = sign * (hours * 3600 + minutes * 60);
    if minutes >= 60 || secs.abs() > MAX_OFFSET_SECS {
        return None;
    }
    Offset::from_seconds(secs).ok()
}

/// What is left of a text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn skip(&mut self, what: &[u8]) {
        while let [first, rest @ ..] = self.0
            && what.contains(first)
        {
            self.0 = rest;
        }
    }

    /// Takes one of `separators`.
    fn take(&mut self, separators: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        separators.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }

    /// Takes a number of at most so many digits, after spaces; also returns how many it has.
    fn number(&mut self, at_most: usize) -> Option<(i32, usize)> {
        self.skip(b" ");
        let count = self
            .0
            .iter()
            .take(at_most)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.0.split_at(count);
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        self.0 = rest;
        Some((number, count))
    }

    fn date(&mut self) -> Option<Date> {
        let is_compact = self.0.len() >= 8 && self.0[..8].iter().all(u8::is_ascii_digit);
        let (year, month, day) = if is_compact {
            (self.number(4)?.0, self.number(2)?.0, self.number(2)?.0)
        } else {
            let (first, digits) = self.number(4)?;
            let separator = self.take(b":-/.")?;
            let (second, _) = self.number(2)?;
            self.take(&[separator])?;
            let (third, last_digits) = self.number(4)?;
            if digits == 4 {
                (first, second, third)
            } else if last_digits == 4 && separator == b'.' || first > 12 {
                // Dots come with the day first; with others only a day beyond 12 tells.
                (third, second, first)
            } else if last_digits == 4 && second > 12 {
                (third, first, second)
            } else {
                return None;
            }
        };
        Date::new(
            i16::try_from(year).ok()?,
            i8::try_from(month).ok()?,
            i8::try_from(day).ok()?,
        )
        .ok()
    }

    /// Also returns whether a part of a second is written, and whether the time is midnight at the end of the day.
    fn time(&mut self) -> Option<(Time, bool, bool)> {
        let is_compact = self.0.len() >= 4 && self.0[..4].iter().all(u8::is_ascii_digit);
        let (mut hour, _) = self.number(2)?;
        let separator = if is_compact { None } else { Some(self.take(b":.")?) };
        let (minute, _) = self.number(2)?;
        let has_seconds = match separator {
            Some(separator) => self.take(&[separator]).is_some(),
            None => self.0.first().is_some_and(u8::is_ascii_digit),
        };
        let second = if has_seconds { self.number(2)?.0 } else { 0 };
        let mut nanoseconds = 0;
        let has_fraction = has_seconds && self.take(b".,").is_some();
        if has_fraction {
            let mut unit = 100_000_000;
            while let Some(digit) = self.take(b"0123456789") {
                nanoseconds += i32::from(digit - b'0') * unit;
                unit /= 10;
            }
        }
        self.skip(b" ");
        let is_half =
            |letter: u8| matches!(self.0, [first, b'm' | b'M', ..] if first.eq_ignore_ascii_case(&letter));
        if (1..=12).contains(&hour) && (is_half(b'a') || is_half(b'p')) {
            hour = hour % 12 + if is_half(b'p') { 12 } else { 0 };
            self.0 = &self.0[2..];
        }
        // Midnight may belong to the day that it ends.
        let is_next_day = hour == 24 && minute == 0 && second == 0;
        let hour = if is_next_day { 0 } else { hour };
        // A leap second has no place of its own in Unix time.
        let second = if second == 60 { 59 } else { second };
        let small = |number: i32| i8::try_from(number).ok();
        let time = Time::new(small(hour)?, small(minute)?, small(second)?, nanoseconds).ok()?;
        Some((time, has_fraction, is_next_day))
    }

    /// Reads what is left as an offset; the outer `None` is for what can't be understood.
    fn offset(&mut self) -> Option<Option<Offset>> {
        let rest = std::str::from_utf8(self.0).ok()?.trim();
        match rest {
            "" => Some(None),
            "UTC" | "GMT" => Some(Some(Offset::UTC)),
            // Names of zones mean another offset in each country.
            name if name.bytes().all(|byte| byte.is_ascii_alphabetic()) && name.len() > 1 => Some(None),
            // An offset that is not valid leaves the time as it is.
            written => written
                .starts_with(['+', '-', 'Z', 'z'])
                .then(|| parse_offset(written)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        let written = parse(text.as_bytes())?;
        let offset = written.offset.map(|offset| format!(" {}", offset.seconds() / 60));
        Some(format!("{}{}", written.local, offset.unwrap_or_default()))
    }

    #[test]
    fn every_spelling_of_a_time_is_read() {
        for (text, expected) in [
            ("2024:07:03 14:05:06", "2024-07-03T14:05:06"),
            ("2024:07:03 14:05:06\0", "2024-07-03T14:05:06"),
            ("2025:01:08 07:18:55+0200", "2025-01-08T07:18:55 120"),
            ("2025:01:08 07:18:55 +02:00", "2025-01-08T07:18:55 120"),
            ("2025:01:08 07:18:55+5:30", "2025-01-08T07:18:55 330"),
            ("2025:01:08 07:18:55-3", "2025-01-08T07:18:55 -180"),
            ("2025:01:08 07:18:55+5:3", "2025-01-08T07:18:55"),
            ("2007/06/30 18:45:17", "2007-06-30T18:45:17"),
            ("2015-07-26T14:55:23", "2015-07-26T14:55:23"),
            ("2015-07-26T14:55:23Z", "2015-07-26T14:55:23 0"),
            ("2015-07-26t14:55:23.789-03:30", "2015-07-26T14:55:23.789 -210"),
            ("2015-07-26 14:55:23,5", "2015-07-26T14:55:23.5"),
            ("20150726T145523Z", "2015-07-26T14:55:23 0"),
            ("20150726 145523", "2015-07-26T14:55:23"),
            ("2015-07-26T14:55", "2015-07-26T14:55:00"),
            ("2024: 7: 3  4: 5: 6", "2024-07-03T04:05:06"),
            ("2024.07.03 14.05.06", "2024-07-03T14:05:06"),
            ("2024:07:03 02:05:06 PM", "2024-07-03T14:05:06"),
            ("2024:07:03 12:05:06 am", "2024-07-03T00:05:06"),
            ("03.07.2024 14:05:06", "2024-07-03T14:05:06"),
            ("30/06/2007 18:45:17", "2007-06-30T18:45:17"),
            ("06/30/2007 18:45:17", "2007-06-30T18:45:17"),
            ("2024:07:31 24:00:00", "2024-08-01T00:00:00"),
            ("2016:12:31 23:59:60", "2016-12-31T23:59:59"),
            ("2024:07:03 14:05:06 CEST", "2024-07-03T14:05:06"),
            ("2024:07:03 14:05:06 GMT", "2024-07-03T14:05:06 0"),
            ("2024:07:03 14:05:06 +99:00", "2024-07-03T14:05:06"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_no_calendar_has_is_not_read() {
        for text in [
            "",
            "0000:00:00 00:00:00",
            "    :  :     :  :  ",
            "--:--:-- --:--:--",
            "2024:02:30 10:00:00",
            "2024:13:01 10:00:00",
            "2024:01:01 25:00:00",
            "2024:01:01",
            "2024:0é:01 10:00:00",
            "05/06/2007 18:45:17",
            "1601:01:01 00:00:00",
            "2024:07:03 14:05:06 at noon",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
