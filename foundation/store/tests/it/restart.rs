//! What is there again after the program has ended in good order.

use std::fs;

use crate::folder::Folder;
use crate::row;

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
