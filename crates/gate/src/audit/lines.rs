//! Entries as rows of CSV (RFC 4180) and as lines of CEF. For reading: only lines of JSON can be verified.

use base::time::{Timestamp, from_micros};

use super::leaf::Private;
use super::store::Stored;

/// What each row of CSV has, in this order.
const COLUMNS: [&str; 16] = [
    "index",
    "at",
    "actor",
    "tenant",
    "objectTenant",
    "action",
    "objectKind",
    "objectId",
    "revision",
    "outcome",
    "session",
    "strength",
    "request",
    "input",
    "address",
    "reason",
];
/// How bad a refusal is, and everything else, on CEF's scale from 0 to 10.
const SEVERITY: (u8, u8) = (6, 3);
/// An entry that does not read is damage.
const DAMAGED: u8 = 10;

fn private(stored: &Stored) -> (String, String) {
    let read = stored.private.as_ref().and_then(|(_, body)| serde_json::from_str::<Private>(body).ok());
    read.map_or_else(Default::default, |private| (private.address.unwrap_or_default(), private.reason))
}

fn at(stored: &Stored) -> Option<Timestamp> {
    from_micros(stored.leaf.at).ok()
}

/// The first row of CSV.
pub(super) fn csv_heading() -> String {
    format!("{}\r\n", COLUMNS.join(","))
}

/// An entry as a row of CSV; nothing but its place where it does not read.
pub(super) fn csv(index: i64, stored: Option<&Stored>) -> String {
    let Some(stored) = stored else { return format!("{index}{}\r\n", ",".repeat(COLUMNS.len() - 1)) };
    let (l, (address, reason)) = (&stored.leaf, private(stored));
    let (when, revision) = (at(stored).map(|at| at.to_string()).unwrap_or_default(), l.revision.to_string());
    let texts: [&str; 15] = [
        &when,
        &l.actor,
        &l.tenant,
        &l.object_tenant,
        &l.action,
        &l.object_kind,
        &l.object_id,
        &revision,
        &l.outcome,
        &l.session,
        &l.strength,
        &l.request,
        &l.input,
        &address,
        &reason,
    ];
    let cells: Vec<String> = texts.into_iter().map(cell).collect();
    format!("{index},{}\r\n", cells.join(","))
}

/// A cell: quoted where it must be. What a spreadsheet would take for a formula is made text by the
/// apostrophe that spreadsheets know for that.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    match text.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// An entry as a line of CEF.
pub(super) fn cef(index: i64, stored: Option<&Stored>) -> String {
    let head = |event: &str, severity: u8| {
        format!("CEF:0|Yunwei|Yunwei|{}|{event}|{event}|{severity}|externalId={index}", env!("CARGO_PKG_VERSION"))
    };
    let Some(stored) = stored else { return head("audit.damaged", DAMAGED) };
    let (l, (address, reason)) = (&stored.leaf, private(stored));
    let refused = l.outcome.starts_with("refused:");
    let when = at(stored).map(|at| at.as_millisecond().to_string()).unwrap_or_default();
    // CEF has members of its own for addresses of the two families.
    let (v4, v6) = if address.contains(':') { ("", address.as_str()) } else { (address.as_str(), "") };
    let members: [(&str, &str); 20] = [
        ("rt", &when),
        ("act", &l.action),
        ("outcome", if refused { "failure" } else { "success" }),
        ("suid", &l.actor),
        ("src", v4),
        ("c6a2Label", if v6.is_empty() { "" } else { "Source IPv6 Address" }),
        ("c6a2", v6),
        ("reason", l.outcome.strip_prefix("refused:").unwrap_or_default()),
        ("msg", &reason),
        ("cs1Label", "tenant"),
        ("cs1", &l.tenant),
        ("cs2Label", "objectTenant"),
        ("cs2", &l.object_tenant),
        ("cs3Label", "object"),
        ("cs3", &l.object_id),
        ("cs4Label", "session"),
        ("cs4", &l.session),
        ("cs5Label", "strength"),
        ("cs5", &l.strength),
        ("requestContext", &l.request),
    ];
    let told = members.iter().filter(|(_, value)| !value.is_empty());
    let extension: String = told.map(|(name, value)| format!(" {name}={}", escaped(value, '='))).collect();
    format!("{}{extension}", head(&escaped(&l.action, '|'), if refused { SEVERITY.0 } else { SEVERITY.1 }))
}

/// As CEF has it: backslashes and what ends a part are escaped, ends of lines are written out.
fn escaped(text: &str, end: char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if c == '\\' || c == end => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_members_cannot_be_broken_out_of() {
        assert_eq!(cell("a"), "a");
        assert_eq!(cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(cell("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(escaped("a=b\\c\nd", '='), "a\\=b\\\\c\\nd");
        assert_eq!(escaped("a|b=c", '|'), "a\\|b=c");
        assert!(cef(7, None).contains("|audit.damaged|10|externalId=7"));
        assert_eq!(csv(7, None).matches(',').count(), COLUMNS.len() - 1);
    }
}
