//! Stores that cannot be opened: each refused with its own code, in words that help, and every byte left as it was.

use std::fs;
use std::path::Path;

use moongate_core::{Code, Problem};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::folder::{Folder, again_while};
use crate::{child, row};

/// A folder with a store of some rows, closed in good order.
async fn written() -> Folder {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    for id in 0..300 {
        store.registry().upsert(row(&format!("agent-{id}"), id)).await.unwrap();
    }
    drop(store);
    folder
}

/// Opens the store and expects a refusal that leaves the file alone.
fn refused(folder: &Folder, what: &str) -> Problem {
    let before = folder.read("m.db");
    let Err(problem) = folder.open() else { panic!("{what} was opened") };
    assert!(folder.read("m.db") == before, "{what} was changed");
    assert!(problem.detail.contains("m.db"), "{what}: {problem}");
    problem
}

#[tokio::test]
async fn damaged_files_are_refused_and_kept() {
    let whole = written().await.read("m.db");
    let page = 4096;
    let with = |place: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[place..place + bytes.len()].copy_from_slice(bytes);
        file
    };
    for (what, bytes) in [
        ("a text", b"this is not a database, it only has its name\n".repeat(50)),
        ("a short text", b"hello".to_vec()),
        ("the first half", whole[..whole.len() / 2 / page * page].to_vec()),
        ("a torn page", whole[..whole.len() - 100].to_vec()),
        ("a wrong magic", with(0, b"SQLite format 4\0")),
        ("a lost schema", with(100, &[0xff; 200])),
        ("a lost table", with(3 * page, &[0xa5; 4096])),
        ("a wrong page size", with(16, &[0x03, 0x00])),
        ("a schema without a number", with(60, &[0, 0, 0, 0])),
    ] {
        let folder = Folder::new();
        fs::write(folder.file("m.db"), bytes).unwrap();
        let problem = refused(&folder, what);
        assert_eq!(problem.code, Code::StoreDamaged, "{what}: {problem}");
    }
}

#[test]
fn databases_of_other_programs_are_refused_and_kept() {
    for (what, sql) in [
        ("unmarked", "CREATE TABLE customer (name TEXT)"),
        ("marked", "PRAGMA application_id = 1234; CREATE TABLE customer (name TEXT)"),
        ("marked and empty", "PRAGMA application_id = 1234"),
        ("with a log", "PRAGMA journal_mode = WAL; CREATE TABLE customer (name TEXT)"),
    ] {
        let folder = Folder::new();
        let connection = Connection::open(folder.file("m.db")).unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        let problem = refused(&folder, what);
        assert_eq!(problem.code, Code::StoreDamaged, "{what}");
        assert!(problem.detail.contains("another program"), "{what}: {problem}");
    }
}

#[tokio::test]
async fn a_newer_file_is_refused_with_the_version_that_wrote_it() {
    for left_a_log in [false, true] {
        let folder = written().await;
        let connection = Connection::open(folder.file("m.db")).unwrap();
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left_a_log).unwrap();
        let newer = "PRAGMA user_version = 99; UPDATE meta SET value = '9.8.7' WHERE key = 'written_by'";
        connection.execute_batch(newer).unwrap();
        drop(connection);
        assert_eq!(folder.file("m.db-wal").exists(), left_a_log);
        let log = fs::read(folder.file("m.db-wal")).ok();
        let problem = refused(&folder, "a newer file");
        assert_eq!(problem.code, Code::StoreNewer);
        for word in ["9.8.7", "99"] {
            assert!(problem.detail.contains(word), "{problem}");
        }
        assert!(fs::read(folder.file("m.db-wal")).ok() == log, "the log was changed");
    }
}

#[tokio::test]
async fn a_second_handle_is_refused_until_the_first_is_closed() {
    let folder = written().await;
    let first = folder.open().unwrap();
    let problem = folder.open().err().unwrap();
    assert_eq!(problem.code, Code::StoreLocked);
    assert!(problem.detail.contains(&std::process::id().to_string()), "{problem}");
    drop(first);
    assert_eq!(folder.open().unwrap().registry().rows().await.unwrap().len(), 300);
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_name_of_the_file_is_refused_too() {
    let (folder, elsewhere) = (written().await, Folder::new());
    std::os::unix::fs::symlink(folder.file("m.db"), elsewhere.file("m.db")).unwrap();
    let _first = folder.open().unwrap();
    assert_eq!(elsewhere.open().err().unwrap().code, Code::StoreLocked);
}

#[tokio::test]
async fn a_second_process_is_refused_while_the_first_one_works() {
    if let Some(folder) = child::folder() {
        return say(&folder);
    }
    let folder = written().await;
    let ask = || {
        answer(child::command(None, "refusals::a_second_process_is_refused_while_the_first_one_works", folder.path()))
    };
    let first = folder.open().unwrap();
    assert_eq!(ask(), format!("answer {}", Code::StoreLocked));
    first.registry().upsert(row("after", 1)).await.unwrap();
    drop(first);
    assert_eq!(ask(), "answer opened");
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_cannot_be_written_is_refused_by_name() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if let Some(folder) = child::folder() {
        return say(&folder);
    }
    let (folder, programs) = (written().await, Folder::new());
    fs::remove_file(folder.file("m.db.lock")).unwrap();
    let before = folder.read("m.db");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&folder.file("m.db"), 0o444);
    mode(folder.path(), 0o555);
    // Permissions do not bind root: the copy is somebody else then, and needs a program that it can reach.
    let program = programs.file("it");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    mode(programs.path(), 0o755);
    mode(&program, 0o755);
    let test = "refusals::a_folder_that_cannot_be_written_is_refused_by_name";
    let mut command = child::command(Some(&program), test, folder.path());
    command.current_dir("/");
    if fs::File::create(folder.file("root")).is_ok() {
        command.uid(65_534);
        fs::remove_file(folder.file("root")).unwrap();
    }
    let answer = answer(command);
    mode(folder.path(), 0o755);
    assert_eq!(answer, format!("answer {}", Code::StoreUnusable));
    assert!(folder.read("m.db") == before);
    assert!(!folder.file("m.db.lock").exists());
}

#[test]
fn places_where_no_file_can_be_are_refused_by_name() {
    let folder = Folder::new();
    fs::create_dir(folder.file("m.db")).unwrap();
    let a_folder = folder.open().err().unwrap();
    let no_folder = moongate_store::open("sqlite:missing/m.db", folder.path()).err().unwrap();
    for problem in [a_folder, no_folder] {
        assert_eq!(problem.code, Code::StoreUnusable);
        assert!(problem.detail.contains("m.db"), "{problem}");
    }
    assert!(!folder.file("missing").exists());
}

/// The copy's part: opens the store and says what came of it.
fn say(folder: &Path) {
    match moongate_store::open("sqlite:m.db", folder) {
        Ok(_) => println!("answer opened"),
        Err(problem) => println!("answer {}", problem.code),
    }
}

/// What the copy said.
fn answer(mut command: std::process::Command) -> String {
    let busy = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ExecutableFileBusy;
    let output = again_while(busy, || command.output()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().find(|line| line.starts_with("answer ")).unwrap_or_default().to_owned()
}
