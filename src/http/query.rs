//! Query strings, with every parameter accounted for: one that a call doesn't have is refused by name.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lucida_api::FilterTime;
use lucida_api::field::{invalid, out_of_bounds};
use lucida_core::{Error, Result};

use super::problem::Problem;
use super::state::HttpState;

/// The parameters that have not been taken yet.
pub(super) struct Query {
    rest: Vec<(String, String)>,
}

impl FromRequestParts<HttpState> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &HttpState) -> std::result::Result<Self, Problem> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    fn parse(text: &str) -> Self {
        Self {
            rest: form_urlencoded::parse(text.as_bytes()).into_owned().collect(),
        }
    }

    /// Takes a parameter that may be there several times.
    pub(super) fn all(&mut self, name: &str) -> Vec<String> {
        let taken = self.rest.extract_if(.., |(key, _)| key == name);
        taken.map(|(_, value)| value).collect()
    }

    /// Takes a parameter that may be there once.
    pub(super) fn one(&mut self, name: &str) -> Result<Option<String>> {
        let mut values = self.all(name);
        let value = values.pop();
        if values.is_empty() {
            return Ok(value);
        }
        Err(invalid(name, format!("`{name}` is given more than once")))
    }

    /// Takes a whole number within bounds.
    pub(super) fn number(
        &mut self,
        name: &str,
        bounds: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<usize>> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if bounds.contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(out_of_bounds(name, &text, &bounds, None)),
        }
    }

    /// Takes an end of a range of times.
    pub(super) fn filter_time(&mut self, name: &str) -> Result<Option<FilterTime>> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        let time = text.parse::<FilterTime>().or_else(|error| {
            // A plus sign that was not encoded arrives as a blank.
            let signed = text
                .rsplit_once(' ')
                .map(|(time, offset)| format!("{time}+{offset}"));
            signed.and_then(|signed| signed.parse().ok()).ok_or(error)
        });
        time.map(Some)
            .map_err(|error| invalid(name, format!("`{name}`: {}", error.message())))
    }

    /// Takes a yes or no, no if it is absent.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool> {
        match self.one(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(invalid(
                name,
                format!("`{name}` must be true or false, not `{other}`"),
            )),
        }
    }

    /// Refuses what is left, which the call doesn't have.
    pub(super) fn finish(self, known: &str) -> Result<()> {
        match self.rest.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("unknown parameter `{name}`, expected {known}");
                Err(Error::invalid(message)
                    .with_code("unknown_field")
                    .with_field(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_taken_by_name_and_the_rest_is_refused() {
        let mut query = Query::parse("limit=5&tag=a%20b&tag=c&wait=true&from=2024-01-01T00:00:00+02:00&x=1");
        assert_eq!(query.number("limit", 1..=200).unwrap(), Some(5));
        assert_eq!(query.all("tag"), ["a b", "c"]);
        assert!(query.flag("wait").unwrap());
        assert_eq!(
            query.filter_time("from").unwrap().unwrap().to_string(),
            "2023-12-31T22:00:00Z"
        );
        assert_eq!(query.finish("`limit`").unwrap_err().field(), Some("x"));
    }

    #[test]
    fn bounds_and_repetitions_are_named() {
        for text in ["limit=0", "limit=201", "limit=-1", "limit=ten", "limit=5&limit=6"] {
            let error = Query::parse(text).number("limit", 1..=200).unwrap_err();
            assert_eq!(error.field(), Some("limit"), "{text}");
        }
        let error = Query::parse("limit=201").number("limit", 1..=200).unwrap_err();
        assert!(error.message().contains("1 to 200"), "{error}");
    }
}
