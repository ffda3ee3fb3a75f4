//! A key belongs to one history: what is put in its place while the gateway is stopped does not pass for it.

use std::fs;
use std::path::Path;

use moongate_audit::{Files, Log, Place};
use moongate_core::Code;

use crate::support::{Folder, Hand, NOVEMBER, append, copy, deed, edit, leaves, request, wait};

/// What somebody does to the files, under a name.
type Change<'c> = (&'c str, &'c dyn Fn(&Path));
/// The same for what a first start left.
type State<'c> = (&'c str, &'c dyn Fn(&Folder));

const SHARD: &str = "audit/2026-11";

/// What a start says after a change; it changes nothing itself, and `verify` finds something, too.
fn after(change: impl Fn(&Path)) -> (Code, String) {
    let folder = Folder::written(50);
    change(folder.path());
    let before = folder.files();
    let refused = folder.refused().unwrap();
    assert_eq!(folder.files(), before, "a refusal touches nothing");
    let month = Files::at(folder.path().join(SHARD));
    let lines = || moongate_audit::verify(&month, &folder.key(), &[], Some(&folder.place().mark));
    let found = !folder.whole().is_empty() || lines().is_ok_and(|report| !report.findings.is_empty());
    assert!(found, "{refused:?}");
    refused
}

fn without_checkpoint_and_mark(folder: &Path) {
    edit(&folder.join(SHARD).join("entries"), "request-7", "request-X");
    fs::remove_file(folder.join(SHARD).join("checkpoint")).unwrap();
    fs::remove_file(folder.join("audit.mark")).unwrap();
}

#[test]
fn a_key_without_its_mark_signs_nothing() {
    let changes: [Change<'_>; 4] = [
        ("an edited line without checkpoint and mark", &without_checkpoint_and_mark),
        ("the mark alone", &|folder: &Path| fs::remove_file(folder.join("audit.mark")).unwrap()),
        ("a month and the mark", &|folder: &Path| {
            fs::remove_dir_all(folder.join(SHARD)).unwrap();
            fs::remove_file(folder.join("audit.mark")).unwrap();
        }),
        ("the folder and the mark", &|folder: &Path| {
            fs::remove_dir_all(folder.join("audit")).unwrap();
            fs::create_dir_all(folder.join("audit")).unwrap();
            fs::write(folder.join("audit/lock"), "").unwrap();
            fs::remove_file(folder.join("audit.mark")).unwrap();
        }),
    ];
    for (what, change) in changes {
        let (code, detail) = after(change);
        assert_eq!(code, Code::AuditShortened, "{what}: {detail}");
        assert!(detail.contains("Put the mark back") && detail.contains("another log on purpose"), "{what}: {detail}");
    }
}

#[test]
fn a_mark_counts_only_if_the_key_of_the_log_has_signed_it() {
    let changes: [Change<'_>; 4] = [
        ("three lines", &|folder: &Path| {
            let note = fs::read_to_string(folder.join(SHARD).join("checkpoint")).unwrap();
            let lines: Vec<&str> = note.lines().take(3).collect();
            fs::write(folder.join("audit.mark"), format!("{}\n", lines.join("\n"))).unwrap();
        }),
        ("the checkpoint, which says nothing of how the log was left", &|folder: &Path| {
            fs::copy(folder.join(SHARD).join("checkpoint"), folder.join("audit.mark")).map(drop).unwrap();
        }),
        ("another size", &|folder: &Path| edit(&folder.join("audit.mark"), "\n50\n", "\n49\n")),
        ("another key's", &|folder: &Path| {
            let other = Folder::written(50);
            fs::copy(other.place().mark, folder.join("audit.mark")).map(drop).unwrap();
        }),
    ];
    for (what, change) in changes {
        let (code, detail) = after(change);
        assert_eq!(code, Code::AuditDamaged, "{what}: {detail}");
        assert!(detail.contains("audit.mark is not what this log's key has signed"), "{what}: {detail}");
    }
}

#[test]
fn a_folder_of_an_earlier_day_is_not_taken_up_whatever_becomes_of_the_mark() {
    let folder = Folder::written(20);
    let earlier = folder.copy();
    let log = folder.open();
    (0..30).for_each(|n| log.record(request(&format!("later-{n}"))));
    log.close();
    fs::remove_dir_all(folder.path().join("audit")).unwrap();
    copy(&earlier.path().join("audit"), &folder.path().join("audit"));
    let refused = || folder.refused().map(|(code, _)| code);
    assert_eq!(refused(), Some(Code::AuditShortened));
    let note = fs::read_to_string(folder.path().join(SHARD).join("checkpoint")).unwrap();
    fs::write(folder.place().mark, note).unwrap();
    assert_eq!(refused(), Some(Code::AuditDamaged));
    fs::remove_file(folder.place().mark).unwrap();
    assert_eq!(refused(), Some(Code::AuditShortened));
}

