//! The portal: server-rendered pages for tenants and for the operator.
//!
//! What: each page is a struct (a view) with a template; a handler runs
//! actions through the gate in process and fills the view. Pages work without
//! a script; `assets/portal.js` adds live regions, dialogs and copying.
//!
//! Invariants: every page passes the gate (there is no query in this crate);
//! every form carries a token bound to its session and is refused when another
//! site sends it; no page has inline script or style; every message exists in
//! both languages (`i18n`).
//!
//! Not here: business rules (the capabilities' actions), JSON APIs (`web`).

mod account;
mod alarms;
mod announcements;
mod approvals;
mod assessments;
mod assets;
mod audit;
mod backups;
mod bills;
mod catalog;
mod customers;
mod data_sets;
mod design;
mod door;
mod drills;
mod errors;
mod factors;
mod files;
mod flows;
mod fmt;
mod going;
mod home;
mod hosts;
mod http;
mod i18n;
mod identity_providers;
mod impact;
mod inventory;
mod jobs;
mod live;
mod offerings;
mod operator;
mod orders;
mod page;
mod permissions;
mod places;
mod plan;
mod platform;
mod policies;
mod preferences;
mod profile;
mod protection;
mod records;
mod restoring;
mod search;
mod service_accounts;
mod services;
mod shipping;
mod start;
mod step_up;
mod ui;
mod uploads;
mod visit;
mod webhooks;

#[cfg(test)]
mod gallery;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::PathBuf;

use access::Authenticator;
use access::announcements::actions as inbox;
use access::roles::actions::Nothing;
use access::sessions::actions as sessions;
use access::tenants::TenantKind;
use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::routing::{get, post};
use base::Result;
use gate::{Cx, Gate};

/// What the pages need of the house.
#[derive(Clone)]
pub struct Portal {
    /// The one door.
    pub gate: Gate,
    /// Turns session cookies into contexts.
    pub authenticator: Authenticator,
    /// What subscriptions may be made to.
    pub hub: web::hub::Hub,
    /// Whether browsers reach us over TLS: cookies are then for TLS only. Where
    /// the server's outermost layer says how a request came, that holds for it:
    /// programs' doors and pages then look for the same cookie, behind a proxy too.
    pub tls: bool,
    /// Where hosts' agents reach the server, `https://HOST:PORT`; empty where
    /// no door for agents is open.
    pub agents: String,
    /// Where images lie.
    pub images: PathBuf,
}

impl std::fmt::Debug for Portal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Portal").field("tls", &self.tls).finish_non_exhaustive()
    }
}

impl Portal {
    /// The name of the cookie that forms are bound to before there is a session.
    fn visit_cookie(&self) -> &'static str {
        if self.tls { "__Host-yunwei_visit" } else { "yunwei_visit" }
    }

    /// The name of the cookie of a sign-in that waits for its second factor.
    fn sign_in_cookie(&self) -> &'static str {
        if self.tls { "__Host-yunwei_sign_in" } else { "yunwei_sign_in" }
    }

    /// The name of the cookie of a sign-in that is at an identity provider.
    fn provider_cookie(&self) -> &'static str {
        if self.tls { "__Host-yunwei_provider" } else { "yunwei_provider" }
    }

    /// A `Set-Cookie` for a cookie of ours that only the portal reads.
    /// `seconds` is how long it is kept; without it, until the browser closes.
    fn cookie(&self, name: &str, value: &str, seconds: Option<i64>) -> String {
        let secure = if self.tls { "; Secure" } else { "" };
        let age = seconds.map_or_else(String::new, |s| format!("; Max-Age={s}"));
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}")
    }

    /// The context of somebody who has not signed in, for this request.
    fn stranger(&self, visit: &visit::Visit) -> Result<Cx> {
        Ok(self.authenticator.nobody()?.for_request(visit.page.request_id.clone(), visit.address))
    }

    /// Who a session's secret belongs to, if it is in force: their context,
    /// what the frame shows of them, and what their forms carry.
    async fn recognise(&self, secret: &str, request: &str, address: Option<IpAddr>) -> Option<(Cx, page::Who, String)> {
        let visitor = self.authenticator.session(secret, None).await.ok()?;
        let cx = visitor.cx.for_request(request, address);
        let me = self.gate.call(&cx, &sessions::DESCRIBE, Nothing {}).await;
        let me = me.inspect_err(|error| tracing::warn!(?error, "who has signed in could not be read")).ok()?;
        let unread = self.gate.call(&cx, &inbox::INBOX, inbox::InboxAsk { unread: true }).await;
        let unread = unread.map(|inbox| inbox.items).unwrap_or_default();
        // Whoever has yet to enrol a second factor decides nothing before that.
        let to_decide = match cx.proof().is_some_and(|proof| proof.must_enrol) {
            true => 0,
            false => {
                let waiting = self.gate.call(&cx, &access::approvals::LIST, Default::default()).await;
                waiting.map_or(0, |waiting| waiting.items.len())
            }
        };
        let inside = me.acting.kind != TenantKind::Operator && me.reaches_customers;
        let home = me.places.iter().find(|place| inside && place.tenant == me.account.home);
        let who = page::Who {
            name: me.account.name,
            email: me.account.email,
            locale: me.account.locale,
            tenant: me.acting.name,
            operator: me.acting.kind == TenantKind::Operator,
            roles: me.acting.roles,
            unread,
            to_decide,
            home: home
                .filter(|place| place.tenant != me.acting.tenant)
                .map(|place| (place.tenant.to_string(), place.name.clone())),
            places: me
                .places
                .iter()
                .filter(|p| p.tenant != me.acting.tenant)
                .map(|p| (p.tenant.to_string(), p.name.clone()))
                .collect(),
        };
        let csrf = visitor.csrf().to_owned();
        Some((cx, who, csrf))
    }
}

