//! Words that things are found by: names, numbers, mail addresses.
//!
//! One table for records and for what is no record. A room that keeps something
//! with a name tells its texts to [`keep`]; [`find`] gives the identifiers whose
//! words begin with those that were asked for. In a script that writes no
//! spaces every character begins a word, so that 雲端 finds 小型雲端主機.
//!
//! Invariant: `search_words` holds exactly the words of what was kept last.
//!
//! Not here: who may see what was found; whoever asks loads it through the gate.

use std::collections::BTreeSet;

use base::id::TenantId;
use base::{Result, limits};

use crate::args;
use crate::conn::Conn;
use crate::value::Value;

/// Characters of a word that are looked at.
const LETTERS_MAX: usize = 40;
/// Tenants that are searched one by one; more are searched at once.
const WALKS_MAX: usize = 16;

/// Whether words of this script are written without spaces between them.
fn is_dense(c: char) -> bool {
    matches!(c, '\u{2E80}'..='\u{2FDF}' | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}'
        | '\u{AC00}'..='\u{D7AF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// The words of a text in lower case, in order.
fn split(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for c in text.chars().flat_map(char::to_lowercase) {
        let class = c.is_alphanumeric().then(|| is_dense(c));
        match (class, words.last_mut()) {
            (Some(_), Some(word)) if class == last => {
                if word.chars().count() < LETTERS_MAX {
                    word.push(c);
                }
            }
            (Some(_), _) => words.push(c.to_string()),
            (None, _) => {}
        }
        last = class;
    }
    words
}

/// Everything that a text can be found by.
fn entries(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in split(text) {
        if word.starts_with(is_dense) {
            found.extend(word.char_indices().map(|(at, _)| word[at..].to_owned()));
        } else {
            found.push(word);
        }
    }
    found
}

/// From now on the thing is found by these texts and no others.
///
/// # Errors
/// Those of the database.
pub fn keep(conn: &mut Conn<'_>, kind: &str, tenant: TenantId, id: &str, texts: &[&str]) -> Result<()> {
    let wanted = all(texts);
    let known: Vec<String> = conn.query("SELECT word FROM search_words WHERE id = $1", args![id], |row| row.get(0))?;
    for gone in known.iter().filter(|word| !wanted.contains(*word)) {
        conn.execute("DELETE FROM search_words WHERE id = $1 AND word = $2", args![id, gone])?;
    }
    wanted.iter().filter(|word| !known.contains(word)).try_for_each(|word| add(conn, kind, tenant, id, word))
}

/// [`keep`] for a thing that was not there before.
///
/// # Errors
/// Those of the database.
pub fn begin(conn: &mut Conn<'_>, kind: &str, tenant: TenantId, id: &str, texts: &[&str]) -> Result<()> {
    all(texts).iter().try_for_each(|word| add(conn, kind, tenant, id, word))
}

fn all(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().flat_map(|text| entries(text)).take(limits::WORDS_MAX).collect()
}

fn add(conn: &mut Conn<'_>, kind: &str, tenant: TenantId, id: &str, word: &str) -> Result<()> {
    let sql = "INSERT INTO search_words (id, word, kind, tenant) VALUES ($1, $2, $3, $4)";
    conn.execute(sql, args![id, word, kind, tenant]).map(drop)
}

/// It is found no more.
///
/// # Errors
/// Those of the database.
pub fn forget(conn: &mut Conn<'_>, id: &str) -> Result<()> {
    conn.execute("DELETE FROM search_words WHERE id = $1", args![id]).map(drop)
}

/// Things of a kind that have, for each word of `text`, a word beginning with
/// it: what agrees most closely first. `within` says whose; `None` for anybody's.
///
/// # Errors
/// Those of the database.
pub fn find(
    conn: &mut Conn<'_>,
    kind: &str,
    within: Option<&[TenantId]>,
    text: &str,
    limit: usize,
) -> Result<Vec<String>> {
    let mut words = split(text);
    words.truncate(8);
    // The longest is the rarest, as far as anybody can tell without looking.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    if words.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<Option<&[TenantId]>> = match within {
        None => vec![None],
        Some(tenants) if tenants.len() <= WALKS_MAX => tenants.chunks(1).map(Some).collect(),
        Some(tenants) => vec![Some(tenants)],
    };
    let mut found: Vec<(String, String)> = Vec::new();
    for part in parts {
        rarest_first(conn, kind, part, &mut words)?;
        let Some((first, rest)) = words.split_first() else { continue };
        let (sql, args) = statement(kind, part, first, rest, limit);
        found.extend(conn.query(&sql, &args, |row| Ok((row.get(1)?, row.get(0)?)))?);
    }
    found.sort();
    let mut seen = BTreeSet::new();
    let ids = found.into_iter().map(|(_, id)| id).filter(|id| seen.insert(id.clone()));
    Ok(ids.take(limit).collect())
}

