//! The keys that callers show: each with a user and scopes.
//!
//! Keys are compared by their SHA-256 digests in constant time, and always all of them, so that neither the answer
//! nor its time says which keys exist.

use lucida_core::{Caller, Error, ErrorKind, Result, Scope, UserId};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// A key: what its holder may do, and as whom.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The name for logs; never shown to callers.
    pub name: String,
    /// The SHA-256 digest of the key.
    pub sha256: [u8; 32],
    /// Whose photos the holder sees.
    pub user: UserId,
    /// What the holder may do.
    pub scopes: Vec<Scope>,
}

impl ApiKey {
    /// Hashes a key the way that callers' keys are.
    #[must_use]
    pub fn digest(key: &[u8]) -> [u8; 32] {
        Sha256::digest(key).into()
    }
}

/// All keys of a server.
pub(crate) struct Keys {
    keys: Vec<ApiKey>,
}

impl Keys {
    pub(crate) const fn new(keys: Vec<ApiKey>) -> Self {
        Self { keys }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns whether a key is one of the server's.
    pub(crate) fn knows(&self, shown: &[u8]) -> bool {
        self.find(shown).is_some()
    }

    fn find(&self, shown: &[u8]) -> Option<&ApiKey> {
        let digest = ApiKey::digest(shown);
        let mut found = 0_u64;
        let mut any = Choice::from(0);
        for (number, key) in (0_u64..).zip(&self.keys) {
            let same = key.sha256.ct_eq(&digest);
            found.conditional_assign(&number, same);
            any |= same;
        }
        let position = usize::try_from(found).ok()?;
        bool::from(any).then(|| self.keys.get(position)).flatten()
    }

    /// Returns who shows a key, if it may be used for `scope`; `None` means any scope.
    ///
    /// # Errors
    /// `PermissionDenied`: `unauthorized` for a missing or unknown key, `missing_scope`.
    pub(crate) fn authorize(&self, shown: Option<&[u8]>, scope: Option<Scope>) -> Result<Caller> {
        let refuse = |message| Error::new(ErrorKind::PermissionDenied, message).with_code("unauthorized");
        let shown = shown.ok_or_else(|| {
            refuse("this call needs a key: send it as `x-api-key` or as `Authorization: Bearer`")
        })?;
        let key = self.find(shown).ok_or_else(|| refuse("the key is not valid"))?;
        if let Some(scope) = scope
            && !key.scopes.contains(&scope)
        {
            tracing::debug!(key = key.name, scope = scope.as_str(), "key lacks the scope");
            let message = format!("this call needs a key with the scope `{}`", scope.as_str());
            return Err(Error::new(ErrorKind::PermissionDenied, message).with_code("missing_scope"));
        }
        Ok(Caller {
            user_id: key.user.clone(),
            scopes: key.scopes.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let key = |text: &str, user: &str, scopes: &[Scope]| ApiKey {
            name: text.to_owned(),
            sha256: ApiKey::digest(text.as_bytes()),
            user: UserId::new(user).unwrap(),
            scopes: scopes.to_vec(),
        };
        Keys::new(vec![
            key("one", "alice", &Scope::ALL),
            key("two", "bob", &[Scope::Read]),
        ])
    }

    #[test]
    fn each_key_stands_for_its_user() {
        for (key, user) in [("one", "alice"), ("two", "bob")] {
            let caller = keys().authorize(Some(key.as_bytes()), Some(Scope::Read)).unwrap();
            assert_eq!(caller.user_id.as_str(), user);
            assert_eq!(caller.scopes.contains(&Scope::Write), user == "alice");
        }
    }

    #[test]
    fn a_missing_or_wrong_key_is_unauthorized_and_a_missing_scope_is_not() {
        let code = |key: Option<&str>| {
            keys()
                .authorize(key.map(str::as_bytes), Some(Scope::Write))
                .unwrap_err()
                .code()
        };
        assert_eq!(code(None), "unauthorized");
        assert_eq!(code(Some("")), "unauthorized");
        assert_eq!(code(Some("onE")), "unauthorized");
        assert_eq!(code(Some("two")), "missing_scope");
        assert!(keys().knows(b"two") && !keys().knows(b"three"));
    }
}
