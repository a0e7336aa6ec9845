//! Argon2id, a few at a time.

use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base::{Error, Result, limits};
use unicode_normalization::UnicodeNormalization as _;

/// OWASP's first recommendation for Argon2id: 19 MiB, two passes, one lane.
/// This room's own tests, which sign in a thousand times, take less memory.
const MEMORY_KIB: u32 = if cfg!(test) { 64 } else { 19 * 1024 };
const PASSES: u32 = 2;
const LANES: u32 = 1;

fn argon2() -> Result<Argon2<'static>> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|e| Error::bug("password.params", e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// One password may be typed in several ways that look alike; NFKC makes them one.
fn normal(password: &str) -> String {
    password.nfkc().collect()
}

/// Hashes a password for keeping.
///
/// # Errors
/// `Throttled` where too many are waiting.
pub(crate) fn hash(password: &str) -> Result<String> {
    let _place = Place::take()?;
    make(password)
}

fn make(password: &str) -> Result<String> {
    let made =
        argon2()?.hash_password(normal(password).as_bytes()).map_err(|e| Error::bug("password.hash", e.to_string()))?;
    Ok(made.to_string())
}

/// Whether a password is the kept one. Where nothing is kept, the same work is
/// done on the hash of something nobody knows, and the answer is no.
///
/// # Errors
/// `Throttled` where too many are waiting.
pub(crate) fn verify(password: &str, kept: Option<&str>) -> Result<bool> {
    static NOBODYS: OnceLock<String> = OnceLock::new();
    let _place = Place::take()?;
    let nobodys = match NOBODYS.get() {
        Some(made) => made,
        None => {
            let (unknowable, _) = crate::secret::mint(crate::secret::Of::Link)?;
            let made = make(&unknowable)?;
            NOBODYS.get_or_init(|| made)
        }
    };
    let parsed =
        PasswordHash::new(kept.unwrap_or(nobodys)).map_err(|e| Error::bug("password.stored", e.to_string()))?;
    // What is longer than a password can be is cut: it costs no more and matches nothing.
    let cut = password.char_indices().nth(limits::PASSWORD_BYTES_MAX + 1).map_or(password, |(at, _)| &password[..at]);
    let matches = argon2()?.verify_password(normal(cut).as_bytes(), &parsed).is_ok();
    Ok(matches && kept.is_some())
}

/// A place among those that hash at this moment.
struct Place;

#[derive(Default)]
struct Places {
    hashing: usize,
    waiting: usize,
}

static PLACES: Mutex<Places> = Mutex::new(Places { hashing: 0, waiting: 0 });
static FREED: Condvar = Condvar::new();

fn busy() -> Error {
    Error::throttled("password.busy", "too many people are signing in at this moment; try again in a few seconds")
        .retry_after(Duration::from_secs(3))
}

impl Place {
    fn take() -> Result<Place> {
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        if places.waiting >= limits::PASSWORD_QUEUE_MAX {
            return Err(busy());
        }
        places.waiting += 1;
        let (mut places, timeout) = FREED
            .wait_timeout_while(places, Duration::from_secs(10), |p| p.hashing >= limits::PASSWORD_HASHES_MAX)
            .unwrap_or_else(PoisonError::into_inner);
        places.waiting -= 1;
        if timeout.timed_out() {
            return Err(busy());
        }
        places.hashing += 1;
        Ok(Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        PLACES.lock().unwrap_or_else(PoisonError::into_inner).hashing -= 1;
        FREED.notify_one();
    }
}
