//! The facet of registered agents.

use std::collections::BTreeMap;
use std::future::ready;

use moongate_core::seam::{Later, Registry, RegistryRow};
use moongate_core::{Problem, Time};

use super::Memory;

/// Rows by id.
pub(super) type Entries = BTreeMap<String, RegistryRow>;

impl Registry for Memory {
    fn upsert(&self, row: RegistryRow) -> Later<'_, Result<(), Problem>> {
        self.registry.lock().insert(row.id.clone(), row);
        Box::pin(ready(Ok(())))
    }

    fn remove(&self, id: String) -> Later<'_, Result<bool, Problem>> {
        let removed = self.registry.lock().remove(&id).is_some();
        Box::pin(ready(Ok(removed)))
    }

    fn beat(&self, beats: Vec<(String, Time)>) -> Later<'_, Result<(), Problem>> {
        let mut rows = self.registry.lock();
        for (id, at) in beats {
            if let Some(row) = rows.get_mut(&id) {
                row.beat_at = row.beat_at.max(Some(at));
            }
        }
        Box::pin(ready(Ok(())))
    }

    fn rows(&self) -> Later<'_, Result<Vec<RegistryRow>, Problem>> {
        let rows = self.registry.lock().values().cloned().collect();
        Box::pin(ready(Ok(rows)))
    }
}
