//! The portal's style sheet, script and marks, embedded in the program.
//!
//! Each is served under a name that carries the hash of its content, so that
//! a browser may keep it for a year and still never shows an old one.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// One embedded file.
struct Asset {
    stem: &'static str,
    extension: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

const STYLE: &str = concat!(
    include_str!("../assets/tokens.css"),
    include_str!("../assets/base.css"),
    include_str!("../assets/shell.css"),
    include_str!("../assets/components.css"),
    include_str!("../assets/print.css"),
);
const SCRIPT: &str = include_str!("../assets/portal.js");
const MARK: &str = include_str!("../assets/mark.svg");

const STYLE_HASH: u64 = fnv1a(STYLE.as_bytes());
const SCRIPT_HASH: u64 = fnv1a(SCRIPT.as_bytes());
const MARK_HASH: u64 = fnv1a(MARK.as_bytes());

static ASSETS: [(Asset, u64); 3] = [
    (
        Asset { stem: "portal", extension: "css", media_type: "text/css; charset=utf-8", bytes: STYLE.as_bytes() },
        STYLE_HASH,
    ),
    (
        Asset {
            stem: "portal",
            extension: "js",
            media_type: "text/javascript; charset=utf-8",
            bytes: SCRIPT.as_bytes(),
        },
        SCRIPT_HASH,
    ),
    (Asset { stem: "mark", extension: "svg", media_type: "image/svg+xml", bytes: MARK.as_bytes() }, MARK_HASH),
];

/// FNV-1a, 64 bits: names a version, protects nothing.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// Where the page's style sheet is.
pub(crate) fn style_url() -> String {
    format!("/assets/portal.{STYLE_HASH:016x}.css")
}

/// Where the page's script is.
pub(crate) fn script_url() -> String {
    format!("/assets/portal.{SCRIPT_HASH:016x}.js")
}

/// Where the mark, as an icon for the browser's tab, is.
pub(crate) fn mark_url() -> String {
    format!("/assets/mark.{MARK_HASH:016x}.svg")
}

/// `GET /assets/{name}`. An outdated hash is not found rather than answered
/// with other content, which a shared cache would then keep for a year.
pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    let found = ASSETS.iter().find(|(asset, hash)| name == format!("{}.{hash:016x}.{}", asset.stem, asset.extension));
    match found {
        Some((asset, _)) => (
            [
                (header::CONTENT_TYPE, asset.media_type),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ],
            asset.bytes,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `GET /favicon.ico`, which browsers ask for whatever a page says.
pub(crate) async fn favicon() -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "public, max-age=86400")], MARK).into_response()
}

/// Address and content of every asset, for the tests that look at pages.
#[cfg(test)]
pub(crate) fn all() -> Vec<(String, &'static [u8])> {
    ASSETS
        .iter()
        .map(|(asset, hash)| (format!("/assets/{}.{hash:016x}.{}", asset.stem, asset.extension), asset.bytes))
        .collect()
}
