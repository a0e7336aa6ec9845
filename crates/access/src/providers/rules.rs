//! What may be settled about a provider, and what follows from what it says of somebody. Pure.

use std::collections::BTreeSet;

use base::time::Timestamp;
use base::{Error, Result, limits};

use super::jwt::{Claims, SKEW_SECONDS};
use super::{Domain, Provider, Settings};
use crate::roles::rules::{may_grant, role_for};
use crate::tenants::TenantKind;
use crate::text;

/// Scopes that a provider can be asked for must be spelled so (RFC 6749, section 3.3).
fn is_word(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

fn wrong(at: &'static str, why: &str) -> Error {
    Error::invalid("provider.settings", why.to_owned()).at(at)
}

/// Mail domains as they are kept: lower case, each once, in order.
///
/// # Errors
/// `Invalid` (`provider.domain_malformed`, `provider.too_many`).
pub(crate) fn domains(wanted: &[String]) -> Result<Vec<String>> {
    let mut domains = Vec::new();
    for typed in wanted.iter().map(|one| one.trim()).filter(|one| !one.is_empty()) {
        let domain = typed.trim_start_matches('@').to_ascii_lowercase();
        // One that has no dot is nobody's on the Internet.
        if !domain.contains('.') || text::email(&format!("x@{domain}")).is_err() {
            let message = "a mail domain is needed here, for example example.com";
            return Err(Error::invalid("provider.domain_malformed", message).at("domains"));
        }
        domains.push(domain);
    }
    domains.sort();
    domains.dedup();
    if domains.len() > limits::PROVIDER_ENTRIES_MAX {
        return Err(wrong("domains", "that are more domains than a provider has"));
    }
    Ok(domains)
}

/// Checks settings: what whoever makes them may give, and what can be said to a provider.
///
/// # Errors
/// `Invalid` (`provider.settings`, `role.unknown`), `Forbidden` (`role.above_own`).
pub(crate) fn settings(settings: &Settings, own: &BTreeSet<String>, kind: TenantKind) -> Result<()> {
    let s = settings;
    for (at, words) in [
        ("scopes", &s.scopes),
        ("default_roles", &s.default_roles),
        ("two_factor_amr", &s.two_factor_amr),
        ("two_factor_acr", &s.two_factor_acr),
    ] {
        if words.len() > limits::PROVIDER_ENTRIES_MAX || !words.iter().all(|word| is_word(word)) {
            return Err(wrong(at, "these are words without spaces, and not more than a hundred"));
        }
    }
    if s.group_roles.len() > limits::PROVIDER_ENTRIES_MAX {
        return Err(wrong("group_roles", "that are more groups than a hundred"));
    }
    let named = |text: &str| text::name(text, "group_roles").is_ok();
    if !s.group_roles.iter().all(|one| named(&one.group)) {
        return Err(wrong("group_roles", "each group has a name"));
    }
    if !s.groups_claim.is_empty() && !is_word(&s.groups_claim) {
        return Err(wrong("groups_claim", "a claim is one word, such as groups"));
    }
    if !s.group_roles.is_empty() && s.groups_claim.is_empty() {
        return Err(wrong("groups_claim", "say in which claim the provider names groups"));
    }
    let mapped = s.group_roles.iter().map(|one| (&one.role, "group_roles"));
    for (name, at) in s.default_roles.iter().map(|role| (role, "default_roles")).chain(mapped) {
        may_grant(own, role_for(name, kind).map_err(|e| e.at(at))?)?;
    }
    Ok(())
}

/// The domain of a mail address, as domains are kept.
pub(crate) fn domain_of(email: &str) -> Option<String> {
    let email = text::email(email).ok()?;
    email.key.rsplit_once('@').map(|(_, domain)| domain.to_owned())
}

fn named<'d>(domains: &'d [Domain], email: &str) -> Option<&'d Domain> {
    let domain = domain_of(email)?;
    domains.iter().find(|one| one.domain == domain)
}

/// Refuses somebody whose verified address lies in none of the provider's domains, where it has some.
///
/// # Errors
/// `Forbidden` (`provider.domain`).
pub(crate) fn within_domains(provider: &Provider, claims: &Claims) -> Result<()> {
    let inside = claims.verified_email().is_some_and(|email| named(&provider.domains, email).is_some());
    if provider.domains.is_empty() || inside {
        return Ok(());
    }
    Err(Error::forbidden("provider.domain", "your mail address at the provider is not one of your organisation's"))
}

/// Refuses somebody who did not show there who they are since they were sent there for that.
///
/// # Errors
/// `Unauthenticated` (`provider.not_shown`).
pub(crate) fn shown_since(claims: &Claims, began_at: Timestamp) -> Result<()> {
    let shown = claims.shown_at().is_some_and(|at| at.as_second() >= began_at.as_second() - SKEW_SECONDS);
    if shown {
        return Ok(());
    }
    Err(Error::unauthenticated(
        "provider.not_shown",
        "the identity provider did not ask you again who you are, or does not say when it did (auth_time)",
    ))
}

/// The verified address for which an account may be made: in a domain that is known to be the tenant's.
pub(crate) fn address_to_make<'c>(provider: &Provider, claims: &'c Claims) -> Option<&'c str> {
    let email = claims.verified_email()?;
    named(&provider.domains, email).filter(|domain| domain.confirmed_at.is_some()).map(|_| email)
}

/// The roles that somebody gets from a provider: the usual ones, and those of their groups.
pub(crate) fn roles_for(settings: &Settings, claims: &Claims) -> BTreeSet<String> {
    let groups = claims.list(&settings.groups_claim);
    let of_groups = settings.group_roles.iter().filter(|one| groups.contains(&one.group.as_str()));
    settings.default_roles.iter().chain(of_groups.map(|one| &one.role)).cloned().collect()
}

/// Whether the provider says that two factors were shown to it, in words that its tenant knows.
pub(crate) fn says_two_factors(settings: &Settings, claims: &Claims) -> bool {
    let methods = claims.list("amr");
    settings.two_factor_amr.iter().any(|one| methods.contains(&one.as_str()))
        || claims.text("acr").is_some_and(|acr| settings.two_factor_acr.iter().any(|one| one == acr))
}
