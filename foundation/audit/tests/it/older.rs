//! Months before the running one, at a start.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use moongate_audit::{Files, Key, Log, Place, verify};
use moongate_core::Code;

use crate::retention::{MONTH, months};
use crate::support::{Folder, Hand, NOVEMBER, append, edit, leaves, request, wait};

/// What somebody does to the files, under a name, and what a start says of it.
type Change<'c> = (&'c str, &'c dyn Fn(&Path), &'c str);

const NAMES: [&str; 3] = ["2026-11", "2026-12", "2027-01"];

fn january(folder: &Folder) -> Result<(), (Code, String)> {
    let opened = Log::open(&folder.place(), Hand::at(NOVEMBER + 2 * MONTH));
    opened.map(|log| log.close()).map_err(|problem| (problem.code, problem.detail.into_owned()))
}

/// A log of three months after a change, and what a start says; it touches nothing.
fn after(change: impl Fn(&Path)) -> (Folder, Code, String) {
    let folder = Folder::new();
    months(&folder, &folder.place(), 3);
    change(&folder.place().folder);
    let before = folder.files();
    let (code, detail) = january(&folder).unwrap_err();
    assert_eq!(folder.files(), before, "a refusal touches nothing");
    (folder, code, detail)
}

fn found(folder: &Folder) -> bool {
    let key = Key::load(&folder.place().key).unwrap().unwrap();
    let lines = |name: &&str| {
        let files = Files::at(folder.place().folder.join(name));
        let key = key.verifying(&format!("home.example/audit/{name}"));
        !verify(&files, &key, &[], Some(&folder.place().mark)).is_ok_and(|report| report.findings.is_empty())
    };
    let follows = |pair: &[&str]| {
        let [before, files] = [0, 1].map(|at| Files::at(folder.place().folder.join(pair[at])));
        !moongate_audit::follows(&files, &before).is_ok_and(|finding| finding.is_none())
    };
    !folder.whole().is_empty() || NAMES.iter().any(lines) || NAMES.windows(2).any(follows)
}

#[test]
fn months_that_are_whole_pass() {
    let folder = Folder::new();
    months(&folder, &folder.place(), 3);
    assert_eq!(january(&folder), Ok(()));
    assert!(!found(&folder));
}

#[test]
fn an_older_month_that_was_replaced_cut_or_taken_away_is_found_at_the_start() {
    let stranger = |folder: &Path| {
        let other = Folder::written(2);
        fs::remove_dir_all(folder.join("2026-11")).unwrap();
        fs::rename(other.path().join("audit/2026-11"), folder.join("2026-11")).unwrap();
    };
    let changes: [Change<'_>; 8] = [
        ("another key's month", &stranger, "is not signed by this gateway's key"),
        ("no checkpoint", &|log| fs::remove_file(log.join("2026-12/checkpoint")).unwrap(), "has no checkpoint"),
        ("a line more", &|log| append(&log.join("2026-12/entries"), "{\"seq\":2}"), "2026-12 has 3 lines"),
        (
            "half a line more",
            &|log| {
                let path = log.join("2026-12/entries");
                fs::write(&path, [fs::read(&path).unwrap(), vec![7]].concat()).unwrap();
            },
            "something that is no line",
        ),
        ("no lines", &|log| fs::write(log.join("2026-11/entries"), "").unwrap(), "2026-11 has 0 lines"),
        ("another last line", &|log| edit(&log.join("2026-11/entries"), "month-0", "month-X"), "with the root"),
        (
            "a month taken out",
            &|log| fs::remove_dir_all(log.join("2026-12")).unwrap(),
            "2027-01 follows home.example/audit/2026-12",
        ),
        (
            "the first month",
            &|log| fs::remove_dir_all(log.join("2026-11")).unwrap(),
            "no line says that the gateway removed it",
        ),
    ];
    for (what, change, says) in changes {
        let (folder, _, detail) = after(change);
        assert!(detail.contains(says), "{what}: {detail}");
        assert!(found(&folder), "{what}");
    }
}

#[test]
fn an_older_month_of_the_same_key_with_another_end_is_found_at_the_start() {
    let folder = Folder::new();
    months(&folder, &folder.place(), 1);
    let fork = folder.copy();
    months(&fork, &fork.place(), 3);
    let log = folder.open();
    log.record(request("month-0"));
    log.close();
    fs::remove_dir_all(fork.place().folder.join("2026-11")).unwrap();
    fs::rename(folder.place().folder.join("2026-11"), fork.place().folder.join("2026-11")).unwrap();
    let (code, detail) = january(&fork).unwrap_err();
    assert_eq!(code, Code::AuditDamaged);
    assert!(
        detail.contains("2026-12 does not begin with the checkpoint by which home.example/audit/2026-11 ended"),
        "{detail}"
    );
}

#[test]
fn a_mark_of_a_month_that_is_over_is_that_of_its_end() {
    let folder = Folder::new();
    folder.open().close();
    let early = fs::read(folder.place().mark).unwrap();
    months(&folder, &folder.place(), 3);
    fs::write(folder.place().mark, early).unwrap();
    let (code, detail) = january(&folder).unwrap_err();
    assert_eq!(code, Code::AuditDamaged);
    assert!(detail.contains("2026-11 did not end with what was signed last"), "{detail}");
}

