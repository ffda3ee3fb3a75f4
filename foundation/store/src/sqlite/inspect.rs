//! Looks the whole store over: the file as SQLite judges it, then what must be true of each task.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use moongate_core::Problem;
use rusqlite::Connection;

use super::health::refused;

/// Lines that one check may fill.
const LINES: usize = 20;

/// Statements that answer with a line for each fault.
const CHECKS: [(&str, &str); 9] = [
    ("the file", "SELECT 'the file: ' || quick_check FROM pragma_quick_check WHERE quick_check <> 'ok'"),
    (
        "rows that belong to no other",
        "SELECT 'table ' || \"table\" || ', row ' || ifnull(rowid, '?') || ': belongs to a row of ' || parent
            || ' that does not exist' FROM pragma_foreign_key_check",
    ),
    (
        "logs of events",
        "SELECT 'task ' || t.id || ': its newest event is ' || t.seq || ', but its log has ' || ifnull(e.n, 0)
            || ' of them, from ' || ifnull(e.first, 0) || ' to ' || ifnull(e.last, 0)
        FROM task AS t LEFT JOIN
            (SELECT task, count(*) AS n, min(seq) AS first, max(seq) AS last FROM task_event GROUP BY task) AS e
            ON e.task = t.pk
        WHERE ifnull(e.n, 0) <> t.seq OR e.first <> 1 OR e.last <> t.seq",
    ),
    (
        "documents",
        "SELECT 'task ' || t.id || ': its document is as of event ' || t.document_seq || ', its newest event is '
            || t.seq || iif(b.task IS NULL, ', and the document is lost', '')
        FROM task AS t LEFT JOIN task_body AS b ON b.task = t.pk
        WHERE b.task IS NULL OR t.document_seq NOT BETWEEN 1 AND t.seq",
    ),
    (
        "ends",
        "SELECT 'task ' || id || ': its state is ' || state || ', which does not go with phase ' || phase
        FROM task WHERE (state IN (3, 4, 5, 7)) <> (phase = 5)",
    ),
    (
        "deadlines",
        "SELECT 'task ' || id || ': its next deadline is not the first of its deadlines'
        FROM task WHERE deadline IS NOT iif(pause_frozen = 1, NULL, (SELECT min(at) FROM
            (SELECT start_by AS at UNION ALL SELECT finish_by UNION ALL SELECT close_by UNION ALL SELECT beat_by)))",
    ),
    (
        "push configs",
        "SELECT 'task ' || t.id || ': push config ' || c.id || ' has got event ' || c.delivered || ' of ' || t.seq
            || iif(c.owed, ' and is owed something', ' and is owed nothing')
        FROM push_config AS c JOIN task AS t ON t.pk = c.task
        WHERE c.owed <> (c.dead IS NULL AND c.delivered < t.seq)",
    ),
    (
        "numbers of push configs",
        "SELECT 'task ' || t.id || ': has ' || count(c.pk) || ' push configs, its row says ' || t.configs
        FROM task AS t LEFT JOIN push_config AS c ON c.task = t.pk GROUP BY t.pk HAVING count(c.pk) <> t.configs",
    ),
    (
        "the tally",
        "WITH found AS (SELECT count(*) FILTER (WHERE phase = 0) AS ready, count(*) FILTER (WHERE phase = 1) AS sending,
            count(*) FILTER (WHERE phase = 2) AS running, count(*) FILTER (WHERE phase = 3) AS paused,
            count(*) FILTER (WHERE phase = 4) AS dead, count(*) FILTER (WHERE phase = 5) AS done,
            ifnull(sum(seq), 0) AS events FROM task),
            pushed AS (SELECT count(*) AS configs, count(dead) AS dead_configs FROM push_config)
        SELECT 'the numbers of tasks, events and push configs do not agree with the rows'
        FROM tally AS t, found AS f, pushed AS p
        WHERE (t.ready, t.sending, t.running, t.paused, t.dead, t.done, t.events, t.configs, t.dead_configs) <>
            (f.ready, f.sending, f.running, f.paused, f.dead, f.done, f.events, p.configs, p.dead_configs)",
    ),
];

/// What is wrong, a line each. A check that a damaged file cuts short is a line as well.
pub(super) fn inspect(connection: &Connection, closing: &AtomicBool) -> Result<Vec<String>, Problem> {
    let mut lines = Vec::new();
    // All checks see the same moment.
    let snapshot = connection.unchecked_transaction();
    for (what, sql) in CHECKS {
        if let Err(error) = check(connection, sql, &mut lines) {
            lines.push(format!("{what}: could not be looked at ({error})"));
        }
        if closing.load(SeqCst) {
            return Err(refused(false));
        }
    }
    drop(snapshot);
    Ok(lines)
}

fn check(connection: &Connection, sql: &str, lines: &mut Vec<String>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.query([])?;
    let mut count = 0;
    while let Some(row) = found.next()? {
        count += 1;
        if count <= LINES {
            lines.push(row.get(0)?);
        }
    }
    if count > LINES {
        lines.push(format!("… and {} more of this kind", count - LINES));
    }
    Ok(())
}
