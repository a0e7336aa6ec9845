//! The operator's pages: orders of all customers, flows, hosts, customers,
//! catalog, audit log, search.

use crate::account::Entry;
use crate::bills::BillRow;
use crate::catalog::PriceLine;
use crate::orders::OrderRow;
use crate::page::Page;
use crate::ui::{Badge, Confirm, Empty, Field, Icon, Meter, Notice, Pager, Steps, Tabs};
use askama::Template;
use base::time::Timestamp;

/// A run of a flow in a list.
#[derive(Clone, Debug)]
pub(crate) struct FlowRow {
    pub id: String,
    pub name: String,
    pub subject: String,
    pub customer: String,
    pub state: String,
    pub step: String,
    pub started: Timestamp,
}

/// What needs somebody now.
#[derive(Template)]
#[template(path = "operator/overview.html")]
pub(crate) struct Overview<'a> {
    pub p: &'a Page,
    pub stuck: Vec<FlowRow>,
    /// Jobs that failed for good.
    pub dead_jobs: usize,
    pub hosts_up: usize,
    pub hosts_total: usize,
    pub open_orders: String,
    pub customers: String,
    pub meters: Vec<Meter>,
    pub orders: Vec<OrderRow>,
}

/// Runs of flows.
#[derive(Template)]
#[template(path = "operator/flows.html")]
pub(crate) struct Flows<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub flows: Vec<FlowRow>,
    pub pager: Pager,
}

/// One line of a run's journal.
#[derive(Clone, Debug)]
pub(crate) struct JournalRow {
    pub at: Timestamp,
    pub step: String,
    pub event: String,
    /// What went wrong, or why somebody decided so.
    pub detail: String,
    /// What the step gave, as JSON; folded.
    pub output: String,
}

/// One run.
#[derive(Template)]
#[template(path = "operator/flow.html")]
pub(crate) struct FlowPage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub version: String,
    pub subject: String,
    pub customer: String,
    pub order: Option<(String, String)>,
    pub state: String,
    pub live: bool,
    pub started: Timestamp,
    pub steps: Steps,
    /// Why the last decision was not taken.
    pub refused: Option<String>,
    /// Why it waits for a person.
    pub problem: Option<String>,
    pub decisions: Vec<Confirm>,
    pub journal: Vec<JournalRow>,
    pub input: String,
}

/// How far a run has come; the part that renews itself.
#[derive(Template)]
#[template(path = "operator/flow_progress.html")]
pub(crate) struct FlowProgress<'a> {
    pub p: &'a Page,
    pub state: String,
    pub steps: Steps,
}

/// A host in the list.
#[derive(Clone, Debug)]
pub(crate) struct HostCard {
    pub id: String,
    pub name: String,
    pub pool: String,
    pub state: String,
    pub seen: Option<Timestamp>,
    pub meters: Vec<Meter>,
}

/// A pool and how full it is.
#[derive(Clone, Debug)]
pub(crate) struct PoolCard {
    pub name: String,
    pub meters: Vec<Meter>,
}

/// Hosts and pools with their fill.
#[derive(Template)]
#[template(path = "operator/hosts.html")]
pub(crate) struct Hosts<'a> {
    pub p: &'a Page,
    pub hosts: Vec<HostCard>,
    pub pools: Vec<PoolCard>,
}

/// A machine on a host.
#[derive(Clone, Debug)]
pub(crate) struct MachineRow {
    pub id: String,
    pub name: String,
    /// The service's page, where the visitor may open it.
    pub href: Option<String>,
    pub customer: String,
    pub state: String,
}

/// One host.
#[derive(Template)]
#[template(path = "operator/host.html")]
pub(crate) struct HostPage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub site: String,
    pub state: String,
    pub seen: Option<Timestamp>,
    pub meters: Vec<Meter>,
    pub machines: Vec<MachineRow>,
    pub facts: Vec<(String, String)>,
    /// What a person should look at, in sentences.
    pub attention: Vec<String>,
    /// What its state offers: into use, out of it, out for good.
    pub changes: Vec<Confirm>,
}

/// The token that enrols a host, shown this once.
#[derive(Template)]
#[template(path = "operator/enrolled.html")]
pub(crate) struct Enrolled<'a> {
    pub p: &'a Page,
    pub command: String,
    pub expires: Timestamp,
}

/// A site and the pools that stand there.
#[derive(Clone, Debug)]
pub(crate) struct SiteCard {
    pub id: String,
    pub name: String,
    pub place: String,
    /// (name, how often each processor is sold)
    pub pools: Vec<(String, String)>,
}