/// Puts the word first that the fewest begin with, as far as is counted: the others are looked up for
/// each thing that has it.
fn rarest_first(conn: &mut Conn<'_>, kind: &str, part: Option<&[TenantId]>, words: &mut [String]) -> Result<()> {
    if words.len() < 2 {
        return Ok(());
    }
    let mut fewest = (usize::MAX, 0);
    for (at, word) in words.iter().enumerate() {
        let mut s = Statement::default();
        s.sql.push_str("SELECT COUNT(*) FROM (");
        s.range(kind, part, word);
        s.sql.push_str(&format!(" LIMIT {}) counted", limits::SEARCH_WORDS_MAX));
        let number: i64 = conn.query_one(&s.sql, &s.args, |row| row.get(0))?;
        fewest = fewest.min((usize::try_from(number).unwrap_or(usize::MAX), at));
    }
    words.swap(0, fewest.1);
    Ok(())
}

/// Text of a statement and its parameters, grown together.
#[derive(Default)]
struct Statement {
    sql: String,
    args: Vec<Value<'static>>,
}

impl Statement {
    fn arg(&mut self, text: String) -> String {
        self.args.push(Value::Text(text.into()));
        format!("${}", self.args.len())
    }

    /// `column` begins like `word`.
    fn begins(&mut self, column: &str, word: &str) {
        let (from, to) = (self.arg(word.to_owned()), self.arg(format!("{word}{}", char::MAX)));
        self.sql.push_str(&format!("{column} >= {from} AND {column} < {to}"));
    }

    /// The entries of the index that begin like `word`.
    fn range(&mut self, kind: &str, part: Option<&[TenantId]>, word: &str) {
        let kind = self.arg(kind.to_owned());
        self.sql.push_str(&format!("SELECT w.id, w.word FROM search_words w WHERE w.kind = {kind} AND "));
        if let Some(tenants) = part {
            let list: Vec<String> = tenants.iter().map(|tenant| self.arg(tenant.to_string())).collect();
            match &list[..] {
                [one] => self.sql.push_str(&format!("w.tenant = {one} AND ")),
                many => self.sql.push_str(&format!("w.tenant IN ({}) AND ", many.join(", "))),
            }
        }
        self.begins("w.word", word);
    }
}

/// Walks the index over words from the first that will do, and stops when there is enough; where
/// there are more words, at the latest after [`limits::SEARCH_WORDS_MAX`] entries: a search is not
/// made slow by asking for what everything has and nothing has besides.
fn statement(
    kind: &str,
    part: Option<&[TenantId]>,
    first: &str,
    rest: &[String],
    limit: usize,
) -> (String, Vec<Value<'static>>) {
    let mut s = Statement::default();
    // A thing may have several words that will do: a few more rows than things are read.
    let shown = limit.saturating_mul(4);
    if rest.is_empty() {
        s.range(kind, part, first);
        s.sql.push_str(&format!(" ORDER BY w.word, w.id LIMIT {shown}"));
        return (s.sql, s.args);
    }
    s.sql.push_str("SELECT c.id, c.word FROM (");
    s.range(kind, part, first);
    s.sql.push_str(&format!(" ORDER BY w.word, w.id LIMIT {}) c WHERE 1 = 1", limits::SEARCH_WORDS_MAX));
    for word in rest {
        s.sql.push_str(" AND EXISTS (SELECT 1 FROM search_words x WHERE x.id = c.id AND ");
        s.begins("x.word", word);
        s.sql.push(')');
    }
    s.sql.push_str(&format!(" ORDER BY c.word, c.id LIMIT {shown}"));
    (s.sql, s.args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::id::TenantId;

    #[test]
    fn texts_are_cut_into_words_where_a_reader_would() {
        assert_eq!(split("Web-01 of 晴川設計"), ["web", "01", "of", "晴川設計"]);
        assert_eq!(split("Owner@QingChuan.example"), ["owner", "qingchuan", "example"]);
        assert_eq!(entries("雲端主機 S"), ["雲端主機", "端主機", "主機", "機", "s"]);
        assert!(split(" -_/ ").is_empty());
        assert_eq!(split(&"x".repeat(500))[0].len(), LETTERS_MAX);
    }

    #[test]
    fn things_are_found_by_the_beginnings_of_their_words_and_only_in_sight() {
        for (engine, db, _keep) in crate::testing::databases() {
            let (one, other) = (TenantId(1), TenantId(2));
            let kept = [
                (one, "a", "Web server 1"),
                (one, "b", "website of 晴川設計"),
                (other, "c", "web of somebody else"),
                (one, "d", "100% _ordinary_"),
            ];
            db.write(move |conn| kept.iter().try_for_each(|(t, id, text)| keep(conn, "thing", *t, id, &[text])))
                .unwrap();
            let find = |text: &'static str, within: Option<Vec<TenantId>>| {
                db.read(move |conn| find(conn, "thing", within.as_deref(), text, 10)).unwrap()
            };
            assert_eq!(find("WEB", Some(vec![one])), ["a", "b"], "{engine}: the closest first");
            assert_eq!(find("web", None), ["a", "c", "b"]);
            assert_eq!(find("web ser", Some(vec![one, other])), ["a"]);
            assert_eq!(find("設計", Some(vec![one])), ["b"]);
            assert_eq!(find("%", None), [""; 0], "nothing is a wildcard");
            assert_eq!(find("ordin", None), ["d"]);
            db.write(move |conn| {
                keep(conn, "thing", one, "a", &["Mail server"])?;
                forget(conn, "b")
            })
            .unwrap();
            assert_eq!(find("web", Some(vec![one])), [""; 0]);
            assert_eq!(find("mail serv", Some(vec![one])), ["a"]);
        }
    }
}
