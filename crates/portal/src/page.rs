//! What every page knows: who looks at it, in which language, when and where.

use crate::assets;
use crate::fmt::{self, When};
use crate::i18n::{Lang, Messages, fill};
use crate::ui::{Badge, Copy, Crumbs, Icon, Notice, Pager, Tone};
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base::money::Money;
use base::time::Timestamp;

/// Light, dark, or whatever the person's system says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Theme {
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    /// As the cookie and `data-theme` say it.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
    /// Reads [`Self::code`]; anything else follows the system.
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::Auto,
        }
    }
}

/// Who is signed in, as far as the frame shows it.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub name: String,
    pub email: String,
    pub tenant: String,
    /// The roles held in the acting tenant.
    pub roles: Vec<String>,
    /// The account's own language.
    pub locale: String,
    /// What they are told and have not read yet, the newest first.
    pub unread: Vec<access::announcements::Received>,
    /// How many requests for approval wait for their decision.
    pub to_decide: usize,
    /// Acting in the operator's own tenant: another navigation.
    pub operator: bool,
    /// (id, name) of the account's own tenant, where operator staff act inside a customer.
    pub home: Option<(String, String)>,
    /// (id, name) of the other tenants in which it has a role.
    pub places: Vec<(String, String)>,
}

impl Who {
    pub(crate) fn initial(&self) -> String {
        let from = if self.name.is_empty() { &self.email } else { &self.name };
        from.chars().next().map(|c| c.to_uppercase().to_string()).unwrap_or_default()
    }
}

/// One link of the navigation.
#[derive(Clone, Debug)]
pub(crate) struct NavLink {
    pub href: &'static str,
    pub label: &'static str,
    pub icon: Icon,
    pub here: bool,
    /// How many things wait there.
    pub count: usize,
}

/// The context of one page view.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub lang: Lang,
    pub t: &'static Messages,
    pub theme: Theme,
    /// Path and query of this page, for links that come back to it.
    pub path: String,
    pub csrf: String,
    pub request_id: String,
    pub now: Timestamp,
    pub who: Option<Who>,
    /// What the request before this one achieved.
    pub notice: Option<Notice>,
    /// Whether passkeys can be used here: they need a name and https.
    pub passkeys: bool,
    /// Seconds after which a browser without scripts loads the page anew.
    pub refresh: Option<u32>,
}

impl Page {
    pub(crate) fn style(&self) -> String {
        assets::style_url()
    }
    pub(crate) fn script(&self) -> String {
        assets::script_url()
    }
    pub(crate) fn mark(&self) -> String {
        assets::mark_url()
    }

    /// The choices of the theme switch.
    pub(crate) fn themes(&self) -> [(&'static str, Icon, &'static str); 3] {
        let f = &self.t.frame;
        [("auto", Icon::Auto, f.theme_auto), ("light", Icon::Sun, f.theme_light), ("dark", Icon::Moon, f.theme_dark)]
    }

    /// This page in the other language.
    pub(crate) fn in_lang(&self, lang: &str) -> String {
        let (path, query) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let mut out = format!("{path}?");
        for pair in query.split('&').filter(|p| !p.is_empty() && !p.starts_with("lang=")) {
            out.push_str(pair);
            out.push('&');
        }
        out.push_str("lang=");
        out.push_str(lang);
        out
    }

    /// The navigation: groups of links under a heading, which may be empty.
    pub(crate) fn nav(&self) -> Vec<(&'static str, Vec<NavLink>)> {
        let mut groups = self.all_links();
        for (_, links) in &mut groups {
            links.retain(|link| self.offers(link.href));
        }
        groups.retain(|(_, links)| !links.is_empty());
        groups
    }

