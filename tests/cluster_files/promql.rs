//! The series that an expression of PromQL asks for, and the labels that it groups by: read off, not parsed.

use std::collections::BTreeSet;

/// How a selector compares a label: `=`, `!=`, `=~` or `!~`, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) operator: String,
    pub(crate) value: String,
}

/// A metric's name with what its labels have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) name: String,
    pub(crate) matchers: Vec<Matcher>,
}

/// Returns the series of Lucida, and `up`, in an expression or a line of `/metrics`.
pub(crate) fn selectors(expression: &str) -> Vec<Selector> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(is_name) {
        let end = rest[start..]
            .find(|c| !is_name(c))
            .map_or(rest.len(), |length| start + length);
        let name = &rest[start..end];
        rest = &rest[end..];
        if name != "up" && !name.starts_with("lucida_") {
            continue;
        }
        let mut matchers = Vec::new();
        // The values of labels may have braces, but none at their end.
        if let Some((inside, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once("\"}")) {
            matchers.extend(inside.split("\",").map(matcher));
            rest = after;
        }
        let name = name.to_owned();
        found.push(Selector { name, matchers });
    }
    found
}

/// Reads `label="value`.
fn matcher(text: &str) -> Matcher {
    let (compared, value) = text.split_once('"').expect("a value is quoted");
    let (label, operator) = compared.split_at(compared.find(['=', '!']).expect("a label is compared"));
    Matcher {
        label: label.trim().to_owned(),
        operator: operator.trim().to_owned(),
        value: value.to_owned(),
    }
}

/// Returns the labels in the lists after `by`, `without` and `on`.
pub(crate) fn grouped(expression: &str) -> BTreeSet<String> {
    let lists = ["by (", "without (", "on ("].map(|word| expression.split(word).skip(1));
    let lists = lists.into_iter().flatten();
    let labels = lists.flat_map(|rest| rest.split(')').next().unwrap_or_default().split(','));
    labels.map(|label| label.trim().to_owned()).collect()
}

#[test]
fn an_expression_is_read_whole() {
    let expression = r#"histogram_quantile(0.95, sum by (le, route) (rate(lucida_a_bucket{x="1", y=~"b|c{d}"}[5m]))) > 1e3
           and max(lucida_d{z!="e{f}g"}) / sum(up) offset 5m unless lucida_e == 0"#;
    let found = selectors(expression);
    let names: Vec<_> = found.iter().map(|selector| &*selector.name).collect();
    assert_eq!(names, ["lucida_a_bucket", "lucida_d", "up", "lucida_e"]);
    assert_eq!(
        grouped(expression),
        BTreeSet::from(["le".to_owned(), "route".to_owned()])
    );
    let matcher = |label: &str, operator: &str, value: &str| Matcher {
        label: label.to_owned(),
        operator: operator.to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(
        found[0].matchers,
        [matcher("x", "=", "1"), matcher("y", "=~", "b|c{d}")]
    );
    assert_eq!(found[1].matchers, [matcher("z", "!=", "e{f}g")]);
}
