//! Shares of the master key: some of them together bring it back, fewer tell nothing.
//!
//! The key that opens all backups must be kept off the machine that it protects, and no single
//! person should hold it. So it is split (Shamir 1979, over GF(2⁸) with AES's polynomial, byte by
//! byte), each share is printed and given to somebody, and `threshold` of them suffice.
//!
//! A share is a line that can be typed from paper:
//!
//! ```text
//!   ABCD-EFGH-…      base 32 without I, L, O and U (Crockford), groups of four
//!     1 byte   form, 1
//!     6 bytes  set: two random ones of this printing, then the beginning of
//!              SHA-256("yunwei master key" ‖ these two ‖ key)
//!     1 byte   threshold
//!     1 byte   x
//!    32 bytes  y, a byte for each of the key's
//!     4 bytes  the beginning of SHA-256 over all before: finds what was mistyped
//! ```
//!
//! **Invariants** (tests below): any `threshold` shares give the key, in any order; what was
//! mistyped, comes twice, belongs to another key or is too little is told apart, before anything is
//! opened with it.

use base::{Error, Result};
use data_encoding::{Encoding, Specification};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use vsss_rs::Gf256;

/// What is split.
pub type Key = [u8; 32];

const FORM: u8 = 1;
const SET: usize = 6;
const BODY: usize = 1 + SET + 2 + size_of::<Key>();
const SUM: usize = 4;
/// Shares at most. More people than these do not meet on a bad day.
pub const SHARES_MAX: u8 = 16;

/// One share, as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Share {
    set: [u8; SET],
    threshold: u8,
    x: u8,
    y: Key,
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Share({} of a set that needs {})", self.x, self.threshold)
    }
}

/// Crockford's base 32: what looks alike on paper reads alike.
static PAPER: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut form = Specification::new();
    form.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    form.translate.from.push_str("abcdefghjkmnpqrstvwxyzoOiIlL");
    form.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    form.ignore.push_str("- \t");
    form.encoding().ok()
});

fn paper() -> Result<&'static Encoding> {
    PAPER.as_ref().ok_or_else(|| Error::bug("share.alphabet", "the alphabet of shares is not one"))
}

/// Splits a key: `threshold` of `number` shares bring it back.
///
/// # Errors
/// `Invalid` (`share.numbers`) unless 2 ≤ threshold ≤ number ≤ [`SHARES_MAX`].
pub fn split(key: &Key, threshold: u8, number: u8) -> Result<Vec<Share>> {
    if !(2..=number).contains(&threshold) || number > SHARES_MAX {
        let message = format!("2 to {SHARES_MAX} shares, of which at least 2 and at most all are needed");
        return Err(Error::invalid("share.numbers", message));
    }
    let failed = |e| Error::bug("share.split", format!("the key could not be split: {e}"));
    let parts = Gf256::split_bytes(threshold.into(), number.into(), key, Chance).map_err(failed)?;
    let [a, b] = Chance.pair();
    let set = set(key, [a, b]);
    let share = |part: Vec<u8>| {
        let (x, y) = part.split_first()?;
        Some(Share { set, threshold, x: *x, y: y.try_into().ok()? })
    };
    let shares: Option<Vec<Share>> = parts.into_iter().map(share).collect();
    shares.ok_or_else(|| Error::bug("share.split", "the key was split into something else"))
}

/// Brings the key back.
///
/// # Errors
/// `Invalid`: `share.too_few`, `share.repeated`, `share.other_set`; `share.wrong` where they are
/// of one set and do not give its key.
pub fn join(shares: &[Share]) -> Result<Key> {
    let few = |needed: u8| {
        let message = format!("{} shares are not enough: {needed} of this set are needed", shares.len());
        Error::invalid("share.too_few", message)
    };
    let first = shares.first().ok_or_else(|| few(2))?;
    if shares.iter().any(|share| (share.set, share.threshold) != (first.set, first.threshold)) {
        let message =
            "these shares are of different keys, or of different printings; those that go together name the same set";
        return Err(Error::invalid("share.other_set", message));
    }
    let different: BTreeSet<u8> = shares.iter().map(|share| share.x).collect();
    if different.len() < shares.len() {
        return Err(Error::invalid("share.repeated", "one of the shares is there twice; each counts once"));
    }
    if shares.len() < usize::from(first.threshold) {
        return Err(few(first.threshold));
    }
    let wrong = || Error::invalid("share.wrong", "these shares do not give the key that they name");
    let parts: Vec<Vec<u8>> = shares.iter().map(|share| [&[share.x][..], &share.y].concat()).collect();
    let key: Key = Gf256::combine_bytes(parts).ok().and_then(|key| key.try_into().ok()).ok_or_else(wrong)?;
    let [a, b, ..] = first.set;
    if set(&key, [a, b]) == first.set { Ok(key) } else { Err(wrong()) }
}

