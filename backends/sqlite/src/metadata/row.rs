//! A photo as a row, and back.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use lucida_core::{
    BlobKey, ContentHash, Error, Fingerprint, Photo, PhotoId, PhotoState, Result, UserId, cut_local,
    local_from_microsecond, local_microsecond,
};
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::writer::Step;

/// The columns that [`photo`] reads, in its order.
pub(crate) const COLUMNS: &str = "p.id, p.user_id, p.state, p.filename, p.content_type, p.size_bytes, p.width, p.height, \
     p.hash, p.created_at, p.updated_at, p.taken_at, p.tags, p.attributes, p.fingerprint, p.attempts, p.error, \
     p.next_attempt_at, p.blob, p.derived, p.version, p.taken_at_local";

/// Returns the bytes by which an id is stored, which sort as ids do.
pub(crate) fn id_bytes(id: &PhotoId) -> &[u8] {
    id.as_uuid().as_bytes()
}

/// Reads a photo from the columns of [`COLUMNS`].
pub(crate) fn photo(row: &Row<'_>) -> rusqlite::Result<Photo> {
    Ok(Photo {
        id: PhotoId::from_uuid(Uuid::from_bytes(row.get(0)?)),
        user_id: parsed(row, 1, UserId::new)?,
        state: parsed(row, 2, |text| PhotoState::from_str(&text))?,
        filename: row.get(3)?,
        content_type: row.get(4)?,
        size_bytes: unsigned(row, 5)?,
        width: row.get(6)?,
        height: row.get(7)?,
        hash: ContentHash::from_bytes(row.get(8)?),
        created_at: time(9, row.get(9)?)?,
        updated_at: time(10, row.get(10)?)?,
        taken_at: optional_time(row, 11)?,
        taken_at_local: row
            .get::<_, Option<i64>>(21)?
            .map(|microsecond| local(21, microsecond))
            .transpose()?,
        tags: json(row, 12)?,
        attributes: json(row, 13)?,
        fingerprint: row.get::<_, Option<String>>(14)?.map(Fingerprint::from_stored),
        attempts: row.get(15)?,
        error: row
            .get::<_, Option<String>>(16)?
            .map(|text| serde_json::from_str(&text).map_err(|error| spoilt(16, error)))
            .transpose()?,
        next_attempt_at: optional_time(row, 17)?,
        blob: parsed(row, 18, BlobKey::new)?,
        derived: json(row, 19)?,
        version: unsigned(row, 20)?,
    })
}

/// Adds a row for a photo whose id and content are not there.
pub(crate) fn insert(connection: &Connection, photo: &Photo) -> Result<()> {
    let identity: [Value; 4] = [
        id_bytes(&photo.id).to_vec().into(),
        photo.user_id.as_str().to_owned().into(),
        photo.hash.as_bytes().to_vec().into(),
        photo.created_at.as_microsecond().into(),
    ];
    let values = changing(photo)?;
    connection
        .prepare_cached(
            "INSERT INTO photos (id, user_id, hash, created_at, version, state, filename, content_type, size_bytes, \
             width, height, updated_at, taken_at, tags, attributes, fingerprint, attempts, error, next_attempt_at, \
             blob, derived, taken_at_local) VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
             ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
        )
        .and_then(|mut statement| statement.execute(params_from_iter(identity.into_iter().chain(values))))
        .doing("adding a photo to the metadata store")?;
    Ok(())
}

/// Changes the row of a photo that is stored.
pub(crate) fn update(connection: &Connection, photo: &Photo) -> Result<()> {
    let identity: [Value; 1] = [id_bytes(&photo.id).to_vec().into()];
    let values = changing(photo)?;
    connection
        .prepare_cached(
            "UPDATE photos SET version = version + 1, state = ?2, filename = ?3, content_type = ?4, size_bytes = ?5, \
             width = ?6, height = ?7, updated_at = ?8, taken_at = ?9, tags = ?10, attributes = ?11, fingerprint = ?12, \
             attempts = ?13, error = ?14, next_attempt_at = ?15, blob = ?16, derived = ?17, \
             taken_at_local = ?18 WHERE id = ?1",
        )
        .and_then(|mut statement| statement.execute(params_from_iter(identity.into_iter().chain(values))))
        .doing("changing a photo in the metadata store")?;
    Ok(())
}

/// Deletes the row of an id, and returns whether it existed.
pub(crate) fn delete(connection: &Connection, id: &PhotoId) -> Result<bool> {
    let deleted = connection
        .prepare_cached("DELETE FROM photos WHERE id = ?1")
        .and_then(|mut statement| statement.execute([id_bytes(id)]))
        .doing("deleting a photo from the metadata store")?;
    Ok(deleted > 0)
}

/// What of a photo never changes, and its version.
pub(crate) struct Identity {
    pub(crate) user_id: UserId,
    pub(crate) hash: ContentHash,
    pub(crate) created_at: Timestamp,
    pub(crate) version: u64,
}

