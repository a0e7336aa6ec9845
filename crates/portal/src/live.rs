//! Live regions: the server sends a part of a page anew whenever it changes.
//!
//! What is sent is the HTML that the page itself would show, so there is one
//! template and no second rendering in the browser. A browser without scripts
//! gets a `<noscript>` refresh instead (`Page::refresh`).
//!
//! Invariants: a stream ends when the session does, or may less than it might;
//! it ends by itself after [`limits::LIVE_SECONDS_MAX`], and the browser then asks
//! anew; it looks no more often than every [`limits::LIVE_MILLISECONDS`].

use crate::visit::Signed;
use askama::Template;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use base::{Error, Result, limits};
use futures_util::stream;
use std::convert::Infallible;
use std::time::Duration;

/// Renders a part of a page.
pub(crate) fn fragment(template: &impl Template) -> Result<String> {
    template.render().map_err(|e| Error::bug("page.render", "a part of a page could not be rendered").because(e))
}

struct Watch<F> {
    s: Signed,
    look: F,
    last: String,
    rounds: u64,
    over: bool,
}

/// Streams what `look` renders, whenever it differs from what was sent, until
/// `look` says that nothing more will come.
pub(crate) fn stream<F, W>(s: Signed, look: F) -> Response
where
    F: Fn(Signed) -> W + Send + 'static,
    W: Future<Output = Result<(String, bool)>> + Send + 'static,
{
    let rounds = limits::LIVE_SECONDS_MAX * 1000 / limits::LIVE_MILLISECONDS;
    let watch = Watch { s, look, last: String::new(), rounds, over: false };
    let events = stream::unfold(watch, |mut watch| async move {
        if watch.over {
            return None;
        }
        while watch.rounds > 0 {
            watch.rounds -= 1;
            if !watch.s.still().await {
                return None;
            }
            let (html, ended) = match (watch.look)(watch.s.clone()).await {
                Ok(seen) => seen,
                Err(error) => {
                    tracing::debug!(?error, "a live page ended");
                    return None;
                }
            };
            if html != watch.last {
                watch.last.clone_from(&html);
                // The end is told in a round of its own, after the last state.
                return Some((event("fragment", &html), watch));
            }
            if ended {
                watch.over = true;
                return Some((event("end", "end"), watch));
            }
            tokio::time::sleep(Duration::from_millis(limits::LIVE_MILLISECONDS)).await;
        }
        None
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

fn event(name: &str, html: &str) -> std::result::Result<Event, Infallible> {
    // A carriage return cannot be carried; a page never needs one.
    Ok(Event::default().event(name).data(html.replace('\r', "")))
}