/// The portal as one request sees it.
impl FromRequestParts<Portal> for Portal {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, portal: &Portal) -> std::result::Result<Self, Infallible> {
        let secure = parts.extensions.get::<web::Traced>().map(|traced| traced.secure);
        Ok(Portal { tls: secure.unwrap_or(portal.tls), ..portal.clone() })
    }
}

/// All pages, assets included; to be merged at the root of the server.
pub fn routes(portal: Portal) -> Router {
    let pages = Router::new()
        .merge(door_routes())
        .merge(tenant_routes())
        .merge(account_routes())
        .merge(operator_routes())
        .route("/preferences", post(preferences::save))
        .route("/design", get(design::show))
        .fallback(errors::missing)
        .method_not_allowed_fallback(errors::missing)
        .layer(axum::middleware::from_fn_with_state(portal.clone(), visit::layer))
        .with_state(portal);
    Router::new().route("/assets/{name}", get(assets::serve)).route("/favicon.ico", get(assets::favicon)).merge(pages)
}

/// Routes whose bodies are files, and may take hours.
pub const UPLOADS: &[&str] = &[uploads::IMAGES];

/// Puts the layer around the whole server that lets people read, as a page, what
/// no handler answered: too many requests, a panic, no answer in time.
pub fn legible(portal: Portal, everything: Router) -> Router {
    everything.layer(axum::middleware::from_fn_with_state(portal, visit::legible))
}

fn door_routes() -> Router<Portal> {
    Router::new()
        .route("/sign-in", get(door::sign_in_form).post(door::sign_in))
        .route("/sign-in/code", get(door::code_form).post(door::code))
        .route("/sign-in/passkey", post(door::passkey))
        .route("/sign-in/with", post(going::begin))
        .route("/sign-in/with/{id}", get(going::with))
        .route("/sign-in/provider/{id}", get(going::back))
        .route("/sign-in/provider/{id}/finish", get(going::finish))
        .route("/passkey-challenge", post(door::challenge))
        .route("/sign-out", post(door::sign_out))
        .route("/invitation", get(door::invitation).post(door::accept_invitation))
        .route("/forgotten", get(door::forgotten_form).post(door::forgotten))
        .route("/reset", get(door::reset_form).post(door::reset))
}

