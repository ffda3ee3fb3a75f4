//! The facet of registered agents. Owns the table `registry`.

use moongate_core::seam::{Later, Registry, RegistryRow};
use moongate_core::{Problem, Time};
use rusqlite::{Row, params};

use super::Sqlite;
use super::value::{milliseconds, time};

const UPSERT: &str = "
    INSERT INTO registry (id, owner, document, beat_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, document = excluded.document,
        beat_at = excluded.beat_at, updated_at = excluded.updated_at";
const REMOVE: &str = "DELETE FROM registry WHERE id = ?1";
const BEAT: &str = "UPDATE registry SET beat_at = max(coalesce(beat_at, ?2), ?2) WHERE id = ?1";
const ROWS: &str = "SELECT id, owner, document, beat_at, updated_at FROM registry ORDER BY id";

impl Registry for Sqlite {
    fn upsert(&self, row: RegistryRow) -> Later<'_, Result<(), Problem>> {
        let beat_at = row.beat_at.map(milliseconds);
        let updated_at = milliseconds(row.updated_at);
        Box::pin(self.writer.submit(move |connection| {
            let mut upsert = connection.prepare_cached(UPSERT)?;
            upsert.execute(params![row.id, row.owner, row.document, beat_at, updated_at])?;
            Ok(())
        }))
    }

    fn remove(&self, id: String) -> Later<'_, Result<bool, Problem>> {
        Box::pin(self.writer.submit(move |connection| Ok(connection.prepare_cached(REMOVE)?.execute([&id])? > 0)))
    }

    fn beat(&self, beats: Vec<(String, Time)>) -> Later<'_, Result<(), Problem>> {
        Box::pin(self.writer.submit(move |connection| {
            let mut beat = connection.prepare_cached(BEAT)?;
            for (id, at) in &beats {
                beat.execute(params![id, milliseconds(*at)])?;
            }
            Ok(())
        }))
    }

    fn rows(&self) -> Later<'_, Result<Vec<RegistryRow>, Problem>> {
        Box::pin(self.readers.ask(|connection| connection.prepare_cached(ROWS)?.query_map([], row)?.collect()))
    }
}

fn row(row: &Row<'_>) -> rusqlite::Result<RegistryRow> {
    Ok(RegistryRow {
        id: row.get(0)?,
        owner: row.get(1)?,
        document: row.get(2)?,
        beat_at: row.get::<_, Option<i64>>(3)?.map(time),
        updated_at: time(row.get(4)?),
    })
}
