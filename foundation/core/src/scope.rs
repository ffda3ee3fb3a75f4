//! Scopes: what a caller may do, in words that travel in tokens and stand in configurations.
//!
//! ```text
//! scope   = plane 1*( ":" segment ) / word / other
//! plane   = "a2a" / "mcp" / "model" / "net" / "audit" / "admin"
//! segment = "*" / "@resources" / "@prompts" / 1*64( ALPHA / DIGIT / "-" / "." / "_" / "~" / "%" 2HEXDIG )
//! word    = "openid" / "offline_access" / "topology" / "register" / "approve"
//! other   = 1*128( %x21 / %x23-5B / %x5D-7E )
//! ```
//!
//! - Each plane has a fixed number of segments: `a2a:SKILL:VERB`, `mcp:SERVER:TOOL`, `model:NAME`, `net:AREA`, `audit:AREA`,
//!   `admin:AREA`.
//! - `*` stands for one whole segment and never for a part of one; there is nothing negative.
//! - Names are compared byte for byte after percent-decoding, and written with as little encoding as the grammar allows.
//! - Any other word is somebody else's, as an agent's whose card demands it: it covers itself alone and grants nothing here. What
//!   begins as a plane does, or is a word of ours in other letters, is none.

mod demand;
mod other;

use std::fmt;
use std::sync::Arc;

pub use self::demand::{Demand, Lack};

/// The most bytes of a segment as it is written.
const SEGMENT: usize = 64;
/// Scopes of one caller at most; as many again of somebody else's words.
const MOST: usize = 256;

/// What sort of thing a scope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Plane {
    /// Skills of agents: skill, verb.
    A2a,
    /// Tools: server, tool.
    Mcp,
    /// Models: name.
    Model,
    /// Network: area.
    Net,
    /// The audit log: area.
    Audit,
    /// Administration: area.
    Admin,
}

impl Plane {
    const ALL: [Self; 6] = [Self::A2a, Self::Mcp, Self::Model, Self::Net, Self::Audit, Self::Admin];

    /// The word that scopes of it begin with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A2a => "a2a",
            Self::Mcp => "mcp",
            Self::Model => "model",
            Self::Net => "net",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }

    /// How its scopes are written.
    fn form(self) -> &'static str {
        match self {
            Self::A2a => "a2a:SKILL:VERB",
            Self::Mcp => "mcp:SERVER:TOOL",
            Self::Model => "model:NAME",
            Self::Net => "net:AREA",
            Self::Audit => "audit:AREA",
            Self::Admin => "admin:AREA",
        }
    }

    fn segments(self) -> usize {
        match self {
            Self::A2a | Self::Mcp => 2,
            Self::Model | Self::Net | Self::Audit | Self::Admin => 1,
        }
    }
}

/// Scopes that are one word.
pub const WORDS: [&str; 5] = ["openid", "offline_access", "topology", "register", "approve"];

/// One segment of a scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Segment {
    Any,
    Named(Arc<str>),
}

impl Segment {
    fn covers(&self, other: &Self) -> bool {
        *self == Self::Any || self == other
    }

    /// What both stand for.
    fn meet(&self, other: &Self) -> Option<Self> {
        if other.covers(self) {
            return Some(self.clone());
        }
        self.covers(other).then(|| other.clone())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Meaning {
    Word(&'static str),
    Things(Plane, Vec<Segment>),
    Other(Arc<str>),
}

/// One scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope(Meaning);

impl Scope {
    /// Reads a scope; `None` if it is none of this grammar.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(word) = WORDS.into_iter().find(|word| *word == text) {
            return Some(Self(Meaning::Word(word)));
        }
        let mut parts = text.split(':');
        let head = parts.next()?;
        let Some(plane) = Plane::ALL.into_iter().find(|known| known.as_str() == head) else {
            return other::read(text).map(|word| Self(Meaning::Other(word)));
        };
        let segments: Vec<Segment> = parts.map(segment).collect::<Option<_>>()?;
        (segments.len() == plane.segments()).then_some(Self(Meaning::Things(plane, segments)))
    }

    /// Reads a scope that a person wrote down, who is to hear of it if it is most likely not the one that was meant.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn written(text: &str) -> Result<Self, String> {
        let scope = Self::parse(text).ok_or_else(|| other::fault(text))?;
        match &scope.0 {
            Meaning::Other(word) => other::doubt(word).map_or(Ok(scope.clone()), Err),
            _ => Ok(scope),
        }
    }

    /// What it is about; `None` for a single word and for what is somebody else's.
    pub fn plane(&self) -> Option<Plane> {
        match &self.0 {
            Meaning::Word(_) | Meaning::Other(_) => None,
            Meaning::Things(plane, _) => Some(*plane),
        }
    }

    /// Whether it is somebody else's word, which grants nothing here.
    pub fn is_other(&self) -> bool {
        matches!(self.0, Meaning::Other(_))
    }

