//! Writes a shard as a folder that any reader of C2SP tlog-tiles understands: `vkey`, `checkpoint`, and exactly the tiles of
//! that checkpoint's size. The checkpoints that witnesses have signed lie beside it.

use std::fs;
use std::path::Path;

use moongate_core::{Code, Problem};

use crate::key::VerifyingKey;
use crate::note::Signed;
use crate::read::Files;
use crate::tile::Tile;
use crate::witness::WITNESSED;

/// What was written.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The checkpoint.
    pub signed: Signed,
    /// How many tiles.
    pub tiles: usize,
}

/// Writes the shard into a folder that does not exist yet, or is empty; also while the shard is written.
///
/// # Errors
/// - `CommandFailed`: the folder has something in it, or cannot be written.
/// - As [`Files::signed`] and [`Files::tile`].
pub fn export(files: &Files, key: &VerifyingKey, to: &Path) -> Result<Exported, Problem> {
    let failed = |error: std::io::Error| Problem::new(Code::CommandFailed, format!("{}: {error}", to.display()));
    if fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Problem::new(Code::CommandFailed, format!("{} is not empty", to.display())));
    }
    let signed = files.signed(key)?;
    let tiles = Tile::of(signed.checkpoint.size);
    for tile in &tiles {
        let path = to.join("tile").join(tile.to_string());
        let bytes = files.tile(*tile, signed.checkpoint.size)?;
        path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes)).map_err(failed)?;
    }
    fs::create_dir_all(to).map_err(failed)?;
    fs::write(to.join("vkey"), format!("{key}\n")).map_err(failed)?;
    let published = files.published().ok().filter(|note| note.starts_with(signed.text.as_bytes()));
    let note = published.unwrap_or_else(|| signed.text.clone().into_bytes());
    fs::write(to.join("checkpoint"), note).map_err(failed)?;
    for (number, note) in files.witnessed_up_to(signed.checkpoint.size).into_iter().enumerate() {
        fs::write(to.join(format!("{WITNESSED}.{number}")), note).map_err(failed)?;
    }
    Ok(Exported { signed, tiles: tiles.len() })
}
