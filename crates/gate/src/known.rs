//! What was read out of records that many transactions read and few change, such
//! as a catalog's: kept in this process under the stored record itself.
//!
//! Invariant: what is answered was read from a record equal to the one that the
//! transaction sees, every column of it. So nothing has to be told of changes,
//! and a transaction that is taken back leaves nothing wrong behind.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Result, limits};
use db::records::Stored;

type Entry = (Stored, Arc<dyn Any + Send + Sync>);

/// By what was read and the record's id.
#[derive(Default)]
pub(crate) struct Known(Mutex<HashMap<TypeId, HashMap<String, Entry>>>);

impl Known {
    /// What `read` makes of the stored record, now or the last time.
    pub fn get<T: Any + Send + Sync>(
        &self,
        id: &str,
        stored: Stored,
        read: impl FnOnce(&Stored) -> Result<T>,
    ) -> Result<Arc<T>> {
        let kept = self
            .lock()
            .get(&TypeId::of::<T>())
            .and_then(|of| of.get(id))
            .filter(|(from, _)| *from == stored)
            .map(|(_, value)| value.clone());
        if let Some(known) = kept.and_then(|value| value.downcast().ok()) {
            return Ok(known);
        }
        let value = Arc::new(read(&stored)?);
        let mut known = self.lock();
        let of = known.entry(TypeId::of::<T>()).or_default();
        if of.len() >= limits::KNOWN_RECORDS_MAX {
            of.clear();
        }
        of.insert(id.to_owned(), (stored, value.clone()));
        Ok(value)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TypeId, HashMap<String, Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