/// Returns what an update must keep and compare.
pub(crate) fn identity(connection: &Connection, id: &PhotoId) -> Result<Option<Identity>> {
    let identity = |row: &Row<'_>| {
        Ok(Identity {
            user_id: parsed(row, 0, UserId::new)?,
            hash: ContentHash::from_bytes(row.get(1)?),
            created_at: time(2, row.get(2)?)?,
            version: unsigned(row, 3)?,
        })
    };
    connection
        .prepare_cached("SELECT user_id, hash, created_at, version FROM photos WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id_bytes(id)], identity).optional())
        .doing("reading a photo from the metadata store")
}

/// Returns what an update of `photo` must keep.
///
/// # Errors
/// `NotFound` when the record does not exist; `Conflict` when it has another version.
pub(crate) fn matching(connection: &Connection, photo: &Photo) -> Result<Identity> {
    let Some(there) = identity(connection, &photo.id)? else {
        return Err(Error::not_found(format!("photo {} not found", photo.id)));
    };
    if there.version != photo.version {
        return Err(Error::conflict(format!(
            "photo {} has version {} by now, not {}",
            photo.id, there.version, photo.version
        )));
    }
    Ok(there)
}

/// Returns the photo for which `condition` holds, with its one parameter.
fn find(connection: &Connection, condition: &str, parameters: &[&dyn ToSql]) -> Result<Option<Photo>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM photos AS p WHERE {condition}"))
        .and_then(|mut statement| statement.query_row(parameters, photo).optional())
        .doing("reading a photo from the metadata store")
}

/// Returns the photo of an id.
pub(crate) fn find_by_id(connection: &Connection, id: &PhotoId) -> Result<Option<Photo>> {
    find(connection, "p.id = ?1", params![id_bytes(id)])
}

/// Returns a user's photo of a content.
pub(crate) fn find_by_hash(
    connection: &Connection,
    user: &UserId,
    hash: &ContentHash,
) -> Result<Option<Photo>> {
    find(
        connection,
        "p.user_id = ?1 AND p.hash = ?2",
        params![user.as_str(), hash.as_bytes()],
    )
}

/// Returns what an insert and an update both write, in one order: all but what never changes.
fn changing(photo: &Photo) -> Result<[Value; 17]> {
    Ok([
        photo.state.as_str().to_owned().into(),
        photo.filename.clone().into(),
        photo.content_type.clone().into(),
        signed(photo.size_bytes).into(),
        photo.width.into(),
        photo.height.into(),
        photo.updated_at.as_microsecond().into(),
        photo.taken_at.map(Timestamp::as_microsecond).into(),
        to_json(&photo.tags)?.into(),
        to_json(&photo.attributes)?.into(),
        photo
            .fingerprint
            .as_ref()
            .map(|fingerprint| fingerprint.as_str().to_owned())
            .into(),
        photo.attempts.into(),
        photo.error.as_ref().map(to_json).transpose()?.into(),
        photo.next_attempt_at.map(Timestamp::as_microsecond).into(),
        photo.blob.as_str().to_owned().into(),
        to_json(&photo.derived)?.into(),
        photo.taken_at_local.map(local_microsecond).into(),
    ])
}

/// Returns the photo as a row keeps it: with times cut to the microsecond.
pub(crate) fn kept(mut photo: Photo) -> Photo {
    let cut = |time: Timestamp| Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time);
    photo.created_at = cut(photo.created_at);
    photo.updated_at = cut(photo.updated_at);
    photo.taken_at = photo.taken_at.map(cut);
    photo.taken_at_local = photo.taken_at_local.map(cut_local);
    photo.next_attempt_at = photo.next_attempt_at.map(cut);
    photo
}

/// Writes a document as JSON.
pub(crate) fn to_json(document: &impl Serialize) -> Result<String> {
    serde_json::to_string(document)
        .map_err(|error| Error::invalid("the record can't be written as JSON").with_source(error))
}

/// Returns a count as SQLite keeps it.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Reads a count.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let count: i64 = row.get(column)?;
    u64::try_from(count).map_err(|error| spoilt(column, error))
}

/// Reads a document.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| spoilt(column, error))
}

/// Reads what is stored as text.
pub(crate) fn parsed<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl FnOnce(String) -> Result<T>,
) -> rusqlite::Result<T> {
    parse(row.get(column)?).map_err(|error| spoilt(column, error))
}

/// Reads a time.
pub(crate) fn time(column: usize, microseconds: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(microseconds).map_err(|error| spoilt(column, error))
}

fn local(column: usize, microsecond: i64) -> rusqlite::Result<DateTime> {
    local_from_microsecond(microsecond).ok_or_else(|| {
        spoilt(
            column,
            Error::internal(format!("{microsecond} is not a local time")),
        )
    })
}

fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let microseconds: Option<i64> = row.get(column)?;
    microseconds
        .map(|microseconds| time(column, microseconds))
        .transpose()
}

fn spoilt(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}
