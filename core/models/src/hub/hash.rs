//! The hash by which a hub knows a file, and whether a file on disk has it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The hash of a file's content, which is its name in the cache as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileHash {
    kind: Kind,
    hex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of a file in git itself: SHA-1 of `blob`, its size, a zero byte and the content.
    Git,
    /// Of a file in large file storage: SHA-256 of the content.
    Large,
}

impl FileHash {
    /// Reads an `ETag` or `X-Linked-Etag`; one that is neither kind of hash is none.
    pub(super) fn parse(etag: &str) -> Option<Self> {
        let hex = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        let kind = match hex.len() {
            40 => Kind::Git,
            64 => Kind::Large,
            _ => return None,
        };
        let valid = hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        valid.then(|| Self {
            kind,
            hex: hex.to_ascii_lowercase(),
        })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.hex
    }

    /// Computes the hash of the same kind of a file's content.
    pub(super) fn of_file(&self, path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let hex = match self.kind {
            Kind::Git => {
                let start = format!("blob {}\0", file.metadata()?.len());
                finish(Sha1::new_with_prefix(start), file)?
            }
            Kind::Large => finish(Sha256::new(), file)?,
        };
        Ok(Self { kind: self.kind, hex })
    }
}

fn finish(mut hasher: impl Digest, mut file: File) -> io::Result<String> {
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => hasher.update(&piece[..read]),
        }
    }
    let digits = hasher.finalize();
    Ok(digits.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf hello | git hash-object --stdin`
    const GIT: &str = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
    /// `printf hello | sha256sum`
    const LARGE: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn a_file_has_the_hash_that_git_and_large_file_storage_give_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hello");
        std::fs::write(&path, "hello").unwrap();
        for hash in [GIT, LARGE] {
            let expected = FileHash::parse(hash).unwrap();
            assert_eq!(expected.of_file(&path).unwrap(), expected);
        }
        std::fs::write(&path, "hallo").unwrap();
        for hash in [GIT, LARGE] {
            let expected = FileHash::parse(hash).unwrap();
            assert_ne!(expected.of_file(&path).unwrap(), expected);
        }
    }

    #[test]
    fn an_etag_may_be_quoted_and_weak() {
        for etag in [GIT.to_owned(), format!("\"{GIT}\""), format!("W/\"{GIT}\"")] {
            assert_eq!(FileHash::parse(&etag).unwrap().as_str(), GIT);
        }
        for etag in ["", "\"abc\"", "../../0123456789012345678901234567890123"] {
            assert_eq!(FileHash::parse(etag), None);
        }
    }
}
