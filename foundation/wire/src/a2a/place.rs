//! Where in a document something is wrong: `message.parts[2].url`, built only when it is needed.

use std::fmt;

/// A place, as a chain back to the root.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// The document itself.
    Root,
    /// A member of an object.
    Member(&'a Place<'a>, &'a str),
    /// An element of an array.
    Element(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    /// A member of the object at this place.
    pub(crate) fn member(&'a self, name: &'a str) -> Self {
        Self::Member(self, name)
    }

    /// An element of the array at this place.
    pub(crate) fn element(&'a self, index: usize) -> Self {
        Self::Element(self, index)
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(Place::Root, name) => f.write_str(name),
            Self::Member(parent, name) => write!(f, "{parent}.{name}"),
            Self::Element(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The place; empty for the document itself.
    pub(crate) place: String,
    /// What is wrong there.
    pub(crate) what: String,
}

impl Fault {
    /// Something is wrong at a place.
    pub(crate) fn at(place: &Place<'_>, what: impl Into<String>) -> Self {
        Self { place: place.to_string(), what: what.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", self.place, self.what) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_like_the_path_of_a_member() {
        let message = Place::Root.member("message");
        let parts = message.member("parts");
        let part = parts.element(2);
        assert_eq!(part.member("url").to_string(), "message.parts[2].url");
        assert_eq!(Fault::at(&Place::Root, "is no object").to_string(), "is no object");
        assert_eq!(Fault::at(&part, "is empty").to_string(), "message.parts[2]: is empty");
    }
}
