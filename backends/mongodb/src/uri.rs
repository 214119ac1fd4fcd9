//! The connection string: what it may say, and which database it names.

use lucida_core::config::Secret;
use lucida_core::{Error, Result};
use mongodb::options::{Acknowledgment, ConnectionString, ReadConcernLevel, ReadPreference};

/// The database where neither the settings nor the connection string name one.
const DATABASE: &str = "lucida";

/// MongoDB's own databases. A connection string names one of them to say where its user is, not where data belongs.
const RESERVED: &[&str] = &["admin", "config", "local"];

/// What MongoDB forbids in the name of a database, on any system that it runs on.
const FORBIDDEN: &[char] = &['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?', '\0'];

/// The most bytes of a database's name.
const DATABASE_BYTES: usize = 63;

/// Reads a connection string and refuses what would break the metadata store's promises, without any I/O.
///
/// The driver's own words about a wrong one may quote a piece of the password, so they are not passed on.
pub(crate) fn parse(field: &'static str, uri: &Secret) -> Result<ConnectionString> {
    let parsed = ConnectionString::parse(uri.expose()).map_err(|_| {
        let servers = uri.expose().split('?').next().unwrap_or_default();
        Error::config(
            field,
            if ConnectionString::parse(servers).is_ok() {
                "has an unknown option after its `?`, or one with a wrong value"
            } else {
                "is not a connection string; expected one like `mongodb://user:password@host:27017/?replicaSet=rs0`, with \
                 each of : / ? # [ ] @ % in the user or password written as % and two hexadecimal digits"
            },
        )
    })?;
    let refused = |option: &str, only: &str| {
        let message =
            format!("sets `{option}`: leave it out, since the metadata store is only safe with `{only}`");
        Err(Error::config(field, message))
    };
    match &parsed.write_concern {
        Some(concern) if !matches!(concern.w, None | Some(Acknowledgment::Majority)) => {
            return refused("w", "majority");
        }
        Some(concern) if concern.journal == Some(false) => return refused("journal", "true"),
        Some(_) | None => {}
    }
    match &parsed.read_concern {
        Some(concern) if concern.level != ReadConcernLevel::Majority => {
            return refused("readConcernLevel", "majority");
        }
        Some(_) | None => {}
    }
    match &parsed.read_preference {
        Some(preference) if *preference != ReadPreference::Primary => {
            return refused("readPreference", "primary");
        }
        Some(_) | None => {}
    }
    Ok(parsed)
}

/// Returns the database: that of the setting, or that of the connection string from `field`.
///
/// # Errors
/// `ConfigInvalid` where the two differ, or the name is not one that a database can have.
pub(crate) fn database(setting: Option<&str>, field: &'static str, uri: &ConnectionString) -> Result<String> {
    let named = uri.default_database.as_deref().filter(|name| !name.is_empty());
    let reserved = named.is_some_and(|name| RESERVED.contains(&name));
    match (setting, named) {
        (Some(setting), Some(named)) if setting != named && !reserved => Err(Error::config(
            "database",
            format!(
                "is `{setting}`, but metadata.mongodb.{field} names the database `{named}`: leave one of them out"
            ),
        )),
        (Some(setting), _) => check(setting, "database").map(|()| setting.to_owned()),
        (None, Some(named)) if reserved => Err(Error::config(
            field,
            format!(
                "names the database `{named}`, which is MongoDB's own: write `authSource={named}` instead, or set \
                 metadata.mongodb.database"
            ),
        )),
        (None, Some(named)) => check(named, field).map(|()| named.to_owned()),
        (None, None) => Ok(DATABASE.to_owned()),
    }
}

/// Checks the name of a database.
///
/// # Errors
/// `ConfigInvalid`, naming `field`.
pub(crate) fn check(name: &str, field: &'static str) -> Result<()> {
    if RESERVED.contains(&name) {
        let message = format!("`{name}` is MongoDB's own database: name another one");
        return Err(Error::config(field, message));
    }
    if name.is_empty() || name.len() > DATABASE_BYTES || name.contains(FORBIDDEN) {
        let message = format!(
            "`{name}` is not the name of a database: use 1 to {DATABASE_BYTES} bytes without / \\ . \" $ * < > : | ? and \
             spaces"
        );
        return Err(Error::config(field, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(setting: Option<&str>, path: &str) -> Result<String> {
        let uri = Secret::new(format!("mongodb://me:hunter2@h{path}"));
        database(setting, "uri", &parse("uri", &uri)?)
    }

    #[test]
    fn the_database_is_that_of_the_connection_string_unless_the_setting_names_it() {
        for (setting, path, expected) in [
            (None, "", "lucida"),
            (None, "/", "lucida"),
            (None, "/?tls=true", "lucida"),
            (None, "/photos", "photos"),
            (None, "/photos?authSource=admin", "photos"),
            (Some("photos"), "/photos", "photos"),
            (Some("photos"), "", "photos"),
            // The user's database, not ours.
            (Some("photos"), "/admin", "photos"),
        ] {
            assert_eq!(chosen(setting, path).unwrap(), expected, "{setting:?} {path}");
        }
    }

    #[test]
    fn two_different_databases_and_those_of_mongodb_are_refused_by_name() {
        for (setting, path, field, words) in [
            (
                Some("lucida"),
                "/photos",
                "database",
                "names the database `photos`",
            ),
            (None, "/admin", "uri", "authSource=admin"),
            (Some("admin"), "", "database", "MongoDB's own"),
            (Some("a.b"), "", "database", "is not the name of a database"),
            (Some(""), "", "database", "is not the name of a database"),
        ] {
            let error = chosen(setting, path).unwrap_err();
            assert_eq!(error.field(), Some(field), "{error}");
            assert!(error.message().contains(words), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
