//! Orders: the list, and the page that shows one come true step by step.

use crate::catalog::PriceLine;
use crate::page::Page;
use crate::ui::{Confirm, Crumbs, Notice, Pager, Steps, Tabs};
use askama::Template;
use base::time::Timestamp;

/// An order in a list.
#[derive(Clone, Debug)]
pub(crate) struct OrderRow {
    pub href: String,
    pub number: String,
    pub what: String,
    pub customer: String,
    pub state: String,
    pub placed: Timestamp,
}

/// The list.
#[derive(Template)]
#[template(path = "orders/list.html")]
pub(crate) struct OrderList<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub orders: Vec<OrderRow>,
    pub pager: Pager,
}

/// One thing ordered.
#[derive(Clone, Debug)]
pub(crate) struct OrderItem {
    pub name: String,
    pub characteristics: Vec<(String, String)>,
    pub prices: Vec<PriceLine>,
}

/// How far an order has come; the part that renews itself.
#[derive(Template)]
#[template(path = "orders/progress.html")]
pub(crate) struct Progress<'a> {
    pub p: &'a Page,
    pub state: String,
    pub outcome: Option<Notice>,
    pub steps: Option<Steps>,
    /// (address, words) once there is something to open.
    pub ready: Option<(String, String)>,
}

/// One order.
#[derive(Template)]
#[template(path = "orders/show.html")]
pub(crate) struct OrderPage<'a> {
    pub p: &'a Page,
    pub crumbs: Crumbs,
    pub number: String,
    pub what: String,
    pub customer: String,
    pub state: String,
    pub live: bool,
    pub outcome: Option<Notice>,
    pub steps: Option<Steps>,
    pub ready: Option<(String, String)>,
    pub items: Vec<OrderItem>,
    pub placed: Timestamp,
    pub placed_by: String,
    pub flow_href: Option<String>,
    pub cancel: Option<Confirm>,
}

impl OrderPage<'_> {
    fn events(&self) -> String {
        format!("/orders/{}/events", self.number)
    }
}
