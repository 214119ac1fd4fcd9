//! A search's filter in the server's words, so that it filters before it ranks.

use jiff::Timestamp;
use lucida_core::{IndexFilter, first_local_microsecond_from};
use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{
    self, Condition, DatetimeRange, FieldCondition, Filter, HasIdCondition, IsEmptyCondition, Match,
};

use crate::point::{TAGS, TAKEN_AT, TAKEN_AT_LOCAL, USER_ID, next_micros, point_id};

/// Translates a filter; `None` where it lets every point through.
pub(crate) fn to_server(filter: &IndexFilter) -> Option<Filter> {
    let mut must = Vec::new();
    if let Some(user) = &filter.user_id {
        must.push(equals(USER_ID, user.as_str()));
    }
    must.extend(filter.tags.iter().map(|tag| equals(TAGS, tag)));
    let micros = |time| next_micros(time).unwrap_or(Timestamp::MAX).as_microsecond();
    let taken = (filter.taken_from.map(micros), filter.taken_to.map(micros));
    if taken != (None, None) {
        must.push(within(TAKEN_AT, taken));
    }
    let local = (
        filter.local_from.map(first_local_microsecond_from),
        filter.local_to.map(first_local_microsecond_from),
    );
    if local != (None, None) {
        let unknown = Condition {
            condition_one_of: Some(ConditionOneOf::IsEmpty(IsEmptyCondition {
                key: TAKEN_AT_LOCAL.to_owned(),
            })),
        };
        let by_utc = Filter {
            must: vec![unknown, within(TAKEN_AT, local)],
            ..Filter::default()
        };
        must.push(nested(Filter {
            should: vec![within(TAKEN_AT_LOCAL, local), nested(by_utc)],
            ..Filter::default()
        }));
    }
    let mut must_not = Vec::new();
    if !filter.exclude.is_empty() {
        must_not.push(Condition {
            condition_one_of: Some(ConditionOneOf::HasId(HasIdCondition {
                has_id: filter.exclude.iter().map(point_id).collect(),
            })),
        });
    }
    (!must.is_empty() || !must_not.is_empty()).then(|| Filter {
        must,
        must_not,
        ..Filter::default()
    })
}

fn equals(key: &str, value: &str) -> Condition {
    condition(FieldCondition {
        key: key.to_owned(),
        r#match: Some(Match {
            match_value: Some(MatchValue::Keyword(value.to_owned())),
        }),
        ..FieldCondition::default()
    })
}

fn condition(field: FieldCondition) -> Condition {
    Condition {
        condition_one_of: Some(ConditionOneOf::Field(field)),
    }
}

fn nested(filter: Filter) -> Condition {
    Condition {
        condition_one_of: Some(ConditionOneOf::Filter(filter)),
    }
}

/// Asks for times from the first microsecond on, before the second.
fn within(key: &str, (from, to): (Option<i64>, Option<i64>)) -> Condition {
    condition(FieldCondition {
        key: key.to_owned(),
        datetime_range: Some(DatetimeRange {
            gte: from.map(bound),
            lt: to.map(bound),
            ..DatetimeRange::default()
        }),
        ..FieldCondition::default()
    })
}

/// Turns a bound into a time of the server, whose nanoseconds count up from the second before.
fn bound(micros: i64) -> qdrant::Timestamp {
    qdrant::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: (micros.rem_euclid(1_000_000) * 1000) as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_without_conditions_is_none() {
        assert_eq!(to_server(&IndexFilter::default()), None);
    }

    #[test]
    fn each_tag_is_a_condition_of_its_own() {
        let filter = IndexFilter {
            tags: vec!["sea".into(), "dog".into()],
            ..IndexFilter::default()
        };
        assert_eq!(to_server(&filter).unwrap().must.len(), 2);
    }

    #[test]
    fn bounds_before_1970_have_nanoseconds_that_count_up() {
        for (micros, seconds, nanos) in [
            (0, 0, 0),
            (-1, -1, 999_999_000),
            (-1_000_000, -1, 0),
            (1_500_000, 1, 500_000_000),
        ] {
            let bound = bound(micros);
            assert_eq!((bound.seconds, bound.nanos), (seconds, nanos), "{micros}");
        }
        assert!(bound(Timestamp::MAX.as_microsecond()).nanos >= 0);
    }
}
