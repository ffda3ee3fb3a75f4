//! The two hashes of a Merkle tree (RFC 6962 §2.1): of a line, and of two subtrees.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// How many bytes it has.
    pub const LENGTH: usize = 32;

    /// The root of a tree without lines.
    pub fn empty() -> Self {
        digest(&[])
    }

    /// The hash of a line.
    pub fn leaf(line: &[u8]) -> Self {
        digest(&[&[0], line])
    }

    /// The hash over two subtrees, the left one first.
    pub fn node(left: Self, right: Self) -> Self {
        digest(&[&[1], &left.0, &right.0])
    }

    /// The hash over complete neighbours, a power of two of them.
    pub(crate) fn over(hashes: &[Self]) -> Self {
        match hashes {
            [] => Self::empty(),
            [one] => *one,
            more => {
                let (left, right) = more.split_at(more.len() / 2);
                Self::node(Self::over(left), Self::over(right))
            }
        }
    }

    /// Reads 32 bytes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Reads base64.
    pub fn parse(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok().and_then(|bytes| Self::read(&bytes))
    }
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    // A SHA-256 digest is as long as this, always.
    for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    Hash(hash)
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_nodes_hash_as_the_foreign_implementation_says() {
        let theirs = tlog_tiles::tlog::record_hash(b"a line");
        assert_eq!(Hash::leaf(b"a line").0, theirs.0);
        let node = tlog_tiles::tlog::node_hash(theirs, tlog_tiles::tlog::record_hash(b""));
        assert_eq!(Hash::node(Hash(theirs.0), Hash::leaf(b"")).0, node.0);
        assert_eq!(Hash::empty().to_string(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(Hash::parse(&Hash(node.0).to_string()), Some(Hash(node.0)));
    }
}
