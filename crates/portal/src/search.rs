//! Search over everything that the visitor may see: by the beginning of an
//! identifier, or of the words of a name, a number, a mail address.
//!
//! Every group asks its own action, so nothing is found that could not be
//! opened; what the visitor's roles have no use for is not asked, and a group
//! that the gate refuses is left out.

use crate::operator::{Hit, Search};
use crate::page::ok;
use crate::records::said;
use crate::ui::Icon;
use crate::visit::{Answer, Signed};
use access::accounts::actions as accounts;
use access::tenants::actions as tenants;
use axum::response::{IntoResponse, Redirect};
use base::{Kind, Result, limits};
use db::Record;
use provisioning::services;
use resources::hosts;
use serde_json::json;

/// `GET /search`
pub(crate) async fn page(s: Signed) -> Answer {
    let p = s.p();
    let query: String = s.visit.query.get("q").chars().take(200).collect();
    if let Some(href) = exact(&s, &query) {
        return Ok(Redirect::to(&href).into_response());
    }
    let mut groups = Vec::new();
    if !query.is_empty() {
        let f = &s.t().frame;
        for (title, icon, hits) in [
            (f.customers, Icon::People, allowed(customers(&s, &query).await)?),
            (f.people, Icon::Person, allowed(people(&s, &query).await)?),
            (f.orders, Icon::Orders, allowed(orders(&s, &query).await)?),
            (f.services_found, Icon::Services, allowed(their_services(&s, &query).await)?),
            (f.bills, Icon::Bills, allowed(bills(&s, &query).await)?),
            (f.offerings, Icon::Catalog, allowed(offerings(&s, &query).await)?),
            (f.hosts_found, Icon::Hosts, allowed(machines(&s, &query).await)?),
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
fn exact(s: &Signed, query: &str) -> Option<String> {
    let (prefix, rest) = query.split_once('_')?;
    if rest.len() != 26 || !rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let page = match (prefix, s.p().operator()) {
        ("pord", _) => "/orders",
        ("svc", _) => "/services",
        ("inv", _) => "/inventory",
        ("bill", _) => "/bills",
        ("hub", _) => "/webhooks",
        ("ten", true) => "/operator/customers",
        ("run", true) => "/operator/flows",
        ("hst", true) => "/operator/hosts",
        ("pof", true) => "/operator/offerings",
        ("pof", false) => "/catalog",
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

async fn customers(s: &Signed, query: &str) -> Result<Vec<Hit>> {
    if !s.p().operator() {
        return Ok(Vec::new());
    }
    let ask = tenants::ListTenants { search: Some(query.to_owned()), ..Default::default() };
    let found = s.call(&tenants::LIST, ask).await?;
    let hit = |tenant: access::tenants::Tenant| Hit {
        href: format!("/operator/customers/{}", tenant.id),
        name: tenant.name,
        id: tenant.id.to_string(),
        note: String::new(),
        state: tenant.state.word().to_owned(),
    };
    Ok(found.items.into_iter().map(hit).collect())
}

async fn people(s: &Signed, query: &str) -> Result<Vec<Hit>> {
    if !s.p().offers("/members") {
        return Ok(Vec::new());
    }
    let ask = accounts::ListAccounts { search: Some(query.to_owned()), ..Default::default() };
    let found = s.call(&accounts::LIST, ask).await?.items;
    let names = crate::customers::names(s, found.iter().map(|member| member.account.home)).await;
    let here = s.cx.tenant();
    let hits = found.into_iter().map(|member| {
        let home = member.account.home;
        let page = if home == here { "/members".to_owned() } else { format!("/operator/customers/{home}") };
        Hit {
            href: page,
            name: member.account.name,
            id: member.account.email,
            note: names.get(&home).cloned().unwrap_or_default(),
            state: String::new(),
        }
    });
    Ok(hits.collect())
}

/// Records of a kind that the words may mean, each under its name and its page.
async fn records(
    s: &Signed,
    kind: &'static gate::Kind,
    query: &str,
    page: &str,
    shown: fn(&Record) -> bool,
    name: impl Fn(&Record) -> String,
) -> Result<Vec<Hit>> {
    let text = query.to_owned();
    let mut found = s.blocking(move |gate, cx| kind.search(gate, cx, &text, limits::SEARCH_MAX)).await?;
    found.retain(shown);
    let names = crate::customers::names(s, found.iter().map(|record| record.tenant)).await;
    let hit = |record: Record| Hit {
        href: format!("{page}/{}", record.id),
        name: name(&record),
        note: names.get(&record.tenant).cloned().unwrap_or_default(),
        state: record.state.clone().unwrap_or_default(),
        id: record.id,
    };
    Ok(found.into_iter().map(hit).collect())
}

async fn orders(s: &Signed, query: &str) -> Result<Vec<Hit>> {
    if !s.p().offers("/orders") {
        return Ok(Vec::new());
    }
    records(s, &commerce::orders::PRODUCT_ORDER, query, "/orders", |_| true, |order| crate::orders::what(s, order))
        .await
}

/// Customers' services, not those that stand behind them.
async fn their_services(s: &Signed, query: &str) -> Result<Vec<Hit>> {
    if !s.p().offers("/services") {
        return Ok(Vec::new());
    }
    let lang = s.p().lang;
    let name = |service: &Record| said(lang, &service.body, "name");
    let facing = |service: &Record| crate::records::at(service, "category") == services::CUSTOMER_FACING;
    records(s, &services::SERVICE, query, "/services", facing, name).await
}

async fn bills(s: &Signed, query: &str) -> Result<Vec<Hit>> {
    if !s.p().offers("/bills") {
        return Ok(Vec::new());
    }
    let number = |bill: &Record| crate::records::at(bill, "billNo").to_owned();
    records(s, &billing::bills::CUSTOMER_BILL, query, "/bills", |_| true, number).await
}

async fn offerings(s: &Signed, query: &str) -> Result<Vec<Hit>> {
    let page = if s.p().operator() { "/operator/offerings" } else { "/catalog" };
    let lang = s.p().lang;
    let name = |offering: &Record| said(lang, &offering.body, "name");
    let mut found = records(s, &commerce::catalog::PRODUCT_OFFERING, query, page, |_| true, name).await?;
    // Everybody knows whose catalog it is.
    found.iter_mut().for_each(|hit| hit.note.clear());
    Ok(found)
}

async fn machines(s: &Signed, query: &str) -> Result<Vec<Hit>> {
    if !s.p().operator() || !s.p().offers("/operator/hosts") {
        return Ok(Vec::new());
    }
    let ask = hosts::ListHosts { search: Some(query.to_owned()), ..Default::default() };
    let hit = |host: hosts::Host| Hit {
        href: format!("/operator/hosts/{}", host.id),
        name: host.name,
        id: host.id.to_string(),
        note: String::new(),
        state: host.state.word().to_owned(),
    };
    Ok(s.call(&hosts::LIST, ask).await?.items.into_iter().map(hit).collect())
}

/// Runs about an object whose identifier was typed.
async fn flows(s: &Signed, query: &str) -> Result<Vec<Hit>> {
    if !s.p().operator() || !s.p().offers("/operator/flows") {
        return Ok(Vec::new());
    }
    let found = crate::flows::runs(s, json!({ "subject": query.trim(), "limit": limits::SEARCH_MAX })).await?;
    let hits = found.items.into_iter().map(|run| Hit {
        href: format!("/operator/flows/{}", run.id),
        name: run.flow,
        id: run.id.to_string(),
        note: format!("{} {}", run.subject_kind, run.subject_id),
        state: run.state.word().to_owned(),
    });
    Ok(hits.collect())
}
