//! Lists: which index to walk for a filter, and the statement that does.
//!
//! A list always comes in the order of ids. So most walk an index in that order and skip what the filter leaves
//! out; only where few photos can match at all (a rare tag, a short time) is it quicker to start from those.

use lucida_core::{
    Order, Photo, PhotoFilter, PhotoQuery, PhotoState, Result, first_local_microsecond_from,
    first_microsecond_from,
};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::row::{self, COLUMNS, id_bytes};
use super::writer::Step;

/// Up to how many photos a time range counts as short.
const FEW: u32 = 2_000;

/// Where a list starts from.
#[derive(Debug, PartialEq, Eq)]
enum Walk<'a> {
    /// Every photo, or one user's.
    All,
    /// Those that are not ready.
    Unready,
    /// One user's with a tag.
    Tag(&'a str),
    /// One user's within a range of times; they must be sorted.
    Taken(Clock),
}

/// By which of its times a photo is in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// The moment.
    Moment,
    /// The local time.
    Local,
}

impl Clock {
    const ALL: [Self; 2] = [Self::Moment, Self::Local];

    const fn column(self) -> &'static str {
        match self {
            Self::Moment => "taken_at",
            Self::Local => "local_time",
        }
    }

    const fn index(self) -> &'static str {
        match self {
            Self::Moment => "photos_by_taken",
            Self::Local => "photos_by_local_time",
        }
    }

    /// Returns the range that a filter has of these times, in microseconds: from the first on, before the second.
    fn range(self, filter: &PhotoFilter) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Moment => (
                filter.taken_from.map(first_microsecond_from),
                filter.taken_to.map(first_microsecond_from),
            ),
            Self::Local => (
                filter.local_from.map(first_local_microsecond_from),
                filter.local_to.map(first_local_microsecond_from),
            ),
        }
    }
}

/// Conditions and their parameters, in order.
#[derive(Default)]
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql
            .push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
        self.values.extend(values);
    }
}

/// Reads one page.
pub(crate) fn list(connection: &Connection, query: &PhotoQuery) -> Result<Vec<Photo>> {
    let walk = choose(connection, &query.filter)?;
    let (sql, values) = statement(&walk, query);
    connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            statement
                .query_map(params_from_iter(values), row::photo)?
                .collect()
        })
        .doing("listing photos in the metadata store")
}

fn choose<'a>(connection: &Connection, filter: &'a PhotoFilter) -> Result<Walk<'a>> {
    let Some(user) = &filter.user_id else {
        return Ok(if is_unready(filter) {
            Walk::Unready
        } else {
            Walk::All
        });
    };
    let mut best = (FEW, None);
    for tag in &filter.tags {
        let count = count_few(
            connection,
            "photo_tags WHERE user_id = ? AND tag = ?",
            vec![user.as_str().to_owned().into(), tag.clone().into()],
        )?;
        if best.1.is_none() || count < best.0 {
            best = (count, Some(Walk::Tag(tag)));
        }
    }
    if is_unready(filter) && best.1.is_none() {
        return Ok(Walk::Unready);
    }
    for clock in Clock::ALL {
        if clock.range(filter) == (None, None) {
            continue;
        }
        let mut conditions = Conditions::default();
        conditions.add("user_id = ?", [user.as_str().to_owned().into()]);
        add_range(&mut conditions, clock.column(), clock.range(filter));
        let table = format!("photos INDEXED BY {}{}", clock.index(), conditions.sql);
        let count = count_few(connection, &table, conditions.values)?;
        if count < best.0 {
            best = (count, Some(Walk::Taken(clock)));
        }
    }
    Ok(best.1.unwrap_or(Walk::All))
}

fn is_unready(filter: &PhotoFilter) -> bool {
    !filter.states.is_empty() && !filter.states.contains(&PhotoState::Ready)
}

/// Counts rows, but not beyond [`FEW`].
fn count_few(connection: &Connection, from: &str, values: Vec<Value>) -> Result<u32> {
    connection
        .prepare_cached(&format!(
            "SELECT count(*) FROM (SELECT 1 FROM {from} LIMIT {FEW})"
        ))
        .and_then(|mut statement| statement.query_row(params_from_iter(values), |row| row.get(0)))
        .doing("listing photos in the metadata store")
}

