//! Where the organisation's people sign in: its identity providers, and one's own part at them.

use crate::account::{ConfirmPage, FormPage, correctable, role_word, said};
use crate::going::going;
use crate::http::several;
use crate::page::{Page, ok, show};
use crate::plan::form_page;
use crate::ui::{Choice, Confirm, Field, Summary, told};
use crate::visit::{Answer, Signed, done};
use access::Secret;
use access::providers::actions::{self, DomainOf, NewProvider, ProviderRef, ProvidersOf, SetSecret, UpdateProvider};
use access::providers::sign_in::{self, BeginAtProvider, Connection};
use access::providers::{GroupRole, Provider, ProviderState, Settings};
use access::roles::ROLES;
use access::roles::actions::Nothing;
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::{Error, Result};

const LIST: &str = "/identity-providers";

/// The providers of the organisation.
#[derive(Template)]
#[template(path = "providers/list.html")]
pub(crate) struct List<'a> {
    pub p: &'a Page,
    pub items: Vec<Provider>,
    pub may_manage: bool,
}

/// One provider.
#[derive(Template)]
#[template(path = "providers/show.html")]
pub(crate) struct ShowPage<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub one: Provider,
    pub on: bool,
    /// The address of its button.
    pub button: String,
    pub may_manage: bool,
    pub may_confirm: bool,
    pub fields: Vec<Field>,
    /// The revision that the form was filled in on.
    pub revision: String,
}

/// One's own part at the providers of one's organisation.
#[derive(Template)]
#[template(path = "providers/own.html")]
pub(crate) struct Own<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub items: Vec<Connection>,
}

fn may_manage(s: &Signed) -> bool {
    s.cx.has_role("owner") || s.cx.has_role("administrator")
}

/// `GET /identity-providers`
pub(crate) async fn list(s: Signed) -> Answer {
    let found = s.call(&actions::LIST, ProvidersOf::default()).await?;
    Ok(ok(&List { p: s.p(), items: found.items, may_manage: may_manage(&s) }))
}

fn new_page(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let (t, form) = (&s.t().identity_providers, &s.visit.form);
    let fields = vec![
        Field::line("name", t.name, form.get("name")).hint(t.name_hint),
        Field::line("issuer", t.issuer, form.get("issuer")).kind("url", "off").hint(t.issuer_hint),
        Field::line("client_id", t.client, form.get("client_id")).hint(t.client_hint),
        Field::area("domains", t.domains, form.get("domains")).hint(t.domains_hint).optional(s.t().frame.optional),
    ];
    let fields = fields.into_iter().map(|field| told(wrong, field)).collect();
    Ok(form_page(s, &[(LIST, t.title)], t.new.to_owned(), format!("{LIST}/new"), fields, general))
}

/// `GET /identity-providers/new`
pub(crate) async fn new(s: Signed) -> Answer {
    new_page(&s, &[], "")
}

/// `POST /identity-providers/new`
pub(crate) async fn create(s: Signed) -> Answer {
    let form = &s.visit.form;
    let input = NewProvider {
        tenant: None,
        name: form.get("name").to_owned(),
        issuer: form.get("issuer").to_owned(),
        client_id: form.get("client_id").to_owned(),
        domains: several(form.get("domains")),
        settings: Settings::default(),
    };
    match actions::CREATE.call(&s.portal.gate, &s.cx, input).await {
        Ok(made) => Ok(done(&s.portal, &format!("{LIST}/{}", made.id), "saved")),
        Err(error) => {
            let words = said(&s, &error);
            match error.attribute() {
                Some(at @ ("name" | "issuer" | "client_id" | "domains")) => new_page(&s, &[(at, words)], ""),
                _ if correctable(&error) => new_page(&s, &[], &words),
                _ => Err(error.into()),
            }
        }
    }
}

async fn read(s: &Signed, id: &str) -> Result<Provider> {
    s.call(&actions::GET, ProviderRef { provider: id.parse()? }).await
}

/// `group = role`, one a line.
fn groups_shown(groups: &[GroupRole]) -> String {
    groups.iter().map(|one| format!("{} = {}", one.group, one.role)).collect::<Vec<_>>().join("\n")
}

fn groups_typed(text: &str) -> Vec<GroupRole> {
    let pair = |line: &str| {
        let (group, role) = line.rsplit_once('=').unwrap_or((line, ""));
        GroupRole { group: group.trim().to_owned(), role: role.trim().to_owned() }
    };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(pair).collect()
}