fn tenant_routes() -> Router<Portal> {
    Router::new()
        .route("/", get(home::page))
        .route("/catalog", get(catalog::page))
        .route("/catalog/{id}", get(catalog::form).post(catalog::submit))
        .route("/catalog/{id}/price", post(catalog::price))
        .route("/orders", get(orders::list))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/{id}/events", get(orders::events))
        .route("/orders/{id}/cancel", get(orders::ask_cancel).post(orders::cancel))
        .route("/services", get(services::list))
        .route("/services/{id}", get(services::show))
        .route("/services/{id}/events", get(services::events))
        .route("/services/{id}/console", get(services::console))
        .route("/services/{id}/start", post(services::start))
        .route("/services/{id}/restart", post(services::restart))
        .route("/services/{id}/stop", get(services::ask_stop).post(services::stop))
        .route("/services/{id}/delete", get(services::ask_delete).post(services::delete))
        .route("/drills", get(drills::list))
        .route("/drills/plans/new", get(drills::new_form).post(drills::create))
        .route("/drills/plans/{id}", get(drills::plan))
        .route("/drills/plans/{id}/run", post(drills::run))
        .route("/drills/plans/{id}/end", get(drills::ask_end).post(drills::end))
        .route("/drills/{id}", get(drills::show_run))
        .route("/drills/{id}/stop", get(drills::stopping::ask).post(drills::stopping::stop))
        .route("/drills/{id}/events", get(drills::events))
        .route("/drills/{id}/evidence", get(drills::show_evidence))
        .route("/drills/{id}/evidence.json", get(drills::file))
        .route("/inventory", get(inventory::list))
        .route("/inventory/new", get(inventory::new_form).post(inventory::create))
        .route("/inventory/import", get(inventory::import_form).post(inventory::import))
        .route("/inventory/nodes.csv", get(inventory::nodes_file))
        .route("/inventory/dependencies.csv", get(inventory::dependencies_file))
        .route("/inventory/assessments", get(assessments::list))
        .route("/inventory/scale", get(assessments::scale_form).post(assessments::set_scale))
        .route("/inventory/{id}", get(inventory::show_one))
        .route("/inventory/{id}/edit", get(inventory::edit_form).post(inventory::edit))
        .route("/inventory/{id}/needs", get(inventory::needs_form).post(inventory::add_need))
        .route("/inventory/{id}/needs/{n}/remove", post(inventory::remove_need))
        .route("/inventory/{id}/assessment", get(assessments::form).post(assessments::assess))
        .route("/inventory/{id}/remove", get(inventory::ask_remove).post(inventory::remove))
        .route("/impact", get(impact::ranking))
        .route("/impact/what-if", get(impact::what_if))
        .route("/alarms", get(alarms::page))
        .route("/alarms/{id}/acknowledge", get(alarms::ask_acknowledge).post(alarms::acknowledge))
        .route("/alarms/{id}/clear", get(alarms::ask_clear).post(alarms::clear))
        .route("/announcements", get(announcements::page))
        .route("/announcements/new", get(announcements::new).post(announcements::create))
        .route("/announcements/{id}", get(announcements::show_one))
        .route("/announcements/{id}/read", post(announcements::read))
        .route("/announcements/{id}/end", get(announcements::ask_end).post(announcements::end))
        .route("/approvals", get(approvals::page).post(approvals::ask))
        .route("/approvals/rule", get(approvals::rule).post(approvals::set_rule))
        .route("/approvals/{id}", get(approvals::show_one).post(approvals::decide))
        .route("/plan", get(plan::page))
        .route("/plan/steps/{number}", get(plan::step).post(plan::change))
        .route("/plan/versions", get(plan::versions::page).post(plan::versions::ask))
        .route("/plan/versions/{number}", get(plan::versions::show_one).post(plan::versions::decide))
        .route("/plan/start", get(start::page).post(start::answer))
        .route("/plan/print", get(plan::paper::page))
        .route("/plan/team", get(plan::team::page))
        .route("/plan/team/new", get(plan::team::new).post(plan::team::create))
        .route("/plan/team/{id}", get(plan::team::edit).post(plan::team::change))
        .route("/plan/team/{id}/remove", get(plan::team::ask_remove).post(plan::team::remove))
        .route("/plan/reviews", get(plan::reviews::page))
        .route("/plan/reviews/new", get(plan::reviews::new).post(plan::reviews::record))
        .route("/plan/findings/{id}/close", get(plan::reviews::ask_close).post(plan::reviews::close))
        .route("/plan/exercises", get(plan::exercises::page))
        .route("/plan/exercises/new", get(plan::exercises::new).post(plan::exercises::create))
        .route("/plan/exercises/{id}", get(plan::exercises::show_one).post(plan::exercises::conclude))
        .route("/plan/exercises/{id}/edit", get(plan::exercises::edit).post(plan::exercises::change))
        .route("/plan/exercises/{id}/cancel", get(plan::exercises::ask_cancel).post(plan::exercises::cancel))
        .route("/plan/runbooks", get(plan::runbooks::page))
        .route("/plan/runbooks/new", get(plan::runbooks::new).post(plan::runbooks::create))
        .route("/plan/runbooks/{id}", get(plan::runbooks::show_one))
        .route("/plan/runbooks/{id}/edit", get(plan::runbooks::edit).post(plan::runbooks::change))
        .route("/plan/runbooks/{id}/share", post(plan::runbooks::share))
        .route("/plan/runbooks/{id}/end", get(plan::runbooks::ask_end).post(plan::runbooks::end))
        .route("/services/{id}/backups", get(backups::show).post(backups::take))
        .route("/services/{id}/backups/events", get(backups::events))
        .route("/services/{id}/restore", get(restoring::ask_restore).post(restoring::restore))
        .route("/services/{id}/protection", get(protection::page).post(protection::attach))
        .route("/services/{id}/protection/end", get(protection::ask_end).post(protection::end))
        .route("/services/{id}/retention", get(protection::kept))
        .route("/services/{id}/repositories", get(protection::list))
        .route("/services/{id}/repositories/{repository}/check", post(protection::check))
        .route("/services/{id}/repositories/{repository}/escrow", get(protection::ask_reveal).post(protection::reveal))
        .route("/services/{id}/restores/{restore}", get(backups::show_restore))
        .route("/services/{id}/restores/{restore}/events", get(backups::restore_events))
        .route("/services/{id}/points/{point}/files", get(files::show))
        .route("/services/{id}/points/{point}/fetch", post(files::fetch))
        .route("/services/{id}/readings/{reading}", get(files::show_reading))
        .route("/services/{id}/readings/{reading}/events", get(files::reading_events))
        .route("/services/{id}/readings/{reading}/file", get(files::file))
        .route("/services/{id}/restores/{restore}/keep", post(backups::keep))
        .route("/services/{id}/restores/{restore}/end", get(backups::ask_end).post(backups::end))
        .route("/services/{id}/data-sets", get(data_sets::page))
        .route("/services/{id}/data-sets/new", get(data_sets::new).post(data_sets::create))
        .route("/services/{id}/data-sets/{set}/end", get(data_sets::ask_end).post(data_sets::end))
        .route("/services/{id}/data-sets/{set}/restore", get(data_sets::ask_restore).post(data_sets::restore))
        .route("/services/{id}/data-restores/{restore}", get(data_sets::show_restore))
        .route("/services/{id}/data-restores/{restore}/cancel", post(data_sets::cancel))
        .route("/bills", get(bills::list))
        .route("/bills/{id}", get(bills::show_bill))
        .route("/bills/{id}/lines/{line}", get(bills::show_line))
}

