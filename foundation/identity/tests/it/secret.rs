//! The operator's secret.

use moongate_core::Code;
use moongate_identity::Secret;

use crate::support::Folder;

#[test]
fn a_secret_is_made_once_and_read_again() {
    let folder = Folder::new();
    let path = folder.join("inner/operator.secret");
    assert!(Secret::load(&path).unwrap().is_none());
    let made = Secret::load_or_make(&path).unwrap();
    let read = Secret::load_or_make(&path).unwrap();
    assert_eq!(made.reveal(), read.reveal());
    assert_eq!(made.reveal().len(), 64);
    let other = Secret::load_or_make(&folder.join("other.secret")).unwrap();
    assert_ne!(made.reveal(), other.reveal());
    assert_eq!(std::fs::read_dir(folder.join("inner")).unwrap().count(), 1, "no draft is left behind");
}

#[test]
fn only_the_same_text_matches() {
    let folder = Folder::new();
    let secret = Secret::load_or_make(&folder.join("s")).unwrap();
    let text = secret.reveal().to_owned();
    assert!(secret.matches(&text));
    let flipped = if text.ends_with('0') { "1" } else { "0" };
    assert!(!secret.matches(&format!("{}{flipped}", &text[..63])));
    assert!(!secret.matches(&text[..63]));
    assert!(!secret.matches(&format!("{text}0")));
    assert!(!secret.matches(""));
}

#[test]
fn the_secret_is_not_printed() {
    let folder = Folder::new();
    let secret = Secret::load_or_make(&folder.join("s")).unwrap();
    assert!(!format!("{secret:?}").contains(secret.reveal()));
}

#[cfg(unix)]
#[test]
fn a_secret_that_others_can_read_is_refused() {
    use crate::support::{mode, set_mode};
    let folder = Folder::new();
    let path = folder.join("s");
    Secret::load_or_make(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    set_mode(&path, 0o640);
    let problem = Secret::load_or_make(&path).unwrap_err();
    assert_eq!(problem.code, Code::KeyUnusable);
    assert!(problem.detail.contains("0640"), "{problem}");
}

#[test]
fn a_file_that_holds_something_else_is_refused_and_kept() {
    let folder = Folder::new();
    let path = folder.join("s");
    std::fs::write(&path, "hunter2\n").unwrap();
    #[cfg(unix)]
    crate::support::set_mode(&path, 0o600);
    let problem = Secret::load_or_make(&path).unwrap_err();
    assert_eq!(problem.code, Code::KeyUnusable);
    assert!(!problem.detail.contains("hunter2"), "{problem}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "hunter2\n");
}
