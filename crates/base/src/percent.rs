//! Percent-encoding (RFC 3986, section 2.1), for addresses and forms.

/// A value as forms and addresses carry it: everything but what never has to be escaped.
pub fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => {
                out.extend(['%', char::from(HEX[usize::from(other >> 4)]), char::from(HEX[usize::from(other & 15)])])
            }
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_an_address_cannot_leave_its_place() {
        assert_eq!(encode("a b&c=d#é/"), "a%20b%26c%3Dd%23%C3%A9%2F");
    }
}
