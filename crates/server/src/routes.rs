//! What can be asked for: every route of the platform's own API, on one page.
//!
//! TM Forum's routes follow from the registered kinds, the portal's pages are
//! its own. A path's `{parameter}` is the field of that name in the action's input.

use access::{
    accounts, announcements, approvals, factors, invitations, passwords, permissions, providers, roles,
    service_accounts, sessions, sign_in_rules, tenants, tokens,
};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base::Result;
use billing::bills;
use continuity::alarms::actions as alarms;
use continuity::backups::{
    findings as backup_findings, offers, places as backup_places, points, policies, protections, repositories,
    whole as backup_whole,
};
use continuity::bia;
use continuity::control_plane;
use continuity::datasets;
use continuity::datasets::restores as data_restores;
use continuity::drills::{corrective, plans, runs};
use continuity::plan::{contacts, findings, paper, reviews, steps, versions};
use continuity::readings::actions as readings;
use continuity::restores::actions as restores;
use continuity::{evidence, exercises, inventory, runbooks, start, studies};
use durable::{flows, jobs};
use gate::audit::actions as log;
use guard::shipping::actions as shipping;
use portal::Portal;
use provisioning::services;
use resources::{capacity, claims, console, hosts, images, intents, orphans, places};
use web::api::{self, Route};
use web::{Traced, Web};

use crate::app::{self, House};