/// Sites and their pools, with the forms that make them.
#[derive(Template)]
#[template(path = "operator/sites.html")]
pub(crate) struct Sites<'a> {
    pub p: &'a Page,
    pub summary: crate::ui::Summary,
    pub sites: Vec<SiteCard>,
    pub site_fields: Vec<Field>,
    pub pool_fields: Vec<Field>,
}

/// A cell of a plain table.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Text(String),
    Time(crate::fmt::When),
    State(Badge),
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => askama::filters::escape(text, askama::filters::Html)
                .map_or(Err(std::fmt::Error), |safe| write!(f, "{safe}")),
            Self::Time(when) => write!(f, "{when}"),
            Self::State(badge) => write!(f, "{badge}"),
        }
    }
}
impl askama::filters::HtmlSafe for Cell {}

/// A row of a plain table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub href: Option<String>,
    pub name: String,
    pub note: String,
    pub cells: Vec<Cell>,
}

/// A page that is one table: sites, images, customers, offerings.
#[derive(Template)]
#[template(path = "operator/table.html")]
pub(crate) struct TablePage<'a> {
    pub p: &'a Page,
    pub title: &'static str,
    pub lead: &'static str,
    /// Of the first column and of each cell.
    pub heads: Vec<&'static str>,
    pub rows: Vec<Row>,
    pub empty: Empty,
    pub button: Option<(&'static str, &'static str)>,
    pub pager: Pager,
}

impl TablePage<'_> {
    fn cells<'r>(&self, row: &'r Row) -> Vec<(&'static str, &'r Cell)> {
        self.heads.iter().skip(1).copied().zip(&row.cells).collect()
    }
}

/// One customer.
#[derive(Template)]
#[template(path = "operator/customer.html")]
pub(crate) struct CustomerPage<'a> {
    pub p: &'a Page,
    pub id: String,
    pub name: String,
    pub created: Timestamp,
    pub facts: Vec<(String, String)>,
    pub orders: Vec<OrderRow>,
    pub services: Vec<crate::services::ServiceCard>,
    /// `None` where the visitor's roles have no use for bills.
    pub bills: Option<Vec<BillRow>>,
    /// Whether the visitor may look inside at all.
    pub inside: bool,
    pub may_invite: bool,
    pub may_enter: bool,
}

/// One offering, as the catalog holds it.
#[derive(Template)]
#[template(path = "operator/offering.html")]
pub(crate) struct OfferingPage<'a> {
    pub p: &'a Page,
    pub name: String,
    pub state: String,
    pub description: String,
    pub prices: Vec<PriceLine>,
    /// (name, type, allowed values)
    pub characteristics: Vec<(String, String, String)>,
    /// (kind of specification, its name), from product to resource
    pub decomposition: Vec<(String, String)>,
}

/// A job in the list.
#[derive(Clone, Debug)]
pub(crate) struct JobRow {
    pub id: String,
    pub kind: String,
    pub customer: String,
    pub state: String,
    pub attempt: u32,
    /// When it is tried next.
    pub due: Option<Timestamp>,
    pub failure: String,
    pub code: String,
    pub created: Timestamp,
}

/// Jobs that are not done.
#[derive(Template)]
#[template(path = "operator/jobs.html")]
pub(crate) struct Jobs<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub jobs: Vec<JobRow>,
    pub pager: Pager,
    pub may_decide: bool,
}

/// The signed head of the audit tree.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    pub size: usize,
    pub at: Timestamp,
    pub root: String,
    pub key: String,
}

/// The audit log.
#[derive(Template)]
#[template(path = "operator/audit.html")]
pub(crate) struct Audit<'a> {
    pub p: &'a Page,
    pub verdict: Notice,
    /// Shows what hosts report by themselves too, or leaves it out again.
    pub reports: (String, &'static str),
    pub checkpoint: Option<Checkpoint>,
    pub filters: Vec<Field>,
    pub entries: Vec<Entry>,
    pub pager: Pager,
}

/// Something found.
#[derive(Clone, Debug)]
pub(crate) struct Hit {
    pub href: String,
    pub name: String,
    pub id: String,
    pub note: String,
    pub state: String,
}

/// Search over everything.
#[derive(Template)]
#[template(path = "operator/search.html")]
pub(crate) struct Search<'a> {
    pub p: &'a Page,
    pub query: String,
    /// What a kind is called and drawn as, what was found of it, and whether there is more.
    pub groups: Vec<(&'static str, Icon, Vec<Hit>, bool)>,
}
