//! Months that are not kept any longer, and what is left of them.

use std::fs;
use std::sync::atomic::Ordering;

use moongate_audit::{Beginning, Files, Log, Place, beginning, follows, verify};

use moongate_core::Code;

use crate::support::{Folder, Hand, NOVEMBER, leaves, request};

pub(crate) const MONTH: u64 = 31 * 86_400_000;

/// A log that ran for so many months.
pub(crate) fn months(folder: &Folder, place: &Place, count: u64) {
    let clock = Hand::at(NOVEMBER);
    let log = Log::open(place, clock.clone()).unwrap();
    for month in 0..count {
        clock.wall.store(NOVEMBER + month * MONTH, Ordering::Relaxed);
        log.record(request(&format!("month-{month}")));
        // A line of the next month must not come into the same batch.
        while shards(folder).last().is_none_or(|files| !text(files).contains(&format!("month-{month}"))) {
            std::thread::yield_now();
        }
    }
    log.close();
}

fn shards(folder: &Folder) -> Vec<Files> {
    let shards = Files::shards(&folder.place().folder).unwrap_or_default();
    shards.into_iter().map(|(_, files)| files).collect()
}

fn text(files: &Files) -> String {
    String::from_utf8_lossy(&fs::read(files.folder().join("entries")).unwrap_or_default()).into_owned()
}

fn names(folder: &Folder) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder.place().folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock")
        .collect();
    names.sort();
    names
}

#[test]
fn a_month_that_is_too_old_leaves_its_last_checkpoint_and_the_rest_still_follows() {
    let folder = Folder::new();
    months(&folder, &folder.place(), 4);
    assert_eq!(names(&folder), ["2026-11", "2026-12", "2027-01", "2027-02"]);
    let lost = [shards(&folder)[0].note().unwrap(), shards(&folder)[1].note().unwrap()];
    assert_eq!(beginning(&shards(&folder)).unwrap(), Beginning::First);
    // The same log, opened by a gateway that keeps one month.
    let clock = Hand::at(NOVEMBER + 3 * MONTH);
    Log::open(&Place { keep_months: Some(1), ..folder.place() }, clock).unwrap().close();
    assert_eq!(names(&folder), ["2027-01", "2027-02"]);
    let left = shards(&folder);
    let said: Vec<_> = leaves(&left[1]).into_iter().filter(|leaf| leaf["operation"] == "log.removed").collect();
    assert_eq!(said.len(), 2);
    for (line, checkpoint) in said.iter().zip(lost) {
        assert_eq!(line["checkpoint"].as_str().unwrap().as_bytes(), checkpoint);
    }
    assert_eq!(said[0]["target"], "home.example/audit/2026-11");
    assert_eq!(beginning(&left).unwrap(), Beginning::Removed("home.example/audit/2026-12".into()));
    assert_eq!(follows(&left[1], &left[0]).unwrap(), None);
    for files in &left {
        let report = verify(files, &files.vkey().unwrap(), &[], Some(&folder.place().mark)).unwrap();
        assert_eq!(report.findings, [], "{}", report.origin);
    }
}

#[test]
fn a_month_that_somebody_took_away_is_missed() {
    let folder = Folder::new();
    months(&folder, &folder.place(), 3);
    fs::remove_dir_all(folder.place().folder.join("2026-11")).unwrap();
    assert_eq!(beginning(&shards(&folder)).unwrap(), Beginning::Gone("home.example/audit/2026-11".into()));
}

#[test]
fn a_month_goes_with_the_turn_of_another_and_a_removal_that_was_cut_off_is_finished() {
    let folder = Folder::new();
    let place = Place { keep_months: Some(1), ..folder.place() };
    fs::create_dir_all(place.folder.join("2026-05.removed")).unwrap();
    fs::create_dir_all(place.folder.join("notes.removed")).unwrap();
    months(&folder, &place, 3);
    assert_eq!(names(&folder), ["2026-12", "2027-01", "notes.removed"], "what is nobody's month stays");
    assert_eq!(beginning(&shards(&folder)).unwrap(), Beginning::Removed("home.example/audit/2026-11".into()));
}

#[test]
fn a_month_without_a_checkpoint_of_its_own_is_kept() {
    let folder = Folder::new();
    months(&folder, &folder.place(), 3);
    let (clock, place) = (Hand::at(NOVEMBER + 2 * MONTH), Place { keep_months: Some(2), ..folder.place() });
    // Somebody changes it while the gateway runs, and then a month is over.
    let log = Log::open(&place, clock.clone()).unwrap();
    fs::write(folder.place().folder.join("2026-11/checkpoint"), "home.example/audit/2026-11\n1\nAAAA\n\n").unwrap();
    clock.wall.store(NOVEMBER + 3 * MONTH, Ordering::Relaxed);
    log.record(request("month-3"));
    log.close();
    assert_eq!(names(&folder), ["2026-11", "2026-12", "2027-01", "2027-02"]);
    assert!(!text(&shards(&folder)[3]).contains("log.removed"));
    assert_eq!(folder.refused().unwrap().0, Code::AuditDamaged);
}
