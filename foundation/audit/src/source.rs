//! Reads lines one after another: from the file of a shard, or from the tiles of an exported one, which are the same bytes.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::Path;

use crate::leaf::CAP;
use crate::tile::Tile;
use crate::tree::WIDTH;

/// Lines from the first one on.
pub(crate) struct Source {
    bytes: Box<dyn Read>,
    /// How many bytes the lines so far took.
    pub(crate) position: u64,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A whole line.
    Line(Vec<u8>),
    /// Nothing more.
    End,
    /// What follows is no whole line.
    Torn,
}

impl Source {
    /// The lines of a folder: of a shard that is written, or of an export.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let entries = folder.join("entries");
        let bytes: Box<dyn Read> = if entries.is_file() {
            Box::new(BufReader::with_capacity(1 << 18, File::open(entries)?))
        } else {
            Box::new(tiles(folder)?)
        };
        Ok(Self { bytes, position: 0 })
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> io::Result<Next> {
        let mut length = [0; 2];
        match self.fill(&mut length)? {
            0 => return Ok(Next::End),
            2 => {}
            _ => return Ok(Next::Torn),
        }
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 || length > CAP {
            return Ok(Next::Torn);
        }
        let mut line = vec![0; length];
        if self.fill(&mut line)? < length {
            return Ok(Next::Torn);
        }
        self.position += 2 + length as u64;
        Ok(Next::Line(line))
    }

    /// Fills the buffer as far as there are bytes.
    fn fill(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while !buffer.is_empty() {
            match self.bytes.read(buffer) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    buffer = buffer.split_at_mut(count).1;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// All tiles of lines end to end, as far as they go.
fn tiles(folder: &Path) -> io::Result<Tiles> {
    let place = folder.join("tile");
    if !place.is_dir() {
        let why = format!("{} holds neither a log nor an exported one", folder.display());
        return Err(io::Error::new(ErrorKind::NotFound, why));
    }
    Ok(Tiles { place, index: 0, open: None, last: false })
}

/// Opens one tile after another.
struct Tiles {
    place: std::path::PathBuf,
    index: u64,
    open: Option<BufReader<File>>,
    last: bool,
}

impl Tiles {
    fn following(&mut self) -> io::Result<Option<BufReader<File>>> {
        let widths = std::iter::once(WIDTH).chain((1..WIDTH).rev());
        for width in widths {
            let path = self.place.join(Tile { level: None, index: self.index, width }.to_string());
            match File::open(path) {
                Ok(file) => {
                    self.index += 1;
                    self.last = width < WIDTH;
                    return Ok(Some(BufReader::new(file)));
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

impl Read for Tiles {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(open) = &mut self.open {
                let count = open.read(buffer)?;
                if count > 0 || self.last {
                    return Ok(count);
                }
            }
            match self.following()? {
                Some(next) => self.open = Some(next),
                None => return Ok(0),
            }
        }
    }
}
