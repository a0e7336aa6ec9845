//! GET of a collection: one page, its counts and its next link.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base::{Error, Result, limits};
use db::Record;
use db::records::{self, Query};
use gate::{Cx, Effect, Kind, Tx, Verb, audit};
use serde_json::Value as Json;

use super::query::{self, Asked};
use super::render;
use crate::Web;
use crate::reply::{Reply, json_text};

/// A page that was found.
struct Found {
    records: Vec<(Record, String)>,
    total: Total,
    more: bool,
}

/// How many match.
enum Total {
    /// So many.
    Exactly(u64),
    /// More than is counted.
    More,
    /// Nobody counted: the page goes on where another one ended, and only looking at each would tell.
    Untold,
}

pub(super) async fn list(kind: &'static Kind, web: &Web, cx: Cx, raw: &str) -> Reply {
    let asked = query::parse(kind, raw)?;
    let gate = web.gate().clone();
    // A list may take milliseconds: it has a thread of its own, unlike a look-up.
    let read = tokio::task::spawn_blocking(move || {
        gate.perform(&cx, &kind.action(Verb::List), Effect::Read, audit::digest(&()), {
            let asked = std::sync::Arc::new(asked);
            move |tx| Ok((find(kind, tx, &asked)?, asked.clone()))
        })
    });
    let (found, asked) =
        read.await.map_err(|e| Error::bug("list.panic", "a list stopped on a broken invariant").because(e))??;
    let headers = headers(kind, &asked, &found)?;
    let documents: Vec<Json> = found
        .records
        .into_iter()
        .map(|(record, _)| render(web.site(), kind, record))
        .map(|document| {
            Json::Object(asked.fields.as_ref().map_or_else(|| document.clone(), |fields| fields.of(&document)))
        })
        .collect();
    let text = serde_json::to_string(&documents).unwrap_or_default();
    let mut response = json_text(StatusCode::OK, text);
    response.headers_mut().extend(headers);
    Ok(response)
}

/// `X-Total-Count` (or `X-Total-Count-Exceeds`, or neither), `X-Result-Count`, `Link`.
fn headers(kind: &Kind, asked: &Asked, found: &Found) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    match found.total {
        Total::Exactly(total) => headers.insert("x-total-count", HeaderValue::from(total)),
        Total::More => headers.insert("x-total-count-exceeds", HeaderValue::from(limits::COUNT_EXACT_MAX)),
        Total::Untold => None,
    };
    headers.insert("x-result-count", HeaderValue::from(found.records.len()));
    if let (true, Some((record, value))) = (found.more, found.records.last()) {
        let cursor = query::write_cursor(&asked.repeated, value, &record.id);
        let link = format!("<{}?{}cursor={cursor}>; rel=\"next\"", kind.path, asked.repeated);
        let link = HeaderValue::from_str(&link)
            .map_err(|_| Error::invalid("query.encoding", "the query holds characters that must be percent-encoded"))?;
        headers.insert(header::LINK, link);
    }
    Ok(headers)
}

fn find(kind: &'static Kind, tx: &mut Tx<'_>, asked: &Asked) -> Result<Found> {
    let scope = tx.cx().scope().clone();
    let query = Query {
        kind: kind.name,
        scope: &scope,
        conditions: asked.filters.iter().filter_map(query::Filter::condition).collect(),
        sort: asked.sort,
        descending: asked.descending,
        after: asked.after.clone(),
        offset: asked.offset,
        limit: asked.limit,
    };
    let rest: Vec<&query::Filter> = asked.filters.iter().filter(|filter| filter.condition().is_none()).collect();
    if !rest.is_empty() {
        return scan(kind, tx, query, &rest);
    }
    let total = records::total(tx, &Query { after: None, ..query.clone() })?.map_or(Total::More, Total::Exactly);
    let records::Listed { records, more } = records::listed(tx, &query)?;
    Ok(Found { records, total, more })
}

/// Filters that the database cannot decide: looks at the records one by one, at
/// most [`limits::SCAN_MAX`] of them. What is kept is bounded as any page is.
fn scan(kind: &Kind, tx: &mut Tx<'_>, query: Query<'_>, rest: &[&query::Filter]) -> Result<Found> {
    const STEP: u32 = 500;
    let (mut matches, mut seen) = (0u64, 0u64);
    let (mut kept, mut bytes, mut full) = (Vec::new(), 0, false);
    let wanted = query.offset + u64::from(query.limit);
    let continued = query.after.is_some();
    let mut page = Query { offset: 0, limit: STEP, ..query.clone() };
    loop {
        let records::Listed { records, more } = records::listed(tx, &page)?;
        seen += records.len() as u64;
        page.after = records.last().map(|(record, value)| (value.clone(), record.id.clone()));
        for (record, value) in records {
            if rest.iter().all(|filter| filter.holds(kind, &record)) {
                matches += 1;
                full |= matches > wanted;
                if matches > query.offset && !full {
                    bytes += serde_json::to_vec(&record.body).map_or(0, |text| text.len());
                    full = bytes > limits::PAGE_BYTES_MAX && !kept.is_empty();
                    if !full {
                        kept.push((record, value));
                    }
                }
            }
        }
        if !more {
            let total = if continued { Total::Untold } else { Total::Exactly(matches) };
            return Ok(Found { records: kept, total, more: full });
        }
        if full && seen >= limits::SCAN_MAX {
            let enough = !continued && matches >= limits::COUNT_EXACT_MAX;
            let total = if enough { Total::More } else { Total::Untold };
            return Ok(Found { records: kept, total, more: true });
        }
        if seen >= limits::SCAN_MAX {
            let named: Vec<&str> = rest.iter().map(|filter| filter.path.as_str()).collect();
            let known: Vec<&str> = kind.keys.iter().map(|key| key.path).collect();
            let message = format!(
                "looking for {} would mean reading more than {} records; narrow the list with an indexed attribute: {}",
                named.join(", "),
                limits::SCAN_MAX,
                known.join(", ")
            );
            return Err(Error::invalid("filter.too_broad", message).at(named.first().copied().unwrap_or_default()));
        }
    }
}
