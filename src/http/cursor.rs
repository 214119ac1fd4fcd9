//! The cursor of a list: where the next page goes on, good for the same list only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lucida_core::{Error, PhotoFilter, PhotoId, Result};
use uuid::Uuid;

/// Changes when cursors are written in another way.
const VERSION: u8 = 1;
const FILTER_BYTES: usize = 8;
const LENGTH: usize = 1 + 16 + FILTER_BYTES;

/// Writes a cursor that goes on after `last` in the list of `filter`.
pub(super) fn write(filter: &PhotoFilter, last: &PhotoId) -> String {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.push(VERSION);
    bytes.extend_from_slice(last.as_uuid().as_bytes());
    bytes.extend_from_slice(&digest(filter));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor of the list of `filter`.
///
/// # Errors
/// `InvalidInput` (`invalid_cursor`) for anything else.
pub(super) fn read(filter: &PhotoFilter, cursor: &str) -> Result<PhotoId> {
    let refuse = |message| {
        Error::invalid(message)
            .with_code("invalid_cursor")
            .with_field("cursor")
    };
    let foreign = "`cursor` is not one that this server gave: begin the list again without it";
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refuse(foreign))?;
    let [VERSION, rest @ ..] = bytes.as_slice() else {
        return Err(refuse(foreign));
    };
    let Some((id, theirs)) = rest.split_first_chunk::<16>() else {
        return Err(refuse(foreign));
    };
    if theirs != digest(filter) {
        return Err(refuse(
            "`cursor` belongs to a list with other filters: begin the list again without it",
        ));
    }
    Ok(PhotoId::from_uuid(Uuid::from_bytes(*id)))
}

/// Tells lists apart; whose list it is counts too.
fn digest(filter: &PhotoFilter) -> [u8; FILTER_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key("lucida 2026 list cursor v1");
    // The filter's fields in their order, each told from the next.
    hasher.update(&serde_json::to_vec(filter).unwrap_or_default());
    let mut digest = [0; FILTER_BYTES];
    hasher.finalize_xof().fill(&mut digest);
    digest
}

#[cfg(test)]
mod tests {
    use lucida_core::{PhotoState, UserId};

    use super::*;

    fn filter(user: &str, states: &[PhotoState]) -> PhotoFilter {
        PhotoFilter {
            user_id: Some(UserId::new(user).unwrap()),
            states: states.to_vec(),
            ..PhotoFilter::default()
        }
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list_only() {
        let own = filter("alice", &[PhotoState::Ready]);
        let id = PhotoId::generate();
        let cursor = write(&own, &id);
        assert_eq!(read(&own, &cursor).unwrap(), id);
        for other in [
            filter("bob", &[PhotoState::Ready]),
            filter("alice", &[]),
            PhotoFilter::default(),
        ] {
            assert_eq!(read(&other, &cursor).unwrap_err().code(), "invalid_cursor");
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let own = filter("alice", &[]);
        let cursor = write(&own, &PhotoId::generate());
        for text in [
            "",
            "1",
            "!!!",
            &cursor[1..],
            &cursor[..20],
            &format!("{cursor}AA"),
        ] {
            assert_eq!(read(&own, text).unwrap_err().code(), "invalid_cursor", "{text:?}");
        }
    }
}
