//! The audit log: a customer's own part of it (activity), and the operator's
//! search over all that is in reach.
//!
//! Not here: the tree and its proofs (`gate::audit`). This page shows the newest
//! signed head; whether the tree agrees with it is for a program that does not
//! trust this one to say: `yunwei audit verify`.

use crate::account::{Activity, Entry};
use crate::i18n::action;
use crate::operator::{Audit, Checkpoint};
use crate::page::ok;
use crate::records::ROWS;
use crate::ui::{Choice, Field, Notice, Tone};
use crate::visit::{Answer, Signed};
use access::accounts::actions as accounts;
use access::roles::actions as roles;
use base::time::Timestamp;
use base::{Kind, Result};
use gate::audit::actions::{self, AuditEntry, ListEntries};
use std::collections::HashMap;

/// Entries as a page shows them, with names in the place of identifiers where
/// the visitor may know them.
async fn rows(s: &Signed, found: &[AuditEntry]) -> Vec<Entry> {
    let known = people(s).await;
    let mut names: HashMap<&str, String> = HashMap::new();
    for entry in found {
        if !names.contains_key(entry.actor.as_str()) {
            names.insert(&entry.actor, who(s, &known, &entry.actor).await);
        }
    }
    let tenants = crate::customers::names(s, found.iter().filter_map(|e| e.object_tenant.parse().ok())).await;
    let row = |entry: &AuditEntry| {
        let refused = entry.outcome.strip_prefix("refused:");
        let words = action(s.p().lang, &entry.action);
        Entry {
            at: entry.at,
            who: names.get(entry.actor.as_str()).cloned().unwrap_or_default(),
            tenant: entry.object_tenant.parse().ok().and_then(|id| tenants.get(&id).cloned()).unwrap_or_default(),
            action_words: if words.is_empty() { entry.action.clone() } else { words },
            action: entry.action.clone(),
            object_href: href(s, &entry.object_kind, &entry.object_id),
            object: entry.object_id.clone(),
            result: if refused.is_some() { "refused" } else { "allowed" }.to_owned(),
            code: refused.unwrap_or_default().to_owned(),
            why: format!("/why?id={}", entry.index),
            reason: entry.reason.clone().unwrap_or_default(),
        }
    };
    found.iter().map(row).collect()
}

/// Those whom the visitor knows: the members here, and the operator's staff
/// that can see this tenant.
async fn people(s: &Signed) -> HashMap<String, String> {
    let mut known = HashMap::new();
    if s.p().offers("/members") {
        let ask = accounts::ListAccounts { limit: Some(200), ..Default::default() };
        let members = s.call(&accounts::LIST, ask).await.map(|page| page.items).unwrap_or_default();
        known.extend(members.into_iter().map(|m| (m.account.id.to_string(), m.account.name)));
    }
    if !s.p().operator() {
        let staff = s.call(&roles::REACH, roles::Nothing {}).await.unwrap_or_default();
        known.extend(staff.into_iter().map(|one| (one.account.to_string(), one.name)));
    }
    known
}

/// [`who`], of one actor.
pub(crate) async fn by_name(s: &Signed, actor: &str) -> String {
    who(s, &people(s).await, actor).await
}

/// An actor by name; in general words where the name is none of the visitor's business.
async fn who(s: &Signed, known: &HashMap<String, String>, actor: &str) -> String {
    let a = &s.t().account;
    if actor.starts_with("system:") {
        return a.system_actor.to_owned();
    }
    if actor == "nobody" {
        return a.stranger_actor.to_owned();
    }
    if let Some(name) = known.get(actor) {
        return name.clone();
    }
    if let Ok(id) = actor.parse()
        && s.p().operator()
    {
        let host = s.call(&resources::hosts::GET, resources::hosts::HostRef { id }).await;
        return host.map_or_else(|_| actor.to_owned(), |found| s.p().with(a.host_actor, found.host.name));
    }
    let Ok(account) = actor.parse() else { return actor.to_owned() };
    if !s.cx.has_role(access::roles::SUPPORT) {
        // To ask for somebody out of sight would be refused, and recorded.
        return if s.p().operator() { actor.to_owned() } else { a.staff_actor.to_owned() };
    }
    match s.call(&accounts::GET, accounts::AccountRef { account }).await {
        Ok(member) => member.account.name,
        Err(_) => actor.to_owned(),
    }
}

/// The page of an object, where it has one.
fn href(s: &Signed, kind: &str, id: &str) -> Option<String> {
    let page = match (kind, s.p().operator()) {
        _ if id.is_empty() => return None,
        ("productOrder", _) => "/orders",
        ("service", _) => "/services",
        ("customerBill", _) => "/bills",
        ("flow", true) => "/operator/flows",
        ("host", true) => "/operator/hosts",
        ("tenant", true) => "/operator/customers",
        ("productOffering", true) => "/operator/offerings",
        _ => return None,
    };
    Some(format!("{page}/{id}"))
}