fn statement(walk: &Walk<'_>, query: &PhotoQuery) -> (String, Vec<Value>) {
    let filter = &query.filter;
    let mut conditions = Conditions::default();
    let user = filter
        .user_id
        .as_ref()
        .map(|user| Value::from(user.as_str().to_owned()));
    let from = match (walk, &user) {
        (Walk::Tag(tag), _) => {
            conditions.add("t.tag = ?", [(*tag).to_owned().into()]);
            "photo_tags AS t CROSS JOIN photos AS p INDEXED BY photos_by_id ON p.id = t.photo_id"
        }
        (Walk::Taken(Clock::Moment), _) => "photos AS p INDEXED BY photos_by_taken",
        (Walk::Taken(Clock::Local), _) => "photos AS p INDEXED BY photos_by_local_time",
        (Walk::Unready, Some(_)) => "photos AS p INDEXED BY photos_unready_by_user",
        (Walk::Unready, None) => "photos AS p INDEXED BY photos_unready",
        (Walk::All, Some(_)) => "photos AS p INDEXED BY photos_by_user",
        (Walk::All, None) => "photos AS p INDEXED BY photos_by_id",
    };
    let (user_column, id_column) = match walk {
        Walk::Tag(_) => ("t.user_id", "t.photo_id"),
        Walk::All | Walk::Unready | Walk::Taken(_) => ("p.user_id", "p.id"),
    };
    if let Some(user) = user {
        conditions.add(&format!("{user_column} = ?"), [user]);
    }
    let (before, direction) = match query.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    if let Some(after) = &query.after {
        let id = id_bytes(after).to_vec();
        conditions.add(&format!("{id_column} {before} ?"), [id.into()]);
    }
    add_filter(&mut conditions, walk, filter);
    let Conditions { sql, mut values } = conditions;
    values.push(i64::try_from(query.limit).unwrap_or(i64::MAX).into());
    let sql = format!("SELECT {COLUMNS} FROM {from}{sql} ORDER BY {id_column} {direction} LIMIT ?");
    (sql, values)
}

/// Adds what the walk itself does not ensure.
fn add_filter(conditions: &mut Conditions, walk: &Walk<'_>, filter: &PhotoFilter) {
    if !filter.states.is_empty() {
        let places = vec!["?"; filter.states.len()].join(", ");
        let states = filter.states.iter().map(|state| state.as_str().to_owned().into());
        conditions.add(&format!("p.state IN ({places})"), states);
    }
    match walk {
        // In these words SQLite knows that the partial index holds every row that is asked for.
        Walk::Unready => conditions.add("p.state <> 'ready'", []),
        Walk::All | Walk::Tag(_) | Walk::Taken(_) => {}
    }
    for clock in Clock::ALL {
        add_range(conditions, &format!("p.{}", clock.column()), clock.range(filter));
    }
    if let Some(before) = filter.updated_before {
        conditions.add("p.updated_at < ?", [first_microsecond_from(before).into()]);
    }
    for tag in filter.tags.iter().filter(|tag| *walk != Walk::Tag(tag)) {
        conditions.add(
            "EXISTS (SELECT 1 FROM photo_tags AS o WHERE o.user_id = p.user_id AND o.tag = ? AND o.photo_id = p.id)",
            [tag.clone().into()],
        );
    }
}

fn add_range(conditions: &mut Conditions, column: &str, (from, to): (Option<i64>, Option<i64>)) {
    if let Some(from) = from {
        conditions.add(&format!("{column} >= ?"), [from.into()]);
    }
    if let Some(to) = to {
        conditions.add(&format!("{column} < ?"), [to.into()]);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::civil::DateTime;
    use lucida_core::UserId;

    use super::*;
    use crate::metadata::DATABASE;

    #[test]
    fn only_a_short_time_range_is_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let connection = DATABASE.open_writer(&folder.path().join("metadata.db")).unwrap();
        let tags = vec!["beach".to_owned(), "dog".to_owned()];
        for order in [Order::NewestFirst, Order::OldestFirst] {
            for (walk, states) in [
                (Walk::All, vec![]),
                (Walk::Unready, vec![PhotoState::Pending, PhotoState::Failed]),
                (Walk::Tag("dog"), vec![PhotoState::Ready]),
                (Walk::Taken(Clock::Moment), vec![]),
                (Walk::Taken(Clock::Local), vec![]),
            ] {
                let query = PhotoQuery {
                    filter: PhotoFilter {
                        user_id: Some(UserId::local()),
                        states,
                        taken_from: Some(Timestamp::UNIX_EPOCH),
                        local_to: Some(DateTime::MAX),
                        tags: tags.clone(),
                        ..PhotoFilter::default()
                    },
                    order,
                    after: Some(lucida_core::PhotoId::generate()),
                    limit: 10,
                };
                let (sql, values) = statement(&walk, &query);
                let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let steps: Vec<String> = explained
                    .query_map(params_from_iter(values), |row| row.get("detail"))
                    .unwrap()
                    .collect::<Result<_, _>>()
                    .unwrap();
                let steps = steps.join("; ");
                assert_eq!(
                    steps.contains("TEMP B-TREE"),
                    matches!(walk, Walk::Taken(_)),
                    "{walk:?}: {steps}"
                );
                assert!(!steps.contains("SCAN p"), "{walk:?}: {steps}");
            }
        }
    }
}
