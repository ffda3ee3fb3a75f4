//! The facet of small rows. Owns the table `record`.

use std::cell::Cell;

use moongate_core::seam::Later;
use moongate_core::seam::records::{Broken, Page, Record, Records, Work};
use moongate_core::{Problem, Time};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Sqlite;
use super::value::{milliseconds, time};

const ONE: &str = "SELECT key, belongs, value, expires_at FROM record WHERE kind = ?1 AND key = ?2";
const PUT: &str = "
    INSERT INTO record (kind, key, belongs, value, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (kind, key) DO UPDATE SET belongs = excluded.belongs, value = excluded.value,
        expires_at = excluded.expires_at";
const REMOVE: &str = "DELETE FROM record WHERE kind = ?1 AND key = ?2";
// Named, or the planner reads all of the kind in the order of its keys.
const GROUP: &str = "
    SELECT key, belongs, value, expires_at FROM record INDEXED BY record_belongs
    WHERE kind = ?1 AND belongs = ?2 ORDER BY key";
const AFTER: &str =
    "SELECT key, belongs, value, expires_at FROM record WHERE kind = ?1 AND key > ?2 ORDER BY key LIMIT ?3";
const SWEEP: &str = "DELETE FROM record WHERE expires_at <= ?1";

/// A transaction; why it broke is kept for the writer, which rolls back by it.
struct Open<'a> {
    connection: &'a Connection,
    broken: Cell<Option<rusqlite::Error>>,
}

impl Open<'_> {
    fn keep<T>(&self, result: rusqlite::Result<T>) -> Result<T, Broken> {
        result.map_err(|error| {
            self.broken.set(Some(error));
            Broken
        })
    }

    fn rows(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Record>, Broken> {
        self.keep(self.connection.prepare_cached(sql).and_then(|mut rows| rows.query_map(params, record)?.collect()))
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize, Broken> {
        self.keep(self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params)))
    }
}

impl Page for Open<'_> {
    fn record(&self, kind: &str, key: &str) -> Result<Option<Record>, Broken> {
        let one = self.connection.prepare_cached(ONE);
        self.keep(one.and_then(|mut one| one.query_row(params![kind, key], record).optional()))
    }

    fn put(&self, kind: &str, record: &Record) -> Result<(), Broken> {
        let expires_at = record.expires_at.map(milliseconds);
        self.execute(PUT, params![kind, record.key, record.group, record.value, expires_at]).map(drop)
    }

    fn remove(&self, kind: &str, key: &str) -> Result<bool, Broken> {
        Ok(self.execute(REMOVE, params![kind, key])? > 0)
    }

    fn group(&self, kind: &str, group: &str) -> Result<Vec<Record>, Broken> {
        self.rows(GROUP, params![kind, group])
    }

    fn after(&self, kind: &str, key: &str, limit: usize) -> Result<Vec<Record>, Broken> {
        self.rows(AFTER, params![kind, key, i64::try_from(limit).unwrap_or(i64::MAX)])
    }

    fn sweep(&self, now: Time) -> Result<u64, Broken> {
        Ok(self.execute(SWEEP, params![milliseconds(now)])? as u64)
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        key: row.get(0)?,
        group: row.get(1)?,
        value: row.get(2)?,
        expires_at: row.get::<_, Option<i64>>(3)?.map(time),
    })
}

fn run(work: &mut Work, connection: &Connection) -> rusqlite::Result<()> {
    let open = Open { connection, broken: Cell::new(None) };
    let done = work(&open);
    // Whatever the closure made of it: a transaction in which a statement failed is not committed.
    match (open.broken.take(), done) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(Broken)) => Err(rusqlite::Error::QueryReturnedNoRows),
    }
}

impl Records for Sqlite {
    fn change(&self, mut work: Work) -> Later<'_, Result<(), Problem>> {
        Box::pin(self.writer.submit(move |connection| run(&mut work, connection)))
    }

    fn look(&self, mut work: Work) -> Later<'_, Result<(), Problem>> {
        Box::pin(self.readers.ask(move |connection| run(&mut work, connection)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_statement_reads_rows_that_it_does_not_give() {
        let folder = std::env::temp_dir().join(format!("moongate-records-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let store = Sqlite::open(&folder.join("m.db")).unwrap();
        let plans = store.writer.submit(|connection| {
            let plan = |sql: &str| {
                let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let lines = explain.raw_query().mapped(|row| row.get(3)).collect::<rusqlite::Result<Vec<String>>>()?;
                Ok(lines.join("; "))
            };
            [ONE, REMOVE, GROUP, AFTER, SWEEP].into_iter().map(plan).collect::<rusqlite::Result<Vec<_>>>()
        });
        let plans = plans.await.unwrap();
        drop(store);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            plans,
            [
                "SEARCH record USING PRIMARY KEY (kind=? AND key=?)",
                "SEARCH record USING PRIMARY KEY (kind=? AND key=?)",
                "SEARCH record USING INDEX record_belongs (kind=? AND belongs=?)",
                "SEARCH record USING PRIMARY KEY (kind=? AND key>?)",
                "SEARCH record USING INDEX record_expires (expires_at<?)",
            ]
        );
    }
}
