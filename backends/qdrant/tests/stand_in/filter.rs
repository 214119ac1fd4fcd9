//! The protocol's filters on the points of the stand-in.

use std::collections::HashSet;

use jiff::Timestamp as Time;
use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{Condition, DatetimeRange, FieldCondition, Filter, Timestamp, Value};
use tonic::Status;

use super::point::{Id, Stored};
use super::unimplemented;

/// A filter that was read, with all in it that the stand-in knows.
#[derive(Debug, Default)]
pub(crate) struct Matcher {
    must: Vec<Test>,
    must_not: Vec<Test>,
    should: Vec<Test>,
}

#[derive(Debug)]
enum Test {
    Keyword(String, String),
    /// Microseconds since 1970, the resolution of a server's index: at least, more than, at most, less than.
    Time(String, [Option<i64>; 4]),
    Ids(HashSet<Id>),
    Empty(String),
    All(Matcher),
}

impl Matcher {
    /// Reads a filter; none lets every point through.
    pub(crate) fn read(filter: Option<&Filter>) -> Result<Self, Status> {
        let Some(filter) = filter else {
            return Ok(Self::default());
        };
        if filter.min_should.is_some() {
            return Err(unimplemented("filter with min_should"));
        }
        let tests = |conditions: &[Condition]| conditions.iter().map(Test::read).collect::<Result<_, _>>();
        Ok(Self {
            must: tests(&filter.must)?,
            must_not: tests(&filter.must_not)?,
            should: tests(&filter.should)?,
        })
    }

    /// Returns whether a point meets the filter.
    pub(crate) fn matches(&self, id: &Id, point: &Stored) -> bool {
        self.must.iter().all(|test| test.holds(id, point))
            && !self.must_not.iter().any(|test| test.holds(id, point))
            && (self.should.is_empty() || self.should.iter().any(|test| test.holds(id, point)))
    }
}

impl Test {
    fn read(condition: &Condition) -> Result<Self, Status> {
        match &condition.condition_one_of {
            Some(ConditionOneOf::Field(condition)) => Self::read_field(condition),
            Some(ConditionOneOf::HasId(ids)) => {
                let ids = ids.has_id.iter().cloned().map(|id| Id::read(Some(id)));
                Ok(Self::Ids(ids.collect::<Result<_, _>>()?))
            }
            Some(ConditionOneOf::IsEmpty(condition)) => Ok(Self::Empty(condition.key.clone())),
            Some(ConditionOneOf::Filter(inner)) => Matcher::read(Some(inner)).map(Self::All),
            other => Err(unimplemented(&format!("condition {other:?}"))),
        }
    }

    fn read_field(condition: &FieldCondition) -> Result<Self, Status> {
        let key = condition.key.clone();
        let value = condition
            .r#match
            .as_ref()
            .and_then(|value| value.match_value.as_ref());
        match (value, &condition.datetime_range) {
            (Some(MatchValue::Keyword(keyword)), None) => Ok(Self::Keyword(key, keyword.clone())),
            (None, Some(range)) => Ok(Self::Time(key, times(range)?)),
            (other, _) => Err(unimplemented(&format!("condition on `{key}`: {other:?}"))),
        }
    }

    fn holds(&self, id: &Id, point: &Stored) -> bool {
        match self {
            Self::Keyword(key, keyword) => texts(point, key).any(|text| text == keyword),
            Self::Time(key, [at_least, above, at_most, below]) => texts(point, key)
                .filter_map(|text| text.parse::<Time>().ok())
                .map(|time| i64::try_from(time.as_nanosecond().div_euclid(1000)).unwrap_or(i64::MAX))
                .any(|time| {
                    at_least.is_none_or(|bound| time >= bound)
                        && above.is_none_or(|bound| time > bound)
                        && at_most.is_none_or(|bound| time <= bound)
                        && below.is_none_or(|bound| time < bound)
                }),
            Self::Ids(ids) => ids.contains(id),
            Self::Empty(key) => point.payload.get(key).is_none_or(is_empty),
            Self::All(matcher) => matcher.matches(id, point),
        }
    }
}

/// Returns the texts of a field of the payload: its own, or those of its list.
fn texts<'a>(point: &'a Stored, key: &str) -> impl Iterator<Item = &'a String> {
    let value = point.payload.get(key);
    let list = match value.and_then(|value| value.kind.as_ref()) {
        Some(Kind::ListValue(list)) => list.values.as_slice(),
        _ => &[],
    };
    value.into_iter().chain(list).filter_map(text)
}

fn is_empty(value: &Value) -> bool {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => true,
        Some(Kind::ListValue(list)) => list.values.is_empty(),
        Some(_) => false,
    }
}

fn text(value: &Value) -> Option<&String> {
    match &value.kind {
        Some(Kind::StringValue(text)) => Some(text),
        _ => None,
    }
}

fn times(range: &DatetimeRange) -> Result<[Option<i64>; 4], Status> {
    let time = |time: &Option<Timestamp>| match time {
        None => Ok(None),
        Some(time) => {
            let micros = time.seconds.checked_mul(1_000_000);
            micros
                .filter(|_| (0..1_000_000_000).contains(&time.nanos))
                .and_then(|micros| micros.checked_add(i64::from(time.nanos / 1000)))
                .map(Some)
                .ok_or_else(|| Status::invalid_argument(format!("Unable to parse timestamp {time}")))
        }
    };
    Ok([
        time(&range.gte)?,
        time(&range.gt)?,
        time(&range.lte)?,
        time(&range.lt)?,
    ])
}