impl Share {
    /// Which of its set it is.
    pub fn number(&self) -> u8 {
        self.x
    }

    /// How many of its set are needed.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// What shares of one key have in common, in hexadecimal.
    pub fn set(&self) -> String {
        base::hex::encode(&self.set)
    }

    /// As it is printed.
    ///
    /// # Errors
    /// None that can come.
    pub fn print(&self) -> Result<String> {
        let mut bytes = [&[FORM][..], &self.set, &[self.threshold, self.x], &self.y].concat();
        bytes.extend(sum(&bytes));
        let text = paper()?.encode(&bytes);
        let groups: Vec<&str> = text.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
        Ok(groups.join("-"))
    }

    /// Reads what was printed, however it was typed: case, blanks and hyphens do not matter, nor
    /// whether an o was a zero.
    ///
    /// # Errors
    /// `Invalid`: `share.malformed` where it cannot be one, `share.mistyped` where a character is
    /// not what it was.
    pub fn read(text: &str) -> Result<Share> {
        let malformed = |why: &str| Error::invalid("share.malformed", format!("that is not a share: {why}"));
        if text.len() > 400 {
            return Err(malformed("it is too long"));
        }
        let bytes = paper()?
            .decode(text.trim().as_bytes())
            .map_err(|_| malformed("it has characters that no share has, or one too many or too few"))?;
        let Some((body, told)) = bytes.split_at_checked(BODY).filter(|(_, told)| told.len() == SUM) else {
            return Err(malformed("it is too short or too long"));
        };
        if sum(body) != told {
            return Err(Error::invalid("share.mistyped", "a character of this share is not what was printed"));
        }
        match body {
            [FORM, rest @ ..] => {
                let (set, rest) = rest.split_at(SET);
                let ([threshold, x], y) = rest.split_first_chunk().ok_or_else(|| malformed("it is too short"))?;
                let sized = || malformed("it is too short");
                Ok(Share {
                    set: set.try_into().map_err(|_| sized())?,
                    threshold: *threshold,
                    x: *x,
                    y: y.try_into().map_err(|_| sized())?,
                })
            }
            _ => Err(malformed("a newer version of Yunwei made it")),
        }
    }
}

/// Names one printing of the shares of one key.
fn set(key: &Key, printing: [u8; 2]) -> [u8; SET] {
    let [a, b] = printing;
    let [c, d, e, f] = first(&[&b"yunwei master key"[..], &printing, key].concat());
    [a, b, c, d, e, f]
}

fn sum(body: &[u8]) -> [u8; SUM] {
    first(body)
}

/// The beginning of a digest.
fn first<const N: usize>(of: &[u8]) -> [u8; N] {
    let digest = digest(&SHA256, of);
    std::array::from_fn(|n| digest.as_ref().get(n).copied().unwrap_or_default())
}

/// The system's own randomness. Where it has none there is no key, and the process must not go on
/// as if there were.
struct Chance;