    fn all_links(&self) -> Vec<(&'static str, Vec<NavLink>)> {
        let f = &self.t.frame;
        let path = self.path.split('?').next().unwrap_or_default();
        let link = |href: &'static str, label: &'static str, icon: Icon| {
            let here =
                path == href || (href.len() > 1 && path.strip_prefix(href).is_some_and(|rest| rest.starts_with('/')));
            let waits = if href == "/approvals" { self.who.as_ref().map_or(0, |who| who.to_decide) } else { 0 };
            NavLink { href, label, icon, here, count: waits }
        };
        match &self.who {
            None => Vec::new(),
            Some(who) if who.operator => vec![
                ("", vec![link("/", f.home, Icon::Home)]),
                (
                    f.group_work,
                    vec![
                        link("/operator/orders", f.all_orders, Icon::Orders),
                        link("/operator/flows", f.flows, Icon::Flows),
                        link("/operator/jobs", f.jobs, Icon::Wait),
                        link("/alarms", f.alarms, Icon::Warn),
                        link("/drills", f.drills, Icon::Restart),
                        link("/inventory", self.t.inventory.title, Icon::Catalog),
                        link("/impact", self.t.inventory.impact, Icon::Flows),
                        link("/plan", f.plan, Icon::Check),
                        link("/operator/hosts", f.hosts, Icon::Hosts),
                        link("/operator/sites", f.sites, Icon::Sites),
                        link("/operator/images", f.images, Icon::Images),
                        link("/operator/backups", self.t.backups.operator_title, Icon::Undo),
                    ],
                ),
                (
                    f.group_sell,
                    vec![
                        link("/operator/customers", f.customers, Icon::People),
                        link("/bills", f.bills, Icon::Bills),
                        link("/operator/offerings", f.offerings, Icon::Catalog),
                    ],
                ),
                (
                    f.group_guard,
                    vec![
                        link("/operator/audit", f.audit, Icon::Audit),
                        link("/operator/platform", f.platform, Icon::Key),
                        link("/approvals", f.approvals, Icon::Check),
                        link("/announcements", f.announcements, Icon::Mail),
                        link("/webhooks", f.webhooks, Icon::Out),
                        link("/members", f.members, Icon::Person),
                    ],
                ),
            ],
            Some(_) => vec![
                ("", vec![link("/", f.home, Icon::Home)]),
                (
                    f.group_use,
                    vec![
                        link("/catalog", f.catalog, Icon::Catalog),
                        link("/orders", f.orders, Icon::Orders),
                        link("/services", f.services, Icon::Services),
                        link("/alarms", f.alarms, Icon::Warn),
                        link("/drills", f.drills, Icon::Restart),
                        link("/inventory", self.t.inventory.title, Icon::Catalog),
                        link("/impact", self.t.inventory.impact, Icon::Flows),
                        link("/plan", f.plan, Icon::Check),
                        link("/bills", f.bills, Icon::Bills),
                    ],
                ),
                (
                    f.group_org,
                    vec![
                        link("/members", f.members, Icon::People),
                        link("/approvals", f.approvals, Icon::Check),
                        link("/activity", f.activity, Icon::Activity),
                        link("/announcements", f.announcements, Icon::Mail),
                        link("/webhooks", f.webhooks, Icon::Out),
                    ],
                ),
            ],
        }
    }

    /// Whether the visitor's roles have any use for a page. Only what is offered
    /// follows from it: what may be done is decided by the gate, which refuses,
    /// and records, whatever is asked for beyond it.
    pub(crate) fn offers(&self, href: &str) -> bool {
        let useful: &[&str] = match href {
            "/orders" | "/services" | "/operator/orders" => &[
                "owner",
                "member",
                "viewer",
                "support",
                "administrator",
                "auditor",
                "operations",
                "product-manager",
                "billing-clerk",
            ],
            "/inventory" | "/impact" => &["owner", "member", "support", "administrator", "auditor", "operations"],
            "/plan/team" => &["owner", "member", "administrator", "auditor", "operations"],
            "/alarms" | "/drills" | "/plan" => {
                &["owner", "member", "viewer", "support", "administrator", "auditor", "operations"]
            }
            "/bills" => &["owner", "billing-viewer", "support", "administrator", "auditor", "billing-clerk"],
            "/members" | "/who" => &["owner", "support", "administrator", "auditor"],
            "/service-accounts" => &["owner", "administrator", "auditor"],
            "/approvals" => &[
                "owner",
                "member",
                "support",
                "administrator",
                "auditor",
                "operations",
                "product-manager",
                "billing-clerk",
            ],
            "/activity" | "/operator/audit" => &["owner", "administrator", "auditor"],
            "/operator/flows" => &["administrator", "auditor", "operations", "support"],
            "/operator/jobs" | "/operator/platform" => &["administrator", "auditor", "operations"],
            "/webhooks" => &["owner", "administrator", "auditor", "operations"],
            "/operator/hosts" | "/operator/sites" | "/operator/backups" => &["administrator", "auditor", "operations"],
            "/operator/images" => &["administrator", "auditor", "operations", "product-manager"],
            _ if href.starts_with("/plan/") => return self.offers("/plan"),
            _ => return true,
        };
        self.who.as_ref().is_some_and(|who| who.roles.iter().any(|role| useful.contains(&role.as_str())))
    }

