//! A request's query, as its names and values.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Query};
use axum::http::Uri;
use axum::http::request::Parts;

/// Names and values in the order of the URL. Unknown names are nobody's fault; the first of two equal ones counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query of `uri`. A query that cannot be read says nothing.
    pub fn of(uri: &Uri) -> Self {
        Self(Query::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default())
    }

    /// The value of `name`, none when it is missing or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// The value of `name` as text, empty when it is missing.
    pub fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// Whether `name` is `1` or `true`; none when it is missing or neither that nor `0` or `false`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        }
    }

    /// The value of `name` as a number; none when it is missing or no number.
    pub fn number(&self, name: &str) -> Option<i32> {
        self.get(name)?.parse().ok()
    }
}

impl<S: Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_the_first_of_two_counts() {
        let read = Parameters::of(&"/rtc?a=x%20y&a=2&flag=true&off=0&odd=yes&n=17&empty=".parse().unwrap());
        assert_eq!(read.get("a"), Some("x y"));
        assert_eq!((read.flag("flag"), read.flag("off"), read.flag("odd")), (Some(true), Some(false), None));
        assert_eq!((read.number("n"), read.number("a"), read.get("empty")), (Some(17), None, None));
    }
}
