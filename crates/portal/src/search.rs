//! Search over everything that the visitor may see: by the beginning of an
//! identifier, or of the words of a name, a number, a mail or network address.
//!
//! What is found is decided where it is found ([`gate::search`]): each kind as
//! its own list. Here is what each kind is called, and on which page it stands.

use crate::i18n::Search as Words;
use crate::inventory::kind_word;
use crate::operator::{Hit, Search};
use crate::page::ok;
use crate::ui::Icon;
use crate::visit::{Answer, Signed};
use continuity::inventory::Kind;
use gate::search::{FIND, Group, Search as Ask};
use provisioning::services;

/// What a kind is called, and what it is drawn as, in the order in which kinds are shown.
type Shown = (&'static str, Icon, fn(&Words) -> &'static str);

/// Every kind that is found.
pub(crate) const KINDS: &[Shown] = &[
    ("tenant", Icon::People, |w| w.tenant),
    ("account", Icon::Person, |w| w.account),
    ("productOrder", Icon::Orders, |w| w.order),
    ("service", Icon::Services, |w| w.service),
    ("customerBill", Icon::Bills, |w| w.bill),
    ("productOffering", Icon::Catalog, |w| w.offering),
    ("host", Icon::Hosts, |w| w.host),
    ("intent", Icon::Hosts, |w| w.intent),
    ("claim", Icon::Hosts, |w| w.claim),
    ("site", Icon::Sites, |w| w.site),
    ("pool", Icon::Sites, |w| w.pool),
    ("subnet", Icon::Sites, |w| w.subnet),
    ("image", Icon::Images, |w| w.image),
    ("alarm", Icon::Warn, |w| w.alarm),
    ("approval", Icon::Check, |w| w.approval),
    ("announcement", Icon::Mail, |w| w.announcement),
    ("recoveryPoint", Icon::Undo, |w| w.recovery_point),
    ("restore", Icon::Undo, |w| w.restore),
    ("dataSet", Icon::Undo, |w| w.data_set),
    ("dataRestore", Icon::Undo, |w| w.data_restore),
    ("backupPlace", Icon::Undo, |w| w.backup_place),
    ("backupPolicy", Icon::Undo, |w| w.backup_policy),
    ("backupRepository", Icon::Undo, |w| w.backup_repository),
    ("controlPlanePoint", Icon::Undo, |w| w.control_plane_point),
    ("drillPlan", Icon::Restart, |w| w.drill_plan),
    ("drill", Icon::Restart, |w| w.drill),
    ("correctiveAction", Icon::Warn, |w| w.corrective_action),
    ("inventory", Icon::Activity, |w| w.inventory),
    ("runbook", Icon::Check, |w| w.runbook),
    ("exercise", Icon::Check, |w| w.exercise),
    ("finding", Icon::Warn, |w| w.finding),
    ("planReview", Icon::Check, |w| w.plan_review),
    ("contact", Icon::People, |w| w.contact),
    ("flow", Icon::Flows, |w| w.flow),
    ("job", Icon::Flows, |w| w.job),
    ("hostTask", Icon::Flows, |w| w.host_task),
    ("hub", Icon::Out, |w| w.hub),
    ("auditEntry", Icon::Audit, |w| w.audit_entry),
    ("organization", Icon::People, |w| w.organization),
    ("individual", Icon::Person, |w| w.individual),
    ("customer", Icon::People, |w| w.customer),
    ("billingAccount", Icon::Bills, |w| w.billing_account),
    ("appliedCustomerBillingRate", Icon::Bills, |w| w.applied_rate),
    ("usage", Icon::Bills, |w| w.usage),
    ("product", Icon::Services, |w| w.product),
    ("resource", Icon::Hosts, |w| w.resource),
    ("serviceOrder", Icon::Orders, |w| w.service_order),
    ("cancelProductOrder", Icon::Orders, |w| w.cancel_product_order),
    ("cancelServiceOrder", Icon::Orders, |w| w.cancel_service_order),
    ("productOfferingPrice", Icon::Catalog, |w| w.offering_price),
    ("productSpecification", Icon::Catalog, |w| w.product_specification),
    ("serviceSpecification", Icon::Catalog, |w| w.service_specification),
    ("resourceSpecification", Icon::Catalog, |w| w.resource_specification),
    ("usageSpecification", Icon::Catalog, |w| w.usage_specification),
    ("catalog", Icon::Catalog, |w| w.catalog),
    ("category", Icon::Catalog, |w| w.category),
    ("serviceCatalog", Icon::Catalog, |w| w.service_catalog),
    ("serviceCategory", Icon::Catalog, |w| w.service_category),
    ("resourceCatalog", Icon::Catalog, |w| w.resource_catalog),
    ("resourceCategory", Icon::Catalog, |w| w.resource_category),
];

