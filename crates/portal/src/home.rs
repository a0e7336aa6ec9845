//! A tenant's overview.

use crate::orders::OrderRow;
use crate::page::Page;
use crate::services::ServiceCard;
use askama::Template;
use base::money::Money;

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
