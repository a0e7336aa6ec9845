//! How many may be at providers at once. Each holds a thread of the server until the provider has answered: what a
//! tenant's own provider is slow at must not hold all of them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::id::TenantId;
use base::{Error, Result, limits};

/// After how long whoever found no place may try again.
const AGAIN: Duration = Duration::from_secs(5);

/// Who is at providers at present, by whose they are.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<HashMap<TenantId, usize>>);

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'p> {
    places: &'p Places,
    tenant: TenantId,
}

impl Places {
    fn taken(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place at a tenant's providers. Never waits.
    ///
    /// # Errors
    /// `Unavailable` (`provider.busy`).
    pub(super) fn take(&self, tenant: TenantId) -> Result<Place<'_>> {
        let mut taken = self.taken();
        let here = taken.get(&tenant).copied().unwrap_or_default();
        if here >= limits::AT_PROVIDERS_PER_TENANT_MAX || taken.values().sum::<usize>() >= limits::AT_PROVIDERS_MAX {
            let message = "the identity provider is slow, and too many are signing in there; try again in a moment";
            return Err(Error::unavailable("provider.busy", message).retry_after(AGAIN));
        }
        taken.insert(tenant, here + 1);
        Ok(Place { places: self, tenant })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        match taken.get_mut(&self.tenant) {
            Some(here) if *here > 1 => *here -= 1,
            _ => drop(taken.remove(&self.tenant)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_takes_no_more_than_its_places_and_all_no_more_than_there_are() {
        let places = Places::default();
        let code = |tenant: u128| places.take(TenantId(tenant)).map(drop).map_err(|e| e.code().to_owned());
        let mut held: Vec<_> =
            (0..limits::AT_PROVIDERS_PER_TENANT_MAX).map(|_| places.take(TenantId(1)).unwrap()).collect();
        assert_eq!(code(1).unwrap_err(), "provider.busy");
        assert!(code(2).is_ok(), "another tenant's is not busy");
        for tenant in 2.. {
            match places.take(TenantId(tenant)) {
                Ok(place) => held.push(place),
                Err(_) => break,
            }
        }
        assert_eq!(held.len(), limits::AT_PROVIDERS_MAX);
        drop(held);
        assert!(places.taken().is_empty() && code(1).is_ok());
    }
}