    /// The scope that covers one thing, by its names.
    pub fn of(plane: Plane, names: &[&str]) -> Self {
        Self(Meaning::Things(plane, names.iter().map(|name| Segment::Named(Arc::from(*name))).collect()))
    }

    /// Whether whoever holds this may do all that `other` stands for.
    pub fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Meaning::Word(own), Meaning::Word(other)) => own == other,
            (Meaning::Other(own), Meaning::Other(other)) => own == other,
            (Meaning::Things(plane, own), Meaning::Things(of, others)) => {
                plane == of && own.iter().zip(others).all(|(own, other)| own.covers(other))
            }
            _ => false,
        }
    }

    /// What both stand for, if anything.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        match (&self.0, &other.0) {
            (Meaning::Word(own), Meaning::Word(of)) => (own == of).then(|| self.clone()),
            (Meaning::Other(own), Meaning::Other(of)) => (own == of).then(|| self.clone()),
            (Meaning::Things(plane, own), Meaning::Things(of, others)) if plane == of => {
                let both = own.iter().zip(others).map(|(own, other)| own.meet(other)).collect::<Option<_>>()?;
                Some(Self(Meaning::Things(*plane, both)))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Meaning::Word(word) => f.write_str(word),
            Meaning::Other(word) => f.write_str(word),
            Meaning::Things(plane, segments) => {
                f.write_str(plane.as_str())?;
                for segment in segments {
                    f.write_str(":")?;
                    match segment {
                        Segment::Any => f.write_str("*")?,
                        Segment::Named(name) if SPECIAL.contains(&&**name) => f.write_str(name)?,
                        Segment::Named(name) => write_encoded(f, name)?,
                    }
                }
                Ok(())
            }
        }
    }
}

/// Names of MCP's other kinds of things; `@` stands in no other name.
const SPECIAL: [&str; 2] = ["@resources", "@prompts"];

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn write_encoded(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    for byte in name.bytes() {
        if plain(byte) { write!(f, "{}", char::from(byte))? } else { write!(f, "%{byte:02X}")? }
    }
    Ok(())
}

fn segment(text: &str) -> Option<Segment> {
    if text == "*" {
        return Some(Segment::Any);
    }
    if SPECIAL.contains(&text) {
        return Some(Segment::Named(text.into()));
    }
    if text.is_empty() || text.len() > SEGMENT {
        return None;
    }
    let mut name = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'%' => {
                let digit =
                    |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(bytes.next())? * 16 + digit(bytes.next())?
            }
            _ if plain(byte) => byte,
            _ => return None,
        });
    }
    let name = String::from_utf8(name).ok()?;
    // What is special or stands for everything is so only as it is written, never in disguise.
    (name != "*" && !name.starts_with('@')).then(|| Segment::Named(name.into()))
}

/// The scopes of a caller: read once, asked for each request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    held: Vec<Scope>,
    words: Vec<Arc<str>>,
}

