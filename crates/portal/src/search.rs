//! Search over everything that the visitor may see: by identifier, or by the
//! beginning of a name.
//!
//! Every group asks its own action, so nothing is found that could not be
//! opened; a group that the visitor may not list is left out.

use crate::operator::{Hit, Search};
use crate::page::ok;
use crate::records::{Ask, said};
use crate::ui::Icon;
use crate::visit::{Answer, Signed};
use access::tenants::actions as tenants;
use axum::response::{IntoResponse, Redirect};
use base::{Kind, Result};
use db::Record;
use resources::hosts;
use serde_json::json;

/// Matches that one group shows.
const HITS: usize = 10;
/// Newest records of a kind that are looked through for a name.
const LOOKED: u32 = 200;

/// `GET /operator/search`
pub(crate) async fn page(s: Signed) -> Answer {
    let p = s.p();
    let query: String = s.visit.query.get("q").chars().take(200).collect();
    let mut groups = Vec::new();
    if !query.is_empty() {
        if let Some(href) = exact(&query) {
            return Ok(Redirect::to(&href).into_response());
        }
        let needle = query.to_lowercase();
        let f = &s.t().frame;
        for (title, icon, hits) in [
            (f.customers, Icon::People, allowed(customers(&s, &needle).await)?),
            (f.orders, Icon::Orders, allowed(records(&s, &commerce::orders::PRODUCT_ORDER, "/orders", &needle).await)?),
            (
                f.offerings,
                Icon::Catalog,
                allowed(records(&s, &commerce::catalog::PRODUCT_OFFERING, "/operator/offerings", &needle).await)?,
            ),
            (f.hosts, Icon::Hosts, allowed(machines(&s, &needle).await)?),
            (f.flows, Icon::Flows, allowed(flows(&s, &query).await)?),
        ] {
            if !hits.is_empty() {
                groups.push((title, icon, hits));
            }
        }
    }
    Ok(ok(&Search { p, query, groups }))
}

/// Where a whole identifier leads.
fn exact(query: &str) -> Option<String> {
    let (prefix, rest) = query.split_once('_')?;
    if rest.len() != 26 || !rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let page = match prefix {
        "pord" => "/orders",
        "ten" => "/operator/customers",
        "run" => "/operator/flows",
        "hst" => "/operator/hosts",
        "pof" => "/operator/offerings",
        _ => return None,
    };
    Some(format!("{page}/{query}"))
}

/// A group that the visitor may not list is empty; any other failure is told.
fn allowed(found: Result<Vec<Hit>>) -> Result<Vec<Hit>> {
    match found {
        Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::NotFound) => Ok(Vec::new()),
        other => other,
    }
}

async fn customers(s: &Signed, needle: &str) -> Result<Vec<Hit>> {
    let found = s.call(&tenants::LIST, tenants::ListTenants { parent: None, after: None, limit: Some(200) }).await?;
    let matching = found.items.into_iter().filter(|t| t.name.to_lowercase().contains(needle));
    Ok(matching
        .take(HITS)
        .map(|tenant| Hit {
            href: format!("/operator/customers/{}", tenant.id),
            name: tenant.name,
            id: tenant.id.to_string(),
            note: String::new(),
            state: tenant.state.word().to_owned(),
        })
        .collect())
}

async fn records(s: &Signed, kind: &'static gate::Kind, page: &str, needle: &str) -> Result<Vec<Hit>> {
    let found = s.list(kind, Ask { limit: LOOKED, ..Ask::default() }).await?;
    let name = |record: &Record| {
        if record.kind == "productOrder" {
            crate::orders::what(s, record)
        } else {
            said(s.p().lang, &record.body, "name")
        }
    };
    let mut hits = Vec::new();
    let matching: Vec<(&Record, String)> = found
        .records
        .iter()
        .map(|record| (record, name(record)))
        .filter(|(record, name)| name.to_lowercase().contains(needle) || record.id == needle)
        .take(HITS)
        .collect();
    let names = crate::customers::names(s, matching.iter().map(|(record, _)| record.tenant)).await;
    for (record, name) in matching {
        hits.push(Hit {
            href: format!("{page}/{}", record.id),
            name,
            id: record.id.clone(),
            note: names.get(&record.tenant).cloned().unwrap_or_default(),
            state: record.state.clone().unwrap_or_default(),
        });
    }
    Ok(hits)
}

async fn machines(s: &Signed, needle: &str) -> Result<Vec<Hit>> {
    let found = s.call(&hosts::LIST, hosts::ListHosts { limit: Some(200), ..Default::default() }).await?;
    let matching = found.items.into_iter().filter(|host| host.name.to_lowercase().contains(needle));
    Ok(matching
        .take(HITS)
        .map(|host| Hit {
            href: format!("/operator/hosts/{}", host.id),
            name: host.name,
            id: host.id.to_string(),
            note: String::new(),
            state: host.state.word().to_owned(),
        })
        .collect())
}

/// Runs about an object whose identifier was typed.
async fn flows(s: &Signed, query: &str) -> Result<Vec<Hit>> {
    let found = crate::flows::runs(s, json!({ "subject": query, "limit": HITS })).await?;
    Ok(found
        .items
        .into_iter()
        .map(|run| Hit {
            href: format!("/operator/flows/{}", run.id),
            name: run.flow,
            id: run.id.to_string(),
            note: format!("{} {}", run.subject_kind, run.subject_id),
            state: run.state.word().to_owned(),
        })
        .collect())
}
