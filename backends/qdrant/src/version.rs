//! The version of a server.

use std::fmt;

/// A release, without its patch level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u64,
    minor: u64,
}

impl Version {
    pub(crate) const fn new(major: u64, minor: u64) -> Self {
        Self { major, minor }
    }

    /// Reads a version such as `1.18.2` or `1.19.0-dev`; `None` where it is something else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let mut number = || numbers.next()?.parse().ok();
        Some(Self::new(number()?, number()?))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        let parsed = |text| Version::parse(text).unwrap();
        assert!(parsed("1.9.7") < parsed("1.18.0"));
        assert!(parsed("1.18.0-dev") >= Version::new(1, 18));
        assert!(parsed("2.0.0") > Version::new(1, 18));
        for other in ["", "1", "v1.18.0", "dev"] {
            assert_eq!(Version::parse(other), None, "{other:?}");
        }
    }
}