impl Scopes {
    /// From scopes; those that another one covers are left out.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut held: Vec<Scope> = Vec::new();
        for scope in scopes {
            if held.iter().any(|known| known.covers(&scope)) {
                continue;
            }
            held.retain(|known| !scope.covers(known));
            held.push(scope);
        }
        let words = held.iter().map(|scope| Arc::from(scope.to_string())).collect();
        Self { held, words }
    }

    /// From text as tokens have it, separated by blanks. What is no scope grants nothing and is left out; so is what comes
    /// beyond 256 scopes, or beyond 256 words of somebody else's.
    pub fn read(text: &str) -> Self {
        let (mut own, mut others) = (0, 0);
        Self::new(text.split(' ').filter_map(Scope::parse).filter(|scope| {
            let count = if scope.is_other() { &mut others } else { &mut own };
            *count += 1;
            *count <= MOST
        }))
    }

    /// As text, for rules and for whoever asks.
    pub fn words(&self) -> &[Arc<str>] {
        &self.words
    }

    /// Whether anything on this plane is granted.
    pub fn any(&self, plane: Plane) -> bool {
        self.held.iter().any(|scope| scope.plane() == Some(plane))
    }

    /// Whether everything on this plane is granted.
    pub fn all(&self, plane: Plane) -> bool {
        self.held.iter().any(|scope| {
            matches!(&scope.0, Meaning::Things(of, segments) if *of == plane && segments.iter().all(|one| *one == Segment::Any))
        })
    }

    /// Whether all of this is granted.
    pub fn covers(&self, wanted: &Scope) -> bool {
        self.held.iter().any(|scope| scope.covers(wanted))
    }

    /// Whether the other ones grant all that these do.
    pub fn is_within(&self, other: &Self) -> bool {
        self.held.iter().all(|scope| other.covers(scope))
    }

    /// Whether anything of the kind is granted: some skill with this verb, for what is about no skill in particular.
    pub fn touches(&self, wanted: &Scope) -> bool {
        self.held.iter().any(|scope| scope.meet(wanted).is_some())
    }

    /// What both grant. Never more than either.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self::new(self.held.iter().flat_map(|own| other.held.iter().filter_map(|other| own.meet(other))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    #[test]
    fn scopes_are_read_as_the_grammar_says_and_nothing_else() {
        for text in
            ["a2a:*:*", "a2a:lights.set:send", "mcp:files:@resources", "model:small-1", "net:*", "register", "approve"]
        {
            assert_eq!(scope(text).to_string(), text);
        }
        let long = format!("model:{}", "x".repeat(65));
        for text in [
            "",
            "a2a",
            "a2a:",
            "a2a:x",
            "a2a::send",
            "a2a:x:send:y",
            "a2a:li*:send",
            "a2a:**:send",
            "A2A:x:send",
            "-a2a:x:send",
            "a2a:x y:send",
            "a2a:x\u{e9}:send",
            "a2a:%zz:send",
            "a2a:%4:send",
            "a2a:%ff:send",
            "a2a:%2A:send",
            "mcp:s:%40prompts",
            "mcp:s:@tools",
            "model:a:b",
            "Register",
            long.as_str(),
        ] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
        assert_eq!(scope("a2a:%6Cights:send"), scope("a2a:lights:send"), "the same name, written twice");
        assert_eq!(scope("a2a:caf%c3%a9:send").to_string(), "a2a:caf%C3%A9:send");
    }

    #[test]
    fn a_star_is_one_whole_segment() {
        assert!(scope("a2a:*:send").covers(&scope("a2a:lights.set:send")));
        assert!(!scope("a2a:*:send").covers(&scope("a2a:lights.set:get")));
        assert!(!scope("a2a:lights:send").covers(&scope("a2a:lights.set:send")));
        assert!(!scope("a2a:lights.set:send").covers(&scope("a2a:*:send")));
        assert!(!scope("a2a:*:*").covers(&scope("mcp:*:*")));
        assert!(scope("a2a:*:*").covers(&Scope::of(Plane::A2a, &["a name: with *", "send"])));
    }

    #[test]
    fn unknown_words_grant_nothing() {
        let scopes = Scopes::read("profile a2a:lights:send  email a2a:lights:send a2a:* A2A:*:* profile");
        let words: Vec<&str> = scopes.words().iter().map(|word| &**word).collect();
        assert_eq!(words, ["profile", "a2a:lights:send", "email"]);
        assert!(!scopes.covers(&scope("a2a:lights:get")) && !scopes.covers(&scope("openid")));
        let broad = Scopes::read("a2a:lights:send a2a:*:* a2a:locks:get");
        assert_eq!(broad.words().len(), 1, "what is covered is left out");
    }

    /// A small pseudo-random sequence (splitmix64): these properties need many cases, not many shapes.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (z ^ (z >> 31)) % bound
        }

        fn scopes(&mut self) -> Scopes {
            let count = self.below(5);
            Scopes::new((0..count).map(|_| {
                let skill = ["*", "lights", "locks", "a%20b"][self.below(4) as usize];
                let verb = ["*", "send", "get"][self.below(3) as usize];
                match self.below(6) {
                    0 => scope("register"),
                    1 => scope(["locks:write", "lights", "Lights"][self.below(3) as usize]),
                    _ => scope(&format!("a2a:{skill}:{verb}")),
                }
            }))
        }
    }

    #[test]
    fn what_two_grant_together_is_never_more_than_either_grants() {
        let mut dice = Dice(7);
        let skills = ["lights", "locks", "a b", "other"];
        for _ in 0..5_000 {
            let (a, b, c) = (dice.scopes(), dice.scopes(), dice.scopes());
            let wanted = match dice.below(4) {
                0 => scope(["locks:write", "lights", "Lights", "register"][dice.below(4) as usize]),
                _ => Scope::of(Plane::A2a, &[skills[dice.below(4) as usize], ["send", "get"][dice.below(2) as usize]]),
            };
            let both = a.meet(&b);
            assert!(both.is_within(&a) && both.is_within(&b) && a.is_within(&a));
            assert_eq!(a.is_within(&b), a.words().iter().all(|word| b.covers(&scope(word))));
            assert_eq!(both.covers(&wanted), a.covers(&wanted) && b.covers(&wanted), "{a:?} {b:?}");
            let (one, other) = (a.meet(&b).meet(&c), a.meet(&b.meet(&c)));
            assert_eq!(one.covers(&wanted), other.covers(&wanted), "along a chain, in whatever order");
            assert_eq!(a.meet(&a).covers(&wanted), a.covers(&wanted));
            assert_eq!(b.meet(&a).covers(&wanted), both.covers(&wanted));
            for word in both.words() {
                assert_eq!(&*scope(word).to_string(), &**word);
                assert!(a.covers(&scope(word)) && b.covers(&scope(word)), "{word}");
            }
        }
    }
}
