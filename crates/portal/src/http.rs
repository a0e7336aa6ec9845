//! Small things of HTTP that no crate at hand gives: cookies, forms, encoding.

pub(crate) use base::percent::encode;

/// What was typed into a field, one a line or with commas between.
pub(crate) fn several(text: &str) -> Vec<String> {
    text.split(['\n', ',']).map(str::trim).filter(|one| !one.is_empty()).map(ToOwned::to_owned).collect()
}

/// Most pairs of a form: a runbook of 100 steps has five a step.
const PAIRS_MAX: usize = 600;

/// Decodes percent-encoding; `+` is a space. Broken sequences stay as they are.
pub(crate) fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let rest = bytes.clone();
                let pair: Vec<u8> = rest.take(2).collect();
                let value = std::str::from_utf8(&pair)
                    .ok()
                    .filter(|p| p.len() == 2)
                    .and_then(|p| u8::from_str_radix(p, 16).ok());
                match value {
                    Some(value) => {
                        out.push(value);
                        bytes.next();
                        bytes.next();
                    }
                    None => out.push(b'%'),
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A submitted form or a query: names and values in the order they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `a=1&b=2`. More pairs than a page of ours has are dropped.
    pub(crate) fn parse(text: &str) -> Self {
        Self(
            text.split('&')
                .filter(|pair| !pair.is_empty())
                .take(PAIRS_MAX)
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value under `name`, without spaces around it; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The first value under `name` as it came, for passwords.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }

    /// All values under `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    /// Names and values, in the order they came.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds a value.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Whether `name` was sent at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }
}

/// The value of cookie `name` in a `Cookie` header.
pub(crate) fn cookie<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    header.split(';').find_map(|pair| pair.trim().split_once('=').filter(|(n, _)| *n == name).map(|(_, v)| v))
}

/// Whether `path` leads somewhere on this site and nowhere else.
pub(crate) fn is_local(path: &str) -> bool {
    let plain = !path.contains('\\') && !path.contains(char::is_control);
    plain && path.starts_with('/') && !path.starts_with("//") && path.len() <= 2_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_send_them() {
        let form = Form::parse("name=%E5%AE%98%E7%B6%B2+1&csrf=a%2Bb&role=x&role=y&bad=%zz&empty=");
        assert_eq!(form.get("name"), "官網 1");
        assert_eq!(form.get("csrf"), "a+b");
        assert_eq!(form.all("role"), ["x", "y"]);
        assert_eq!(form.get("bad"), "%zz");
        assert!(form.has("empty") && !form.has("missing"));
        assert_eq!(decode(&encode("a/b?c=d&é 雲")), "a/b?c=d&é 雲");
    }

    #[test]
    fn the_way_back_never_leaves_the_site() {
        for good in ["/", "/orders?state=open"] {
            assert!(is_local(good));
        }
        for bad in
            ["//evil.example", "https://evil.example", "/\\evil.example", "", "orders", "/a\nb", "/a\u{1}", "/\0"]
        {
            assert!(!is_local(bad), "{bad:?}");
        }
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        assert_eq!(cookie("a=1; yw=2; xyw=3", "yw"), Some("2"));
        assert_eq!(cookie("xyw=3", "yw"), None);
    }
}
