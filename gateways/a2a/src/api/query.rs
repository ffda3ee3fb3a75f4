//! The parameters of a request to the API: each known by name, once, and read as what it is.

use moongate_core::{Code, Problem};

use super::decoded;

/// What stands behind the question mark.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads it; empty values count as absent.
    ///
    /// # Errors
    /// `InvalidParams` for a name that is not in `known`, or that comes twice.
    pub fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name), decoded(&value.replace('+', " ")));
            if !known.contains(&name.as_str()) {
                let detail = format!("known parameters are {}", known.join(", "));
                return Err(Problem::new(Code::InvalidParams, detail).field(name, "is not one of them"));
            }
            if pairs.iter().any(|(held, _)| *held == name) {
                return Err(wrong(&name, "comes twice"));
            }
            if !value.is_empty() {
                pairs.push((name, value));
            }
        }
        Ok(Self(pairs))
    }

    /// A parameter's text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    /// A parameter's number.
    ///
    /// # Errors
    /// `InvalidParams` if it is none from `least` to `most`.
    pub fn number(&self, name: &str, (least, most): (u64, u64), absent: u64) -> Result<u64, Problem> {
        let Some(text) = self.text(name) else { return Ok(absent) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| wrong(name, &format!("is no number from {least} to {most}")))
    }

    /// Whether a parameter says `true`.
    ///
    /// # Errors
    /// `InvalidParams` if it is neither `true` nor `false`.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(wrong(name, "is neither true nor false")),
        }
    }
}

/// A parameter or member that is wrong.
pub(super) fn wrong(name: &str, why: &str) -> Problem {
    Problem::new(Code::InvalidParams, format!("{name} {why}")).field(name.to_owned(), why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_known_come_once_and_are_what_they_should_be() {
        let read = |query| Query::read(Some(query), &["agent", "limit", "inspect"]);
        let query = read("agent=a%20b&limit=7&&inspect=true").unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(query.text("agent"), Some("a b"));
        assert_eq!(query.number("limit", (1, 10), 5).ok(), Some(7));
        assert_eq!(query.flag("inspect").ok(), Some(true));
        let query = read("agent=&limit=11&inspect=1").unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(query.text("agent"), None);
        assert!(query.number("limit", (1, 10), 5).is_err() && query.flag("inspect").is_err());
        assert!(read("agents=x").is_err() && read("limit=1&limit=1").is_err());
    }
}
