//! A customer's services: what runs, where it answers, what it has used.

use crate::page::Page;
use crate::ui::{Confirm, Icon, Notice, Pager, Steps, Tabs};
use askama::Template;
use base::time::Timestamp;

/// A service in a list.
#[derive(Clone, Debug)]
pub(crate) struct ServiceCard {
    pub id: String,
    pub name: String,
    pub kind: String,
    pub state: String,
    pub url: Option<String>,
    pub since: Option<Timestamp>,
}

/// The list.
#[derive(Template)]
#[template(path = "services/list.html")]
pub(crate) struct ServiceList<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub services: Vec<ServiceCard>,
    pub pager: Pager,
}

/// Usage of the present period, one line per rate.
#[derive(Clone, Debug)]
pub(crate) struct UsageLine {
    pub name: String,
    pub quantity: String,
    pub amount: String,
}

/// State and address; the part that renews itself.
#[derive(Template)]
#[template(path = "services/status.html")]
pub(crate) struct ServiceStatus<'a> {
    pub p: &'a Page,
    pub state: String,
    pub trouble: Option<Notice>,
    pub url: Option<String>,
    pub observed: Option<Timestamp>,
    pub steps: Option<Steps>,
}

/// One service.
#[derive(Template)]
#[template(path = "services/show.html")]
pub(crate) struct ServicePage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub kind: String,
    pub state: String,
    pub trouble: Option<Notice>,
    pub url: Option<String>,
    pub observed: Option<Timestamp>,
    pub steps: Option<Steps>,
    pub live: bool,
    pub since: Option<Timestamp>,
    pub characteristics: Vec<(String, String)>,
    pub usage: Vec<UsageLine>,
    pub usage_unknown: Option<String>,
    /// (verb in the address, words, icon) of what needs no question.
    pub verbs: Vec<(&'static str, &'static str, Icon)>,
    pub stop: Option<Confirm>,
    pub delete: Option<Confirm>,
    pub order: Option<(String, String)>,
    pub has_console: bool,
}

/// What the machine wrote while it started.
#[derive(Template)]
#[template(path = "services/console.html")]
pub(crate) struct Console<'a> {
    pub p: &'a Page,
    pub name: &'a str,
    pub href: &'a str,
    pub text: String,
}

/// The newest services, as cards.
pub(crate) async fn newest(_: &crate::visit::Signed, _: u32) -> base::Result<Vec<ServiceCard>> {
    Ok(Vec::new())
}

/// How many run, and how many there are.
pub(crate) async fn counts(_: &crate::visit::Signed) -> base::Result<(usize, usize)> {
    Ok((0, 0))
}

/// What all services have used since the last bill comes to, before tax.
pub(crate) async fn so_far(_: &crate::visit::Signed) -> base::Result<Option<base::money::Money>> {
    Ok(None)
}
