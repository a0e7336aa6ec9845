//! Which passwords are refused, and what the person is told. Pure.

use std::collections::BTreeSet;

use base::{Error, Result, limits};

use super::refused;

/// Words that belong to the place: a password built on them is guessed first.
const OURS: [&str; 4] = ["yunwei", "雲維", "云维", "cloud"];

/// Accepts or refuses a password. `about` is what is known of the person: the
/// mail address, the name, the organisation.
///
/// # Errors
/// `Invalid` (`password.too_short`, `password.too_long`, `password.guessable`).
pub fn check(password: &str, about: &[&str]) -> Result<()> {
    let refuse = |code: &'static str, message: String| Err(Error::invalid(code, message).at("password"));
    if password.chars().count() < limits::PASSWORD_CHARS_MIN {
        return refuse(
            "password.too_short",
            format!(
                "a password needs at least {} characters; a few words in a row are easy to keep in mind",
                limits::PASSWORD_CHARS_MIN
            ),
        );
    }
    if password.len() > limits::PASSWORD_BYTES_MAX {
        return refuse("password.too_long", format!("a password has at most {} bytes", limits::PASSWORD_BYTES_MAX));
    }
    let bare: Vec<char> = plain(password).chars().collect();
    let distinct: BTreeSet<&char> = bare.iter().collect();
    if distinct.len() < 5 || is_repetition(&bare) || is_sequence(&bare) {
        return refuse(
            "password.guessable",
            "that password is a sequence or a repetition, which is guessed first; choose a few unrelated words"
                .to_owned(),
        );
    }
    if is_known(password, about) {
        return refuse(
            "password.guessable",
            "that password is one of those that are guessed first; choose a few unrelated words".to_owned(),
        );
    }
    Ok(())
}

/// Lower case, and the usual replacements of letters by digits taken back.
fn plain(password: &str) -> String {
    password
        .to_lowercase()
        .chars()
        .map(|c| match c {
            '0' => 'o',
            '1' | '!' => 'i',
            '3' => 'e',
            '4' | '@' => 'a',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        })
        .collect()
}

/// Whether nothing of substance is left once the words that are guessed first
/// are taken out, and digits and signs with them.
fn is_known(password: &str, about: &[&str]) -> bool {
    let mut words: Vec<String> = refused::WORDS.iter().map(|w| (*w).to_owned()).collect();
    words.extend(OURS.iter().map(|w| (*w).to_owned()));
    for text in about {
        let text = text.to_lowercase();
        words.extend(
            text.split(|c: char| !c.is_alphanumeric()).filter(|part| part.chars().count() >= 3).map(str::to_owned),
        );
        words.push(text);
    }
    // The longest first, so that "password" goes before "pass".
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    [password.to_lowercase(), plain(password)].iter().any(|form| {
        let left =
            words.iter().fold(form.clone(), |left, word| left.replace(&plain(word), " ").replace(word.as_str(), " "));
        left.chars().filter(|c| c.is_alphabetic()).count() < 4
    })
}

/// A short piece over and over: `abcabcabcabc`.
fn is_repetition(text: &[char]) -> bool {
    (1..=text.len() / 3).any(|size| text.chunks(size).all(|piece| text.starts_with(piece)))
}

/// Most of it runs along the alphabet, the digits or a row of the keyboard.
fn is_sequence(text: &[char]) -> bool {
    const ROWS: [&str; 3] = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];
    let beside = |a: char, b: char| {
        let apart = (u32::from(a)).abs_diff(u32::from(b));
        apart == 1 || ROWS.iter().any(|row| row.find(a).zip(row.find(b)).is_some_and(|(x, y)| x.abs_diff(y) == 1))
    };
    let steps = text.windows(2).filter(|pair| matches!(pair, [a, b] if beside(*a, *b))).count();
    steps * 4 >= (text.len() - 1) * 3
}
