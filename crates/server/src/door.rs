//! Who is asking: a bearer token, a session cookie, or nobody.

use access::Authenticator;
use axum::http::{HeaderMap, Method, header};
use base::{Error, Result};
use gate::Cx;
use web::Asking;

/// [`access`] at the door of [`web`].
pub(crate) struct Door {
    /// Recognises tokens and cookies.
    pub authenticator: Authenticator,
    /// Whether browsers reach us over TLS.
    pub tls: bool,
}

impl Door {
    async fn recognise(&self, asking: &Asking<'_>) -> Result<Cx> {
        let wanted = access::wanted_tenant(text(asking.headers, "x-yunwei-tenant"))?;
        if let Some(token) = web::bearer(asking.headers) {
            return Ok(self.authenticator.bearer(token, wanted).await?.cx);
        }
        let cookies = text(asking.headers, header::COOKIE.as_str()).unwrap_or_default();
        let Some(secret) = access::sessions::cookie::read(cookies, self.tls) else { return self.authenticator.nobody() };
        let visitor = self.authenticator.session(secret, wanted).await?;
        // A browser sends the cookie for other people's pages too.
        let reads = matches!(*asking.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if !reads && (!web::same_origin(asking.headers) || visitor.check_csrf(text(asking.headers, "x-csrf-token")).is_err()) {
            return Err(Error::forbidden("session.csrf", "a change needs the session's X-CSRF-Token, from a page of this site"));
        }
        Ok(visitor.cx)
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

impl web::Authenticator for Door {
    fn authenticate<'r>(&'r self, asking: Asking<'r>) -> futures_util::future::BoxFuture<'r, Result<Cx>> {
        Box::pin(async move { self.recognise(&asking).await })
    }
}
