//! Programs, who answers for them, and their keys.

use crate::account::{ConfirmPage, correctable, role_word, role_words, said};
use crate::http::several;
use crate::page::{Page, ok, show};
use crate::plan::form_page;
use crate::ui::{Choice, Confirm, Field, Summary, told};
use crate::visit::{Answer, Signed, done};
use access::accounts::AccountState;
use access::accounts::actions as accounts;
use access::roles::ROLES;
use access::service_accounts::ServiceAccount;
use access::service_accounts::actions::{self, CreateKey, NewServiceAccount, ServiceAccountRef};
use access::sign_in_rules::actions as rules;
use access::tokens::Token;
use access::tokens::actions as tokens;
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::{Error, Result, limits};

const LIST: &str = "/service-accounts";

/// A program in the list.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub one: ServiceAccount,
    pub roles: String,
}

/// The programs of the organisation.
#[derive(Template)]
#[template(path = "service_accounts/list.html")]
pub(crate) struct List<'a> {
    pub p: &'a Page,
    pub rows: Vec<Row>,
    pub may_manage: bool,
}

/// A key as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct KeyRow {
    pub key: Token,
    pub scopes: String,
    pub networks: String,
    /// Its successor works beside it.
    pub replaced: bool,
    pub in_force: bool,
}

/// One program and its keys.
#[derive(Template)]
#[template(path = "service_accounts/show.html")]
pub(crate) struct ShowPage<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub one: ServiceAccount,
    pub roles: String,
    pub state: &'static str,
    pub keys: Vec<KeyRow>,
    /// The key just made, shown this once.
    pub secret: Option<String>,
    pub may_manage: bool,
    pub suspended: bool,
    pub fields: Vec<Field>,
}

fn may_manage(s: &Signed) -> bool {
    s.cx.has_role("owner") || s.cx.has_role("administrator")
}

/// `GET /service-accounts`
pub(crate) async fn list(s: Signed) -> Answer {
    let ask = actions::ListServiceAccounts { limit: Some(200), ..Default::default() };
    let found = s.call(&actions::LIST, ask).await?;
    let rows = found.items.into_iter().map(|one| Row { roles: role_words(s.t(), &one.roles), one }).collect();
    Ok(ok(&List { p: s.p(), rows, may_manage: may_manage(&s) }))
}

/// Who can answer for it: the people here, and whoever does now.
async fn people(s: &Signed, now: Option<&ServiceAccount>) -> Result<Vec<Choice>> {
    let ask = accounts::ListAccounts { limit: Some(200), ..Default::default() };
    let found = s.call(&accounts::LIST, ask).await?.items;
    let typed = s.visit.form.get("responsible");
    let chosen = match (typed.is_empty(), now) {
        (false, _) => typed.to_owned(),
        (true, Some(one)) => one.responsible.to_string(),
        (true, None) => s.cx.account().map(|id| id.to_string()).unwrap_or_default(),
    };
    let mut all: Vec<Choice> = found
        .iter()
        .filter(|one| one.account.state == AccountState::Active)
        .map(|one| Choice::new(one.account.id.to_string(), &*one.account.name).note(&*one.account.email))
        .collect();
    // The operator's own staff can answer for a customer's program, and so can nobody any more.
    if let Some(one) = now.filter(|one| all.iter().all(|known| known.value != one.responsible.to_string())) {
        all.insert(0, Choice::new(one.responsible.to_string(), &*one.responsible_name));
    }
    for choice in &mut all {
        choice.chosen = choice.value == chosen;
    }
    Ok(all)
}

async fn new_page(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let (t, form) = (&s.t().service_accounts, &s.visit.form);
    let typed = form.all("role");
    let roles = ROLES.iter().filter(|role| role.operator == s.p().operator()).map(|role| {
        let (word, note) = role_word(s.t(), role.name);
        let mut choice = Choice::new(role.name, word).note(note);
        choice.chosen = typed.contains(&role.name);
        choice
    });
    let fields = vec![
        Field::line("name", t.name, form.get("name")).hint(t.name_hint),
        Field::area("purpose", t.purpose, form.get("purpose")).optional(s.t().frame.optional),
        Field::boxes("roles", s.t().account.roles, roles.collect()),
        Field::select("responsible", t.responsible, people(s, None).await?).hint(t.responsible_hint),
        Field::check("sensitive", s.t().factors.sensitive, t.sensitive_text, form.has("sensitive")).free(),
    ];
    let fields = fields.into_iter().map(|field| told(wrong, field)).collect();
    Ok(form_page(s, &[(LIST, t.title)], t.new.to_owned(), format!("{LIST}/new"), fields, general))
}