    /// Whether the operator's navigation and search are shown.
    pub(crate) fn operator(&self) -> bool {
        self.who.as_ref().is_some_and(|w| w.operator)
    }

    pub(crate) fn ago(&self, at: &Timestamp) -> When {
        When { at: *at, now: self.now, lang: self.lang, relative: true }
    }
    pub(crate) fn at(&self, at: &Timestamp) -> When {
        When { at: *at, now: self.now, lang: self.lang, relative: false }
    }
    pub(crate) fn date(&self, at: &Timestamp) -> String {
        fmt::date(*at, self.lang)
    }
    pub(crate) fn exact(&self, at: &Timestamp) -> String {
        fmt::exact(*at, self.lang)
    }
    pub(crate) fn money(&self, money: &Money) -> String {
        fmt::money(*money)
    }
    /// A count, in groups of three digits.
    pub(crate) fn count(&self, n: impl std::borrow::Borrow<usize>) -> String {
        fmt::grouped(&n.borrow().to_string())
    }
    pub(crate) fn span(&self, seconds: i64) -> String {
        fmt::span(seconds, self.t)
    }
    /// What an error says, in the reader's language where its code is known.
    pub(crate) fn error(&self, error: &base::Error) -> String {
        crate::i18n::words(self.lang, error)
    }
    /// Fills the one gap of a message.
    pub(crate) fn with(&self, message: &str, value: impl std::fmt::Display) -> String {
        fill(message, &[&value])
    }
    /// Fills the two gaps of a message.
    pub(crate) fn with2(&self, message: &str, one: impl std::fmt::Display, two: impl std::fmt::Display) -> String {
        fill(message, &[&one, &two])
    }
    /// The way back up from here.
    pub(crate) fn crumbs(&self, links: &[(&str, &str)]) -> Crumbs {
        Crumbs {
            label: self.t.frame.you_are_here,
            links: links.iter().map(|(h, l)| ((*h).to_owned(), (*l).to_owned())).collect(),
        }
    }
    /// Text with a button that copies it.
    pub(crate) fn copy(&self, id: &'static str, text: impl Into<String>) -> Copy {
        Copy { id, text: text.into(), copy: self.t.frame.copy, copied: self.t.frame.copied }
    }
    /// Navigation of a list paged by key: `base` is the list's address with
    /// its filters, `next` the key after the last row.
    pub(crate) fn pager(&self, base: &str, shown: usize, next: Option<&str>, beyond_first: bool) -> Pager {
        let join = if base.contains('?') { '&' } else { '?' };
        Pager {
            label: self.t.frame.pages,
            text: if next.is_some() || beyond_first { fill(self.t.frame.showing, &[&shown]) } else { String::new() },
            first: beyond_first.then(|| (base.to_owned(), self.t.frame.first_page)),
            next: next.map(|key| (format!("{base}{join}after={}", crate::http::encode(key)), self.t.frame.next_page)),
        }
    }
    /// A TMF, flow or machine state as a badge; unknown words are shown as they are.
    pub(crate) fn state(&self, state: &str) -> Badge {
        let s = &self.t.state;
        let (tone, word) = match state {
            "acknowledged" => (Tone::Info, s.acknowledged),
            "rejected" => (Tone::Danger, s.rejected),
            "pending" => (Tone::Info, s.pending),
            "held" => (Tone::Care, s.held),
            "inProgress" => (Tone::Active, s.in_progress),
            "assessingCancellation" => (Tone::Active, s.assessing_cancellation),
            "pendingCancellation" => (Tone::Active, s.pending_cancellation),
            "cancelled" => (Tone::Neutral, s.cancelled),
            "completed" => (Tone::Well, s.completed),
            "failed" => (Tone::Danger, s.failed),
            "partial" => (Tone::Care, s.partial),
            "feasibilityChecked" => (Tone::Info, s.feasibility_checked),
            "designed" => (Tone::Info, s.designed),
            "reserved" => (Tone::Info, s.reserved),
            "active" => (Tone::Well, s.active),
            "inactive" => (Tone::Neutral, s.inactive),
            "terminated" => (Tone::Neutral, s.terminated),
            "suspended" => (Tone::Care, s.suspended),
            "aborted" => (Tone::Danger, s.aborted),
            "created" => (Tone::Info, s.created),
            "pendingActive" => (Tone::Active, s.pending_active),
            "pendingTerminate" => (Tone::Active, s.pending_terminate),
            "inStudy" => (Tone::Neutral, s.in_study),
            "inDesign" => (Tone::Neutral, s.in_design),
            "inTest" => (Tone::Info, s.in_test),
            "launched" => (Tone::Well, s.launched),
            "retired" => (Tone::Neutral, s.retired),
            "obsolete" => (Tone::Neutral, s.obsolete),
            "new" => (Tone::Info, s.new),
            "onHold" => (Tone::Care, s.on_hold),
            "validated" => (Tone::Info, s.validated),
            "sent" => (Tone::Info, s.sent),
            "settled" => (Tone::Well, s.settled),
            "partiallyPaid" => (Tone::Care, s.partially_paid),
            "running" => (Tone::Active, s.running),
            "up" => (Tone::Well, s.running),
            "waiting" => (Tone::Info, s.waiting),
            "stuck" => (Tone::Care, s.stuck),
            "unwinding" | "undoing" => (Tone::Active, s.unwinding),
            "unwound" | "undone" => (Tone::Neutral, s.unwound),
            "givenup" => (Tone::Neutral, s.given_up),
            "done" | "succeeded" => (Tone::Well, s.done),
            "stopped" => (Tone::Neutral, s.stopped),
            "starting" => (Tone::Active, s.starting),
            "stopping" => (Tone::Active, s.stopping),
            "paused" => (Tone::Care, s.paused),
            "absent" => (Tone::Neutral, s.absent),
            "unreachable" => (Tone::Care, s.unreachable),
            "hostRetired" => (Tone::Neutral, s.host_retired),
            "queued" => (Tone::Info, s.queued),
            "passed" => (Tone::Well, s.passed),
            "impossible" => (Tone::Care, s.impossible),
            "notStarted" => (Tone::Neutral, s.not_started),
            "planned" => (Tone::Info, s.planned),
            "notPassed" => (Tone::Danger, s.not_passed),
            "approved" => (Tone::Well, s.approved),
            "declined" => (Tone::Neutral, s.declined),
            "withdrawn" => (Tone::Neutral, s.withdrawn),
            "dead" => (Tone::Danger, s.given_up),
            "connected" => (Tone::Well, s.connected),
            "enrolled" => (Tone::Info, s.enrolled),
            "draining" => (Tone::Care, s.draining),
            "maintenance" => (Tone::Care, s.maintenance),
            "ready" => (Tone::Well, s.ready),
            "invited" => (Tone::Info, s.invited),
            "locked" => (Tone::Care, s.locked),
            "expired" => (Tone::Neutral, s.expired),
            "revoked" => (Tone::Neutral, s.revoked),
            "allowed" => (Tone::Well, s.allowed),
            "refused" => (Tone::Danger, s.refused),
            "open" => (Tone::Care, s.open),
            "closed" => (Tone::Neutral, s.closed),
            "ended" => (Tone::Neutral, s.ended),
            "raised" => (Tone::Danger, s.raised),
            "cleared" => (Tone::Neutral, s.cleared),
            "taking" => (Tone::Active, s.taking),
            "available" => (Tone::Well, s.available),
            "degraded" => (Tone::Care, s.degraded),
            "lost" => (Tone::Danger, s.lost),
            "serving" => (Tone::Well, s.serving),
            "beside" => (Tone::Info, s.beside),
            "replaced" => (Tone::Neutral, s.replaced),
            "freed" => (Tone::Neutral, s.freed),
            "made" => (Tone::Well, s.made),
            "left" => (Tone::Neutral, s.left),
            "" | "unknown" => (Tone::Neutral, self.t.frame.unknown),
            other => return Badge::new(Tone::Neutral, other),
        };
        Badge::new(tone, word)
    }
}

/// Renders a page. A template that fails to render is our own mistake and is
/// answered as one, without the half-written page.
pub(crate) fn show(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(body) => (
            status,
            [
                (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ],
            body,
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// [`show`] with status 200.
pub(crate) fn ok(template: &impl Template) -> Response {
    show(StatusCode::OK, template)
}
