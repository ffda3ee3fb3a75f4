//! Whoever changes the files is found out: by the next start, and by `verify`.

use std::fs;
use std::path::Path;

use moongate_audit::{Checkpoint, Files, Hash, Key, Log, verify};
use moongate_core::Code;

use crate::support::{Folder, Hand, NOVEMBER, request};

fn refused(folder: &Folder) -> Option<Code> {
    Log::open(&folder.place(), Hand::at(NOVEMBER)).err().map(|problem| problem.code)
}

fn lines(entries: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(entries).unwrap();
    let (mut rest, mut lines) = (bytes.as_slice(), Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (line, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        lines.push(line.to_vec());
        rest = after;
    }
    lines
}

fn write(entries: &Path, lines: &[Vec<u8>]) {
    let frame = |line: &Vec<u8>| [(line.len() as u16).to_be_bytes().as_slice(), line.as_slice()].concat();
    fs::write(entries, lines.iter().flat_map(frame).collect::<Vec<u8>>()).unwrap();
}

/// Changes the lines of a log of 600 and says what start-up and `verify` make of it.
fn after(change: impl Fn(&mut Vec<Vec<u8>>)) -> (Option<Code>, Vec<String>) {
    let folder = Folder::written(600);
    let entries = folder.path().join("audit/2026-11/entries");
    let mut changed = lines(&entries);
    change(&mut changed);
    write(&entries, &changed);
    let before = fs::read(&entries).unwrap();
    let code = refused(&folder);
    assert_eq!(fs::read(&entries).unwrap(), before, "a refusal changes nothing");
    let findings = folder.verify().findings.into_iter();
    (code, findings.map(|finding| format!("{:?} {}", finding.line, finding.what)).collect())
}

#[test]
fn a_changed_byte_is_found_and_named() {
    let (code, findings) = after(|lines| {
        let at = lines[300].len() - 30;
        lines[300][at] ^= 1;
    });
    assert_eq!(code, Some(Code::AuditDamaged));
    assert!(
        findings.iter().any(|finding| finding.starts_with("Some(300) the line is not the one whose hash")),
        "{findings:?}"
    );
    assert!(findings.iter().any(|finding| finding.contains("have the root")), "{findings:?}");
}

#[test]
fn a_deleted_line_is_found() {
    let (code, findings) = after(|lines| {
        lines.remove(300);
    });
    assert!(matches!(code, Some(Code::AuditDamaged | Code::AuditShortened)), "{code:?}");
    assert!(findings.iter().any(|finding| finding.starts_with("Some(300)")), "{findings:?}");
}

#[test]
fn two_lines_in_the_wrong_order_are_found() {
    let (code, findings) = after(|lines| lines.swap(300, 301));
    assert_eq!(code, Some(Code::AuditDamaged));
    assert!(findings.iter().any(|finding| finding.starts_with("Some(300)")), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.starts_with("Some(301)")), "{findings:?}");
}

#[test]
fn a_tail_that_was_cut_off_is_found() {
    let (code, findings) = after(|lines| lines.truncate(590));
    assert!(matches!(code, Some(Code::AuditDamaged | Code::AuditShortened)), "{code:?}");
    assert!(findings.iter().any(|finding| finding.contains("590 lines")), "{findings:?}");
}

#[test]
fn a_suffix_written_anew_with_a_valid_signature_is_found_by_an_older_checkpoint_and_by_the_mark() {
    let folder = Folder::written(590);
    let place = folder.place();
    // Whoever has the key and the mark goes on from an earlier day with other lines, and signs them.
    let forged = folder.copy();
    let log = forged.open();
    (590..700).for_each(|n| log.record(request(&format!("request-{}", n + 1000))));
    log.close();
    let log = folder.open();
    (590..600).for_each(|n| log.record(request(&format!("request-{n}"))));
    log.close();
    let saved = folder.shard().note().unwrap();
    fs::remove_dir_all(&place.folder).unwrap();
    fs::rename(forged.place().folder, &place.folder).unwrap();
    let files = Files::at(place.folder.join("2026-11"));
    let clean = verify(&files, &folder.key(), &[], None).unwrap();
    assert_eq!(clean.findings, [], "by itself it is a whole log");
    let kept = verify(&files, &folder.key(), &[("the saved one".into(), saved)], None).unwrap();
    assert!(kept.findings[0].what.contains("the saved one says"), "{:?}", kept.findings);
    assert!(!folder.verify().findings.is_empty());
    assert_eq!(refused(&folder), Some(Code::AuditDamaged));
}

#[test]
fn a_backup_that_was_put_back_is_not_signed_again() {
    let folder = Folder::written(100);
    let place = folder.place();
    let backup = folder.path().join("backup");
    fs::create_dir_all(backup.join("2026-11")).unwrap();
    for file in fs::read_dir(place.folder.join("2026-11")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), backup.join("2026-11").join(file.file_name())).unwrap();
    }
    let log = folder.open();
    (0..50).for_each(|n| log.record(request(&format!("later-{n}"))));
    log.close();
    fs::remove_dir_all(&place.folder).unwrap();
    fs::rename(&backup, &place.folder).unwrap();
    assert_eq!(refused(&folder), Some(Code::AuditShortened));
    fs::remove_dir_all(&place.folder).unwrap();
    assert_eq!(refused(&folder), Some(Code::AuditShortened), "nor is one that is gone begun again");
}

#[test]
fn a_checkpoint_of_another_key_is_no_checkpoint() {
    let folder = Folder::written(10);
    let other = Folder::written(1);
    let stranger = Key::load(&other.place().key).unwrap().unwrap();
    let origin = "home.example/audit/2026-11".to_owned();
    let note = Checkpoint { origin, size: 10, root: Hash::empty() }.sign(&stranger);
    fs::write(folder.path().join("audit/2026-11/checkpoint"), note.text).unwrap();
    assert_eq!(refused(&folder), Some(Code::AuditDamaged));
    assert!(folder.verify().findings[0].what.contains("not signed by the log's key"));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::written(2);
    let key = folder.place().key;
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(refused(&folder), Some(Code::AuditKeyUnusable));
    fs::remove_file(&key).unwrap();
    assert_eq!(refused(&folder), Some(Code::AuditKeyUnusable), "nor is another one made in its place");
}

#[test]
fn lines_that_were_flushed_and_not_signed_yet_are_not_cut_off() {
    let folder = Folder::written(20);
    let shard = folder.path().join("audit/2026-11");
    // As a gateway leaves it that was killed between a flush and the next checkpoint; then the disk lost the end.
    let mut entries = fs::read(shard.join("entries")).unwrap();
    entries.extend_from_slice(b"\x00\x0a{\"seq\":20}");
    let flushed = entries.len() as u64;
    fs::write(shard.join("synced"), [flushed.to_be_bytes(), (!flushed).to_be_bytes()].concat()).unwrap();
    entries.truncate(entries.len() - 3);
    fs::write(shard.join("entries"), &entries).unwrap();
    assert_eq!(refused(&folder), Some(Code::AuditDamaged));
    assert_eq!(fs::read(shard.join("entries")).unwrap(), entries);
    assert!(folder.verify().findings.iter().any(|finding| finding.line == Some(20)), "{:?}", folder.verify().findings);
}