/// `GET /service-accounts/new`
pub(crate) async fn new(s: Signed) -> Answer {
    new_page(&s, &[], "").await
}

/// `POST /service-accounts/new`
pub(crate) async fn create(s: Signed) -> Answer {
    let form = &s.visit.form;
    let input = NewServiceAccount {
        tenant: None,
        name: form.get("name").to_owned(),
        purpose: form.get("purpose").to_owned(),
        responsible: form.get("responsible").parse().ok(),
        roles: form.all("roles").into_iter().map(ToOwned::to_owned).collect(),
        sensitive: form.has("sensitive"),
    };
    match s.call(&actions::CREATE, input).await {
        Ok(made) => Ok(done(&s.portal, &format!("{LIST}/{}", made.account.id), "saved")),
        Err(error) => {
            let words = said(&s, &error);
            match error.attribute() {
                Some(at @ ("name" | "purpose" | "roles" | "responsible")) => new_page(&s, &[(at, words)], "").await,
                _ if correctable(&error) => new_page(&s, &[], &words).await,
                _ => Err(error.into()),
            }
        }
    }
}

async fn read(s: &Signed, id: &str) -> Result<actions::ServiceAccountKeys> {
    s.call(&actions::GET, ServiceAccountRef { account: id.parse()? }).await
}

/// Which life of a key is chosen, in days.
const LIVES: [u32; 4] = [7, 30, 90, 365];

/// Choices of how long a key lives, within what the sign-in rules allow.
async fn lives(s: &Signed) -> Result<Vec<Choice>> {
    let most = s.call(&rules::GET, rules::RulesOf::default()).await?.in_force.token_days;
    let mut days: Vec<u32> = LIVES.into_iter().filter(|days| *days <= most).collect();
    if days.last().is_none_or(|last| *last < most) && most < limits::TOKEN_DAYS_MAX {
        days.push(most);
    }
    let typed: Option<u32> = s.visit.form.get("days").parse().ok();
    let chosen = typed.unwrap_or(limits::TOKEN_DAYS_DEFAULT.min(most));
    let choice = |days: u32| {
        let mut choice = Choice::new(days.to_string(), s.p().with(s.t().account.days, days));
        choice.chosen = days == chosen;
        choice
    };
    Ok(days.into_iter().map(choice).collect())
}

/// What the form for a new key holds, with what was wrong with it.
async fn key_fields(s: &Signed, one: &ServiceAccount, fresh: bool, wrong: &[(&str, String)]) -> Result<Vec<Field>> {
    let (t, form) = (&s.t().service_accounts, &s.visit.form);
    let typed = |name: &str| if fresh { "" } else { form.get(name) };
    let reach = typed("reach");
    let ways = [("some", t.reach_some, t.reach_some_note), ("read", t.reach_read, ""), ("write", t.reach_write, "")];
    let ways = ways.into_iter().map(|(value, label, note)| {
        let mut choice = Choice::new(value, label).note(note);
        choice.chosen = value == reach || (reach.is_empty() && value == "some");
        choice
    });
    let optional = s.t().frame.optional;
    let mut fields = vec![
        Field::line("name", t.key_name, typed("name")).hint(t.key_name_hint),
        Field::tiles("reach", t.reach, ways.collect()),
        Field::area("scopes", t.scopes, typed("scopes")).hint(t.scopes_hint).optional(optional),
        Field::area("networks", t.networks, typed("networks")).hint(t.networks_hint).optional(optional),
        Field::select("days", s.t().account.token_expires, lives(s).await?),
    ];
    if one.sensitive {
        let on = !fresh && form.has("sensitive");
        fields.push(Field::check("sensitive", s.t().factors.sensitive, s.t().factors.sensitive_text, on).free());
    }
    Ok(fields.into_iter().map(|field| told(wrong, field)).collect())
}