fn before(s: &Signed) -> Option<i64> {
    s.visit.query.get("after").parse().ok()
}

/// `GET /activity`
pub(crate) async fn activity(s: Signed) -> Answer {
    let ask = ListEntries {
        tenant: Some(s.cx.tenant().to_string()),
        before: before(&s),
        limit: Some(ROWS),
        ..ListEntries::default()
    };
    let found = s.call(&actions::LIST, ask).await?;
    let entries = rows(&s, &found.items).await;
    let next = found.next.map(|n| n.to_string());
    let pager = s.p().pager("/activity", entries.len(), next.as_deref(), before(&s).is_some());
    Ok(ok(&Activity { p: s.p(), entries, pager }))
}

/// The start of a day in Taipei.
fn day(text: &str) -> Option<Timestamp> {
    let date: jiff::civil::Date = text.parse().ok()?;
    date.to_zoned(crate::fmt::taipei()).ok().map(|at| at.timestamp())
}

/// `GET /operator/audit`
pub(crate) async fn search(s: Signed) -> Answer {
    let (p, t) = (s.p(), s.t());
    let query = &s.visit.query;
    let text = |name: &str| Some(query.get(name).to_owned()).filter(|v| !v.is_empty());
    // Beyond the last day that there is, nothing bounds.
    let next_day = |at: Timestamp| at.checked_add(jiff::SignedDuration::from_hours(24)).ok();
    let ask = ListEntries {
        actor: text("actor"),
        action: text("action"),
        object: text("object"),
        outcome: text("outcome"),
        without_hosts: query.get("reports") != "1",
        from: day(query.get("from")),
        until: day(query.get("until")).and_then(next_day),
        before: before(&s),
        limit: Some(ROWS),
        ..ListEntries::default()
    };
    let found = s.call(&actions::LIST, ask).await?;
    let entries = rows(&s, &found.items).await;
    let (a, o) = (&t.account, &t.operator);
    let outcomes =
        [("", t.frame.all), ("done", t.state.allowed), ("refused", t.state.refused)].map(|(value, label)| {
            let mut choice = Choice::new(value, label);
            choice.chosen = query.get("outcome") == value;
            choice
        });
    let line = |name: &'static str, label: &str| Field::line(name, label, query.get(name)).free();
    let filters = vec![
        line("action", a.action).hint("productOrder.create, flow."),
        line("actor", a.who).hint("acc_…"),
        line("object", a.object).hint("svc_…"),
        Field::select("outcome", a.result, outcomes.to_vec()),
        line("from", o.from_day).kind("date", "off"),
        line("until", o.until_day).kind("date", "off"),
    ];
    let next = found.next.map(|n| n.to_string());
    let pager = p.pager(&address(&s), entries.len(), next.as_deref(), before(&s).is_some());
    let checkpoint = newest(&s).await?;
    let verdict = match &checkpoint {
        Some(_) => Notice::new(Tone::Info, o.tree_signed, o.tree_signed_body),
        None => Notice::new(Tone::Neutral, o.tree_wait, o.tree_wait_body),
    };
    let reports = match query.get("reports") {
        "1" => ("/operator/audit".to_owned(), o.without_reports),
        _ => ("/operator/audit?reports=1".to_owned(), o.with_reports),
    };
    Ok(ok(&Audit { p, verdict, reports, checkpoint, filters, entries, pager }))
}

/// The page's address with its filters, for the next page.
fn address(s: &Signed) -> String {
    let kept = ["action", "actor", "object", "outcome", "from", "until", "reports"];
    let pairs = kept.iter().filter(|name| !s.visit.query.get(name).is_empty());
    let pairs: Vec<String> =
        pairs.map(|name| format!("{name}={}", crate::http::encode(s.visit.query.get(name)))).collect();
    if pairs.is_empty() { "/operator/audit".to_owned() } else { format!("/operator/audit?{}", pairs.join("&")) }
}

/// The newest signed head, read from its note: origin, size, root, signature.
async fn newest(s: &Signed) -> Result<Option<Checkpoint>> {
    let signed = match s.call(&actions::CHECKPOINT, actions::Newest {}).await {
        Ok(signed) => signed,
        Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Forbidden) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut lines = signed.note.lines();
    let (origin, size, root) = (lines.next(), lines.next(), lines.next());
    Ok(size.and_then(|size| size.parse().ok()).map(|size| Checkpoint {
        size,
        at: signed.at,
        root: root.unwrap_or_default().to_owned(),
        key: origin.unwrap_or_default().to_owned(),
    }))
}
