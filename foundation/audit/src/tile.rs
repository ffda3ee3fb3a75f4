//! Names of tiles (C2SP tlog-tiles): `0/x001/234`, `entries/000.p/17`, without the `tile/` before them.

use std::fmt;

use crate::tree::WIDTH;

/// One tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// The level of its hashes; `None`: it holds the lines themselves.
    pub level: Option<u8>,
    /// Which one of its level.
    pub index: u64,
    /// How much of it: 256, or less at the edge.
    pub width: usize,
}

impl Tile {
    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        let (level, rest) = name.split_once('/')?;
        let level = match level {
            "entries" => None,
            number if number == "0" || !number.starts_with('0') => Some(number.parse().ok().filter(|n| *n < 64)?),
            _ => return None,
        };
        let (number, width) = match rest.split_once(".p/") {
            None => (rest, WIDTH),
            Some((number, width)) if !width.starts_with(['0', '+']) => {
                (number, width.parse().ok().filter(|width| (1..WIDTH).contains(width))?)
            }
            Some(_) => return None,
        };
        let (groups, last) = match number.rsplit_once('/') {
            Some((groups, last)) => (groups.split('/').collect(), last),
            None => (Vec::new(), number),
        };
        let mut index = 0_u64;
        for group in groups.iter().map(|group| group.strip_prefix('x')).chain([Some(last)]) {
            let digits = group.filter(|digits| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()))?;
            index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = Self { level, index, width };
        // One name for each tile: no zeros in front.
        (tile.to_string() == name).then_some(tile)
    }

    /// The tiles of a tree of that size, of every level and of the lines, those that are full and those at the edge.
    pub(crate) fn of(size: u64) -> Vec<Self> {
        let mut tiles = Vec::new();
        let mut hashes = size;
        for level in 0.. {
            if hashes == 0 {
                break;
            }
            let levels = if level == 0 { vec![None, Some(0)] } else { vec![Some(level)] };
            for level in levels {
                tiles.extend((0..hashes / 256).map(|index| Self { level, index, width: WIDTH }));
                let rest = usize::try_from(hashes % 256).unwrap_or_default();
                if rest > 0 {
                    tiles.push(Self { level, index: hashes / 256, width: rest });
                }
            }
            hashes /= 256;
        }
        tiles
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            None => f.write_str("entries")?,
            Some(level) => write!(f, "{level}")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        while let Some(group) = groups.pop() {
            write!(f, "/{}{group:03}", if groups.is_empty() { "" } else { "x" })?;
        }
        if self.width < WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        for name in ["0/000", "3/x001/x234/067", "entries/x001/000.p/255", "63/999.p/1"] {
            assert_eq!(Tile::parse(name).map(|tile| tile.to_string()).as_deref(), Some(name));
        }
        let tile = Tile { level: Some(2), index: 1_234_067, width: 8 };
        assert_eq!(tile.to_string(), "2/x001/x234/067.p/8");
    }

    #[test]
    fn other_names_are_none() {
        for name in [
            "",
            "0",
            "0/",
            "0/0",
            "0/0000",
            "00/000",
            "64/000",
            "0/x000/001",
            "0/001/002",
            "0/x001",
            "0/000.p/0",
            "0/000.p/256",
            "0/000.p/01",
            "0/000.p/+1",
            "data/000",
            "8/0/000",
            "0/../000",
            "entries/000.p/",
            "-1/000",
            "0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(Tile::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_tree_has_the_tiles_that_the_foreign_implementation_lists() {
        for size in [1, 255, 256, 257, 70_000] {
            let theirs: Vec<String> = tlog_tiles::tile::Tile::new_tiles(8, 0, size)
                .iter()
                .map(|tile| tile.path().replacen("tile/8/", "", 1))
                .collect();
            let mut ours: Vec<String> =
                Tile::of(size).iter().filter(|tile| tile.level.is_some()).map(Tile::to_string).collect();
            // Theirs lists a level's full tiles and its edge too, and nothing else.
            let mut theirs = theirs;
            theirs.sort();
            ours.sort();
            assert_eq!(ours, theirs, "{size}");
        }
    }
}