impl rand_core::TryRng for Chance {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> std::result::Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> std::result::Result<(), Self::Error> {
        if SystemRandom::new().fill(into).is_err() {
            std::process::abort();
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Chance {}

impl Chance {
    /// What tells one printing from another.
    fn pair(mut self) -> [u8; 2] {
        let mut bytes = [0; 2];
        let Ok(()) = rand_core::TryRng::try_fill_bytes(&mut self, &mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(key: &Key, threshold: u8, number: u8) -> Vec<String> {
        split(key, threshold, number).unwrap().iter().map(|share| share.print().unwrap()).collect()
    }

    fn code(shares: &[Share]) -> String {
        join(shares).unwrap_err().code().to_owned()
    }

    proptest! {
        #[test]
        fn any_that_are_enough_bring_it_back(key: Key, threshold in 2_u8..6, more in 0_u8..5, seed: u64) {
            let texts = texts(&key, threshold, threshold + more);
            let mut shares: Vec<Share> = texts.iter().map(|text| Share::read(text).unwrap()).collect();
            // Some order, the same for the same seed.
            shares.sort_by_key(|share| digest(&SHA256, &[&seed.to_le_bytes()[..], &[share.x]].concat()).as_ref().to_vec());
            let enough = &shares[..usize::from(threshold)];
            prop_assert_eq!(join(enough).unwrap(), key);
            prop_assert_eq!(join(&shares).unwrap(), key);
            prop_assert_eq!(code(&enough[1..]), "share.too_few");
        }

        #[test]
        fn a_character_that_was_mistyped_is_found(key: Key, at in 0_usize..72, other in 0_usize..32) {
            let text = texts(&key, 2, 3).remove(1);
            let symbols: Vec<char> = "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars().collect();
            let places: Vec<usize> = text.char_indices().filter(|(_, c)| *c != '-').map(|(n, _)| n).collect();
            let place = places[at % places.len()];
            prop_assume!(text.chars().nth(place) != Some(symbols[other]));
            let typed: String = text.chars().enumerate().map(|(n, c)| if n == place { symbols[other] } else { c }).collect();
            let e = Share::read(&typed).unwrap_err();
            prop_assert!(["share.mistyped", "share.malformed"].contains(&e.code()), "{}", e.code());
        }

        #[test]
        fn whatever_is_read_is_refused_and_never_stops_the_program(text in ".{0,200}") {
            prop_assert!(Share::read(&text).is_err());
        }
    }

    #[test]
    fn how_it_is_typed_does_not_matter() {
        let key = [7; 32];
        let text = &texts(&key, 2, 3)[0];
        let sloppy = text.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert_eq!(Share::read(&format!("  {sloppy}\n")).unwrap(), Share::read(text).unwrap());
        assert_eq!(text.len(), 72 + 17, "it stays short enough to type: {text}");
    }

    #[test]
    fn what_does_not_belong_together_is_told_apart() {
        let (one, other) = (split(&[1; 32], 2, 3).unwrap(), split(&[2; 32], 2, 3).unwrap());
        assert_eq!(code(&[one[0].clone(), other[1].clone()]), "share.other_set");
        assert_eq!(code(&[one[0].clone(), one[0].clone()]), "share.repeated");
        assert_eq!(code(&[]), "share.too_few");
        // Split twice: shares of the same key that lie on different lines. Of 65,536 printings two have one name.
        let mut printings = (0..64).map(|_| split(&[1; 32], 2, 3).unwrap());
        let again = printings.find(|again| again[0].set != one[0].set).unwrap();
        assert_eq!(code(&[one[0].clone(), again[1].clone()]), "share.other_set");
        let wrong = Share { set: one[1].set, ..again[1].clone() };
        assert_eq!(code(&[one[0].clone(), wrong]), "share.wrong");
        for (threshold, number) in [(0, 3), (1, 3), (4, 3), (2, 17)] {
            assert_eq!(split(&[1; 32], threshold, number).unwrap_err().code(), "share.numbers");
        }
    }

    /// The arithmetic once more, by the school method: what anybody would write who has only the
    /// shares and the description above.
    #[test]
    fn another_reading_of_the_description_gives_the_same_key() {
        fn times(mut a: u8, mut b: u8) -> u8 {
            let mut product = 0;
            while b > 0 {
                if b & 1 == 1 {
                    product ^= a;
                }
                a = (a << 1) ^ if a & 0x80 != 0 { 0x1b } else { 0 };
                b >>= 1;
            }
            product
        }
        let inverse = |a: u8| (1..=255).find(|b| times(a, *b) == 1).unwrap();
        let key: Key = std::array::from_fn(|n| (n * 37 + 11) as u8);
        let shares = split(&key, 3, 5).unwrap();
        let some = [&shares[4], &shares[0], &shares[2]];
        let found: Key = std::array::from_fn(|n| {
            some.iter().fold(0, |sum, share| {
                let others = some.iter().filter(|other| other.x != share.x);
                sum ^ others.fold(share.y[n], |y, other| times(times(y, other.x), inverse(other.x ^ share.x)))
            })
        });
        assert_eq!(found, key);
    }
}
