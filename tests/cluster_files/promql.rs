//! As much of PromQL as is needed to see which series an expression takes, and by which labels it groups them.

use std::collections::BTreeSet;

/// How a selector compares a label: `=`, `!=`, `=~` or `!~`, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matcher {
    pub(crate) label: String,
    pub(crate) operator: &'static str,
    pub(crate) value: String,
}

/// A metric's name with what its labels have to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) name: String,
    pub(crate) matchers: Vec<Matcher>,
}

/// What an expression refers to.
#[derive(Debug, Default)]
pub(crate) struct Expression {
    pub(crate) selectors: Vec<Selector>,
    /// The labels named by `by` and `without`.
    pub(crate) grouped: BTreeSet<String>,
}

/// Words that are followed by a list of labels.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Words that stand where a name could.
const KEYWORDS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "inf"];

/// Reads an expression.
pub(crate) fn parse(expression: &str) -> Expression {
    let mut parsed = Expression::default();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if first == '[' {
            // A range, whose unit is no name.
            rest = &rest[rest.find(']').expect("a range ends")..];
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if is_name(first) {
            let (name, after) = split_name(rest);
            rest = after.trim_start();
            if GROUPING.contains(&name) && rest.starts_with('(') {
                let end = rest.find(')').expect("a list of labels ends");
                let labels = rest[1..end].split(',').map(|label| label.trim().to_owned());
                parsed.grouped.extend(labels.filter(|label| !label.is_empty()));
                rest = &rest[end..];
            } else if let Some(inside) = rest.strip_prefix('{') {
                let (matchers, after) = matchers(inside);
                let name = name.to_owned();
                parsed.selectors.push(Selector { name, matchers });
                rest = after;
            } else if !KEYWORDS.contains(&name) && !GROUPING.contains(&name) && !is_called(rest) {
                let (name, matchers) = (name.to_owned(), Vec::new());
                parsed.selectors.push(Selector { name, matchers });
            }
        } else {
            assert!(
                !['"', '{'].contains(&first),
                "`{first}` without a name in {expression}"
            );
            rest = &rest[first.len_utf8()..];
        }
    }
    assert!(!parsed.selectors.is_empty(), "no series in {expression}");
    parsed
}

/// Whether what follows a word makes it a function or an aggregation: `sum(…)`, `sum by (…) (…)`.
fn is_called(rest: &str) -> bool {
    rest.starts_with('(') || GROUPING.contains(&split_name(rest).0)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':'
}

fn split_name(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !is_name(c) && !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// Reads `label="value", …}`, and returns what follows.
fn matchers(mut rest: &str) -> (Vec<Matcher>, &str) {
    let mut matchers = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',', '\n']);
        if let Some(after) = rest.strip_prefix('}') {
            return (matchers, after);
        }
        let (label, after) = split_name(rest);
        let operator = ["=~", "!~", "!=", "="]
            .into_iter()
            .find(|operator| after.starts_with(operator))
            .unwrap_or_else(|| panic!("no operator after `{label}`"));
        let quoted = after[operator.len()..]
            .strip_prefix('"')
            .expect("a value is quoted");
        let (value, after) = quoted.split_once('"').expect("a value ends");
        matchers.push(Matcher {
            label: label.to_owned(),
            operator,
            value: value.to_owned(),
        });
        rest = after;
    }
}

#[test]
fn an_expression_is_read_whole() {
    let parsed = parse(
        r#"histogram_quantile(0.95, sum by (le, route) (rate(a_bucket{x="1", y=~"b|c"}[5m]))) > 1e3
           and max(d{z!="}"}) / sum(up) offset 5m unless e == 0"#,
    );
    let names: Vec<_> = parsed.selectors.iter().map(|selector| &*selector.name).collect();
    assert_eq!(names, ["a_bucket", "d", "up", "e"]);
    assert_eq!(
        parsed.grouped,
        BTreeSet::from(["le".to_owned(), "route".to_owned()])
    );
    let matcher = |label: &str, operator, value: &str| Matcher {
        label: label.to_owned(),
        operator,
        value: value.to_owned(),
    };
    assert_eq!(
        parsed.selectors[0].matchers,
        [matcher("x", "=", "1"), matcher("y", "=~", "b|c")]
    );
    assert_eq!(parsed.selectors[1].matchers, [matcher("z", "!=", "}")]);
}
