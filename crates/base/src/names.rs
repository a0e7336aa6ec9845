//! Names of files as text: a name may be any bytes, and this text loses none of them.
//!
//! What cannot stand for itself is written as in an address, `%` and two hexadecimal digits: bytes
//! that are no UTF-8, what steers a terminal or turns the direction of writing, `/` and `%` itself.
//! So a path of such names can be logged and shown as it is, and is taken apart at each `/`.

/// A name as text.
pub fn text(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for one in chunk.valid().chars() {
            if is_plain(one) {
                text.push(one);
            } else {
                escape(one.encode_utf8(&mut [0; 4]).as_bytes(), &mut text);
            }
        }
        escape(chunk.invalid(), &mut text);
    }
    text
}

/// The name that a text stands for; nothing where it stands for none: `.`, `..`, one with a slash
/// or a NUL in it, or what [`text`] does not write.
pub fn name(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'%' => {
                name.extend(crate::hex::decode(text.get(text.len() - after.len()..)?.get(..2)?)?);
                after.get(2..)?
            }
            byte => {
                name.push(*byte);
                after
            }
        };
    }
    let is_one = !matches!(name.as_slice(), b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | 0));
    is_one.then_some(name)
}

/// The names of a path of such texts; nothing where one of them is none.
pub fn path(path: &str) -> Option<Vec<Vec<u8>>> {
    path.split('/').filter(|part| !part.is_empty()).map(name).collect()
}

/// The text as people read it best: only what would mislead stays escaped.
pub fn shown(text: &str) -> String {
    text.replace("%25", "%")
}

fn escape(bytes: &[u8], into: &mut String) {
    for byte in bytes {
        into.push('%');
        into.push_str(&crate::hex::encode(&[*byte]));
    }
}

fn is_plain(one: char) -> bool {
    let turns = matches!(one, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    !one.is_control() && !turns && !matches!(one, '/' | '%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_bytes_is_text_and_comes_back() {
        for (bytes, written) in [
            (&b"plain name.txt"[..], "plain name.txt"),
            ("文件".as_bytes(), "文件"),
            (b"100%", "100%25"),
            (b"two\nlines", "two%0alines"),
            (b"latin \xe9", "latin %e9"),
            ("gpj.\u{202e}exe".as_bytes(), "gpj.%e2%80%aeexe"),
            (b"\x1b[2J", "%1b[2J"),
        ] {
            assert_eq!(text(bytes), written);
            assert_eq!(name(written).as_deref(), Some(bytes));
        }
        let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
        assert_eq!(name(&text(&all)), Some(all));
        assert_eq!(shown("100%25"), "100%");
    }

    #[test]
    fn what_leads_elsewhere_is_no_name() {
        for bad in ["", ".", "..", "a/b", "%2f", "%2e%2e", "%00", "%", "%4", "%zz", "%é"] {
            assert_eq!(name(bad), None, "{bad}");
        }
        assert_eq!(path("/etc//ssh/"), Some(vec![b"etc".to_vec(), b"ssh".to_vec()]));
        assert_eq!(path("/etc/../shadow"), None);
        assert_eq!(path(""), Some(vec![]));
    }
}
