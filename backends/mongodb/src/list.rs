//! Lists: a query's conditions in MongoDB's words, so that an index serves each.

use lucida_core::{
    Order, PhotoFilter, PhotoQuery, PhotoState, first_local_microsecond_from, first_microsecond_from,
};
use mongodb::bson::{Bson, Document, doc};

use crate::photo::{stored_id, stored_state};

/// Returns the conditions of a query.
pub(crate) fn conditions(query: &PhotoQuery) -> Document {
    let filter = &query.filter;
    let mut conditions = Document::new();
    if let Some(user) = &filter.user_id {
        conditions.insert("user_id", user.as_str());
    }
    if let Some(states) = states(filter) {
        conditions.insert("state", doc! { "$in": states });
    }
    if let Some(after) = &query.after {
        let beyond = match query.order {
            Order::NewestFirst => "$lt",
            Order::OldestFirst => "$gt",
        };
        conditions.insert("_id", doc! { beyond: stored_id(after) });
    }
    let taken = range(
        filter.taken_from.map(first_microsecond_from),
        filter.taken_to.map(first_microsecond_from),
    );
    if let Some(taken) = taken {
        conditions.insert("taken_at", taken);
    }
    let local = range(
        filter.local_from.map(first_local_microsecond_from),
        filter.local_to.map(first_local_microsecond_from),
    );
    if let Some(local) = local {
        let by_utc = doc! { "taken_at_local": null, "taken_at": local.clone() };
        conditions.insert("$or", vec![doc! { "taken_at_local": local }, by_utc]);
    }
    if !filter.tags.is_empty() {
        conditions.insert("tags", doc! { "$all": &filter.tags });
    }
    if let Some(before) = filter.updated_before {
        conditions.insert("updated_at", doc! { "$lt": first_microsecond_from(before) });
    }
    conditions
}

/// Returns the condition of a range of microseconds, where it has an end.
fn range(from: Option<i64>, to: Option<i64>) -> Option<Document> {
    let mut range = Document::new();
    if let Some(from) = from {
        range.insert("$gte", from);
    }
    if let Some(to) = to {
        range.insert("$lt", to);
    }
    (!range.is_empty()).then_some(range)
}

/// Returns the order of a query.
pub(crate) fn order(query: &PhotoQuery) -> Document {
    match query.order {
        Order::NewestFirst => doc! { "_id": -1 },
        Order::OldestFirst => doc! { "_id": 1 },
    }
}

/// Returns the states to ask for. Of a user's photos they are always named: the index on user, state and id holds
/// each state's photos in the order of ids, and MongoDB merges those runs instead of sorting.
fn states(filter: &PhotoFilter) -> Option<Vec<Bson>> {
    let states = match (filter.states.as_slice(), &filter.user_id) {
        ([], None) => return None,
        ([], Some(_)) => &PhotoState::ALL[..],
        (states, _) => states,
    };
    Some(states.iter().copied().map(stored_state).collect())
}

#[cfg(test)]
mod tests {
    use lucida_core::UserId;

    use super::*;

    #[test]
    fn a_users_list_names_its_states_and_the_servers_own_names_only_those_asked() {
        let query = |user_id, states| PhotoQuery {
            filter: PhotoFilter {
                user_id,
                states,
                ..PhotoFilter::default()
            },
            limit: 1,
            ..PhotoQuery::default()
        };
        let all = doc! {"$in": ["pending", "ready", "failed", "deleting"]};
        let alice = Some(UserId::local());
        assert_eq!(
            conditions(&query(alice.clone(), vec![])),
            doc! {"user_id": "local", "state": all}
        );
        assert_eq!(
            conditions(&query(alice, vec![PhotoState::Ready])),
            doc! {"user_id": "local", "state": {"$in": ["ready"]}}
        );
        assert_eq!(conditions(&query(None, vec![])), doc! {});
    }

    #[test]
    fn a_local_day_is_that_of_the_photo_and_utc_where_its_offset_is_unknown() {
        let query = PhotoQuery {
            filter: PhotoFilter {
                local_from: Some("1970-01-01T00:00:00.0000005".parse().unwrap()),
                local_to: Some("1970-01-02T00:00:00".parse().unwrap()),
                ..PhotoFilter::default()
            },
            ..PhotoQuery::default()
        };
        let day = doc! {"$gte": 1_i64, "$lt": 86_400_000_000_i64};
        assert_eq!(
            conditions(&query),
            doc! {"$or": [{"taken_at_local": day.clone()}, {"taken_at_local": null, "taken_at": day}]}
        );
    }
}