#[test]
fn a_log_whose_key_is_gone_gets_no_other_one() {
    let folder = Folder::written(20);
    for file in ["audit.key", "audit.mark"] {
        fs::remove_file(folder.path().join(file)).unwrap();
        let before = folder.files();
        assert_eq!(folder.refused().unwrap().0, Code::AuditKeyUnusable, "without {file}");
        assert_eq!(folder.files(), before);
    }
}

#[test]
fn a_checkpoint_that_is_gone_or_older_than_the_mark_is_missed() {
    let (code, detail) = after(|folder| fs::remove_file(folder.join(SHARD).join("checkpoint")).unwrap());
    assert_eq!(code, Code::AuditShortened);
    assert!(
        detail.contains("50 lines of home.example/audit/2026-11 were signed, and its checkpoint is gone"),
        "{detail}"
    );
    let folder = Folder::written(20);
    let earlier = fs::read(folder.path().join(SHARD).join("checkpoint")).unwrap();
    let log = folder.open();
    log.record(request("later"));
    log.close();
    fs::write(folder.path().join(SHARD).join("checkpoint"), earlier).unwrap();
    let (code, detail) = folder.refused().unwrap();
    assert_eq!(code, Code::AuditShortened);
    assert!(detail.contains("covers 20 lines, and 21 were signed"), "{detail}");
}

/// A first start that ended when the key was in its place, and a whole one of the same key.
fn first_start() -> (Folder, Folder) {
    let cut = Folder::new();
    fs::create_dir_all(cut.place().folder).unwrap();
    fs::write(cut.path().join(SHARD), "no folder").unwrap();
    assert_eq!(cut.refused().unwrap().0, Code::AuditUnwritable);
    fs::remove_file(cut.path().join(SHARD)).unwrap();
    let whole = cut.copy();
    whole.open().close();
    (cut, whole)
}

#[test]
fn a_first_start_that_is_cut_off_anywhere_leaves_nothing_that_the_next_one_refuses() {
    let (cut, whole) = first_start();
    let take = |to: &Folder, names: &[&str]| {
        fs::create_dir_all(to.path().join(SHARD)).unwrap();
        for name in names {
            fs::copy(whole.path().join(SHARD).join(name), to.path().join(SHARD).join(name)).unwrap();
        }
    };
    let states: [State<'_>; 12] = [
        ("nothing but the lock", &|folder| {
            fs::remove_file(folder.place().key).unwrap();
            fs::remove_file(folder.place().mark).unwrap();
        }),
        ("a half mark", &|folder| {
            fs::remove_file(folder.place().key).unwrap();
            fs::rename(folder.place().mark, folder.path().join("audit.draft")).unwrap();
        }),
        ("a mark", &|folder| fs::remove_file(folder.place().key).unwrap()),
        ("a mark and a half key", &|folder| {
            fs::remove_file(folder.place().key).unwrap();
            fs::write(folder.path().join("audit.draft"), "half").unwrap();
        }),
        ("a mark and a key", &|_| {}),
        ("an empty month", &|folder| take(folder, &[])),
        ("a month with its public key", &|folder| take(folder, &["vkey"])),
        ("a month without lines", &|folder| {
            take(folder, &["vkey"]);
            fs::write(folder.path().join(SHARD).join("entries"), "").unwrap();
            fs::write(folder.path().join(SHARD).join("synced"), "").unwrap();
        }),
        ("half a line", &|folder| {
            take(folder, &["vkey", "entries"]);
            let entries = fs::read(folder.path().join(SHARD).join("entries")).unwrap();
            fs::write(folder.path().join(SHARD).join("entries"), &entries[..40]).unwrap();
        }),
        ("a line", &|folder| take(folder, &["vkey", "entries"])),
        ("a line that was flushed, and its hash", &|folder| {
            take(folder, &["vkey", "entries", "synced", "hashes.0", "offsets"]);
        }),
        ("a checkpoint, and the mark before it", &|folder| {
            take(folder, &["vkey", "entries", "synced", "hashes.0", "offsets", "checkpoint"]);
        }),
    ];
    for (what, state) in states {
        let folder = cut.copy();
        state(&folder);
        let opened = Log::open(&folder.place(), Hand::at(NOVEMBER));
        opened.unwrap_or_else(|problem| panic!("{what}: {problem:?}")).close();
        assert_eq!(leaves(&folder.shard()).len(), 1, "{what}");
        assert_eq!((folder.verify().findings, folder.whole()), (vec![], vec![]), "{what}");
        folder.open().close();
    }
}

#[test]
fn a_key_is_never_there_before_its_mark() {
    let folder = Folder::new();
    let (beside, place) = (folder.path().join("beside"), folder.place());
    let place = Place { mark: beside.join("audit.mark"), ..place };
    // A folder in the place where it is drafted: the disk refuses the mark, and nothing else.
    fs::create_dir_all(beside.join("audit.draft")).unwrap();
    assert!(Log::open(&place, Hand::at(NOVEMBER)).is_err());
    assert!(!place.key.exists());
    fs::remove_dir(beside.join("audit.draft")).unwrap();
    Log::open(&place, Hand::at(NOVEMBER)).unwrap().close();
}