/// The table.
pub static ROUTES: &[Route] = &[
    // Who I am, and how I get in.
    Route::get("/whoami", &sessions::actions::DESCRIBE),
    Route::post("/sessions", &sessions::actions::OPEN).with_secret().open(),
    Route::post("/sessions/confirm", &sessions::confirm::CONFIRM).with_secret().open(),
    Route::act("/sessions/passkey-challenge", &factors::passkeys::actions::CHALLENGE).with_secret().open(),
    Route::post("/sessions/passkey", &factors::passkeys::actions::OPEN).with_secret().open(),
    Route::act("/sessions/provider/begin", &providers::sign_in::BEGIN).with_secret().open(),
    Route::post("/sessions/provider", &providers::sign_in::OPEN).with_secret().open(),
    Route::act("/sessions/step-up", &sessions::confirm::STEP_UP),
    Route::get("/sessions", &sessions::actions::LIST),
    Route::act("/sessions/close", &sessions::actions::CLOSE),
    Route::act("/sessions/close-all", &sessions::actions::CLOSE_ALL),
    Route::get("/factors", &factors::actions::LIST),
    Route::post("/factors", &factors::actions::ENROL).with_secret(),
    Route::post("/factors/passkeys", &factors::passkeys::actions::ENROL).with_secret(),
    Route::post("/factors/passkeys/register", &factors::passkeys::actions::REGISTER).with_secret(),
    Route::act("/factors/{factor}/activate", &factors::actions::ACTIVATE).with_secret(),
    Route::act("/factors/{factor}/remove", &factors::actions::REMOVE),
    Route::act("/recovery-codes/renew", &factors::actions::RENEW).with_secret(),
    Route::post("/tokens", &tokens::actions::CREATE).with_secret(),
    Route::get("/tokens", &tokens::actions::LIST),
    Route::act("/tokens/{token}/revoke", &tokens::actions::REVOKE),
    // Programs, who answers for them, and their keys.
    Route::post("/service-accounts", &service_accounts::actions::CREATE),
    Route::get("/service-accounts", &service_accounts::actions::LIST),
    Route::get("/service-accounts/{account}", &service_accounts::actions::GET),
    Route::patch("/service-accounts/{account}", &service_accounts::actions::UPDATE),
    Route::post("/service-accounts/{account}/keys", &service_accounts::actions::CREATE_KEY).with_secret(),
    Route::post("/service-accounts/keys/{token}/rotate", &service_accounts::actions::ROTATE_KEY).with_secret(),
    Route::act("/password", &passwords::actions::CHANGE),
    Route::act("/password/request-reset", &passwords::actions::REQUEST_RESET).open(),
    Route::act("/password/reset", &passwords::actions::RESET).open(),
    // Tenants and their people.
    Route::post("/tenants", &tenants::actions::CREATE),
    Route::get("/tenants", &tenants::actions::LIST),
    Route::get("/tenants/{tenant}", &tenants::actions::GET),
    Route::patch("/tenants/{tenant}", &tenants::actions::UPDATE),
    Route::act("/tenants/{tenant}/suspend", &tenants::actions::SUSPEND),
    Route::act("/tenants/{tenant}/resume", &tenants::actions::RESUME),
    Route::get("/accounts", &accounts::actions::LIST),
    Route::get("/accounts/{account}", &accounts::actions::GET),
    Route::patch("/accounts/{account}", &accounts::actions::UPDATE),
    Route::act("/accounts/{account}/suspend", &accounts::actions::SUSPEND),
    Route::act("/accounts/{account}/resume", &accounts::actions::RESUME),
    Route::act("/accounts/{account}/remove", &accounts::actions::REMOVE),
    Route::act("/accounts/{account}/reset-factors", &factors::actions::RESET),
    // A firm's own identity provider, and one's own part at it.
    Route::post("/identity-providers", &providers::actions::CREATE),
    Route::get("/identity-providers", &providers::actions::LIST),
    Route::get("/identity-providers/{provider}", &providers::actions::GET),
    Route::patch("/identity-providers/{provider}", &providers::actions::UPDATE),
    Route::act("/identity-providers/{provider}/secret", &providers::actions::SET_SECRET),
    Route::act("/identity-providers/{provider}/confirm-domain", &providers::actions::CONFIRM_DOMAIN),
    Route::act("/identity-providers/{provider}/remove", &providers::actions::REMOVE),
    Route::get("/identity-links", &providers::sign_in::CONNECTED),
    Route::act("/identity-links/begin", &providers::sign_in::CONNECT).with_secret(),
    Route::post("/identity-links", &providers::sign_in::COMPLETE),
    Route::act("/identity-links/{provider}/remove", &providers::sign_in::DISCONNECT),
    Route::get("/sign-in-rules", &sign_in_rules::actions::GET),
    Route::patch("/sign-in-rules", &sign_in_rules::actions::UPDATE),
    Route::act("/accounts/{account}/grant", &roles::actions::GRANT),
    Route::act("/accounts/{account}/revoke", &roles::actions::REVOKE),
    Route::get("/reach", &roles::actions::REACH),
    // Why somebody was refused, and who can do something.
    Route::get("/refusals/{id}", &permissions::EXPLAIN),
    Route::get("/permissions/{action}/holders", &permissions::HOLDERS),
    Route::post("/invitations", &invitations::actions::INVITE),
    Route::get("/invitations", &invitations::actions::LIST),
    Route::act("/invitations/{invitation}/resend", &invitations::actions::RESEND),
    Route::act("/invitations/{invitation}/withdraw", &invitations::actions::WITHDRAW),
    Route::act("/invitations/preview", &invitations::actions::PREVIEW).open(),
    Route::act("/invitations/accept", &invitations::actions::ACCEPT).open(),
    // What everyone concerned is told, and who has read it.
    Route::post("/announcements", &announcements::actions::CREATE),
    Route::get("/announcements", &announcements::actions::LIST),
    Route::get("/announcements/inbox", &announcements::actions::INBOX),
    Route::get("/announcements/{id}/receipts", &announcements::actions::RECEIPTS),
    Route::act("/announcements/{id}/read", &announcements::actions::READ),
    Route::act("/announcements/{id}/end", &announcements::actions::END),
    // What needs a second person, and who agreed.
    Route::post("/approvals", &approvals::ASK),
    Route::get("/approvals", &approvals::LIST),
    Route::get("/approvals/rule", &approvals::GET_RULE),
    Route::put("/approvals/rule", &approvals::SET_RULE),
    Route::get("/approvals/{id}", &approvals::GET),
    Route::act("/approvals/{id}/approve", &approvals::APPROVE),
    Route::act("/approvals/{id}/decline", &approvals::DECLINE),
    Route::act("/approvals/{id}/withdraw", &approvals::WITHDRAW),
    Route::act("/persons/link", &approvals::LINK),
    Route::act("/persons/unlink", &approvals::UNLINK),
    // Where machines stand.
    Route::post("/sites", &places::CREATE_SITE),
    Route::get("/sites", &places::LIST_SITES),
    Route::post("/pools", &places::CREATE_POOL),
    Route::get("/pools", &places::LIST_POOLS),
    Route::patch("/pools/{id}", &places::UPDATE_POOL),
    Route::post("/subnets", &places::CREATE_SUBNET),
    Route::get("/subnets", &places::LIST_SUBNETS),
    Route::post("/hosts/invitations", &hosts::INVITE).with_secret(),
    Route::get("/hosts/invitations", &hosts::LIST_INVITATIONS),
    Route::get("/hosts", &hosts::LIST),
    Route::get("/hosts/{id}", &hosts::GET),
    Route::act("/hosts/{id}/activate", &hosts::ACTIVATE),
    Route::act("/hosts/{id}/drain", &hosts::DRAIN),
    Route::act("/hosts/{id}/retire", &hosts::RETIRE),
    Route::get("/capacity", &capacity::GET),
    Route::get("/reservations", &capacity::LIST_RESERVATIONS),
    Route::get("/claims", &claims::LIST),
    Route::post("/images", &images::REGISTER),
    Route::get("/images", &images::LIST),
    Route::get("/images/{id}", &images::GET),
    Route::get("/intents", &intents::LIST),
    Route::get("/intents/{id}", &intents::GET),
    Route::act("/intents/{id}/console", &console::REQUEST),
    Route::get("/intents/{id}/console", &console::GET),
    Route::get("/orphans", &orphans::LIST),
    Route::act("/orphans/remove", &orphans::REMOVE),
    Route::act("/orphans/adopt", &orphans::ADOPT),
    // Orders and services.
    Route::act("/orders/price", &commerce::orders::ORDER_PRICE),
    Route::get("/services/{id}/status", &services::STATUS),
    Route::act("/services/{id}/start", &services::START),
    Route::act("/services/{id}/stop", &services::STOP),
    Route::act("/services/{id}/reboot", &services::REBOOT),
    Route::act("/services/{id}/terminate", &services::TERMINATE),
    Route::act("/services/{id}/console", &services::CAPTURE),
    Route::get("/services/{id}/console", &services::CONSOLE),
    Route::act("/catalog/seed", &provisioning::starter::SEED),
    // Backups: where copies lie, by which rules, and what there is of each service.
    Route::post("/backup-places", &backup_places::CREATE),
    Route::get("/backup-places", &backup_places::LIST),
    Route::get("/backup-places/{id}", &backup_places::GET),
    Route::patch("/backup-places/{id}", &backup_places::UPDATE),
    Route::act("/backup-places/{id}/credential", &backup_places::SET_CREDENTIAL),
    Route::act("/backup-places/{id}/renew", &backup_findings::RENEW),
    Route::post("/backup-policies", &policies::CREATE),
    Route::get("/backup-policies", &policies::LIST),
    Route::get("/backup-policies/offered", &offers::LIST),
    Route::get("/backup-policies/{id}", &policies::GET),
    Route::patch("/backup-policies/{id}", &policies::UPDATE),
    Route::act("/backup-policies/{id}/preview", &policies::PREVIEW_ALL),
    Route::get("/backup-repositories", &repositories::LIST),
    Route::act("/backup-repositories/{id}/check", &backup_whole::CHECK),
    Route::act("/backup-repositories/{id}/reveal-escrow", &repositories::REVEAL).with_secret(),
    Route::get("/control-plane", &control_plane::GET),
    Route::act("/control-plane/protect", &control_plane::PROTECT),
    Route::post("/control-plane/backup", &control_plane::points::TAKE),
    Route::get("/control-plane/points/{id}", &control_plane::points::POINT),
    Route::act("/control-plane/kit", &control_plane::kit::MAKE).with_secret(),
    Route::get("/protections", &protections::LIST),
    Route::get("/services/{id}/protection", &protections::GET),
    Route::act("/services/{id}/protection", &protections::SET),
    Route::act("/services/{id}/protection/choose", &offers::CHOOSE),
    Route::act("/services/{id}/protection/end", &protections::END),
    Route::act("/services/{id}/protection/preview", &policies::PREVIEW),
    Route::post("/services/{id}/backup", &points::TAKE),
    Route::get("/services/{id}/recovery-points", &points::LIST),
    Route::get("/recovery-points/{id}", &points::GET),
    Route::act("/recovery-points/{id}/check", &points::CHECK),
    // Data sets: files and databases that belong to a service.
    Route::post("/services/{id}/data-sets", &datasets::CREATE),
    Route::get("/services/{id}/data-sets", &datasets::LIST),
    Route::get("/data-sets/{id}", &datasets::GET),
    Route::patch("/data-sets/{id}", &datasets::UPDATE),
    Route::act("/data-sets/{id}/end", &datasets::END),
    Route::act("/data-sets/{id}/restore/plan", &data_restores::PLAN),
    Route::post("/data-sets/{id}/restore", &data_restores::START),
    Route::get("/services/{id}/data-restores", &data_restores::LIST),
    Route::get("/data-restores/{id}", &data_restores::GET),
    Route::act("/data-restores/{id}/cancel", &data_restores::CANCEL),
    Route::post("/recovery-points/{id}/browse", &readings::BROWSE),
    Route::post("/recovery-points/{id}/fetch", &readings::FETCH),
    Route::get("/recovery-points/{id}/fetched", &readings::LIST),
    Route::get("/readings/{id}", &readings::GET),
    // The ticket, and with it the file itself (see `downloads`).
    Route::act("/readings/{id}/download", &readings::DOWNLOAD),
    Route::download("/readings/{id}/file", &readings::DOWNLOAD),
    // Drills: what is promised, what was seen of it, and the evidence.
    Route::post("/drill-plans", &plans::CREATE),
    Route::get("/drill-plans", &plans::LIST),
    Route::get("/drill-plans/{id}", &plans::GET),
    Route::patch("/drill-plans/{id}", &plans::UPDATE),
    Route::act("/drill-plans/{id}/end", &plans::END),
    Route::post("/drill-plans/{id}/run", &runs::RUN),
    Route::get("/drills", &runs::LIST),
    Route::get("/drills/{id}", &runs::GET),
    Route::act("/drills/{id}/stop", &runs::STOP),
    Route::get("/drills/{id}/evidence", &evidence::GET),
    Route::get("/alarms", &alarms::LIST),
    Route::post("/alarms/{id}/acknowledge", &alarms::ACKNOWLEDGE),
    Route::post("/alarms/{id}/clear", &alarms::CLEAR),
    Route::get("/corrective-actions", &corrective::LIST),
    Route::patch("/corrective-actions/{id}", &corrective::UPDATE),
    Route::act("/services/{id}/restore/plan", &restores::PLAN),
    Route::get("/services/{id}/restore/sites", &restores::SITES),
    Route::post("/services/{id}/restore", &restores::START),
    Route::get("/services/{id}/restores", &restores::LIST),
    Route::get("/restores/{id}", &restores::GET),
    Route::act("/restores/{id}/keep", &restores::KEEP),
    Route::act("/restores/{id}/end", &restores::END),
    // Inventory: what a firm does, what that depends on, and how urgent it is.
    Route::get("/inventory", &inventory::actions::LIST),
    Route::post("/inventory", &inventory::actions::ADD),
    Route::get("/inventory/export", &inventory::import::EXPORT),
    Route::act("/inventory/preview", &inventory::import::PREVIEW),
    Route::act("/inventory/import", &inventory::import::IMPORT),
    Route::get("/inventory/{id}", &inventory::actions::GET),
    Route::put("/inventory/{id}", &inventory::actions::PUT),
    Route::act("/inventory/{id}/remove", &inventory::actions::REMOVE),
    Route::get("/inventory/{id}/assessment", &bia::GET),
    Route::put("/inventory/{id}/assessment", &bia::ASSESS),
    Route::get("/assessments", &bia::LIST),
    Route::get("/harm-scale", &bia::GET_SCALE),
    Route::put("/harm-scale", &bia::SET_SCALE),
    Route::get("/objectives", &bia::OBJECTIVES),
    Route::act("/impact", &studies::STUDY),
    Route::get("/impact/ranking", &studies::RANK),
    // The continuity plan: nine steps, team, versions, reviews; exercises and runbooks.
    Route::get("/plan", &steps::GET),
    Route::patch("/plan/steps/{number}", &steps::UPDATE),
    Route::get("/plan/paper", &paper::PRINT),
    Route::get("/plan/contacts", &contacts::LIST),
    Route::post("/plan/contacts", &contacts::CREATE),
    Route::put("/plan/contacts/{id}", &contacts::UPDATE),
    Route::get("/plan/contacts/{id}", &contacts::GET),
    Route::delete("/plan/contacts/{id}", &contacts::REMOVE),
    Route::get("/plan/versions", &versions::LIST),
    Route::post("/plan/versions", &versions::ASK),
    Route::get("/plan/versions/{number}", &versions::GET),
    Route::act("/plan/versions/{number}/decide", &versions::DECIDE),
    Route::get("/plan/reviews", &reviews::LIST),
    Route::post("/plan/reviews", &reviews::RECORD),
    Route::get("/plan/findings", &findings::LIST),
    Route::post("/plan/findings", &findings::ADD),
    Route::act("/plan/findings/{id}/close", &findings::CLOSE),
    Route::act("/plan/start/preview", &start::PREVIEW),
    Route::act("/plan/start", &start::MAKE),
    Route::get("/exercises", &exercises::LIST),
    Route::post("/exercises", &exercises::CREATE),
    Route::get("/exercises/{id}", &exercises::GET),
    Route::put("/exercises/{id}", &exercises::UPDATE),
    Route::act("/exercises/{id}/cancel", &exercises::CANCEL),
    Route::act("/exercises/{id}/conclude", &exercises::CONCLUDE),
    Route::get("/runbooks", &runbooks::LIST),
    Route::post("/runbooks", &runbooks::CREATE),
    Route::get("/runbooks/{id}", &runbooks::GET),
    Route::put("/runbooks/{id}", &runbooks::UPDATE),
    Route::act("/runbooks/{id}/end", &runbooks::END),
    Route::act("/runbooks/{id}/share", &runbooks::sharing::SHARE),
    Route::get("/runbooks/{id}/versions", &runbooks::VERSIONS),
    Route::act("/services/{id}/runbook/draft", &runbooks::draft::DRAFT),
    // Flows and other lasting work.
    Route::get("/flows", &flows::actions::LIST),
    Route::get("/flows/{id}", &flows::actions::GET),
    Route::get("/flows/{id}/journal", &flows::actions::JOURNAL),
    Route::act("/flows/{id}/retry", &flows::actions::RETRY),
    Route::act("/flows/{id}/skip", &flows::actions::SKIP),
    Route::act("/flows/{id}/unwind", &flows::actions::UNWIND),
    Route::act("/flows/{id}/give-up", &flows::actions::GIVE_UP),
    Route::get("/flow-definitions", &flows::actions::DEFINITIONS),
    Route::post("/flow-definitions", &flows::actions::IMPORT),
    Route::get("/flow-definitions/{name}", &flows::actions::DEFINITION),
    Route::get("/flow-definitions/{name}/yaml", &flows::actions::EXPORT),
    Route::get("/jobs", &jobs::LIST),
    Route::act("/jobs/{id}/retry", &jobs::RETRY),
    Route::act("/jobs/{id}/discard", &jobs::DISCARD),
    Route::get("/reconcilers", &durable::reconcilers::LIST),
    // Bills.
    Route::act("/bills/preview", &bills::PREVIEW),
    Route::act("/bills/run", &bills::RUN),
    Route::get("/bills", &bills::LIST),
    Route::get("/bills/{bill}", &bills::GET),
    Route::get("/bills/lines/{line}/usage", &bills::LINE_USAGE),
    Route::post("/bills/adjustments", &bills::ADJUST),
    Route::get("/bills/{bill}/export", &bills::EXPORT),
    Route::act("/bills/{bill}/move", &bills::MOVE),
    Route::act("/bills/close", &bills::CLOSE),
    Route::get("/usage-summary", &bills::USAGE_SUMMARY),
    // Notifications.
    Route::get("/hubs", &web::hub::LIST),
    Route::get("/hubs/{id}/deliveries", &web::hub::DELIVERIES),
    Route::act("/hubs/{id}/deliveries/{delivery}/retry", &web::hub::RETRY),
    // Everything, by name or identifier.
    Route::get("/search", &gate::search::FIND),
    // The audit log.
    Route::get("/audit/entries", &log::LIST),
    Route::get("/audit/entries/{index}", &log::GET),
    Route::get("/audit/checkpoint", &log::CHECKPOINT),
    Route::get("/audit/entries/{index}/proof", &log::PROOF),
    Route::get("/audit/consistency", &log::CONSISTENCY),
    Route::act("/audit/erase", &log::ERASE),
    Route::post("/audit/places", &shipping::CREATE).with_secret(),
    Route::get("/audit/places", &shipping::LIST),
    Route::get("/audit/places/{id}", &shipping::GET),
    Route::patch("/audit/places/{id}", &shipping::UPDATE),
    Route::act("/audit/places/{id}/credential", &shipping::SET_CREDENTIAL),
    Route::act("/audit/places/{id}/ship", &shipping::SHIP),
    Route::act("/audit/places/{id}/remove", &shipping::REMOVE),
];

