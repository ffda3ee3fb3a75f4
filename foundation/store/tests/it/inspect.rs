//! What a look over the store finds: nothing in a sound one, each fault by name in others.

use moongate_core::seam::tasks::NewTask;
use moongate_core::task::Command;
use rusqlite::Connection;

use crate::folder::Folder;
use crate::sample::{advance, config, new, running, waiting};

/// Two tasks with logs and configs, closed in good order.
async fn sound() -> Folder {
    let folder = Folder::new();
    let store = folder.open().unwrap();
    let mut late = waiting("late");
    late.deadlines.close_by = Some(moongate_core::Time(9000));
    for task in [running("t"), late] {
        store.tasks().create(NewTask { configs: vec![config("c", 0)], ..new(task) }).await.unwrap();
    }
    for now in [2000, 3000, 4000] {
        advance(store.tasks(), "t", Command::Artifact, now).await.unwrap();
    }
    assert_eq!(store.inspect().await, Ok(vec![]));
    drop(store);
    folder
}

/// What is found after this was done to the file.
async fn found(sql: &str) -> Vec<String> {
    let folder = sound().await;
    let connection = Connection::open(folder.file("m.db")).unwrap();
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).unwrap();
    drop(connection);
    folder.open().unwrap().inspect().await.unwrap()
}

#[tokio::test]
async fn each_fault_is_found_and_named() {
    for (sql, expected) in [
        (
            "DELETE FROM task_event WHERE seq = 4",
            "task t: its newest event is 4, but its log has 3 of them, from 1 to 3",
        ),
        (
            "DELETE FROM task_event WHERE seq = 2",
            "task t: its newest event is 4, but its log has 3 of them, from 1 to 4",
        ),
        ("DELETE FROM task_event", "task late: its newest event is 1, but its log has 0 of them, from 0 to 0"),
        (
            "UPDATE task SET document_seq = 5 WHERE id = 't'",
            "task t: its document is as of event 5, its newest event is 4",
        ),
        (
            "UPDATE task SET document_seq = 0 WHERE id = 't'",
            "task t: its document is as of event 0, its newest event is 4",
        ),
        (
            "DELETE FROM task_body WHERE task = (SELECT pk FROM task WHERE id = 't')",
            "task t: its document is as of event 1, its newest event is 4, and the document is lost",
        ),
        ("UPDATE task SET state = 3 WHERE id = 't'", "task t: its state is 3, which does not go with phase 2"),
        ("UPDATE task SET phase = 5 WHERE id = 't'", "task t: its state is 2, which does not go with phase 5"),
        (
            "UPDATE task SET deadline = NULL WHERE id = 'late'",
            "task late: its next deadline is not the first of its deadlines",
        ),
        ("UPDATE push_config SET owed = 0", "task t: push config c has got event 0 of 4 and is owed nothing"),
        ("UPDATE push_config SET delivered = 4", "task t: push config c has got event 4 of 4 and is owed something"),
        ("UPDATE task SET configs = 2", "task t: has 1 push configs, its row says 2"),
        ("DELETE FROM push_config", "task t: has 0 push configs, its row says 1"),
        ("UPDATE tally SET done = 1", "the numbers of tasks, events and push configs do not agree with the rows"),
        ("DELETE FROM task WHERE id = 't'", "table task_event, row ?: belongs to a row of task that does not exist"),
    ] {
        let lines = found(sql).await;
        assert!(lines.iter().any(|line| line == expected), "{sql}: {lines:?}");
    }
}

#[tokio::test]
async fn many_faults_of_one_kind_are_counted() {
    let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 30)
        INSERT INTO task_event SELECT 1000 + n, 1, 0, 0, x'' FROM n";
    let lines = found(sql).await;
    assert_eq!(lines.len(), 21, "{lines:?}");
    assert_eq!(lines[20], "… and 10 more of this kind");
}

#[tokio::test]
async fn a_damaged_file_is_described_and_not_touched() {
    let folder = sound().await;
    // The page of an index: the rows can still be read.
    let connection = Connection::open(folder.file("m.db")).unwrap();
    let page: i64 = connection
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'task_list'", [], |row| row.get(0))
        .unwrap();
    drop(connection);
    let store = folder.open().unwrap();
    let mut file = folder.read("m.db");
    let place = (page as usize - 1) * 4096;
    file[place + 8..place + 4096].fill(0);
    std::fs::write(folder.file("m.db"), file).unwrap();
    let lines = store.inspect().await.unwrap();
    assert!(lines.iter().any(|line| line.starts_with("the file: ")), "{lines:?}");
}
