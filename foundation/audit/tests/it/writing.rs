//! What is written, in which order, and what is there after a restart.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use moongate_audit::{Files, Hash, Log, Tile, Wanted, check_growth, check_inclusion, export, follows, verify};
use moongate_core::entry::Line;
use moongate_core::{Code, Entry, Time};

use crate::support::{Folder, Hand, NOVEMBER, deed, entry, leaves, outcome, request, wait};

#[test]
fn lines_stand_in_the_order_in_which_they_came_behind_the_one_that_opens_the_log() {
    let folder = Folder::new();
    let log = folder.open();
    log.record(request("first"));
    log.record(deed("config.reload"));
    log.close();
    let leaves = leaves(&folder.shard());
    assert_eq!(leaves.len(), 3);
    assert_eq!(leaves[0]["operation"], "log.begin");
    assert_eq!((&leaves[1]["request"], &leaves[1]["seq"]), (&"first".into(), &1.into()));
    assert_eq!(leaves[2]["operation"], "config.reload");
    let report = folder.verify();
    assert_eq!((report.findings, report.size, report.unsigned), (vec![], 3, 0));
}

#[test]
fn an_intent_is_on_the_disk_when_it_is_answered_and_its_outcome_names_it() {
    let folder = Folder::new();
    let log = folder.open();
    let intent = wait(log.intend(request("unlock"))).unwrap();
    let flushed = fs::read(folder.path().join("audit/2026-11/entries")).unwrap();
    assert!(String::from_utf8_lossy(&flushed).contains(r#""phase":"intent","request":"unlock""#));
    log.record(outcome("unlock", intent));
    log.close();
    let leaves = leaves(&folder.shard());
    assert_eq!((&leaves[1]["phase"], &leaves[1]["seq"]), (&"intent".into(), &1.into()));
    assert_eq!((&leaves[2]["phase"], &leaves[2]["intent"]), (&"outcome".into(), &1.into()));
    drop(folder.open());
    assert_eq!(folder.verify().size, 3, "nothing is open");
}

#[test]
fn an_intent_without_an_outcome_is_unknown_after_a_restart() {
    let folder = Folder::new();
    let log = folder.open();
    wait(log.intend(request("unlock"))).unwrap();
    log.close();
    drop(folder.open());
    drop(folder.open());
    let leaves = leaves(&folder.shard());
    assert_eq!(leaves.len(), 3, "it is said once: {leaves:?}");
    assert_eq!((&leaves[2]["result"], &leaves[2]["intent"]), (&"unknown".into(), &1.into()));
}

#[test]
fn an_intent_that_nobody_waits_for_any_more_is_abandoned() {
    let folder = Folder::new();
    let log = folder.open();
    wait(async {
        // It is handed over with the first poll, and nobody hears the answer.
        let mut intent = log.intend(request("unlock"));
        let _ = std::future::poll_fn(|context| std::task::Poll::Ready(intent.as_mut().poll(context))).await;
    });
    log.close();
    let leaves = leaves(&folder.shard());
    assert_eq!((&leaves[2]["result"], &leaves[2]["intent"]), (&"abandoned".into(), &1.into()));
}

#[test]
fn a_log_goes_on_where_it_ended() {
    let folder = Folder::written(600);
    let before = folder.shard().signed(&folder.key()).unwrap();
    let log = folder.open();
    (0..100).for_each(|n| log.record(request(&format!("again-{n}"))));
    log.close();
    let (path, after) = folder.shard().growth(before.checkpoint.size, &folder.key()).unwrap();
    let (old, new) = (before.checkpoint, after.checkpoint);
    assert_eq!((old.size, new.size), (600, 700));
    assert!(check_growth(old.size, old.root, new.size, new.root, &path));
    assert_eq!(folder.verify().findings, []);
}

#[test]
fn a_torn_end_that_was_never_flushed_is_cut_off_and_nothing_else() {
    let killed = Folder::killed(20);
    let whole = fs::read(killed.path().join("audit/2026-11/entries")).unwrap();
    for torn in [&b"\x01"[..], b"\x01\xff{\"half\":", b"\x00\x00\x00\x00", b"\x00\x04nope"] {
        let folder = killed.copy();
        let entries = folder.path().join("audit/2026-11/entries");
        fs::OpenOptions::new().append(true).open(&entries).unwrap().write_all(torn).unwrap();
        drop(folder.open());
        assert_eq!(fs::read(&entries).unwrap(), whole, "{torn:?}");
    }
    // A whole line that was written and not flushed for certain is one.
    let folder = killed.copy();
    let entries = folder.path().join("audit/2026-11/entries");
    fs::OpenOptions::new().append(true).open(&entries).unwrap().write_all(b"\x00\x0a{\"seq\":20}").unwrap();
    drop(folder.open());
    assert_eq!(folder.verify().size, 21);
}

#[test]
fn derived_files_are_made_anew() {
    let folder = Folder::written(700);
    let shard = folder.path().join("audit/2026-11");
    let kept: Vec<_> = ["hashes.0", "hashes.1", "offsets"].map(|name| fs::read(shard.join(name)).unwrap()).into();
    fs::remove_file(shard.join("hashes.0")).unwrap();
    fs::write(shard.join("hashes.1"), b"short").unwrap();
    fs::remove_file(shard.join("offsets")).unwrap();
    drop(folder.open());
    let made: Vec<_> = ["hashes.0", "hashes.1", "offsets"].map(|name| fs::read(shard.join(name)).unwrap()).into();
    assert_eq!(kept, made);
    assert_eq!(folder.verify().findings, []);
}

#[test]
fn a_second_writer_is_kept_away() {
    let folder = Folder::new();
    let _log = folder.open();
    let second = Log::open(&folder.place(), Hand::at(NOVEMBER)).err().unwrap();
    assert_eq!(second.code, Code::AuditLocked);
}

#[test]
fn lines_and_tiles_are_proven_while_the_log_is_written() {
    let folder = Folder::new();
    let log = folder.open();
    for n in 0..600 {
        wait(log.intend(request(&format!("request-{n}")))).unwrap();
        if n % 97 == 0 {
            let proven = folder.shard().prove(n, &folder.key());
            // As much as is signed; the rest is not there yet.
            if let Ok(proven) = proven {
                let (leaf, at) = (Hash::leaf(&proven.line), proven.signed.checkpoint);
                assert!(check_inclusion(leaf, n, at.size, &proven.path, at.root));
            }
        }
    }
    log.close();
    let proven = folder.shard().prove(300, &folder.key()).unwrap();
    let at = &proven.signed.checkpoint;
    assert!(check_inclusion(Hash::leaf(&proven.line), 300, at.size, &proven.path, at.root));
    assert_eq!(folder.shard().prove(601, &folder.key()).err().unwrap().code, Code::NoSuchEntryLogged);
    for (name, there) in [
        ("0/001", true),
        ("0/002.p/89", true),
        ("0/002.p/90", false),
        ("1/000.p/2", true),
        ("1/000.p/3", false),
        ("entries/002.p/1", true),
        ("9/000", false),
    ] {
        assert_eq!(folder.shard().tile(Tile::parse(name).unwrap(), 601).is_ok(), there, "{name}");
    }
}

#[test]
fn nobody_is_shown_what_no_checkpoint_covers() {
    let folder = Folder::written(300);
    for (name, there) in
        [("0/000.p/10", true), ("0/000.p/11", false), ("entries/000.p/11", false), ("1/000.p/1", false)]
    {
        assert_eq!(folder.shard().tile(Tile::parse(name).unwrap(), 10).is_ok(), there, "{name}");
    }
    assert_eq!(folder.shard().line(10, 10).err().unwrap().code, Code::NoSuchEntryLogged);
}

#[test]
fn an_export_has_the_tiles_of_its_checkpoint_and_is_verified_like_the_log_itself() {
    let folder = Folder::written(600);
    let to = folder.path().join("export");
    let exported = export(&folder.shard(), &folder.key(), &to).unwrap();
    assert_eq!((exported.signed.checkpoint.size, exported.tiles), (600, 7));
    assert_eq!(fs::metadata(to.join("tile/0/001")).unwrap().len(), 8192);
    assert_eq!(fs::metadata(to.join("tile/0/002.p/88")).unwrap().len(), 88 * 32);
    let files = Files::at(&to);
    let report = verify(&files, &folder.key(), &[], None).unwrap();
    assert_eq!((report.findings, report.size), (vec![], 600));
    assert_eq!(files.prove(599, &folder.key()).unwrap().line, folder.shard().line(599, 600).unwrap());
    assert_eq!(export(&folder.shard(), &folder.key(), &to).err().unwrap().code, Code::CommandFailed);
}

#[test]
fn a_new_month_begins_with_how_the_one_before_ended_and_takes_over_what_is_open() {
    let folder = Folder::new();
    let clock = Hand::at(NOVEMBER);
    let log = Log::open(&folder.place(), clock.clone()).unwrap();
    let intent = wait(log.intend(request("unlock"))).unwrap();
    clock.wall.fetch_add(5 * 86_400_000, std::sync::atomic::Ordering::Relaxed);
    log.record(outcome("unlock", intent));
    log.close();
    let shards = Files::shards(&folder.place().folder).unwrap();
    let names: Vec<&str> = shards.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["2026-11", "2026-12"]);
    let december = leaves(&shards[1].1);
    assert_eq!(december[0]["previous"].as_str().unwrap().as_bytes(), shards[0].1.note().unwrap());
    assert_eq!(
        (&december[1]["operation"], &december[1]["detail"]),
        (&"log.carry".into(), &"line 1 of home.example/audit/2026-11".into())
    );
    assert_eq!(december[2]["intent"], 1);
    assert_eq!(follows(&shards[1].1, &shards[0].1).unwrap(), None);
    assert!(follows(&shards[0].1, &shards[1].1).unwrap().is_some());
    // A clock that goes back begins no month again.
    let log = Log::open(&folder.place(), Hand::at(NOVEMBER)).unwrap();
    log.record(request("later"));
    log.close();
    assert_eq!(leaves(&shards[1].1)[3]["request"], "later");
}

#[test]
fn lines_are_found_by_what_they_say() {
    let folder = Folder::new();
    let log = folder.open();
    (0..300).for_each(|n| log.record(request(&format!("request-{n}"))));
    log.record(deed("config.reload"));
    log.close();
    let find = |members: &[(&'static str, &str)], limit| {
        let members = members.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let wanted = Wanted { members, limit, ..Wanted::default() };
        folder.shard().search(&wanted, &folder.key()).unwrap().iter().map(|found| found.index).collect::<Vec<_>>()
    };
    assert_eq!(find(&[("request", "request-7")], 10), [8]);
    assert_eq!(find(&[("target", "lights"), ("result", "done")], 3), [298, 299, 300]);
    assert_eq!(find(&[("source", "operator")], 10), [301]);
    assert_eq!(find(&[("source", "nobody")], 10), [0; 0]);
    let since = |since: &str| {
        let wanted = Wanted { since: Some(since.into()), limit: 1000, ..Wanted::default() };
        folder.shard().search(&wanted, &folder.key()).unwrap().len()
    };
    assert_eq!((since("2026-11"), since("2026-11-28")), (302, 0));
}

#[test]
fn callers_wait_while_the_queue_is_full_and_nothing_is_lost() {
    let folder = Folder::new();
    let log = Arc::new(Log::open_with(&folder.place(), Hand::at(NOVEMBER), 8).unwrap());
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let log = log.clone();
            std::thread::spawn(move || {
                wait(async {
                    for n in 0..500 {
                        if let Some(room) = log.room() {
                            room.await.unwrap();
                        }
                        log.record(request(&format!("{writer}-{n}")));
                    }
                });
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    log.close();
    let mut seen: Vec<String> =
        leaves(&folder.shard()).iter().skip(1).map(|leaf| leaf["request"].as_str().unwrap().to_owned()).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 2000);
}

#[test]
fn what_speaks_of_a_task_is_found_without_the_lines_before_it() {
    let (folder, hour) = (Folder::new(), 3_600_000);
    let log = folder.open();
    let line = |n: u64, task: &str| {
        let at = Time(NOVEMBER + n * hour / 100);
        Line::Request(Entry { at, task: Some(task.into()), ..entry(&format!("request-{n}")) }, None)
    };
    for n in 1..2000 {
        log.record(line(n, if [5, 1200, 1900].contains(&n) { "a task \"of\" theirs" } else { "another" }));
    }
    log.close();
    let look = |since: u64, lines, bytes| {
        let since = Time(NOVEMBER + since * hour / 100);
        let found = folder.shard().of_task("a task \"of\" theirs", since, &folder.key(), (lines, bytes)).unwrap();
        (found.found.iter().map(|one| one.index).collect::<Vec<_>>(), found.whole)
    };
    assert_eq!(look(0, 10, 1 << 30), (vec![5, 1200, 1900], true));
    assert_eq!(look(1200, 10, 1 << 30), (vec![1200, 1900], true));
    // An hour of requests that took their time is looked at before it, and no more.
    assert_eq!(look(1290, 10, 1 << 30), (vec![1200, 1900], true));
    assert_eq!(look(1900, 10, 1 << 30), (vec![1900], true));
    assert_eq!(look(0, 2, 1 << 30), (vec![5, 1200], false));
    assert_eq!(look(0, 10, 200_000), (vec![5], false), "more was not read");
    let wanted = Wanted { task: Some("a task \"of\" theirs".into()), limit: 10, ..Wanted::default() };
    assert_eq!(folder.shard().search(&wanted, &folder.key()).unwrap().len(), 3);
}