#[test]
fn a_line_in_the_middle_of_an_older_month_is_seen_by_verify_alone() {
    let folder = Folder::new();
    let log = folder.open();
    (1..700).for_each(|n| log.record(request(&format!("request-{n}"))));
    log.close();
    months(&folder, &folder.place(), 2);
    edit(&folder.place().folder.join("2026-11/entries"), "request-300", "request-XXX");
    let opened = Log::open(&folder.place(), Hand::at(NOVEMBER + MONTH));
    opened.unwrap().close();
    assert_eq!(folder.whole(), [""; 0]);
    assert!(folder.verify().findings.iter().any(|finding| finding.line == Some(300)));
}

#[test]
fn a_month_whose_removal_a_line_of_a_later_month_holds_is_not_missed() {
    let folder = Folder::new();
    months(&folder, &Place { keep_months: Some(1), ..folder.place() }, 3);
    assert!(!folder.place().folder.join("2026-11").exists());
    // Another month begins, and none is removed any more.
    let clock = Hand::at(NOVEMBER + 3 * MONTH);
    let log = Log::open(&folder.place(), clock.clone()).unwrap();
    log.record(request("month-3"));
    log.close();
    Log::open(&folder.place(), clock.clone()).unwrap().close();
    assert!(folder.whole().is_empty());
    // The line speaks of November; that December is gone it does not say.
    fs::remove_dir_all(folder.place().folder.join("2026-12")).unwrap();
    let refused = Log::open(&folder.place(), clock).err().unwrap();
    assert_eq!(refused.code, Code::AuditShortened);
    assert!(folder.whole()[0].contains("2026-12 is not there"), "{:?}", folder.whole());
}

#[test]
fn hashes_of_an_older_month_are_made_anew_where_they_do_not_fit() {
    let folder = Folder::new();
    months(&folder, &folder.place(), 3);
    let path = folder.place().folder.join("2026-11");
    let kept = ["hashes.0", "offsets"].map(|name| fs::read(path.join(name)).unwrap());
    for damage in [|path: &Path| fs::remove_file(path).unwrap(), |path: &Path| fs::write(path, [0; 64]).unwrap()] {
        damage(&path.join("hashes.0"));
        damage(&path.join("offsets"));
        assert_eq!(january(&folder), Ok(()));
        assert_eq!(["hashes.0", "offsets"].map(|name| fs::read(path.join(name)).unwrap()), kept);
    }
}

/// Two months of one log: as the gateway was killed in the first one with an open intent, and as it went on.
fn turned() -> (Folder, Folder) {
    let running = Folder::new();
    let clock = Hand::at(NOVEMBER);
    let log = Log::open(&running.place(), clock.clone()).unwrap();
    wait(log.intend(request("unlock"))).unwrap();
    while log.current().1 < 2 {
        std::thread::yield_now();
    }
    let before = running.copy();
    clock.wall.store(NOVEMBER + MONTH, Ordering::Relaxed);
    log.record(request("december"));
    log.close();
    (before, running)
}

#[test]
fn a_month_that_was_begun_and_not_signed_is_begun_again_and_no_intent_is_forgotten() {
    let (before, after) = turned();
    // Opening line and the one that is carried over, as they are written at once.
    let entries = fs::read(after.path().join("audit/2026-12/entries")).unwrap();
    let frame = |at: usize| at + 2 + usize::from(u16::from_be_bytes([entries[at], entries[at + 1]]));
    let begins = frame(frame(0));
    for length in [0, 1, frame(0), begins - 5, begins] {
        let folder = before.copy();
        fs::create_dir_all(folder.path().join("audit/2026-12")).unwrap();
        fs::write(folder.path().join("audit/2026-12/entries"), &entries[..length]).unwrap();
        let opened = Log::open(&folder.place(), Hand::at(NOVEMBER + MONTH));
        let log = opened.unwrap_or_else(|problem| panic!("{length}: {problem:?}"));
        log.record(request("again"));
        log.close();
        let (november, december) = (leaves(&folder.shard()), Files::at(folder.path().join("audit/2026-12")));
        assert_eq!((&november[2]["result"], &november[2]["intent"]), (&"unknown".into(), &1.into()), "{length}");
        assert_eq!(leaves(&december)[1]["request"], "again", "{length}");
        assert_eq!(moongate_audit::follows(&december, &folder.shard()).unwrap(), None);
        assert_eq!(folder.whole(), [""; 0]);
    }
    // It is gone before anything else happens, with all that would speak of more lines than there are.
    let folder = before.copy();
    fs::create_dir_all(folder.path().join("audit/2026-12")).unwrap();
    fs::write(folder.path().join("audit/2026-12/entries"), &entries[..begins]).unwrap();
    folder.open().close();
    assert!(!folder.path().join("audit/2026-12").exists());
    // Signed, and killed before the mark was written.
    let folder = after.copy();
    fs::copy(before.place().mark, folder.place().mark).unwrap();
    assert_eq!(january(&folder), Ok(()));
    // A mark of November that is not its end.
    let folder = after.copy();
    fs::copy(Folder::killed(1).place().mark, folder.place().mark).unwrap();
    assert!(january(&folder).unwrap_err().1.contains("not what this log's key has signed"));
    // A line that no beginning has.
    let folder = before.copy();
    fs::create_dir_all(folder.path().join("audit/2026-12")).unwrap();
    fs::write(folder.path().join("audit/2026-12/entries"), &entries).unwrap();
    assert_eq!(folder.refused().unwrap().0, Code::AuditDamaged);
    assert!(fs::read(folder.path().join("audit/2026-12/entries")).unwrap() == entries);
}