/// `GET /search`
pub(crate) async fn page(s: Signed) -> Answer {
    let p = s.p();
    let query: String = s.visit.query.get("q").trim().chars().take(base::limits::SEARCH_CHARS_MAX).collect();
    let ask = Ask { q: query.clone(), kind: None, lang: Some(crate::records::tongue(p.lang).to_owned()) };
    let mut found = s.call(&FIND, ask).await?;
    found.groups.iter_mut().for_each(for_readers);
    let tenants: Vec<_> = found.groups.iter().flat_map(|group| &group.hits).map(|hit| hit.tenant).collect();
    let names = crate::customers::names(&s, tenants).await;
    let mut groups = Vec::new();
    for (kind, icon, title) in KINDS {
        let Some(group) = found.groups.iter().find(|group| group.kind == *kind && !group.hits.is_empty()) else {
            continue;
        };
        let hit = |hit: &gate::search::Hit| Hit {
            href: href(&s, kind, hit),
            name: if hit.name.is_empty() { hit.id.clone() } else { hit.name.clone() },
            id: if *kind == "account" { hit.about.clone() } else { hit.id.clone() },
            note: note(&s, kind, hit, names.get(&hit.tenant)),
            state: state_word(&hit.state),
        };
        let is_it = group.hits.iter().any(|hit| hit.id.eq_ignore_ascii_case(&query));
        groups.push((is_it, (title(&s.t().search), *icon, group.hits.iter().map(hit).collect(), group.more)));
    }
    // What was named by its identifier stands before what is about it.
    groups.sort_by_key(|(is_it, _)| !is_it);
    let groups = groups.into_iter().map(|(_, group)| group).collect();
    Ok(ok(&Search { p, query, groups }))
}

/// Customers' services, not those that stand behind them.
fn for_readers(group: &mut Group) {
    if group.kind == services::SERVICE.name {
        group.hits.retain(|hit| hit.category == services::CUSTOMER_FACING);
    }
}

/// Whose it is, where several tenants' things are shown, and what tells it from others of its name.
fn note(s: &Signed, kind: &str, hit: &gate::search::Hit, owner: Option<&String>) -> String {
    let owner = owner.cloned().unwrap_or_default();
    match kind {
        "tenant" | "productOffering" => String::new(),
        "auditEntry" => hit.about.clone(),
        "inventory" => Kind::of(&hit.category).map_or("", |of| kind_word(&s.t().inventory, of)).to_owned(),
        _ => owner,
    }
}

/// A state in the words that badges know: a catalog's `In study` is `inStudy`, a refusal of the log
/// leaves out why.
fn state_word(state: &str) -> String {
    let state = state.split(':').next().unwrap_or_default();
    let mut letters = state.split(' ').flat_map(|word| {
        let mut rest = word.chars();
        rest.next().into_iter().flat_map(char::to_uppercase).chain(rest)
    });
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

/// The page on which something stands; empty for what has none.
fn href(s: &Signed, kind: &str, hit: &gate::search::Hit) -> String {
    let (id, about, operator) = (&hit.id, &hit.about, s.p().operator());
    let of_service = |page: &str| match about.starts_with("svc_") {
        true => format!("/services/{about}{page}"),
        false => String::new(),
    };
    match kind {
        "productOrder" => format!("/orders/{id}"),
        "service" => format!("/services/{id}"),
        "customerBill" => format!("/bills/{id}"),
        "productOffering" if operator => format!("/operator/offerings/{id}"),
        "productOffering" => format!("/catalog/{id}"),
        "tenant" if operator => format!("/operator/customers/{id}"),
        "account" if hit.tenant == s.cx.tenant() => "/members".into(),
        "account" if operator => format!("/operator/customers/{}", hit.tenant),
        "host" => format!("/operator/hosts/{id}"),
        "hostTask" => format!("/operator/hosts/{about}"),
        "intent" | "claim" => of_service(""),
        "site" | "pool" | "subnet" => "/operator/sites".into(),
        "image" => "/operator/images".into(),
        "alarm" => "/alarms".into(),
        "approval" => format!("/approvals/{id}"),
        "announcement" => format!("/announcements/{id}"),
        "recoveryPoint" => of_service("/backups"),
        "restore" => of_service(&format!("/restores/{id}")),
        "dataSet" => of_service("/data-sets"),
        "dataRestore" => of_service(&format!("/data-restores/{id}")),
        "backupPlace" => format!("/operator/backups/places/{id}"),
        "backupPolicy" => format!("/operator/backups/policies/{id}"),
        "backupRepository" if operator => format!("/operator/backups/places/{about}"),
        "controlPlanePoint" => "/operator/platform".into(),
        "drillPlan" => format!("/drills/plans/{id}"),
        "drill" => format!("/drills/{id}"),
        "correctiveAction" => format!("/drills/plans/{about}"),
        "inventory" => format!("/inventory/{id}"),
        "runbook" => format!("/plan/runbooks/{id}"),
        "exercise" => format!("/plan/exercises/{id}"),
        "finding" if about.starts_with("exer_") => format!("/plan/exercises/{about}"),
        "finding" | "planReview" => "/plan/reviews".into(),
        "contact" => "/plan/team".into(),
        "flow" if operator => format!("/operator/flows/{id}"),
        "job" => "/operator/jobs".into(),
        "hub" => format!("/webhooks/{id}"),
        "auditEntry" if operator => format!("/operator/audit?reports=1&object={}", crate::http::encode(about)),
        "auditEntry" => "/activity".into(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_said_in_the_words_that_badges_know() {
        for (state, word) in [
            ("Launched", "launched"),
            ("In study", "inStudy"),
            ("inProgress", "inProgress"),
            ("refused:x.y", "refused"),
            ("", ""),
        ] {
            assert_eq!(state_word(state), word);
        }
    }
}
