//! Asking a provider: its discovery document, its keys, and the ID token for a code.
//!
//! What is fetched is remembered for a while in this process; a restart only fetches again. Documents are kept
//! ten minutes, keys an hour, or until a token names one that is not among them: then they are fetched again, at
//! most every half minute, so that a provider may change its keys and nobody can make us ask it without end. So are
//! failures. An issuer is asked for them by one at a time, and few are at a tenant's providers at once ([`places`]):
//! one that is slow holds up its own people and nobody else.
//!
//! [`places`]: super::places

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::id::TenantId;
use base::percent::encode;
use base::time::Timestamp;
use base::{Error, Kind, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gate::Gate;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use web::Outgoing;

use super::jwt::{self, Claims, Expected, Keys};
use super::places::Places;
use super::{Errand, Provider, ProviderId};

/// Longest document that is read, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 256 << 10;
/// How long a discovery document is remembered, in seconds.
const DOCUMENT_SECONDS: i64 = 600;
/// How long keys are.
const KEYS_SECONDS: i64 = 3_600;
/// How often a provider is asked again, at most, after it failed or for keys that are not there, in seconds.
const AGAIN_SECONDS: i64 = 30;
/// Providers that are remembered.
const KNOWN_MAX: usize = 1_000;
/// Where people come back to, behind the address of the site and before the provider's identifier. An address for
/// each: were it one for all, a tenant's provider could lead people on to another tenant's, and be sent the code that
/// came of it.
pub const RETURN_PATH: &str = "/sign-in/provider";

/// What a discovery document says, as far as it is used (OpenID Connect Discovery 1.0, section 3).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether it says with the code from whom that is (RFC 9207).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What is given for a code.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    #[serde(default)]
    access_token: Option<String>,
}

/// What a provider sent back with the browser.
#[derive(Debug, Clone)]
pub(super) struct Came<'a> {
    pub code: &'a str,
    pub issuer: Option<&'a str>,
}

/// What came of asking an issuer, and when.
#[derive(Debug, Default)]
struct Known {
    document: Option<(i64, Result<Document>)>,
    keys: Option<(i64, Result<Keys>)>,
}

fn held<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who asks providers.
pub struct Client {
    outgoing: Outgoing,
    site: String,
    known: Mutex<HashMap<String, Arc<Mutex<Known>>>>,
    places: Places,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("site", &self.site).finish_non_exhaustive()
    }
}

/// Installs what asks providers, for a site at that address.
pub fn install(gate: &Gate, site: &str, outgoing: Outgoing) {
    gate.install(Arc::new(Client::new(site, outgoing)));
}

/// What [`install`] put there.
pub(super) fn installed(gate: &Gate) -> Result<Arc<Client>> {
    gate.installed::<Client>().ok_or_else(|| Error::bug("provider.client", "nothing asks identity providers here"))
}

fn unreachable(why: &str) -> Error {
    Error::unavailable("provider.unreachable", format!("the identity provider cannot be asked: {why}"))
}

/// One answer for every address that is not asked or does not answer: who names addresses is not told from it what is
/// inside. What it was is in the log.
fn silent(error: Error) -> Error {
    tracing::info!(error = ?error, "an identity provider was not reached");
    unreachable("its address does not answer, or is not a public one").because(error)
}

/// One answer for what came from another provider than the one that was gone to.
pub(super) fn mixed_up() -> Error {
    Error::unauthenticated("provider.mixed_up", "this answer is another identity provider's")
}

impl Client {
    /// One for a site at that address.
    pub fn new(site: &str, outgoing: Outgoing) -> Self {
        Client {
            outgoing,
            site: site.trim_end_matches('/').to_owned(),
            known: Mutex::default(),
            places: Places::default(),
        }
    }

    /// Where people come back to from a provider, and from no other: what it has to know.
    pub fn redirect(&self, provider: ProviderId) -> String {
        format!("{}{RETURN_PATH}/{provider}", self.site)
    }

    /// Reads an issuer: https, and no query. Where private addresses are allowed, http will do.
    ///
    /// # Errors
    /// `Invalid` (`provider.issuer`).
    pub(super) fn issuer(&self, text: &str) -> Result<String> {
        let wrong = |why: &str| Error::invalid("provider.issuer", why.to_owned()).at("issuer");
        let text = text.trim();
        self.endpoint(text).map_err(|e| wrong(e.message()))?;
        match text.contains(['?', '#']) {
            true => Err(wrong("an issuer is an address without ? and #")),
            false => Ok(text.to_owned()),
        }
    }