#[test]
fn a_start_that_is_cut_off_after_its_first_lines_is_taken_up_again() {
    let folder = Folder::new();
    let log = folder.open();
    wait(log.intend(request("unlock"))).unwrap();
    log.close();
    // The log was closed; the next start says what became of the intent, and ends before that is signed.
    let draft = folder.path().join(SHARD).join("checkpoint.draft");
    fs::create_dir(&draft).unwrap();
    assert_eq!(folder.refused().unwrap().0, Code::AuditUnwritable);
    fs::remove_dir(&draft).unwrap();
    assert_eq!(folder.verify().findings, []);
    assert_eq!(folder.refused(), None);
    assert_eq!(leaves(&folder.shard())[2]["result"], "unknown");
}

#[test]
fn a_mark_of_no_lines_makes_no_lines_of_a_month_that_was_never_signed() {
    let (cut, _) = first_start();
    let log = cut.copy();
    let running = log.open();
    running.record(request("first"));
    running.close();
    // As if the first start had been cut off: the mark of then, no checkpoint, and what was written since.
    let forged = |keep: &[&str]| {
        let folder = cut.copy();
        copy(&log.path().join(SHARD), &folder.path().join(SHARD));
        for entry in fs::read_dir(folder.path().join(SHARD)).unwrap() {
            let path = entry.unwrap().path();
            if !keep.iter().any(|name| path.ends_with(name)) {
                fs::remove_file(path).unwrap();
            }
        }
        folder
    };
    for keep in [&["entries"][..], &["synced"], &["hashes.0"], &["vkey", "entries", "synced", "hashes.0", "offsets"]] {
        let (code, detail) = forged(keep).refused().unwrap();
        assert_eq!(code, Code::AuditDamaged, "{keep:?}");
        assert!(detail.contains("has lines, and no checkpoint"), "{keep:?}: {detail}");
    }
}

#[test]
fn what_is_put_behind_the_end_of_a_log_that_was_closed_is_found() {
    for behind in ["{\"seq\":50}", "{\"operation\":\"gateway.start\",\"seq\":50}"] {
        let (code, detail) = after(|folder| append(&folder.join(SHARD).join("entries"), behind));
        assert_eq!(code, Code::AuditDamaged);
        assert!(detail.contains("was closed with 50 lines"), "{detail}");
    }
    let folder = Folder::written(20);
    let entries = folder.path().join(SHARD).join("entries");
    fs::write(&entries, [fs::read(&entries).unwrap(), b"\x01".to_vec()].concat()).unwrap();
    assert_eq!(folder.refused().unwrap().0, Code::AuditDamaged, "nor is half a line cut off");
    // A start takes it up, and what comes behind it then is its own.
    let killed = Folder::killed(20);
    append(&killed.path().join(SHARD).join("entries"), "{\"seq\":20}");
    assert_eq!(killed.verify().findings, []);
    killed.open().close();
    assert_eq!(killed.verify().size, 21);
}

#[test]
fn a_gateway_that_is_killed_right_after_its_start_is_taken_up_again() {
    let folder = Folder::new();
    let log = folder.open();
    log.record(deed("gateway.stop"));
    log.close();
    let running = folder.copy();
    let log = running.open();
    // It says beside the key that it runs, before its first line.
    let killed = running.copy();
    wait(log.intend(request("unlock"))).unwrap();
    log.close();
    fs::copy(running.path().join(SHARD).join("entries"), killed.path().join(SHARD).join("entries")).unwrap();
    assert_eq!(killed.refused(), None);
    // A mark from before the gateway stopped does not open what was closed.
    let early = Folder::killed(3);
    let later = early.copy();
    let log = later.open();
    log.record(deed("gateway.stop"));
    log.close();
    fs::copy(early.place().mark, later.place().mark).unwrap();
    assert_eq!(later.copy().refused(), None, "by itself it is a checkpoint whose mark was not written any more");
    append(&later.path().join(SHARD).join("entries"), "{\"seq\":4}");
    assert_eq!(later.refused().unwrap().0, Code::AuditDamaged);
}

#[test]
fn damaged_hashes_accuse_no_line() {
    let folder = Folder::written(600);
    let path = folder.path().join(SHARD).join("hashes.0");
    let whole = fs::read(&path).unwrap();
    let mut hashes = whole.clone();
    hashes[640..704].fill(0);
    fs::write(&path, &hashes).unwrap();
    let findings = folder.verify().findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    let what = &findings[0].what;
    assert!(findings[0].line == Some(20) && what.contains("the line is what was signed"), "{what}");
    assert!(what.contains("2 such lines") && what.contains("made anew"), "{what}");
    folder.open().close();
    assert_eq!((fs::read(&path).unwrap(), folder.verify().findings), (whole, vec![]));
    let above = folder.path().join(SHARD).join("hashes.1");
    fs::write(&above, [0; 64]).unwrap();
    assert!(folder.verify().findings[0].what.contains("hashes of level 1"), "{:?}", folder.verify().findings);
    fs::remove_file(&path).unwrap();
    assert!(
        folder.verify().findings[0].what.contains("the lines are what was signed"),
        "{:?}",
        folder.verify().findings
    );
}
