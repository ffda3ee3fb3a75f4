//! Key files: read only if nobody else can read them, written so that they are whole or absent.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use moongate_core::{Code, Problem};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::{self, PemObject};
use zeroize::Zeroizing;

/// Who may read a file that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// This account only.
    Owner,
    /// Everybody.
    All,
}

/// The text of a private file; `None` if there is none.
pub(crate) fn read_private(path: &Path) -> Result<Option<String>, Problem> {
    match fs::metadata(path) {
        Ok(metadata) => moongate_config::judge_private(&metadata).map_err(|why| unusable(path, &why))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, &error)),
    }
    fs::read_to_string(path).map(Some).map_err(|error| unusable(path, &error))
}

/// The private key in a file of PEM.
///
/// # Errors
/// `KeyUnusable` if it cannot be read, others may read it, or it holds no key.
pub(crate) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Problem> {
    let text = read_private(path)?.map(Zeroizing::new).ok_or_else(|| unusable(path, &"it is not there"))?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| unusable(path, &worded(&error)))
}

/// What is wrong with a file of PEM.
pub(crate) fn worded(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "it holds no such item in PEM".to_owned(),
        other => other.to_string(),
    }
}

/// The text of a public file; `None` if there is none.
pub(crate) fn read_public(path: &Path) -> Result<Option<String>, Problem> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unusable(path, &error)),
    }
}

/// Writes a file that does not exist yet. It appears whole, under its name, or not at all.
///
/// Returns false if another process was faster; then the other's file stays.
pub(crate) fn create(path: &Path, text: &str, readers: Readers) -> Result<bool, Problem> {
    let made = || -> io::Result<bool> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let draft = path.with_extension(format!("draft-{}", std::process::id()));
        let linked = write(&draft, text.as_bytes(), readers).and_then(|()| fs::hard_link(&draft, path));
        let _ = fs::remove_file(&draft);
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    };
    made().map_err(|error| unusable(path, &error))
}

/// Writes a file in the place of the one that may be there. It is the old one or the new one at any time, never half.
pub(crate) fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), Problem> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let moved = write(&draft, bytes, readers).and_then(|()| fs::rename(&draft, path));
    let settled = moved.and_then(|()| match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    });
    settled.map_err(|error| {
        let _ = fs::remove_file(&draft);
        unusable(path, &error)
    })
}

pub(crate) fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> Problem {
    Problem::new(Code::KeyUnusable, format!("{}: {reason}", path.display()))
}

fn write(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    // A draft of an earlier process with our number, which did not come to its end.
    let _ = fs::remove_file(path);
    let mut file: File = options(readers).write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn options(readers: Readers) -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.mode(match readers {
        Readers::Owner => 0o600,
        Readers::All => 0o644,
    });
    options
}

#[cfg(not(unix))]
fn options(_readers: Readers) -> OpenOptions {
    OpenOptions::new()
}
