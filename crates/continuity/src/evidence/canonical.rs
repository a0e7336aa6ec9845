//! One way of writing a JSON document down, so that two who write the same document write the
//! same bytes: RFC 8785, for documents without fractions. Whole numbers only, as a fraction has
//! many spellings and evidence needs none: it counts milliseconds and bytes.

use std::fmt::Write as _;

use base::{Error, Result};
use serde_json::Value as Json;

/// The largest whole number that every reader of JSON keeps exactly.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// The document in its one form.
///
/// # Errors
/// `Invalid` (`evidence.number`) where a number is a fraction or too large to be kept exactly.
pub fn canonical(json: &Json) -> Result<String> {
    let mut out = String::new();
    write(json, &mut out)?;
    Ok(out)
}

fn write(json: &Json, out: &mut String) -> Result<()> {
    match json {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(number) => {
            let whole = number.as_i64().filter(|whole| whole.unsigned_abs() <= NUMBER_MAX);
            let refused = || Error::invalid("evidence.number", format!("{number} is not a whole number below 2^53"));
            out.push_str(&whole.ok_or_else(refused)?.to_string());
        }
        Json::String(text) => string(text, out),
        Json::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Json::Object(members) => {
            // In the order of UTF-16, in which surrogates come before the last planes' neighbours.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_cached_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
            out.push('{');
            for (at, (name, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                string(name, out);
                out.push(':');
                write(value, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_sorted_as_the_standard_says() {
        // The example of RFC 8785, section 3.2.3.
        let given = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
        });
        let wanted = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
        assert_eq!(canonical(&given).unwrap(), wanted);
    }

    #[test]
    fn texts_are_escaped_as_the_standard_says() {
        let given = json!(["\u{20ac}$\u{f}\nA'B\"\\\"/", "雲維", true, null, -5, 0]);
        assert_eq!(canonical(&given).unwrap(), "[\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\"/\",\"雲維\",true,null,-5,0]");
    }

    #[test]
    fn numbers_that_have_several_spellings_are_refused() {
        for bad in [json!(1.5), json!(1_u64 << 53), json!(-(1_i64 << 53)), json!(1e300)] {
            assert_eq!(canonical(&json!([bad])).unwrap_err().code(), "evidence.number", "{bad}");
        }
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            (-(1_i64 << 52)..(1_i64 << 52)).prop_map(Json::from),
            any::<String>().prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_the_same_document_on_one_line(json in any_json()) {
            let text = canonical(&json).unwrap();
            prop_assert!(!text.contains('\n'));
            let again: Json = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&again, &json);
            prop_assert_eq!(canonical(&again).unwrap(), text);
        }
    }
}
