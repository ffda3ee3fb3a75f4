//! Files with keys and secrets, kept as their owners should keep them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes a file that its owner alone may read.
///
/// # Panics
/// If it cannot be written.
pub fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}