async fn show_page(s: &Signed, id: &str, secret: Option<String>, wrong: &[(&str, String)], general: &str) -> Answer {
    let found = read(s, id).await?;
    let may_manage = may_manage(s);
    let now = s.portal.gate.now();
    let keys = found.keys.into_iter().map(|key| KeyRow {
        scopes: key.scopes.clone().unwrap_or_default().join(", "),
        networks: key.networks.join(", "),
        replaced: key.replaced_by.is_some(),
        in_force: key.expires_at.is_none_or(|end| end > now),
        key,
    });
    let keys = keys.collect();
    let fresh = secret.is_some() || (wrong.is_empty() && general.is_empty());
    let fields = match may_manage {
        true => key_fields(s, &found.service, fresh, wrong).await?,
        false => Vec::new(),
    };
    let summary = Summary::gather(s.t().frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let one = found.service;
    let view = ShowPage {
        p: s.p(),
        summary,
        roles: role_words(s.t(), &one.roles),
        state: one.account.state.word(),
        suspended: one.account.state == AccountState::Suspended,
        keys,
        secret,
        may_manage: may_manage && one.account.state != AccountState::Left,
        fields,
        one,
    };
    Ok(show(status, &view))
}

/// `GET /service-accounts/{id}`
pub(crate) async fn show_one(s: Signed, Path(id): Path<String>) -> Answer {
    show_page(&s, &id, None, &[], "").await
}

/// `POST /service-accounts/{id}/keys`: the answer shows the key, this once.
pub(crate) async fn create_key(s: Signed, Path(id): Path<String>) -> Answer {
    let form = &s.visit.form;
    let scopes = match form.get("reach") {
        "read" => vec!["*:read".to_owned()],
        "write" => vec!["*:write".to_owned()],
        _ => several(form.get("scopes")),
    };
    let input = CreateKey {
        account: id.parse()?,
        name: form.get("name").to_owned(),
        days: form.get("days").parse().ok(),
        scopes,
        networks: several(form.get("networks")),
        sensitive: form.has("sensitive"),
    };
    match s.call(&actions::CREATE_KEY, input).await {
        Ok(made) => show_page(&s, &id, Some(made.secret), &[], "").await,
        Err(error) => {
            let words = said(&s, &error);
            match error.attribute() {
                Some(at @ ("name" | "scopes" | "networks" | "days" | "sensitive")) => {
                    show_page(&s, &id, None, &[(at, words)], "").await
                }
                _ if correctable(&error) => show_page(&s, &id, None, &[], &words).await,
                _ => Err(error.into()),
            }
        }
    }
}

/// `POST /service-accounts/{id}/keys/{key}/rotate`: the answer shows the new key, this once.
pub(crate) async fn rotate(s: Signed, Path((id, key)): Path<(String, String)>) -> Answer {
    let input = actions::RotateKey { token: key.parse()?, days: None, overlap_hours: None };
    match s.call(&actions::ROTATE_KEY, input).await {
        Ok(made) => show_page(&s, &id, Some(made.secret), &[], "").await,
        Err(error) if correctable(&error) => show_page(&s, &id, None, &[], &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

fn question(s: &Signed, id: &str, action: String, title: String, body: &str, button: &str) -> Confirm {
    Confirm {
        id: "sure",
        action,
        csrf: s.p().csrf.clone(),
        title,
        body: body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: button.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: format!("{LIST}/{id}"),
        page: true,
    }
}

/// `GET /service-accounts/{id}/keys/{key}/revoke`
pub(crate) async fn ask_revoke(s: Signed, Path((id, key)): Path<(String, String)>) -> Answer {
    let found = read(&s, &id).await?;
    let absent = || Error::not_found("token.not_found", "there is no such key");
    let one = found.keys.iter().find(|one| one.id.to_string() == key).ok_or_else(absent)?;
    let a = &s.t().account;
    let (action, title) = (format!("{LIST}/{id}/keys/{key}/revoke"), s.p().with(a.revoke_title, &one.name));
    let confirm = question(&s, &id, action, title, a.revoke_body, a.revoke);
    Ok(ok(&ConfirmPage { p: s.p(), summary: Summary::default(), confirm }))
}

/// `POST /service-accounts/{id}/keys/{key}/revoke`
pub(crate) async fn revoke(s: Signed, Path((id, key)): Path<(String, String)>) -> Answer {
    s.call(&tokens::REVOKE, tokens::TokenRef { token: key.parse()? }).await?;
    Ok(done(&s.portal, &format!("{LIST}/{id}"), "revoked"))
}

async fn edit_page(s: &Signed, id: &str, wrong: &[(&str, String)], general: &str) -> Answer {
    let (t, form) = (&s.t().service_accounts, &s.visit.form);
    let one = read(s, id).await?.service;
    let sent = form.has("csrf");
    let kept = |name: &str, now: &str| if sent { form.get(name).to_owned() } else { now.to_owned() };
    let sensitive = if sent { form.has("sensitive") } else { one.sensitive };
    let fields = vec![
        Field::line("name", t.name, kept("name", &one.account.name)).hint(t.name_hint),
        Field::area("purpose", t.purpose, kept("purpose", &one.purpose)).optional(s.t().frame.optional),
        Field::select("responsible", t.responsible, people(s, Some(&one)).await?).hint(t.responsible_hint),
        Field::check("sensitive", s.t().factors.sensitive, t.sensitive_text, sensitive).free(),
    ];
    let fields = fields.into_iter().map(|field| told(wrong, field)).collect();
    let at = format!("{LIST}/{id}");
    let above = [(LIST, t.title), (at.as_str(), one.account.name.as_str())];
    Ok(form_page(s, &above, t.edit.to_owned(), format!("{LIST}/{id}/edit"), fields, general))
}

/// `GET /service-accounts/{id}/edit`
pub(crate) async fn edit(s: Signed, Path(id): Path<String>) -> Answer {
    edit_page(&s, &id, &[], "").await
}

/// `POST /service-accounts/{id}/edit`
pub(crate) async fn change(s: Signed, Path(id): Path<String>) -> Answer {
    let form = &s.visit.form;
    let now = read(&s, &id).await?.service;
    // Who answers for it is checked when it is somebody else: it may be nobody at present.
    let responsible = form.get("responsible").parse().ok().filter(|person| *person != now.responsible);
    let input = actions::UpdateServiceAccount {
        account: id.parse()?,
        name: Some(form.get("name").to_owned()),
        purpose: Some(form.get("purpose").to_owned()),
        responsible,
        sensitive: Some(form.has("sensitive")),
    };
    match s.call(&actions::UPDATE, input).await {
        Ok(_) => Ok(done(&s.portal, &format!("{LIST}/{id}"), "saved")),
        Err(error) => {
            let words = said(&s, &error);
            match error.attribute() {
                Some(at @ ("name" | "purpose" | "responsible")) => edit_page(&s, &id, &[(at, words)], "").await,
                _ if correctable(&error) => edit_page(&s, &id, &[], &words).await,
                _ => Err(error.into()),
            }
        }
    }
}

/// `POST /service-accounts/{id}/suspend`
pub(crate) async fn suspend(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&accounts::SUSPEND, accounts::AccountRef { account: id.parse()? }).await?;
    Ok(done(&s.portal, &format!("{LIST}/{id}"), "saved"))
}

/// `POST /service-accounts/{id}/resume`
pub(crate) async fn resume(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&accounts::RESUME, accounts::AccountRef { account: id.parse()? }).await?;
    Ok(done(&s.portal, &format!("{LIST}/{id}"), "saved"))
}

/// `GET /service-accounts/{id}/remove`
pub(crate) async fn ask_remove(s: Signed, Path(id): Path<String>) -> Answer {
    let one = read(&s, &id).await?.service;
    let t = &s.t().service_accounts;
    let title = s.p().with(t.remove_title, &one.account.name);
    let confirm = question(&s, &id, format!("{LIST}/{id}/remove"), title, t.remove_body, s.t().account.remove);
    Ok(ok(&ConfirmPage { p: s.p(), summary: Summary::default(), confirm }))
}

/// `POST /service-accounts/{id}/remove`
pub(crate) async fn remove(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&accounts::REMOVE, accounts::RemoveAccount { account: id.parse()?, tenant: None }).await?;
    Ok(done(&s.portal, LIST, "saved"))
}