fn account_routes() -> Router<Portal> {
    Router::new()
        .route("/members", get(account::members).post(account::invite))
        .route("/members/invitations/{id}/withdraw", post(account::withdraw))
        .route("/members/{id}/role", get(account::role_form).post(account::role))
        .route("/members/{id}/remove", get(account::ask_remove).post(account::remove))
        .route("/members/{id}/factors", get(factors::ask_reset).post(factors::reset))
        .route("/who", get(permissions::who))
        .route("/why", get(permissions::why))
        .route("/service-accounts", get(service_accounts::list))
        .route("/service-accounts/new", get(service_accounts::new).post(service_accounts::create))
        .route("/service-accounts/{id}", get(service_accounts::show_one))
        .route("/service-accounts/{id}/edit", get(service_accounts::edit).post(service_accounts::change))
        .route("/service-accounts/{id}/suspend", post(service_accounts::suspend))
        .route("/service-accounts/{id}/resume", post(service_accounts::resume))
        .route("/service-accounts/{id}/remove", get(service_accounts::ask_remove).post(service_accounts::remove))
        .route("/service-accounts/{id}/keys", post(service_accounts::create_key))
        .route("/service-accounts/{id}/keys/{key}/rotate", post(service_accounts::rotate))
        .route(
            "/service-accounts/{id}/keys/{key}/revoke",
            get(service_accounts::ask_revoke).post(service_accounts::revoke),
        )
        .route("/identity-providers", get(identity_providers::list))
        .route("/identity-providers/new", get(identity_providers::new).post(identity_providers::create))
        .route("/identity-providers/{id}", get(identity_providers::show_one).post(identity_providers::change))
        .route("/identity-providers/{id}/state", post(identity_providers::switch))
        .route("/identity-providers/{id}/secret", get(identity_providers::secret).post(identity_providers::set_secret))
        .route("/identity-providers/{id}/confirm-domain", post(identity_providers::confirm_domain))
        .route("/identity-providers/{id}/remove", get(identity_providers::ask_remove).post(identity_providers::remove))
        .route("/account/providers", get(identity_providers::own))
        .route("/account/providers/{id}", post(identity_providers::connect))
        .route("/account/providers/{id}/remove", post(identity_providers::disconnect))
        .route("/sign-in-rules", get(factors::rules_form).post(factors::set_rules))
        .route("/activity", get(audit::activity))
        .route("/account", get(profile::overview).post(profile::save))
        .route("/account/password", post(profile::password))
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/webhooks/{id}", get(webhooks::show_one))
        .route("/webhooks/{id}/end", get(webhooks::ask_end).post(webhooks::end))
        .route("/webhooks/{id}/deliveries/{delivery}/retry", post(webhooks::retry))
        .route("/search", get(search::page))
        .route("/account/factors", get(factors::list).post(factors::enrol))
        .route("/account/factors/recovery-codes", post(factors::renew))
        .route("/account/passkeys/new", post(factors::new_passkey))
        .route("/account/passkeys", post(factors::register))
        .route("/account/factors/{id}/activate", post(factors::activate))
        .route("/account/factors/{id}/remove", get(factors::ask_remove).post(factors::remove))
        .route("/account/step-up", post(step_up::confirmed))
        .route("/account/tokens", get(account::tokens_list).post(account::token_create))
        .route("/account/tokens/{id}/revoke", get(account::ask_revoke).post(account::revoke))
        .route("/account/sessions", get(account::sessions_list))
        .route("/account/sessions/end", post(account::end_others))
        .route("/account/sessions/{id}/end", post(account::end))
        .route("/account/act-in", post(customers::act_in))
}

