//! How often one may ask: by address before anybody is known, then by token,
//! session or account.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base::address::household;
use base::{Error, Result};
use gate::{Actor, Cx};
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

type Limiter<K> = RateLimiter<K, HashMapStateStore<K>, DefaultClock>;

/// The limits in force.
pub(crate) struct Limits {
    addresses: Option<Counted<IpAddr>>,
    actors: Option<Counted<String>>,
}

struct Counted<K: Hash + Eq + Clone> {
    limiter: Limiter<K>,
    calls: AtomicU32,
}

impl<K: Hash + Eq + Clone> Counted<K> {
    /// So many a second on average, twice as many at once; none for 0.
    fn new(per_second: u32) -> Option<Self> {
        let rate = NonZeroU32::new(per_second)?;
        let quota = Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
        Some(Counted { limiter: RateLimiter::hashmap(quota), calls: AtomicU32::new(0) })
    }

    fn admit(&self, key: &K) -> Result<()> {
        // Those who have not asked for a while are forgotten.
        if self.calls.fetch_add(1, Ordering::Relaxed) % 65_536 == 65_535 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            Error::new(base::Kind::Throttled, "rate.exceeded", "too many requests; slow down")
                .retry_after(wait.max(Duration::from_secs(1)))
        })
    }
}

impl Limits {
    pub fn new(address_per_second: u32, actor_per_second: u32) -> Self {
        Limits { addresses: Counted::new(address_per_second), actors: Counted::new(actor_per_second) }
    }

    /// Before anybody is known.
    pub fn admit_address(&self, address: Option<IpAddr>) -> Result<()> {
        match (&self.addresses, address) {
            (Some(limiter), Some(ip)) => limiter.admit(&household(ip)),
            _ => Ok(()),
        }
    }

    /// Once somebody is known. Those whom nobody knows were counted by their address: one of them
    /// must not use up what all others have.
    pub fn admit_actor(&self, cx: &Cx) -> Result<()> {
        match &self.actors {
            Some(_) if *cx.actor() == Actor::Nobody => Ok(()),
            Some(limiter) => limiter.admit(&cx.session().map_or_else(|| cx.actor().to_string(), str::to_owned)),
            None => Ok(()),
        }
    }
}
