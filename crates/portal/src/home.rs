//! The first page: a tenant's overview, and the operator's.

use crate::operator::Overview;
use crate::orders::OrderRow;
use crate::page::{Page, ok};
use crate::records::Ask;
use crate::services::ServiceCard;
use crate::visit::{Answer, Signed};
use access::tenants::actions as tenants;
use askama::Template;
use base::money::Money;
use commerce::orders::PRODUCT_ORDER;

/// What runs, what is under way, what it costs.
#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct Home<'a> {
    pub p: &'a Page,
    pub name: String,
    pub running: usize,
    pub services_total: usize,
    pub open_orders: usize,
    pub so_far: Option<Money>,
    pub may_bills: bool,
    /// (address, total, state)
    pub last_bill: Option<(String, Money, String)>,
    pub orders: Vec<OrderRow>,
    pub services: Vec<ServiceCard>,
}

/// `GET /`: what the visitor's tenant has to do with.
pub(crate) async fn page(s: Signed) -> Answer {
    if s.p().operator() { overview(&s).await } else { tenant(&s).await }
}

async fn tenant(s: &Signed) -> Answer {
    let p = s.p();
    // Only what the visitor's roles are for is asked: a refusal would be
    // recorded, and nobody did anything wrong by opening this page.
    let (mut orders, mut open_orders, mut services, mut counts) = (Vec::new(), 0, Vec::new(), (0, 0));
    if p.offers("/orders") {
        orders = crate::orders::recent(s, Ask { limit: 5, ..Ask::default() }).await?.0;
        let open = Ask { conditions: vec![("state", crate::orders::open_states())], limit: 1, ..Ask::default() };
        open_orders = s.list(&PRODUCT_ORDER, open).await?.total.unwrap_or_default();
        services = crate::services::newest(s, 6).await?;
        counts = crate::services::counts(s).await?;
    }
    let (running, services_total) = counts;
    let may_bills = p.offers("/bills");
    let (mut last_bill, mut so_far) = (None, None);
    if may_bills {
        let newest = billing::bills::ListInput { limit: Some(1), ..Default::default() };
        let bill = s.call(&billing::bills::LIST, newest).await?.bills.into_iter().next();
        last_bill = bill.map(|bill| (format!("/bills/{}", bill.id), bill.total.0, bill.state));
        so_far = crate::services::so_far(s).await?;
    }
    let name = p.who.as_ref().map(|w| w.name.clone()).unwrap_or_default();
    let view = Home {
        p,
        name,
        running,
        services_total,
        open_orders: usize::try_from(open_orders).unwrap_or(usize::MAX),
        so_far,
        may_bills,
        last_bill,
        orders,
        services,
    };
    Ok(ok(&view))
}

async fn overview(s: &Signed) -> Answer {
    let p = s.p();
    let stuck = if p.offers("/operator/flows") { crate::flows::stuck(s).await? } else { Vec::new() };
    let hosts = if p.offers("/operator/hosts") { Some(crate::hosts::overview(s).await?) } else { None };
    let (hosts_up, hosts_total, meters) = hosts.unwrap_or_default();
    let orders = crate::orders::recent(s, Ask { limit: 8, ..Ask::default() }).await?.0;
    let open = Ask { conditions: vec![("state", crate::orders::open_states())], limit: 1, ..Ask::default() };
    let open_orders = s.list(&PRODUCT_ORDER, open).await?.total;
    let open_orders = open_orders.map_or_else(|| "–".to_owned(), |n| n.to_string());
    let ask = tenants::ListTenants { limit: Some(200), ..Default::default() };
    let customers = s.call(&tenants::LIST, ask).await?;
    let customers = format!("{}{}", customers.items.len(), if customers.next.is_some() { "+" } else { "" });
    let dead_jobs = if p.offers("/operator/jobs") { crate::jobs::dead(s).await? } else { 0 };
    Ok(ok(&Overview { p, stuck, dead_jobs, hosts_up, hosts_total, open_orders, customers, meters, orders }))
}
