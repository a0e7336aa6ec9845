//! The first page: a tenant's overview, and the operator's.

use crate::operator::Overview;
use crate::orders::OrderRow;
use crate::page::{Page, ok};
use crate::records::Ask;
use crate::services::ServiceCard;
use crate::visit::{Answer, Signed};
use access::tenants::actions as tenants;
use askama::Template;
use base::Kind;
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

/// What the visitor may not read is left out rather than refusing the page.
fn if_allowed<T>(found: base::Result<T>) -> base::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn tenant(s: &Signed) -> Answer {
    let p = s.p();
    let newest = Ask { limit: 5, ..Ask::default() };
    let orders = if_allowed(crate::orders::recent(s, newest).await)?.map(|(rows, _)| rows).unwrap_or_default();
    let open = Ask { conditions: vec![("state", crate::orders::open_states())], limit: 1, ..Ask::default() };
    let open_orders = if_allowed(s.list(&PRODUCT_ORDER, open).await)?.and_then(|rows| rows.total).unwrap_or_default();
    let services = crate::services::newest(s, 6).await?;
    let (running, services_total) = crate::services::counts(s).await?;
    let bills = if_allowed(
        s.call(&billing::bills::LIST, billing::bills::ListInput { limit: Some(1), ..Default::default() }).await,
    )?;
    let may_bills = bills.is_some();
    let last_bill = bills
        .and_then(|b| b.bills.into_iter().next())
        .map(|bill| (format!("/bills/{}", bill.id), bill.total.0, bill.state));
    let so_far = if may_bills { crate::services::so_far(s).await? } else { None };
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
    let stuck = if_allowed(crate::flows::stuck(s).await)?.unwrap_or_default();
    let (hosts_up, hosts_total, meters) = if_allowed(crate::hosts::overview(s).await)?.unwrap_or_default();
    let newest = Ask { limit: 8, ..Ask::default() };
    let orders = if_allowed(crate::orders::recent(s, newest).await)?.map(|(rows, _)| rows).unwrap_or_default();
    let open = Ask { conditions: vec![("state", crate::orders::open_states())], limit: 1, ..Ask::default() };
    let count = |rows: Option<crate::records::Rows>| {
        rows.and_then(|rows| rows.total).map_or_else(|| "–".to_owned(), |n| n.to_string())
    };
    let open_orders = count(if_allowed(s.list(&PRODUCT_ORDER, open).await)?);
    let ask = tenants::ListTenants { parent: None, after: None, limit: Some(200) };
    let customers = if_allowed(s.call(&tenants::LIST, ask).await)?;
    let customers = customers.map_or_else(
        || "–".to_owned(),
        |page| format!("{}{}", page.items.len(), if page.next.is_some() { "+" } else { "" }),
    );
    Ok(ok(&Overview { p, stuck, hosts_up, hosts_total, open_orders, customers, meters, orders }))
}
