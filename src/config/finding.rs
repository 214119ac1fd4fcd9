//! What is wrong with a configuration: which key, where it was written, and the nearest valid name.

use std::error::Error;
use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    path: String,
    place: Option<String>,
    message: String,
    /// The path of the key that was probably meant.
    meant: Option<String>,
}

impl Finding {
    pub(crate) fn new(path: impl Into<String>, place: Option<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            place,
            message: message.into(),
            meant: None,
        }
    }

    /// Adds which key was probably meant.
    pub(crate) fn meaning(mut self, path: impl Into<String>) -> Self {
        self.meant = Some(path.into());
        self
    }

    /// Returns the key's full path, such as `plugins[1].sizes_pixels[0]`; empty for a file as a whole.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns where it was written: a file with its line, a variable or a flag; `None` where nobody wrote it.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Returns the sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns whether one finding's key is the other's, or one inside the other.
    pub(crate) fn overlaps(&self, path: &str) -> bool {
        within(&self.path, path) || within(path, &self.path)
    }

    /// Returns whether it is about a key of a section such as `storage`, or about one that was meant to be.
    pub(crate) fn concerns(&self, section: &str) -> bool {
        within(&self.path, section) || self.meant.as_ref().is_some_and(|meant| within(meant, section))
    }
}

fn within(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || outer.is_empty() || rest.starts_with(['.', '[']))
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a configuration, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) const fn new(findings: Vec<Finding>) -> Self {
        Self(findings)
    }

    /// Returns `Ok` where nothing is wrong.
    pub(crate) fn check(findings: Vec<Finding>) -> Result<(), Self> {
        if findings.is_empty() {
            Ok(())
        } else {
            Err(Self(findings))
        }
    }

    /// Returns them in the order of the layers, and within one in that of the reference.
    #[must_use]
    pub fn all(&self) -> &[Finding] {
        &self.0
    }
}

impl From<Finding> for Findings {
    fn from(finding: Finding) -> Self {
        Self(vec![finding])
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            finding.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for Findings {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lies_within_itself_and_its_tables() {
        let finding = Finding::new("plugins[1].sizes", None, "wrong");
        for path in [
            "plugins[1].sizes",
            "plugins[1].sizes[0]",
            "plugins[1]",
            "plugins",
            "",
        ] {
            assert!(finding.overlaps(path), "{path}");
        }
        for path in ["plugins[1].size", "plugins[10]", "plug"] {
            assert!(!finding.overlaps(path), "{path}");
        }
    }
}
