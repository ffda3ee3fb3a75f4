//! What is there again after the program has ended in good order.

use std::fs;

use moongate_core::seam::records::{Record, change, look};
use moongate_core::seam::tasks::{Created, NewTask};
use moongate_core::task::{Command, Deadlines};
use moongate_core::{Task, Time};

use crate::folder::Folder;
use crate::row;
use crate::sample::{advance, claim, config, get, ids, key, new, running, waiting};

#[tokio::test]
async fn rows_are_there_after_a_restart() {
    let folder = Folder::new();
    for round in 0..3 {
        let store = folder.open().unwrap();
        let expected: Vec<_> = (0..round).map(|id| row(&format!("agent-{id}"), id)).collect();
        assert_eq!(store.registry().rows().await, Ok(expected));
        store.registry().upsert(row(&format!("agent-{round}"), round)).await.unwrap();
    }
}

#[tokio::test]
async fn small_rows_are_there_after_a_restart() {
    let folder = Folder::new();
    let record = Record { key: "ann".into(), group: Some("g".into()), value: vec![0, 1], expires_at: Some(Time(7)) };
    let kept = record.clone();
    let store = folder.open().unwrap();
    change(store.records(), move |page| page.put("user", &kept)).await.unwrap();
    drop(store);
    let found = look(folder.open().unwrap().records(), |page| page.after("user", "", 9)).await;
    assert_eq!(found, Ok(vec![record]));
}

#[tokio::test]
async fn closing_writes_what_nobody_waited_for_and_leaves_one_whole_file() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    for id in 0..500 {
        drop(store.registry().upsert(row(&format!("agent-{id:03}"), id)));
    }
    drop(store);
    let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["m.db", "m.db.lock"], "no log is left behind");
    let rows = folder.open().unwrap().registry().rows().await.unwrap();
    assert_eq!(rows.len(), 500);
}

#[cfg(unix)]
#[tokio::test]
async fn only_this_account_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let store = folder.open().unwrap();
    store.registry().upsert(row("lights", 1)).await.unwrap();
    for name in ["m.db", "m.db-wal", "m.db-shm"] {
        assert_eq!(fs::metadata(folder.file(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[tokio::test]
async fn the_file_has_a_log_strict_tables_and_the_name_of_its_writer() {
    let folder = Folder::new();
    drop(folder.open().unwrap());
    let connection = rusqlite::Connection::open(folder.file("m.db")).unwrap();
    let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(text("PRAGMA journal_mode"), "wal");
    let lax =
        "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite_%' AND strict = 0";
    assert_eq!(connection.query_row(lax, [], |row| row.get::<_, i64>(0)), Ok(0));
    assert_eq!(text("SELECT value FROM meta WHERE key = 'written_by'"), env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn tasks_are_there_after_a_restart_with_all_that_belongs_to_them() {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let keyed =
        |id: &str| NewTask { idempotency: key("k", 1, 5000), configs: vec![config("c", 0)], ..new(waiting(id)) };
    store.tasks().create(keyed("a")).await.unwrap();
    store.tasks().create(new(running("b"))).await.unwrap();
    store.tasks().create(new(Task { deadlines: closes(3000), ..waiting("c") })).await.unwrap();
    advance(store.tasks(), "b", Command::Artifact, 2000).await.unwrap();
    let claimed = store.tasks().claim(claim("lights", 1000, 4000, 1)).await.unwrap();
    store.tasks().deliveries(Time(1000), Time(2000), 9).await.unwrap();
    let mut before = Vec::new();
    for id in ["a", "b", "c"] {
        before.push(get(store.tasks(), id).await);
    }
    drop(store);
    let store = folder.open().unwrap();
    let tasks = store.tasks();
    for stored in before {
        assert_eq!(get(tasks, stored.task.id.as_str()).await, stored);
    }
    assert_eq!(tasks.create(keyed("d")).await, Ok(Created::Repeated("a".into())));
    assert_eq!(tasks.abandoned(Time(3999), 9).await, Ok(vec![]));
    assert_eq!(ids(&tasks.abandoned(Time(4000), 9).await.unwrap()), ids(&claimed));
    assert_eq!(ids(&tasks.due(Time(3000), 9).await.unwrap()), ["c"]);
    assert_eq!(ids(&tasks.running(None, 9).await.unwrap()), ["b"]);
    assert_eq!(tasks.next_delivery().await, Ok(Some(Time(2000))), "the one that was on its way goes again");
    assert_eq!(tasks.deliveries(Time(2000), Time(3000), 9).await.unwrap().len(), 1);
    assert_eq!(ids(&tasks.claim(claim("lights", 1000, 4000, 9)).await.unwrap()), ["c"]);
    assert_eq!(store.inspect().await, Ok(vec![]));
}

fn closes(at: u64) -> Deadlines {
    Deadlines { close_by: Some(Time(at)), ..Deadlines::default() }
}

#[tokio::test]
async fn a_file_of_the_first_schema_keeps_its_rows_and_takes_tasks() {
    let folder = Folder::new();
    let connection = rusqlite::Connection::open(folder.file("m.db")).unwrap();
    let first = "
        PRAGMA auto_vacuum = INCREMENTAL; PRAGMA application_id = 0x4d4f4f4e;
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE registry (
            id TEXT PRIMARY KEY, owner TEXT NOT NULL, document BLOB NOT NULL,
            beat_at INTEGER, updated_at INTEGER NOT NULL) STRICT;
        INSERT INTO meta VALUES ('written_by', '0.0.1');
        INSERT INTO registry VALUES ('lights', 'owner-1', CAST('{\"version\":1}' AS BLOB), 1, 1000001);
        PRAGMA user_version = 1";
    connection.execute_batch(first).unwrap();
    drop(connection);
    for created in [Created::New, Created::Taken] {
        let store = folder.open().unwrap();
        assert_eq!(store.registry().rows().await, Ok(vec![row("lights", 1)]));
        assert_eq!(store.tasks().create(new(running("t"))).await, Ok(created));
        assert_eq!(store.inspect().await, Ok(vec![]));
    }
    let connection = rusqlite::Connection::open(folder.file("m.db")).unwrap();
    let version = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    assert_eq!(version, Ok(3));
}
