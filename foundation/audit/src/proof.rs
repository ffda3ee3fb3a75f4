//! Proofs (RFC 6962 §2.1.1, §2.1.2): that a line is in a tree, and that one tree is the beginning of another.

use moongate_core::Problem;

use crate::hash::Hash;

/// Where the hashes of complete subtrees come from.
pub(crate) trait Hashes {
    /// The hashes `first..first + count` of a level of tiles: each covers 256^level lines.
    fn hashes(&self, level: u8, first: u64, count: u64) -> Result<Vec<Hash>, Problem>;
}

/// The hash over the lines `from..to`.
pub(crate) fn over(tree: &dyn Hashes, from: u64, to: u64) -> Result<Hash, Problem> {
    let count = to - from;
    match count {
        0 => Ok(Hash::empty()),
        // Cut as the standard says, every subtree that is asked for begins at a multiple of its size.
        _ if count.is_power_of_two() => {
            let height = count.ilog2();
            // A level of tiles covers eight levels of the tree.
            let level = u8::try_from(height / 8).unwrap_or(u8::MAX);
            let wide = 1_u64 << (height % 8);
            let first = from >> (8 * u32::from(level));
            Ok(Hash::over(&tree.hashes(level, first, wide)?))
        }
        _ => {
            let split = from + cut(count);
            Ok(Hash::node(over(tree, from, split)?, over(tree, split, to)?))
        }
    }
}

/// The largest power of two below `count`, which is at least 2.
fn cut(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The path from line `index` up to the root of a tree of `size` lines.
pub(crate) fn inclusion(tree: &dyn Hashes, index: u64, size: u64) -> Result<Vec<Hash>, Problem> {
    let (mut from, mut to, mut path) = (0, size, Vec::new());
    while to - from > 1 {
        let split = from + cut(to - from);
        if index < split {
            path.push(over(tree, split, to)?);
            to = split;
        } else {
            path.push(over(tree, from, split)?);
            from = split;
        }
    }
    path.reverse();
    Ok(path)
}

/// What proves that the first `old` of `size` lines are what a tree of `old` lines had.
pub(crate) fn growth(tree: &dyn Hashes, old: u64, size: u64) -> Result<Vec<Hash>, Problem> {
    let (mut from, mut to, mut path, mut whole) = (0, size, Vec::new(), true);
    if old == 0 || old >= size {
        return Ok(path);
    }
    while old != to {
        let split = from + cut(to - from);
        if old <= split {
            path.push(over(tree, split, to)?);
            to = split;
        } else {
            path.push(over(tree, from, split)?);
            (from, whole) = (split, false);
        }
    }
    if !whole {
        path.push(over(tree, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` leads from a line to the root (RFC 9162 §2.1.3.2).
pub fn check_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash], root: Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for step in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = Hash::node(*step, hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = Hash::node(hash, *step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// Whether `path` shows that the tree `(old, old_root)` is the beginning of `(size, root)` (RFC 9162 §2.1.4.2).
pub fn check_growth(old: u64, old_root: Hash, size: u64, root: Hash, path: &[Hash]) -> bool {
    if old > size {
        return false;
    }
    if old == size {
        return path.is_empty() && old_root == root;
    }
    if old == 0 {
        return path.is_empty() && old_root == Hash::empty();
    }
    let mut steps = path.iter().copied();
    let seed = if old.is_power_of_two() { Some(old_root) } else { steps.next() };
    let Some(seed) = seed else { return false };
    let (mut node, mut last) = (old - 1, size - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut before, mut after) = (seed, seed);
    for step in steps {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            before = Hash::node(step, before);
            after = Hash::node(step, after);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            after = Hash::node(after, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && before == old_root && after == root
}

#[cfg(test)]
mod tests {
    use tlog_tiles::tlog;

    use super::*;

    struct Lines(Vec<Vec<Hash>>);

    impl Lines {
        fn of(count: u32) -> Self {
            let mut levels: Vec<Vec<Hash>> = vec![(0..count).map(|n| Hash::leaf(&n.to_be_bytes())).collect()];
            while levels.last().is_some_and(|level| level.len() >= 256) {
                let next = levels.last().unwrap().chunks_exact(256).map(Hash::over).collect();
                levels.push(next);
            }
            Self(levels)
        }
    }

    impl Hashes for Lines {
        fn hashes(&self, level: u8, first: u64, count: u64) -> Result<Vec<Hash>, Problem> {
            Ok(self.0[usize::from(level)][first as usize..(first + count) as usize].to_vec())
        }
    }

    fn theirs(path: &[Hash]) -> Vec<tlog::Hash> {
        path.iter().map(|hash| tlog::Hash(hash.0)).collect()
    }

    #[test]
    fn every_line_of_every_tree_is_proven_to_us_and_to_the_foreign_implementation() {
        let sizes = (1..40).chain([255, 256, 257, 511, 700, 66_000]);
        for size in sizes {
            let lines = Lines::of(size as u32);
            let root = over(&lines, 0, size).unwrap();
            for index in (0..size).step_by(if size < 1000 { 1 } else { 6571 }) {
                let path = inclusion(&lines, index, size).unwrap();
                let leaf = lines.0[0][index as usize];
                assert!(check_inclusion(leaf, index, size, &path, root), "{index} of {size}");
                let judged = tlog::check_record(&theirs(&path), size, tlog::Hash(root.0), index, tlog::Hash(leaf.0));
                assert!(judged.is_ok(), "{index} of {size}");
                assert!(!check_inclusion(Hash::leaf(b"other"), index, size, &path, root));
                assert!(size == 1 || !check_inclusion(leaf, (index + 1) % size, size, &path, root));
            }
        }
    }

    #[test]
    fn every_growth_is_proven_to_us_and_to_the_foreign_implementation() {
        let sizes = (1..24).chain([256, 257, 700, 66_000]);
        for size in sizes {
            let lines = Lines::of(size as u32);
            let root = over(&lines, 0, size).unwrap();
            for old in (1..=size).step_by(if size < 1000 { 1 } else { 4999 }) {
                let path = growth(&lines, old, size).unwrap();
                let before = over(&lines, 0, old).unwrap();
                assert!(check_growth(old, before, size, root, &path), "{old} of {size}");
                let judged = tlog::check_tree(&theirs(&path), size, tlog::Hash(root.0), old, tlog::Hash(before.0));
                assert!(judged.is_ok(), "{old} of {size}");
                assert!(!check_growth(old, Hash::leaf(b"other"), size, root, &path), "{old} of {size}");
            }
        }
    }
}