/// The OpenAPI document of the platform's own API.
pub fn document() -> serde_json::Value {
    api::openapi::own(env!("CARGO_PKG_VERSION"), ROUTES, app::catalogue().guard())
}

/// Prints [`document`], as it is committed in `docs/reference/openapi.json`.
///
/// # Errors
/// Never.
pub fn print_openapi() -> Result<()> {
    println!("{:#}", document());
    Ok(())
}

/// Metrics are for whoever looks after this machine: they are answered to the
/// machine itself, and to nobody behind a proxy, whether we were told of it or not.
async fn only_from_here(request: Request, next: Next) -> Response {
    let near = request.extensions().get::<Traced>().and_then(|traced| traced.address);
    let passed_on = ["x-forwarded-for", "x-real-ip", "forwarded", "via"];
    let direct = passed_on.iter().all(|name| !request.headers().contains_key(*name));
    match direct && near.is_some_and(|address| address.is_loopback()) {
        true => next.run(request).await,
        false => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Everything that the front listener answers. Where nothing is, the portal
/// answers: a page for those who read pages, an error document for programs.
pub fn router(house: &House, web: &Web, portal: Portal) -> Router {
    let kinds = app::catalogue();
    let routes = web::tmf::routes(kinds.all_kinds())
        .merge(house.hub.routes())
        .merge(api::routes(ROUTES))
        .merge(crate::downloads::routes())
        .merge(api::document("/api/v1/openapi.json", document))
        .merge(web::layers::health())
        .merge(web::layers::metrics().layer(axum::middleware::from_fn(only_from_here)))
        .merge(api::document("/tmf-api/openapi.json", || {
            let catalogue = app::catalogue();
            api::openapi::tmf(env!("CARGO_PKG_VERSION"), catalogue.all_kinds(), catalogue.guard())
        }))
        .merge(portal::routes(portal.clone()).with_state(()));
    portal::legible(portal, web::layers::dress(routes, web))
}
