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
mod assets;
mod bills;
mod catalog;
mod customers;
mod design;
mod door;
mod errors;
mod flows;
mod fmt;
mod home;
mod http;
mod i18n;
mod live;
mod operator;
mod orders;
mod page;
mod preferences;
mod records;
mod services;
mod ui;
mod visit;

#[cfg(test)]
mod gallery;

use axum::Router;
use axum::http::request::Parts;
use axum::routing::{get, post};
use gate::{Cx, Gate};

/// What the pages need of the house.
#[derive(Clone)]
pub struct Portal {
    /// The one door.
    pub gate: Gate,
    /// Whether browsers reach us over TLS: cookies are then for TLS only.
    pub tls: bool,
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

    /// A `Set-Cookie` for a cookie of ours that only the portal reads.
    /// `seconds` is how long it is kept; without it, until the browser closes.
    fn cookie(&self, name: &str, value: &str, seconds: Option<i64>) -> String {
        let secure = if self.tls { "; Secure" } else { "" };
        let age = seconds.map_or_else(String::new, |s| format!("; Max-Age={s}"));
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}")
    }

    /// Who a session's secret belongs to, if it is in force.
    async fn recognise(&self, secret: &str, request: &str, parts: &Parts) -> Option<(Cx, page::Who)> {
        let _ = (secret, request, parts);
        None
    }
}

/// All pages, assets included; to be merged at the root of the server.
pub fn routes(portal: Portal) -> Router {
    let pages = Router::new()
        .route("/catalog", get(catalog::page))
        .route("/catalog/{id}", get(catalog::form).post(catalog::submit))
        .route("/catalog/{id}/price", post(catalog::price))
        .route("/orders", get(orders::list))
        .route("/orders/{id}", get(orders::show))
        .route("/orders/{id}/events", get(orders::events))
        .route("/orders/{id}/cancel", get(orders::ask_cancel).post(orders::cancel))
        .route("/operator/orders", get(orders::list))
        .route("/preferences", post(preferences::save))
        .route("/design", get(design::show))
        .fallback(errors::missing)
        .method_not_allowed_fallback(errors::missing)
        .layer(axum::middleware::from_fn_with_state(portal.clone(), visit::layer))
        .with_state(portal);
    Router::new().route("/assets/{name}", get(assets::serve)).route("/favicon.ico", get(assets::favicon)).merge(pages)
}