fn operator_routes() -> Router<Portal> {
    Router::new()
        .route("/operator/orders", get(orders::list))
        .route("/operator/flows", get(flows::list))
        .route("/operator/flows/{id}", get(flows::page))
        .route("/operator/flows/{id}/events", get(flows::events))
        .route("/operator/flows/{id}/{verb}", get(flows::ask).post(flows::decide))
        .route("/operator/hosts", get(hosts::list))
        .route("/operator/hosts/enrol", get(hosts::enrol_form).post(hosts::enrol))
        .route("/operator/hosts/{id}", get(hosts::page))
        .route("/operator/hosts/{id}/{verb}", get(hosts::ask).post(hosts::set))
        .route("/operator/sites", get(hosts::sites).post(hosts::create_site))
        .route("/operator/pools", post(hosts::create_pool))
        .route("/operator/images", get(hosts::image_list))
        .route("/operator/images/new", get(hosts::image_form).post(hosts::image_register))
        .route(uploads::IMAGES, get(uploads::form).post(uploads::receive))
        .route("/operator/backups", get(places::operator))
        .route("/operator/backups/places/new", get(places::new).post(places::create))
        .route("/operator/backups/places/{id}", get(places::edit).post(places::change))
        .route("/operator/backups/places/{id}/credential", get(places::credential).post(places::set_credential))
        .route("/operator/backups/places/{id}/renew", get(places::ask_renew).post(places::renew))
        .route("/operator/backups/policies/new", get(policies::new).post(policies::create))
        .route("/operator/backups/policies/{id}", get(policies::edit).post(policies::change))
        .route("/operator/platform", get(platform::page).post(platform::protect))
        .route("/operator/platform/backup", post(platform::take))
        .route("/operator/platform/kit", post(platform::kit))
        .route("/operator/jobs", get(jobs::list))
        .route("/operator/jobs/{id}/{verb}", get(jobs::ask).post(jobs::decide))
        .route("/operator/customers", get(customers::list))
        .route("/operator/customers/new", get(customers::create_form).post(customers::create))
        .route("/operator/customers/{id}", get(customers::page))
        .route("/operator/customers/{id}/invite", get(customers::invite_form).post(customers::invite))
        .route("/operator/customers/{id}/enter", post(customers::enter))
        .route("/operator/offerings", get(offerings::list))
        .route("/operator/offerings/{id}", get(offerings::page))
        .route("/operator/audit", get(audit::search))
        .route("/operator/audit/places", get(shipping::list))
        .route("/operator/audit/places/new", get(shipping::new).post(shipping::create))
        .route("/operator/audit/places/{id}", get(shipping::edit).post(shipping::change))
        .route("/operator/audit/places/{id}/ship", post(shipping::ship))
        .route("/operator/audit/places/{id}/credential", get(shipping::credential).post(shipping::set_credential))
        .route("/operator/audit/places/{id}/remove", get(shipping::ask_remove).post(shipping::remove))
}
