//! Text that people type: names, mail addresses, languages, time zones. Pure.

use base::{Error, Result, limits};

/// The languages that pages and mails exist in.
pub const LOCALES: [&str; 2] = ["zh-TW", "en"];

/// Characters that change how the text around them is shown, or that are not
/// shown at all: they make one name look like another.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A name of something or somebody, on one line: any script, trimmed.
///
/// # Errors
/// `Invalid` naming `attribute`.
pub fn name(text: &str, attribute: &str) -> Result<String> {
    let text = text.trim();
    let fault = if text.is_empty() {
        "a name is needed here"
    } else if text.chars().nth(limits::NAME_CHARS_MAX).is_some() {
        "that name is too long"
    } else if text.chars().any(is_deceptive) {
        "that name contains characters that cannot be shown"
    } else {
        return Ok(text.to_owned());
    };
    Err(Error::invalid("name.malformed", fault).at(attribute))
}

/// Text that a machine sent about itself, for showing only: cut, and without
/// anything that could disturb a page or a log.
pub fn shown(text: &str, chars_max: usize) -> String {
    text.chars().filter(|c| !is_deceptive(*c)).take(chars_max).collect()
}

/// One of [`LOCALES`].
///
/// # Errors
/// `Invalid` naming the attribute.
pub fn locale(text: &str) -> Result<String> {
    LOCALES.iter().find(|known| **known == text).map(|known| (*known).to_owned()).ok_or_else(|| {
        Error::invalid("locale.unknown", format!("pages exist in {}", LOCALES.join(" and "))).at("locale")
    })
}

/// A time zone by its IANA name.
///
/// # Errors
/// `Invalid` naming the attribute.
pub fn time_zone(text: &str) -> Result<String> {
    let plausible =
        !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b));
    // A machine without time zone data knows none; the name is then taken as it is.
    if plausible && (jiff::tz::db().is_definitively_empty() || jiff::tz::db().get(text).is_ok()) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid("time_zone.unknown", "a time zone is named as in the IANA database, for example Asia/Taipei")
        .at("time_zone"))
}

/// A mail address: as it was written, and in the form in which it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// As it was written.
    pub shown: String,
    /// Lower case; equal for two spellings of one address.
    pub key: String,
}

/// Reads a mail address: the plain form of RFC 5321 (`Dot-string@Domain`) in
/// ASCII. Letters of other scripts that look like Latin ones, quoted parts,
/// comments and line breaks are all refused; a domain in another script is
/// written in its `xn--` form.
///
/// # Errors
/// `Invalid` (`email.malformed`).
pub fn email(text: &str) -> Result<Email> {
    let text = text.trim();
    let well_formed = text.len() <= limits::EMAIL_BYTES_MAX
        && text.rsplit_once('@').is_some_and(|(local, domain)| is_local(local) && is_domain(domain));
    if !well_formed {
        return Err(Error::invalid("email.malformed", "a mail address is needed here, for example name@example.com")
            .at("email"));
    }
    Ok(Email { shown: text.to_owned(), key: text.to_ascii_lowercase() })
}

fn is_local(local: &str) -> bool {
    local.len() <= 64
        && local.split('.').all(|atom| {
            !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&b))
        })
}

fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        (1..=63).contains(&bytes.len())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
    };
    domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_addresses_are_refused() {
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c",
            "a@b c",
            "a@@b",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a@-b",
            "a@b-",
            "a@b..c",
            "\"a\"@b",
            "a@[127.0.0.1]",
            "a@b\r\nBcc: c@d",
            "a\n@b",
            "a\0@b",
            "раураl@example.com",
            "a@exаmple.com",
            "ａ@example.com",
            "a@example.com\u{202e}",
            "a,b@c",
            "<a@b>",
            "a@b>",
        ] {
            assert!(email(bad).is_err(), "{bad:?}");
        }
        assert!(email(&format!("a@{}", "b".repeat(64))).is_err());
        assert!(email(&format!("{}@b", "a".repeat(65))).is_err());
        assert!(email(&format!("a@{}", "b.".repeat(200))).is_err());
    }

    #[test]
    fn two_spellings_of_one_address_are_one() {
        let (one, two) = (email(" Lin.Mei@Example.COM ").unwrap(), email("lin.mei@example.com").unwrap());
        assert_eq!((one.shown.as_str(), &one.key), ("Lin.Mei@Example.COM", &two.key));
        assert!(email("o'neil+yunwei@xn--fiqs8s.example").is_ok());
    }

    #[test]
    fn names_may_be_in_any_script_but_must_be_visible() {
        assert_eq!(name("  林美華 (Mei-hua) 👩‍💻 ", "name").unwrap(), "林美華 (Mei-hua) 👩‍💻");
        for bad in ["", "  ", "a\nb", "a\u{202e}b", "a\u{200b}b", "a\u{0}", "\u{feff}", &"x".repeat(201)] {
            assert_eq!(name(bad, "name").unwrap_err().attribute(), Some("name"), "{bad:?}");
        }
        assert_eq!(shown("Mozilla\r\n\u{202e}5.0", 9), "Mozilla5.");
    }

    #[test]
    fn time_zones_and_locales_are_known_ones() {
        assert!(time_zone("Asia/Taipei").is_ok() && locale("en").is_ok());
        for bad in ["", "../../etc/passwd", "Mars/Olympus", "Asia/Taipei\n"] {
            assert!(time_zone(bad).is_err(), "{bad:?}");
        }
        assert!(locale("tlh").is_err());
    }

    proptest! {
        #[test]
        fn an_accepted_address_fits_on_a_header_line(text in "\\PC{0,40}(@)?\\PC{0,40}") {
            if let Ok(email) = email(&text) {
                prop_assert!(email.shown.is_ascii() && !email.shown.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,;:\"()[]\\".contains(c)));
                prop_assert_eq!(email.shown.matches('@').count(), 1);
            }
        }
    }
}
