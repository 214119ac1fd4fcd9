//! A search's filter in the engine's words, so that the engine filters before it ranks.

use lucida_core::IndexFilter;
use lucida_core::{Error, Result};
use qdrant_edge::{Condition, FieldCondition, Filter, JsonPath, Match, Range};

use crate::point::{TAGS, TAKEN_AT, USER_ID, ceil_micros, engine_id};

/// Translates a filter; `None` where it lets every point through.
pub(crate) fn to_engine(filter: &IndexFilter) -> Result<Option<Filter>> {
    let mut must = Vec::new();
    if let Some(user) = &filter.user_id {
        must.push(equals(USER_ID, user.as_str())?);
    }
    for tag in &filter.tags {
        must.push(equals(TAGS, tag)?);
    }
    if filter.taken_from.is_some() || filter.taken_to.is_some() {
        must.push(Condition::Field(FieldCondition::new_datetime_range(
            key(TAKEN_AT)?,
            Range {
                gte: filter.taken_from.and_then(ceil_micros),
                lt: filter.taken_to.and_then(ceil_micros),
                gt: None,
                lte: None,
            },
        )));
    }
    let must_not = (!filter.exclude.is_empty())
        .then(|| vec![Condition::HasId(filter.exclude.iter().map(engine_id).collect())]);
    if must.is_empty() && must_not.is_none() {
        return Ok(None);
    }
    Ok(Some(Filter {
        must: (!must.is_empty()).then_some(must),
        must_not,
        should: None,
        min_should: None,
    }))
}

/// Parses a payload key.
pub(crate) fn key(name: &str) -> Result<JsonPath> {
    name.parse()
        .map_err(|()| Error::internal(format!("`{name}` is no payload key")))
}

fn equals(name: &str, value: &str) -> Result<Condition> {
    let condition = FieldCondition::new_match(key(name)?, Match::from(value.to_owned()));
    Ok(Condition::Field(condition))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_without_conditions_is_none() {
        assert_eq!(to_engine(&IndexFilter::default()).unwrap(), None);
    }

    #[test]
    fn each_tag_is_a_condition_of_its_own() {
        let filter = IndexFilter {
            tags: vec!["sea".into(), "dog".into()],
            ..IndexFilter::default()
        };
        assert_eq!(to_engine(&filter).unwrap().unwrap().must.unwrap().len(), 2);
    }
}
