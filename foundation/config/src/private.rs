//! Who may read a file that holds a secret: one rule for all keys and secrets, ours and those that the configuration names.

use std::fs::Metadata;

/// Whether nobody else can use what is in the file. A file of this account is for this account alone, as `ssh` wants it. A file that
/// belongs to another account, as orchestrators mount them, may be read by its group, through which we may be the reader.
///
/// # Errors
/// What is wrong and what to do about it.
#[cfg(unix)]
pub fn judge_private(metadata: &Metadata) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    // The process's own entry belongs to the account that it runs as.
    let own = std::fs::metadata("/proc/self").map_or(true, |this| this.uid() == metadata.uid());
    judge(metadata.mode() & 0o777, own)
}

/// As far as can be told here, anything goes.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn judge_private(_metadata: &Metadata) -> Result<(), String> {
    Ok(())
}

#[cfg(unix)]
fn judge(mode: u32, own: bool) -> Result<(), String> {
    let (others, right) = if own { (0o077, "600") } else { (0o037, "640") };
    let why = match mode & others {
        0 => return Ok(()),
        bits if bits & 0o044 == 0 => "others may change it",
        _ => "others may read it",
    };
    Err(format!("{why} (mode {mode:04o}); run `chmod {right}` on it"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_ours_is_for_us_alone() {
        for mode in [0o600, 0o400, 0o700] {
            assert_eq!(judge(mode, true), Ok(()), "{mode:o}");
        }
        for mode in [0o640, 0o604, 0o644, 0o660, 0o666, 0o620, 0o602, 0o610] {
            assert!(judge(mode, true).unwrap_err().contains("run `chmod 600` on it"), "{mode:o}");
        }
        assert!(judge(0o644, true).unwrap_err().starts_with("others may read it (mode 0644)"));
        assert!(judge(0o622, true).unwrap_err().starts_with("others may change it (mode 0622)"));
    }

    #[test]
    fn a_file_of_anothers_may_be_read_by_its_group() {
        for mode in [0o600, 0o440, 0o640] {
            assert_eq!(judge(mode, false), Ok(()), "{mode:o}");
        }
        for mode in [0o444, 0o644, 0o660, 0o604, 0o602] {
            assert!(judge(mode, false).unwrap_err().contains("run `chmod 640` on it"), "{mode:o}");
        }
    }
}
