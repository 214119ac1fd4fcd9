//! How a model's repository on a hub is named: `owner/name`, or `owner/name@revision`.

use std::fmt;

/// A repository on a hub, perhaps at a revision of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoId {
    owner: String,
    name: String,
    revision: Option<String>,
}

impl RepoId {
    /// Reads `owner/name` or `owner/name@revision`; anything else, such as most paths, is none.
    ///
    /// A relative path of two parts looks the same, so ask first whether the text is a folder.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (id, revision) = match text.split_once('@') {
            Some((id, revision)) => (id, Some(revision)),
            None => (text, None),
        };
        let (owner, name) = id.split_once('/')?;
        let valid = is_name(owner) && is_name(name) && revision.is_none_or(is_revision);
        valid.then(|| Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            revision: revision.map(str::to_owned),
        })
    }

    /// Returns the revision that the text named, if it did.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }

    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Writes `owner/name`, without the revision.
impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// The hub's own rule; without `--` the cache's folder names are unambiguous, too.
fn is_name(part: &str) -> bool {
    let outer = |end: char| end == '.' || end == '-';
    !part.is_empty()
        && part.chars().all(is_plain)
        && !part.starts_with(outer)
        && !part.ends_with(outer)
        && !part.contains("--")
        && !part.contains("..")
}

/// Returns whether a text can be a branch, a tag or a commit: it becomes part of a path in the cache.
pub(super) fn is_revision(text: &str) -> bool {
    text.split('/')
        .all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(is_plain))
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.')
}

/// A commit's hash, 40 hexadecimal digits: what it names never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit(String);

impl Commit {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == 40 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        valid.then(|| Self(text.to_ascii_lowercase()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_and_a_name_are_a_repository() {
        let repo = RepoId::parse("sentence-transformers/clip-ViT-B-32").unwrap();
        assert_eq!(repo.to_string(), "sentence-transformers/clip-ViT-B-32");
        assert_eq!(repo.revision(), None);
        for text in ["laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "a/b_c.d", "_a/b"] {
            assert!(RepoId::parse(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_revision_may_follow() {
        for (text, revision) in [
            ("a/b@main", "main"),
            ("a/b@refs/pr/1", "refs/pr/1"),
            ("a/b@v1.0", "v1.0"),
        ] {
            let repo = RepoId::parse(text).unwrap();
            assert_eq!(
                (repo.to_string().as_str(), repo.revision()),
                ("a/b", Some(revision))
            );
        }
    }

    #[test]
    fn paths_and_names_of_bundled_models_are_not_repositories() {
        for text in [
            "starter",
            "",
            "/",
            "a/",
            "/b",
            "./a",
            "../a",
            "a/..",
            ".a/b",
            "/a/b",
            "a/b/c",
            "a/.b",
            "a/b.",
            "-a/b",
            "a--b/c",
            "a\\b/c",
            "a /b",
            "a/b@",
            "a/b@../c",
            "a/b@/c",
            "a/b@c//d",
            "a/b@.c",
            "ä/b",
            "C:/models",
            "https://a/b",
        ] {
            assert_eq!(RepoId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_a_whole_hash_is_a_commit() {
        let hash = "0123456789abcdef0123456789ABCDEF01234567";
        let commit = Commit::parse(hash).unwrap();
        assert_eq!(commit.as_str(), "0123456789abcdef0123456789abcdef01234567");
        for text in ["main", "", &hash[1..], "g123456789abcdef0123456789abcdef01234567"] {
            assert_eq!(Commit::parse(text), None, "{text}");
        }
    }
}
