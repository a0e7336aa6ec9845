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
mod design;
mod door;
mod errors;
mod fmt;
mod home;
mod http;
mod i18n;
mod operator;
mod orders;
mod page;
mod services;
mod ui;

#[cfg(test)]
mod gallery;
