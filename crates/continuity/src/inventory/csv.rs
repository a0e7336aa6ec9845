//! Tables as text (RFC 4180), and how an inventory is written in them. Pure.
//!
//! Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula: such a cell is
//! written behind an apostrophe, which is taken off again when it is read.

use base::{Error, Result};

use super::types::{Needs, Thing};

/// The columns of a file of things, in the order in which they are written.
pub const NODES: [&str; 10] =
    ["ref", "kind", "name", "within", "repair", "start", "importance", "likelihood", "owner", "note"];
/// The columns of a file of dependencies.
pub const DEPENDENCIES: [&str; 4] = ["node", "needs", "set", "at_least"];

/// A file: where each column of the known ones is, and the lines below.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<usize>,
    names: &'static [&'static str],
    /// Number of the line in the file, and its cells.
    pub lines: Vec<(usize, Vec<String>)>,
}

impl Table {
    /// Reads a file with a header; the columns may come in any order, and of those that are not
    /// `required`, any may be missing.
    pub fn read(text: &str, names: &'static [&'static str], required: usize) -> Result<Table> {
        let mut lines = parse(text)?.into_iter();
        let Some((_, header)) = lines.next() else {
            return Ok(Table { columns: vec![usize::MAX; names.len()], names, lines: Vec::new() });
        };
        let header: Vec<String> = header.iter().map(|cell| cell.trim().to_lowercase()).collect();
        if let Some(stranger) = header.iter().find(|cell| !names.contains(&cell.as_str())) {
            let message = format!("there is no column `{stranger}`; the columns are {}", names.join(", "));
            return Err(Error::invalid("csv.column", message));
        }
        let place = |name: &&str| header.iter().position(|cell| cell == *name).unwrap_or(usize::MAX);
        let columns: Vec<usize> = names.iter().map(place).collect();
        if let Some(missing) = columns[..required].iter().position(|at| *at == usize::MAX) {
            let message = format!("the column `{}` is missing; the columns are {}", names[missing], names.join(", "));
            return Err(Error::invalid("csv.column", message));
        }
        Ok(Table { columns, names, lines: lines.collect() })
    }

    /// A cell by the name of its column; nothing where the file has no such column.
    pub fn cell<'c>(&self, cells: &'c [String], name: &str) -> Option<&'c str> {
        let column = self.names.iter().position(|known| *known == name)?;
        let at = *self.columns.get(column)?;
        (at != usize::MAX).then(|| cells.get(at).map_or("", |cell| cell.trim()))
    }
}

/// The lines of a file that hold anything, each with its number.
fn parse(text: &str) -> Result<Vec<(usize, Vec<String>)>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let head = text.lines().next().unwrap_or_default();
    // Some spreadsheets write semicolons, by their country.
    let comma = if head.contains(';') && !head.contains(',') { ';' } else { ',' };
    let (mut lines, mut cells, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut number, mut began) = (false, 1, 1);
    let mut chars = text.chars().chain(['\n']).peekable();
    while let Some(c) = chars.next() {
        number += usize::from(c == '\n');
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' if quoted => quoted = false,
            '"' if cell.trim().is_empty() => {
                quoted = true;
                cell.clear();
            }
            _ if quoted => cell.push(c),
            '\n' => {
                cells.push(plain(std::mem::take(&mut cell)));
                let line = std::mem::take(&mut cells);
                if line.iter().any(|cell| !cell.is_empty()) {
                    lines.push((began, line));
                }
                began = number;
            }
            '\r' => {}
            _ if c == comma => cells.push(plain(std::mem::take(&mut cell))),
            _ => cell.push(c),
        }
    }
    match quoted {
        true => Err(Error::invalid("csv.quote", format!("the quotation that begins in line {began} does not end"))),
        false => Ok(lines),
    }
}

const FORMULA: [char; 4] = ['=', '+', '-', '@'];

fn plain(cell: String) -> String {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(FORMULA) || rest.starts_with('\'') => rest.to_owned(),
        _ => cell,
    }
}

/// One line.
fn line(out: &mut String, cells: &[&str]) {
    for (n, cell) in cells.iter().enumerate() {
        out.push_str(if n > 0 { "," } else { "" });
        let guarded = cell.starts_with(FORMULA) || cell.starts_with('\'');
        let cell = if guarded { format!("'{cell}") } else { (*cell).to_owned() };
        match cell.contains(['"', ',', ';', '\n', '\r']) || cell.trim() != cell {
            true => out.push_str(&format!("\"{}\"", cell.replace('"', "\"\""))),
            false => out.push_str(&cell),
        }
    }
    out.push_str("\r\n");
}

/// The file of things.
pub(super) fn nodes(things: &[Thing], key: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    line(&mut out, &NODES);
    for one in things {
        // What only the platform says of a thing is not written: it would be said by people then.
        let within = one.within.as_ref().filter(|_| one.within != one.stands_in);
        let seconds = |seconds: Option<u64>| seconds.map(span).unwrap_or_default();
        let number = |n: Option<u8>| n.map(|n| n.to_string()).unwrap_or_default();
        let (importance, likelihood) = (number(one.said.importance), number(one.said.likelihood));
        let (repair, start) = (seconds(one.said.repair_seconds), seconds(one.said.start_seconds));
        let within = within.map(|id| key(id)).unwrap_or_default();
        let (owner, note) = (&one.said.owner, &one.said.note);
        let (key, kind) = (&one.key, one.kind.word());
        line(&mut out, &[key, kind, &one.name, &within, &repair, &start, &importance, &likelihood, owner, note]);
    }
    out
}

/// The file of what people say that needs what.
pub(super) fn dependencies(things: &[Thing], key: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    line(&mut out, &DEPENDENCIES);
    for one in things {
        let stated: Vec<&Needs> = one.needs.iter().filter(|need| !need.known).collect();
        for (n, need) in stated.iter().enumerate() {
            let set = if need.of.len() > 1 { (n + 1).to_string() } else { String::new() };
            for member in &need.of {
                line(&mut out, &[&one.key, &key(member), &set, &need.at_least.to_string()]);
            }
        }
    }
    out
}

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// `2d`, `4h`, `90m`, `30s`: the largest unit that says it without a rest.
pub fn span(seconds: u64) -> String {
    let unit = UNITS.iter().find(|(_, size)| seconds >= *size && seconds.is_multiple_of(*size));
    unit.map_or_else(|| format!("{seconds}s"), |(unit, size)| format!("{}{unit}", seconds / size))
}

/// Reads what [`span`] writes; a number without a unit is seconds.
///
/// # Errors
/// `Invalid`.
pub fn seconds(text: &str) -> Result<u64> {
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(*unit));
    let (number, size) = unit.map_or((text, 1), |(_, size)| (&text[..text.len() - 1], *size));
    let seconds = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(size));
    seconds.ok_or_else(|| Error::invalid("csv.span", "a span is written like 90s, 15m, 4h or 2d"))
}
