//! The growing edge of a tree: what has to be kept to add a line and to name the root, and no more.
//!
//! Level 0 holds hashes of lines, level 1 the hash of each full tile of 256 of them, and so on. Of each level only the tile
//! at the edge is held; full ones are history.

use crate::hash::Hash;

/// How many hashes a full tile has.
pub(crate) const WIDTH: usize = 256;

/// The edge of a tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    size: u64,
    /// For each level the hashes of the tile that is not full.
    edge: Vec<Vec<Hash>>,
}

impl Tree {
    /// How many lines it has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a line. `grown` is told each hash that a level gains, level 0 first.
    pub(crate) fn push(&mut self, leaf: Hash, mut grown: impl FnMut(usize, Hash)) {
        self.size += 1;
        let (mut level, mut hash) = (0, leaf);
        loop {
            grown(level, hash);
            if self.edge.len() == level {
                self.edge.push(Vec::with_capacity(WIDTH));
            }
            let Some(tile) = self.edge.get_mut(level) else { return };
            tile.push(hash);
            if tile.len() < WIDTH {
                return;
            }
            hash = Hash::over(tile);
            tile.clear();
            level += 1;
        }
    }

    /// The root over all lines.
    pub(crate) fn root(&self) -> Hash {
        // Complete subtrees, the largest first: those of the highest level, each tile cut into powers of two.
        let mut parts = Vec::new();
        for tile in self.edge.iter().rev() {
            let mut rest = tile.as_slice();
            while !rest.is_empty() {
                let (whole, others) = rest.split_at(1 << rest.len().ilog2());
                parts.push(Hash::over(whole));
                rest = others;
            }
        }
        parts.into_iter().rev().reduce(|right, left| Hash::node(left, right)).unwrap_or_else(Hash::empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 §2.1, word for word.
    fn defined(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::empty(),
            [one] => *one,
            more => {
                let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
                Hash::node(defined(left), defined(right))
            }
        }
    }

    #[test]
    fn the_root_is_the_one_that_the_standard_defines_at_every_size() {
        let leaves: Vec<Hash> = (0..1100_u32).map(|n| Hash::leaf(&n.to_be_bytes())).collect();
        let mut tree = Tree::default();
        assert_eq!(tree.root(), Hash::empty());
        let mut levels = vec![0; 3];
        for (index, leaf) in leaves.iter().enumerate() {
            tree.push(*leaf, |level, _| levels[level] += 1);
            assert_eq!(tree.root(), defined(&leaves[..=index]), "size {}", index + 1);
        }
        assert_eq!((tree.size(), levels), (1100, vec![1100, 4, 0]));
    }

    #[test]
    fn a_tree_of_three_levels_keeps_its_root() {
        let mut tree = Tree::default();
        let leaves: Vec<Hash> = (0..66_000_u32).map(|n| Hash::leaf(&n.to_be_bytes())).collect();
        leaves.iter().for_each(|leaf| tree.push(*leaf, |_, _| {}));
        assert_eq!(tree.root(), defined(&leaves));
    }
}
