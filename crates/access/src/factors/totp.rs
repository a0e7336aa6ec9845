//! Time-based one-time codes as authenticator apps compute them: RFC 6238 with SHA-1, six digits
//! and steps of thirty seconds; the secret in base 32 (RFC 4648). Pure.

use base::time::Timestamp;
use ring::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};

/// Bytes of a secret: as many as the hash has, which RFC 4226 recommends.
pub(crate) const SECRET_BYTES: usize = 20;
/// Seconds of a step.
const STEP_SECONDS: i64 = 30;
const DIGITS: usize = 6;
/// Steps that a clock may be off, either way.
const DRIFT: i64 = 1;

/// The step that an instant lies in.
pub(crate) fn step_at(now: Timestamp) -> i64 {
    now.as_second().div_euclid(STEP_SECONDS)
}

/// The code of a step (RFC 4226, section 5.3).
pub(crate) fn code(secret: &[u8], step: i64) -> String {
    let tag = sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret), &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 15);
    let four = tag.iter().skip(offset).take(4).fold(0u32, |number, byte| (number << 8) | u32::from(*byte));
    let number = (four & 0x7fff_ffff) % 10u32.pow(DIGITS as u32);
    format!("{number:0DIGITS$}")
}

/// Whether a text can be a code at all; people write it in two groups.
pub(crate) fn typed(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    (digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit())).then_some(digits)
}

/// Which step's code it is, among those near `now` and later than `used`, the newest whose code was
/// taken. All of them are tried, so that the time it takes says nothing.
pub(crate) fn matching(secret: &[u8], typed: &str, now: Timestamp, used: i64) -> Option<i64> {
    let here = step_at(now);
    let mut found = None;
    for step in here - DRIFT..=here + DRIFT {
        if crate::secret::equal(&code(secret, step), typed) && step > used {
            found = Some(step);
        }
    }
    found
}

/// Base 32 without padding, as authenticators read it.
pub(crate) fn base32(bytes: &[u8]) -> String {
    data_encoding::BASE32_NOPAD.encode(bytes)
}

/// What an authenticator app is told by a QR code, in the form that they agree upon.
pub(crate) fn uri(issuer: &str, account: &str, secret: &str) -> String {
    // A colon stands between the two in the label.
    let (issuer, account) = (encoded(&issuer.replace(':', " ")), encoded(account));
    format!(
        "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}"
    )
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // Appendix B has eight digits; six are the last of them.
        for (second, eight) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(code(b"12345678901234567890", step_at(at(second))), eight[2..], "{second}");
        }
    }

    proptest! {
        #[test]
        fn one_step_of_drift_is_taken_and_no_more(secret in prop::array::uniform20(any::<u8>()), second in 100_000i64..4_000_000_000, off in -5i64..=5) {
            let here = step_at(at(second));
            let found = matching(&secret, &code(&secret, here + off), at(second), 0);
            if off.abs() <= 1 {
                prop_assert!(found.is_some_and(|step| (step - here).abs() <= 1));
            } else if let Some(step) = found {
                // Two steps in a million have the same code.
                prop_assert_eq!(code(&secret, step), code(&secret, here + off));
            }
        }

        #[test]
        fn a_step_is_taken_once_and_none_before_it(secret in prop::array::uniform20(any::<u8>()), second in 100_000i64..4_000_000_000) {
            let here = step_at(at(second));
            for used in here..=here + 1 {
                let found = matching(&secret, &code(&secret, here), at(second), used);
                prop_assert!(found.is_none_or(|step| step > used));
            }
        }

        #[test]
        fn what_is_typed_never_breaks_anything(text in ".{0,40}") {
            if let Some(digits) = typed(&text) {
                prop_assert!(digits.len() == 6);
            }
        }
    }

    #[test]
    fn a_code_is_read_with_spaces_and_nothing_else_is_one() {
        assert_eq!(typed(" 123 456 ").as_deref(), Some("123456"));
        for wrong in ["", "12345", "1234567", "12a456", "１２３４５６", "-12345"] {
            assert_eq!(typed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_name_with_signs_stays_one_name_in_the_uri() {
        let uri = uri("Cloud & Co: 雲", "a+b@example.com", "MZXW6");
        assert_eq!(
            uri,
            "otpauth://totp/Cloud%20%26%20Co%20%20%E9%9B%B2:a%2Bb%40example.com?secret=MZXW6&issuer=Cloud%20%26%20Co%20%20%E9%9B%B2&algorithm=SHA1&digits=6&period=30"
        );
    }

    /// oathtool computes the same codes. Skipped, with a word, where it is not installed and
    /// `YUNWEI_TEST_OATHTOOL=require` is not set.
    #[test]
    fn oathtool_computes_the_same_codes() {
        if Command::new("oathtool").arg("--version").output().is_err() {
            let required = std::env::var("YUNWEI_TEST_OATHTOOL").is_ok_and(|word| word == "require");
            assert!(!required, "oathtool is not installed; script/setup --test installs it");
            eprintln!("skipped: oathtool is not installed (script/setup --test)");
            return;
        }
        let mut secret = [0u8; SECRET_BYTES];
        for round in 0..40i64 {
            secret.iter_mut().enumerate().for_each(|(place, byte)| *byte = (round * 31 + place as i64 * 7) as u8);
            let second = 1_000_000 + round * 98_765_431;
            let output = Command::new("oathtool")
                .args(["--totp", "--base32", &base32(&secret), "--now", &format!("@{second}")])
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let theirs = String::from_utf8(output.stdout).unwrap();
            assert_eq!(theirs.trim(), code(&secret, step_at(at(second))), "{second}");
        }
    }
}
