//! The session's cookie. Over TLS its name begins with `__Host-`, which makes
//! browsers refuse it from any other host, path or unencrypted page.

const NAME: &str = "yunwei_session";
const NAME_TLS: &str = "__Host-yunwei_session";

fn name(tls: bool) -> &'static str {
    if tls { NAME_TLS } else { NAME }
}

/// The value of `Set-Cookie` that signs a browser in. Strict: no other site can
/// make a browser send it, not even along a link (the portal takes one step of its
/// own for somebody who follows a link from a mail).
pub fn set(secret: &str, tls: bool) -> String {
    let secure = if tls { "; Secure" } else { "" };
    format!("{}={secret}; Path=/; HttpOnly; SameSite=Strict{secure}", name(tls))
}

/// The value of `Set-Cookie` that signs it out.
pub fn clear(tls: bool) -> String {
    let secure = if tls { "; Secure" } else { "" };
    format!("{}=; Path=/; HttpOnly; SameSite=Strict{secure}; Max-Age=0", name(tls))
}

/// The session's secret in a `Cookie` header, if there is one.
pub fn read(header: &str, tls: bool) -> Option<&str> {
    header
        .split(';')
        .find_map(|pair| pair.trim().split_once('=').filter(|(n, _)| *n == name(tls)).map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_bound_to_the_host_and_to_tls() {
        assert_eq!(set("yws_x", true), "__Host-yunwei_session=yws_x; Path=/; HttpOnly; SameSite=Strict; Secure");
        assert_eq!(read("a=b; __Host-yunwei_session=yws_x", true), Some("yws_x"));
        // What an unencrypted page could have planted is not looked at.
        assert_eq!(read("yunwei_session=planted", true), None);
        assert_eq!(read("xyunwei_session=1; yunwei_session=2", false), Some("2"));
        assert!(clear(true).ends_with("Secure; Max-Age=0"));
    }
}
