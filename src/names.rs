//! Finds the valid name that was probably meant by a wrong one.

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
}
