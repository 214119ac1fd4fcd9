//! What is wrong with a configuration: which key, where it was written, and the nearest valid name.

use std::error::Error;
use std::fmt;

use super::node::Origin;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    path: String,
    origin: Origin,
    message: String,
}

impl Finding {
    pub(crate) fn new(path: impl Into<String>, origin: Origin, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            origin,
            message: message.into(),
        }
    }

    /// Returns the key's full path, such as `plugins[1].sizes_pixels[0]`; empty for a file as a whole.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns where it was written.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Tells whether one finding's key lies within the other's.
    pub(crate) fn overlaps(&self, path: &str) -> bool {
        within(&self.path, path) || within(path, &self.path)
    }
}

fn within(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || outer.is_empty() || rest.starts_with(['.', '[']))
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
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

    /// Returns them in the order of the layers, and within one in that of the keys.
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

/// How alike two names must be for one to be suggested for the other, from 0 to 1 (equal).
const LIKENESS: f64 = 0.7;

/// Returns the valid name that is nearest to a wrong one, if any is near.
pub(crate) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wrong, name), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, name)| name)
}

/// Returns the end of a sentence that suggests a name, if there is one.
pub(crate) fn did_you_mean(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_name_and_gibberish_none() {
        let names = ["listen", "max_upload_bytes", "request_timeout_secs"];
        assert_eq!(nearest("lisen", names), Some("listen"));
        assert_eq!(nearest("max_upload_byte", names), Some("max_upload_bytes"));
        assert_eq!(nearest("request_timeout", names), Some("request_timeout_secs"));
        assert_eq!(nearest("zzz", names), None);
    }

    #[test]
    fn a_key_lies_within_itself_and_its_tables() {
        let finding = Finding::new("plugins[1].sizes", Origin::Default(1), "wrong");
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
