//! Tables for people, JSON for programs.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value as Json;

/// The text at a dotted path (`price.value`, `0` for a list's first), or a dash.
pub fn text(json: &Json, path: &str) -> String {
    let mut at = Some(json);
    for part in path.split('.') {
        at = at.and_then(|json| match part.parse::<usize>() {
            Ok(index) => json.get(index),
            Err(_) => json.get(part),
        });
    }
    match at {
        Some(Json::String(text)) => harmless(text),
        Some(Json::Null) | None => "–".into(),
        Some(other) => other.to_string(),
    }
}

/// Text that others wrote (names, what a guest printed on its console), without
/// what would command the terminal that it is shown on.
fn harmless(text: &str) -> String {
    let shown = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c };
    text.replace("\r\n", "\n").chars().map(shown).collect()
}

/// An amount of TMF `Money`, `TWD 1,234`.
pub fn money(json: Option<&Json>) -> String {
    let Some(json) = json else { return "–".into() };
    let unit = text(json, "unit");
    let value = text(json, "value");
    let (whole, rest) = value.split_once('.').map_or((value.as_str(), ""), |(w, r)| (w, r));
    let digits = whole.trim_start_matches('-');
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if whole.starts_with('-') { "-" } else { "" };
    let point = if rest.is_empty() { String::new() } else { format!(".{rest}") };
    format!("{unit} {sign}{grouped}{point}")
}

/// An instant in the local time zone, to the second.
pub fn time(json: &Json, path: &str) -> String {
    let raw = text(json, path);
    raw.parse::<jiff::Timestamp>()
        .map_or(raw, |at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// Prints a table, or says that there is nothing.
pub fn table(head: &[&str], rows: Vec<Vec<String>>, nothing: &str) {
    if rows.is_empty() {
        println!("{nothing}");
        return;
    }
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(head);
    table.add_rows(rows);
    println!("{table}");
}

/// Prints JSON, indented.
pub fn json(value: &Json) {
    println!("{value:#}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn what_others_wrote_does_not_command_the_terminal() {
        let hostile = json!({"name": "a\u{1b}]0;mine\u{7}\u{1b}[2J\u{9b}31m\r\nb\tc 雲"});
        assert_eq!(super::text(&hostile, "name"), "a\u{fffd}]0;mine\u{fffd}\u{fffd}[2J\u{fffd}31m\nb\tc 雲");
    }

    #[test]
    fn money_is_grouped_by_thousands() {
        assert_eq!(super::money(Some(&json!({"unit": "TWD", "value": 1_234_567}))), "TWD 1,234,567");
        assert_eq!(super::money(Some(&json!({"unit": "USD", "value": -12.5}))), "USD -12.5");
        assert_eq!(super::money(None), "–");
    }
}