fn settings_fields(s: &Signed, one: &Provider, wrong: &[(&str, String)]) -> Vec<Field> {
    let (t, form, now) = (&s.t().identity_providers, &s.visit.form, &one.settings);
    let sent = form.has("issuer-shown");
    let text = |name: &str, kept: String| if sent { form.raw(name).to_owned() } else { kept };
    let tick = |name: &str, kept: bool| if sent { form.has(name) } else { kept };
    let typed = form.all("default_roles");
    let roles = ROLES.iter().filter(|role| role.operator == s.p().operator()).map(|role| {
        let mut choice = Choice::new(role.name, role_word(s.t(), role.name).0);
        choice.chosen =
            if sent { typed.contains(&role.name) } else { now.default_roles.iter().any(|one| one == role.name) };
        choice
    });
    let optional = s.t().frame.optional;
    let domains: Vec<&str> = one.domains.iter().map(|one| one.domain.as_str()).collect();
    let fields = vec![
        Field::line("name", t.name, text("name", one.name.clone())).hint(t.name_hint),
        Field::area("domains", t.domains, text("domains", domains.join("\n"))).hint(t.domains_hint).optional(optional),
        Field::line("scopes", t.scopes, text("scopes", now.scopes.join(", "))).hint(t.scopes_hint).optional(optional),
        Field::check("makes_accounts", t.makes, t.makes_text, tick("makes_accounts", now.makes_accounts)).free(),
        Field::boxes("default_roles", t.default_roles, roles.collect()).free(),
        Field::line("groups_claim", t.groups_claim, text("groups_claim", now.groups_claim.clone()))
            .hint(t.groups_claim_hint)
            .optional(optional),
        Field::area("group_roles", t.group_roles, text("group_roles", groups_shown(&now.group_roles)))
            .hint(t.group_roles_hint)
            .optional(optional),
        Field::check("passwords", t.passwords, t.passwords_text, tick("passwords", now.passwords)).free(),
        Field::line("two_factor_amr", t.amr, text("two_factor_amr", now.two_factor_amr.join(", ")))
            .hint(t.amr_hint)
            .optional(optional),
        Field::line("two_factor_acr", t.acr, text("two_factor_acr", now.two_factor_acr.join(", "))).optional(optional),
    ];
    fields.into_iter().map(|field| told(wrong, field)).collect()
}

async fn show_page(s: &Signed, id: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let one = read(s, id).await?;
    let manages = may_manage(s);
    let fields = if manages { settings_fields(s, &one, wrong) } else { Vec::new() };
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = ShowPage {
        p: s.p(),
        summary,
        on: one.state == ProviderState::Active,
        button: format!("/sign-in/with/{}", one.id),
        may_manage: manages,
        may_confirm: s.cx.has_role("administrator"),
        fields,
        revision: if s.visit.form.has("issuer-shown") {
            s.visit.form.get("revision").to_owned()
        } else {
            one.revision.to_string()
        },
        one,
    };
    Ok(show(status, &view))
}

/// `GET /identity-providers/{id}`
pub(crate) async fn show_one(s: Signed, Path(id): Path<String>) -> Answer {
    show_page(&s, &id, &[], "").await
}

/// `POST /identity-providers/{id}`
pub(crate) async fn change(s: Signed, Path(id): Path<String>) -> Answer {
    let form = &s.visit.form;
    let settings = Settings {
        scopes: several(form.get("scopes")),
        makes_accounts: form.has("makes_accounts"),
        default_roles: form.all("default_roles").into_iter().map(ToOwned::to_owned).collect(),
        groups_claim: form.get("groups_claim").to_owned(),
        group_roles: groups_typed(form.raw("group_roles")),
        passwords: form.has("passwords"),
        two_factor_amr: several(form.get("two_factor_amr")),
        two_factor_acr: several(form.get("two_factor_acr")),
    };
    let input = UpdateProvider {
        provider: id.parse()?,
        name: Some(form.get("name").to_owned()),
        domains: Some(several(form.raw("domains"))),
        settings: Some(settings),
        state: None,
        revision: form.get("revision").parse().ok(),
    };
    match s.call(&actions::UPDATE, input).await {
        Ok(_) => Ok(done(&s.portal, &format!("{LIST}/{id}"), "saved")),
        Err(error) => {
            let words = said(&s, &error);
            match error.attribute() {
                Some(at) if correctable(&error) => show_page(&s, &id, &[(at, words)], "").await,
                None if correctable(&error) => show_page(&s, &id, &[], &words).await,
                _ => Err(error.into()),
            }
        }
    }
}

/// `POST /identity-providers/{id}/state`: on or off.
pub(crate) async fn switch(s: Signed, Path(id): Path<String>) -> Answer {
    let state = if s.visit.form.get("state") == "active" { ProviderState::Active } else { ProviderState::Off };
    let provider = id.parse()?;
    let input =
        UpdateProvider { provider, name: None, domains: None, settings: None, state: Some(state), revision: None };
    s.call(&actions::UPDATE, input).await?;
    Ok(done(&s.portal, &format!("{LIST}/{id}"), "saved"))
}