    /// An address of a provider that may be asked, or people be sent to.
    fn endpoint(&self, url: &str) -> Result<()> {
        let uri = self.outgoing.read(url)?;
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.outgoing.allows_private() => Ok(()),
            _ => Err(unreachable("its addresses must begin with https://")),
        }
    }

    fn fetched<T: DeserializeOwned>(&self, url: &str, authorization: Option<&str>) -> Result<T> {
        self.endpoint(url).map_err(|e| unreachable(e.message()))?;
        let answer = self.outgoing.get(url, authorization, DOCUMENT_BYTES_MAX).map_err(silent)?;
        if answer.status != 200 {
            return Err(unreachable(&format!("{url} answered {}", answer.status)));
        }
        serde_json::from_slice(&answer.body).map_err(|_| unreachable(&format!("what {url} answered does not read")))
    }

    /// Looks whether an issuer that a tenant names has a discovery document. Blocks.
    ///
    /// # Errors
    /// `Unavailable` (`provider.unreachable`, `provider.busy`).
    pub(super) fn look(&self, tenant: TenantId, issuer: &str, now: Timestamp) -> Result<()> {
        let _place = self.places.take(tenant)?;
        self.document(issuer, now).map(drop)
    }

    /// The discovery document of an issuer. Blocks; whoever calls holds a place.
    fn document(&self, issuer: &str, now: Timestamp) -> Result<Document> {
        let (known, now) = (self.known(issuer), now.as_second());
        let mut known = held(&known);
        if let Some((at, document)) = &known.document {
            let age = if document.is_ok() { DOCUMENT_SECONDS } else { AGAIN_SECONDS };
            if (0..age).contains(&(now - at)) {
                return document.clone();
            }
        }
        let document = self.discover(issuer);
        known.document = Some((now, document.clone()));
        document
    }

    fn discover(&self, issuer: &str) -> Result<Document> {
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document: Document = self.fetched(&url, None)?;
        if document.issuer != issuer {
            return Err(unreachable("its document is another issuer's; write the issuer exactly as it does"));
        }
        let all = [&document.authorization_endpoint, &document.token_endpoint, &document.jwks_uri];
        for url in all.into_iter().chain(&document.userinfo_endpoint) {
            self.endpoint(url).map_err(|e| unreachable(e.message()))?;
        }
        Ok(document)
    }

    /// What is remembered of an issuer. Held while it is asked, so that one asks and the others find what came of it.
    fn known(&self, issuer: &str) -> Arc<Mutex<Known>> {
        let mut all = held(&self.known);
        if all.len() >= KNOWN_MAX && !all.contains_key(issuer) {
            all.clear();
        }
        all.entry(issuer.to_owned()).or_default().clone()
    }

    /// The keys of an issuer; `anew` where a token named one that was not among them.
    fn keys(&self, issuer: &str, document: &Document, now: Timestamp, anew: bool) -> Result<Keys> {
        let (known, now) = (self.known(issuer), now.as_second());
        let mut known = held(&known);
        if let Some((at, keys)) = &known.keys {
            let age = if anew || keys.is_err() { AGAIN_SECONDS } else { KEYS_SECONDS };
            if (0..age).contains(&(now - at)) {
                return keys.clone();
            }
        }
        let keys: Result<Keys> = self.fetched(&document.jwks_uri, None);
        known.keys = Some((now, keys.clone()));
        keys
    }

    /// Where to send the browser; `anew` where the provider is to ask whoever is there again who they are. Blocks.
    ///
    /// # Errors
    /// `Unavailable` (`provider.unreachable`, `provider.busy`).
    pub(super) fn sign_in_url(
        &self,
        provider: &Provider,
        errand: &Errand,
        anew: bool,
        now: Timestamp,
    ) -> Result<String> {
        let _place = self.places.take(provider.tenant)?;
        let document = self.document(&provider.issuer, now)?;
        let scopes = provider.settings.scopes.iter().map(String::as_str);
        let scope = std::iter::once("openid").chain(scopes).collect::<Vec<_>>().join(" ");
        let (state, nonce, challenge) = (errand.state(), errand.nonce(), errand.challenge());
        let redirect = self.redirect(provider.id);
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", &*provider.client_id),
            ("redirect_uri", &*redirect),
            ("scope", &*scope),
            ("state", &*state),
            ("nonce", &*nonce),
            ("code_challenge", &*challenge),
            ("code_challenge_method", "S256"),
        ];
        if anew {
            // The second has it say when that was (OpenID Connect Core 1.0, section 3.1.2.1).
            parameters.extend([("prompt", "login"), ("max_age", "0")]);
        }
        let to = document.authorization_endpoint;
        let join = if to.contains('?') { '&' } else { '?' };
        Ok(format!("{to}{join}{}", form(&parameters)))
    }

    /// What the provider says of whoever brought the code. Blocks.
    ///
    /// # Errors
    /// `Unauthenticated` (`provider.token`, `provider.mixed_up`, `provider.refused`), `Unavailable`.
    pub(super) fn claims(
        &self,
        provider: &Provider,
        secret: &str,
        came: &Came<'_>,
        errand: &Errand,
        now: Timestamp,
    ) -> Result<Claims> {
        let _place = self.places.take(provider.tenant)?;
        let document = self.document(&provider.issuer, now)?;
        let asked = document.authorization_response_iss_parameter_supported;
        if came.issuer.is_some_and(|from| from != provider.issuer) || (asked && came.issuer.is_none()) {
            return Err(mixed_up());
        }
        let tokens = self.tokens(provider, secret, came.code, errand, &document)?;
        let nonce = errand.nonce();
        let expected = Expected { issuer: &provider.issuer, client: &provider.client_id, nonce: &nonce, now };
        let keys = self.keys(&provider.issuer, &document, now, false)?;
        let claims = match jwt::verify(&tokens.id_token, &keys, &expected) {
            Err(e) if e.code() == jwt::KEY_UNKNOWN => {
                jwt::verify(&tokens.id_token, &self.keys(&provider.issuer, &document, now, true)?, &expected)?
            }
            other => other?,
        };
        self.completed(provider, &document, &tokens, claims)
    }

    /// With what the provider says only where it is asked for it: what scopes ask for may be there alone (OpenID
    /// Connect Core 1.0, section 5.4).
    fn completed(&self, provider: &Provider, document: &Document, tokens: &Tokens, claims: Claims) -> Result<Claims> {
        let groups = &provider.settings.groups_claim;
        match (&document.userinfo_endpoint, &tokens.access_token) {
            (Some(url), Some(token)) if claims.lacks(groups) => {
                let more = self.fetched(url, Some(&format!("Bearer {token}")))?;
                claims.completed(more, groups)
            }
            _ => Ok(claims),
        }
    }

    fn tokens(
        &self,
        provider: &Provider,
        secret: &str,
        code: &str,
        errand: &Errand,
        document: &Document,
    ) -> Result<Tokens> {
        let (verifier, redirect) = (errand.verifier(), self.redirect(provider.id));
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &*redirect),
            ("code_verifier", &*verifier),
        ];
        let methods = document.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
        let takes = |method: &str| methods.iter().any(|one| one == method);
        let basic =
            !secret.is_empty() && (methods.is_empty() || takes("client_secret_basic") || !takes("client_secret_post"));
        if !basic {
            fields.push(("client_id", &*provider.client_id));
            if !secret.is_empty() {
                fields.push(("client_secret", secret));
            }
        }
        // Both are encoded as in a form before they are put together (RFC 6749, section 2.3.1).
        let pair = format!("{}:{}", encode(&provider.client_id), encode(secret));
        let authorization = basic.then(|| format!("Basic {}", STANDARD.encode(pair)));
        let sent = form(&fields);
        let answer = self
            .outgoing
            .post_form(&document.token_endpoint, authorization.as_deref(), &sent, DOCUMENT_BYTES_MAX)
            .map_err(silent)?;
        match answer.status {
            200 => {}
            400..=499 => return Err(said_no(&answer.body)),
            status => return Err(unreachable(&format!("it answered {status}"))),
        }
        serde_json::from_slice(&answer.body).map_err(|_| unreachable("its answer has no ID token"))
    }
}

/// A code that is not taken was used, or is old; a client that is not, was set up otherwise there.
fn said_no(body: &[u8]) -> Error {
    #[derive(Deserialize)]
    struct Said {
        error: String,
    }
    let said = serde_json::from_slice::<Said>(body).map(|said| said.error).unwrap_or_default();
    let said: String = said.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
    let kind = if said == "invalid_client" { Kind::Conflict } else { Kind::Unauthenticated };
    Error::new(kind, "provider.refused", format!("the identity provider refused: {said}"))
}

fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}
