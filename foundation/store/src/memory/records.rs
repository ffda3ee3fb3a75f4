//! The facet of small rows. One lock is one transaction, and nothing here can fail halfway.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::ready;

use moongate_core::seam::Later;
use moongate_core::seam::records::{Broken, Page, Record, Records, Work};
use moongate_core::{Code, Problem, Time};

use super::Memory;

/// Rows by kind and key.
pub(super) type Sheet = BTreeMap<(String, String), Record>;

/// The sheet while it is locked.
struct Open<'a> {
    sheet: RefCell<&'a mut Sheet>,
    reading: bool,
}

impl Open<'_> {
    fn find(&self, kind: &str, from: &str, wanted: impl Fn(&Record) -> bool, limit: usize) -> Vec<Record> {
        let sheet = self.sheet.borrow();
        let rows = sheet.range((kind.to_owned(), from.to_owned())..);
        let rows = rows.take_while(|((of, _), _)| of == kind).map(|(_, row)| row);
        rows.filter(|row| wanted(row)).take(limit).cloned().collect()
    }

    fn writable(&self) -> Result<(), Broken> {
        if self.reading { Err(Broken) } else { Ok(()) }
    }
}

impl Page for Open<'_> {
    fn record(&self, kind: &str, key: &str) -> Result<Option<Record>, Broken> {
        Ok(self.sheet.borrow().get(&(kind.to_owned(), key.to_owned())).cloned())
    }

    fn put(&self, kind: &str, record: &Record) -> Result<(), Broken> {
        self.writable()?;
        self.sheet.borrow_mut().insert((kind.to_owned(), record.key.clone()), record.clone());
        Ok(())
    }

    fn remove(&self, kind: &str, key: &str) -> Result<bool, Broken> {
        self.writable()?;
        Ok(self.sheet.borrow_mut().remove(&(kind.to_owned(), key.to_owned())).is_some())
    }

    fn group(&self, kind: &str, group: &str) -> Result<Vec<Record>, Broken> {
        Ok(self.find(kind, "", |row| row.group.as_deref() == Some(group), usize::MAX))
    }

    fn after(&self, kind: &str, key: &str, limit: usize) -> Result<Vec<Record>, Broken> {
        Ok(self.find(kind, key, |row| row.key.as_str() > key, limit))
    }

    fn sweep(&self, now: Time) -> Result<u64, Broken> {
        self.writable()?;
        let mut sheet = self.sheet.borrow_mut();
        let before = sheet.len();
        sheet.retain(|_, row| row.expires_at.is_none_or(|end| end > now));
        Ok((before - sheet.len()) as u64)
    }
}

impl Memory {
    fn work(&self, mut work: Work, reading: bool) -> Result<(), Problem> {
        let mut sheet = self.records.lock();
        let open = Open { sheet: RefCell::new(&mut sheet), reading };
        work(&open).map_err(|Broken| Problem::new(Code::Internal, "a reading transaction cannot write"))
    }
}

impl Records for Memory {
    fn change(&self, work: Work) -> Later<'_, Result<(), Problem>> {
        Box::pin(ready(self.work(work, false)))
    }

    fn look(&self, work: Work) -> Later<'_, Result<(), Problem>> {
        Box::pin(ready(self.work(work, true)))
    }
}
