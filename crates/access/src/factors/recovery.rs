//! Recovery codes: what lets somebody in who has lost their authenticator. Each works once.
//!
//! A code is 80 random bits, so that a fast hash is enough to keep: who has a stolen database
//! tries 2⁷⁹ of them for one. The hash is of account and code together, so that one row says
//! nothing about another.

use base::id::AccountId;
use base::{Result, limits};

use crate::secret;

/// Crockford's letters: none that is taken for another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LETTERS: usize = 16;
const GROUP: usize = 4;

/// A fresh set, as they are shown: `xxxx-xxxx-xxxx-xxxx`.
///
/// # Errors
/// `Bug` where the system gives no random numbers.
pub(crate) fn fresh() -> Result<Vec<String>> {
    (0..limits::RECOVERY_CODES).map(|_| one()).collect()
}

fn one() -> Result<String> {
    // 256 divides by 32: each letter is as likely as any other.
    let random = secret::random()?;
    let mut out = String::with_capacity(LETTERS + LETTERS / GROUP);
    for (place, byte) in random.iter().take(LETTERS).enumerate() {
        if place > 0 && place % GROUP == 0 {
            out.push('-');
        }
        out.push(ALPHABET.get(usize::from(byte & 31)).map_or('0', |letter| char::from(*letter)));
    }
    Ok(out)
}

/// What was meant by what was typed, if it can be a code at all: case, spaces and hyphens do not
/// matter, and letters that are taken for digits are read as those.
pub(crate) fn typed(text: &str) -> Option<String> {
    let mut letters = String::with_capacity(LETTERS);
    for c in text.chars().filter(|c| !c.is_whitespace() && *c != '-') {
        let c = match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        };
        if letters.len() == LETTERS || !ALPHABET.contains(&u8::try_from(c).ok()?) {
            return None;
        }
        letters.push(c);
    }
    (letters.len() == LETTERS).then_some(letters)
}

/// What is kept of a code that [`typed`] has read.
pub(crate) fn hash(account: AccountId, code: &str) -> [u8; 32] {
    secret::hash(&format!("recovery code\n{account}\n{code}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_set_is_ten_different_codes_that_are_read_however_they_are_typed() {
        let codes = fresh().unwrap();
        assert_eq!(codes.len(), 10);
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10);
        for code in &codes {
            assert_eq!(code.len(), 19);
            let plain = typed(code).unwrap();
            let spoken = format!(" {} ", code.to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l"));
            assert_eq!(typed(&spoken).unwrap(), plain);
        }
    }

    #[test]
    fn what_is_no_code_is_not_looked_up() {
        for wrong in [
            "",
            "123456",
            "abcd-efgh-jkmn",
            "abcd-efgh-jkmn-pqrs-t",
            "abcd-efgh-jkmn-pqr!",
            "雲abc-efgh-jkmn-pqrs",
            "uuuu-uuuu-uuuu-uuuu",
        ] {
            assert_eq!(typed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn one_code_is_kept_differently_for_two_people() {
        let code = typed(&fresh().unwrap()[0]).unwrap();
        assert_ne!(hash(AccountId(1), &code), hash(AccountId(2), &code));
    }
}