async fn secret_page(s: &Signed, id: &str, wrong: &str) -> Answer {
    let (p, t) = (s.p(), &s.t().identity_providers);
    let one = read(s, id).await?;
    let at = format!("{LIST}/{id}");
    let mut fields = vec![Field::line("secret", t.secret, "").kind("password", "off").error(wrong).focus()];
    // What brings a secret brings the proof along: it is not carried through another page.
    if s.cx.proof().is_some_and(|proof| !proof.is_fresh(gate::Fresh::Factor, p.now)) {
        fields.push(crate::step_up::field(&s.visit));
    }
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), "");
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = FormPage {
        p,
        crumbs: p.crumbs(&[(LIST, t.title), (&at, &one.name)]),
        title: t.secret.to_owned(),
        lead: t.secret_lead.to_owned(),
        summary,
        action: format!("{at}/secret"),
        fields,
        button: s.t().frame.save.to_owned(),
        back: at.clone(),
    };
    Ok(show(status, &view))
}

/// `GET /identity-providers/{id}/secret`
pub(crate) async fn secret(s: Signed, Path(id): Path<String>) -> Answer {
    secret_page(&s, &id, "").await
}

/// `POST /identity-providers/{id}/secret`
pub(crate) async fn set_secret(s: Signed, Path(id): Path<String>) -> Answer {
    let input = SetSecret { provider: id.parse()?, secret: Secret::new(s.visit.form.raw("secret")) };
    match s.call(&actions::SET_SECRET, input).await {
        Ok(_) => Ok(done(&s.portal, &format!("{LIST}/{id}"), "saved")),
        Err(error) if error.attribute() == Some("secret") => secret_page(&s, &id, &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

/// `POST /identity-providers/{id}/confirm-domain`
pub(crate) async fn confirm_domain(s: Signed, Path(id): Path<String>) -> Answer {
    let input = DomainOf { provider: id.parse()?, domain: s.visit.form.get("domain").to_owned() };
    match s.call(&actions::CONFIRM_DOMAIN, input).await {
        Ok(_) => Ok(done(&s.portal, &format!("{LIST}/{id}"), "saved")),
        Err(error) if correctable(&error) => show_page(&s, &id, &[], &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

/// `GET /identity-providers/{id}/remove`
pub(crate) async fn ask_remove(s: Signed, Path(id): Path<String>) -> Answer {
    let one = read(&s, &id).await?;
    let t = &s.t().identity_providers;
    let confirm = Confirm {
        id: "remove",
        action: format!("{LIST}/{id}/remove"),
        csrf: s.p().csrf.clone(),
        title: s.p().with(t.remove_title, &one.name),
        body: t.remove_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: s.t().account.remove.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: format!("{LIST}/{id}"),
        page: true,
    };
    Ok(ok(&ConfirmPage { p: s.p(), summary: Summary::default(), confirm }))
}

/// `POST /identity-providers/{id}/remove`
pub(crate) async fn remove(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&actions::REMOVE, ProviderRef { provider: id.parse()? }).await?;
    Ok(done(&s.portal, LIST, "saved"))
}

// One's own account.

async fn own_page(s: &Signed, general: &str) -> Answer {
    let items = s.call(&sign_in::CONNECTED, Nothing {}).await?;
    let summary = Summary::gather(s.t().errors.conflict_title, &[], general);
    let status = if general.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok(show(status, &Own { p: s.p(), summary, items }))
}

/// `GET /account/providers`
pub(crate) async fn own(s: Signed) -> Answer {
    own_page(&s, "").await
}

/// `POST /account/providers/{id}`: begins to connect one's account.
pub(crate) async fn connect(s: Signed, Path(id): Path<String>) -> Answer {
    let input = BeginAtProvider { provider: Some(id.parse()?), email: None, anew: false };
    match sign_in::CONNECT.call(&s.portal.gate, &s.cx, input).await {
        Ok(way) => Ok(going(&s.portal, &s.visit, &way, "/account/providers")),
        Err(error) if correctable(&error) || error.code().starts_with("provider.") => {
            own_page(&s, &said(&s, &error)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/providers/{id}/remove`
pub(crate) async fn disconnect(s: Signed, Path(id): Path<String>) -> Answer {
    match s.call(&sign_in::DISCONNECT, ProviderRef { provider: id.parse()? }).await {
        Ok(_) => Ok(done(&s.portal, "/account/providers", "saved")),
        Err(error) if correctable(&error) => own_page(&s, &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

/// What went wrong while an account was being connected.
pub(crate) async fn refused(s: &Signed, error: Error) -> Answer {
    own_page(s, &said(s, &error)).await
}
