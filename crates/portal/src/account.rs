//! Members, activity, API tokens and sessions.

use crate::i18n::Messages;
use crate::page::{Page, ok, show};
use crate::ui::{Choice, Confirm, Crumbs, Field, Pager, Summary};
use crate::visit::{Answer, Signed, done};
use access::accounts::actions as accounts;
use access::invitations::actions as invitations;
use access::roles::actions as roles;
use access::sessions::actions as sessions;
use access::tokens::actions as tokens;
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::time::Timestamp;
use base::{Error, Kind, Result};

/// A person of the tenant.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub id: String,
    pub initial: String,
    pub name: String,
    pub email: String,
    pub role: String,
    pub last: Option<Timestamp>,
    pub me: bool,
}

/// An invitation not yet accepted.
#[derive(Clone, Debug)]
pub(crate) struct Invitation {
    pub id: String,
    pub email: String,
    pub role: String,
    pub expires: Timestamp,
}

/// Who may do what in the organisation.
#[derive(Template)]
#[template(path = "account/members.html")]
pub(crate) struct Members<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub members: Vec<Member>,
    pub invitations: Vec<Invitation>,
    pub may_manage: bool,
    pub invite: Vec<Field>,
    /// (name, email) of the operator's staff who can see this tenant; `None`
    /// where the question does not arise.
    pub staff: Option<Vec<(String, String)>>,
}

/// A form on a page of its own.
#[derive(Template)]
#[template(path = "account/form.html")]
pub(crate) struct FormPage<'a> {
    pub p: &'a Page,
    pub crumbs: Crumbs,
    pub title: String,
    pub lead: String,
    pub summary: Summary,
    pub action: String,
    pub fields: Vec<Field>,
    pub button: String,
    pub back: String,
}

/// A question on a page of its own, where no script opens the dialog.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct ConfirmPage<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub confirm: Confirm,
}

/// One entry of the audit log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub at: Timestamp,
    pub who: String,
    pub tenant: String,
    pub action: String,
    pub action_words: String,
    pub object: String,
    pub object_href: Option<String>,
    pub result: String,
    pub code: String,
    /// Where a refusal is explained.
    pub why: String,
    pub reason: String,
}

/// What was done in the organisation.
#[derive(Template)]
#[template(path = "account/activity.html")]
pub(crate) struct Activity<'a> {
    pub p: &'a Page,
    pub entries: Vec<Entry>,
    pub pager: Pager,
}

/// A key for programs.
#[derive(Clone, Debug)]
pub(crate) struct TokenRow {
    pub id: String,
    pub name: String,
    /// How the secret begins, to tell tokens apart.
    pub prefix: String,
    pub created: Timestamp,
    pub last_used: Option<Timestamp>,
    pub expires: Option<Timestamp>,
    pub sensitive: bool,
}

/// Keys for programs.
#[derive(Template)]
#[template(path = "account/tokens.html")]
pub(crate) struct Tokens<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    /// The token just made, shown this once.
    pub secret: Option<String>,
    pub tokens: Vec<TokenRow>,
    pub fields: Vec<Field>,
}

/// A device that is signed in.
#[derive(Clone, Debug)]
pub(crate) struct SessionRow {
    pub id: String,
    pub device: String,
    pub address: String,
    pub started: Timestamp,
    pub last: Timestamp,
    pub strength: &'static str,
    pub this: bool,
}

/// Where the account is signed in.
#[derive(Template)]
#[template(path = "account/sessions.html")]
pub(crate) struct Sessions<'a> {
    pub p: &'a Page,
    pub sessions: Vec<SessionRow>,
}

// Handlers: members.

/// A role's name and what it is for, in the reader's language.
pub(crate) fn role_word<'r>(t: &'static Messages, role: &'r str) -> (&'r str, &'static str) {
    let a = &t.account;
    match role {
        "owner" => (a.role_owner, a.role_owner_note),
        "member" => (a.role_member, a.role_member_note),
        "billing-viewer" => (a.role_billing_viewer, a.role_billing_viewer_note),
        "viewer" => (a.role_viewer, a.role_viewer_note),
        "administrator" => (a.role_administrator, a.role_administrator_note),
        "operations" => (a.role_operations, a.role_operations_note),
        "product-manager" => (a.role_product_manager, a.role_product_manager_note),
        "billing-clerk" => (a.role_billing_clerk, a.role_billing_clerk_note),
        "auditor" => (a.role_auditor, a.role_auditor_note),
        "support" => (a.role_support, a.role_support_note),
        other => (other, ""),
    }
}

pub(crate) fn role_words(t: &'static Messages, roles: &[String]) -> String {
    roles.iter().map(|role| role_word(t, role).0).collect::<Vec<_>>().join("、")
}

fn role_choices(s: &Signed, chosen: &[String]) -> Vec<Choice> {
    let operator = s.p().operator();
    access::roles::ROLES
        .iter()
        .filter(|role| role.operator == operator)
        .map(|role| {
            let (word, note) = role_word(s.t(), role.name);
            let mut choice = Choice::new(role.name, word).note(note);
            choice.chosen = chosen.iter().any(|c| c == role.name);
            choice
        })
        .collect()
}

/// What the invitation form holds, with what was wrong with it.
fn invite_fields(s: &Signed, wrong: &[(&str, String)]) -> Vec<Field> {
    let (form, t) = (&s.visit.form, s.t());
    let told = |field: Field| match wrong.iter().find(|(name, _)| *name == field.name) {
        Some((_, words)) => field.error(words.clone()),
        None => field,
    };
    let mut chosen: Vec<String> = form.all("role").into_iter().map(ToOwned::to_owned).collect();
    if chosen.is_empty() && !s.p().operator() {
        chosen.push("member".to_owned());
    }
    vec![
        told(Field::line("name", t.account.person_name, form.get("name")).kind("text", "off")),
        told(Field::line("email", t.door.email, form.get("email")).kind("email", "off")),
        told(if s.p().operator() {
            Field::boxes("role", t.account.role, role_choices(s, &chosen))
        } else {
            Field::tiles("role", t.account.role, role_choices(s, &chosen))
        }),
    ]
}

/// Reads the page of members and shows it with the invitation form.
async fn members_page(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let t = s.t();
    let found = s.call(&accounts::LIST, accounts::ListAccounts { limit: Some(200), ..Default::default() }).await?;
    let own = s.cx.account();
    let members = found.items.iter().map(|m| Member {
        id: m.account.id.to_string(),
        initial: m.account.name.chars().next().map(|c| c.to_uppercase().to_string()).unwrap_or_default(),
        name: m.account.name.clone(),
        email: m.account.email.clone(),
        role: role_words(t, &m.roles),
        last: m.account.signed_in_at,
        me: Some(m.account.id) == own,
    });
    let members = members.collect();
    let may_manage = s.cx.has_role("owner") || s.cx.has_role("administrator");
    let invited = if may_manage {
        s.call(&invitations::LIST, invitations::ListInvitations { limit: Some(200), ..Default::default() }).await?.items
    } else {
        Vec::new()
    };
    let invitations = invited
        .iter()
        .map(|i| Invitation {
            id: i.id.to_string(),
            email: i.email.clone(),
            role: role_words(t, &i.roles),
            expires: i.expires_at,
        })
        .collect();
    let staff = if s.p().operator() {
        None
    } else {
        let staff = s.call(&roles::REACH, roles::Nothing {}).await?;
        Some(staff.into_iter().map(|one| (one.name, one.email)).collect())
    };
    let invite = invite_fields(s, wrong);
    let summary = Summary::gather(t.frame.form_wrong, &invite.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(show(status, &Members { p: s.p(), summary, members, invitations, may_manage, invite, staff }))
}

/// `GET /members`
pub(crate) async fn members(s: Signed) -> Answer {
    members_page(&s, &[], "").await
}

/// `POST /members`: invites somebody.
pub(crate) async fn invite(s: Signed) -> Answer {
    let form = &s.visit.form;
    let e = &s.t().errors;
    let mut wrong = Vec::new();
    for name in ["name", "email"] {
        if form.get(name).is_empty() {
            wrong.push((name, e.field_required.to_owned()));
        }
    }
    if form.all("role").is_empty() {
        wrong.push(("role", e.field_required.to_owned()));
    }
    if !wrong.is_empty() {
        return members_page(&s, &wrong, "").await;
    }
    let input = invitations::InviteAccount {
        tenant: None,
        email: form.get("email").to_owned(),
        name: form.get("name").to_owned(),
        locale: None,
        roles: form.all("role").into_iter().map(ToOwned::to_owned).collect(),
    };
    match s.call(&invitations::INVITE, input).await {
        Ok(_) => Ok(done(&s.portal, "/members", "invited")),
        Err(error) if correctable(&error) => {
            let words = said(&s, &error);
            match error.attribute() {
                Some("email") => members_page(&s, &[("email", words)], "").await,
                Some("name") => members_page(&s, &[("name", words)], "").await,
                Some("roles") => members_page(&s, &[("role", words)], "").await,
                _ => members_page(&s, &[], &words).await,
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Errors that the person who filled in the form can mend.
pub(crate) fn correctable(error: &Error) -> bool {
    matches!(error.kind(), Kind::Invalid | Kind::Dangling | Kind::Conflict | Kind::Exhausted)
}

/// An action's message, in the reader's language where we have words for its code.
pub(crate) fn said(s: &Signed, error: &Error) -> String {
    match error.code() {
        "email.malformed" => s.t().door.email_wrong.to_owned(),
        "invitation.pending" => s.t().account.invited_already.to_owned(),
        "account.member" => s.t().account.joined_already.to_owned(),
        "role.last_holder" => s.t().account.last_keeper.to_owned(),
        _ => s.p().error(error),
    }
}

/// `POST /members/invitations/{id}/withdraw`
pub(crate) async fn withdraw(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&invitations::WITHDRAW, invitations::InvitationRef { invitation: id.parse()? }).await?;
    Ok(done(&s.portal, "/members", "withdrawn"))
}

async fn member(s: &Signed, id: &str) -> Result<access::accounts::Member> {
    s.call(&accounts::GET, accounts::AccountRef { account: id.parse()? }).await
}

/// `GET /members/{id}/role`
pub(crate) async fn role_form(s: Signed, Path(id): Path<String>) -> Answer {
    let member = member(&s, &id).await?;
    Ok(role_page(&s, &id, &member, "", StatusCode::OK))
}

fn role_page(s: &Signed, id: &str, member: &access::accounts::Member, general: &str, status: StatusCode) -> Response {
    let (p, t) = (s.p(), s.t());
    let chosen = if s.visit.form.has("csrf") {
        s.visit.form.all("role").into_iter().map(ToOwned::to_owned).collect()
    } else {
        member.roles.clone()
    };
    let fields = vec![Field::boxes("role", t.account.roles, role_choices(s, &chosen))];
    let view = FormPage {
        p,
        crumbs: p.crumbs(&[("/members", t.frame.members)]),
        title: t.account.change_role.to_owned(),
        lead: format!("{} · {}", member.account.name, member.account.email),
        summary: Summary::gather(t.frame.form_wrong, &[], general),
        action: format!("/members/{id}/role"),
        fields,
        button: t.frame.save.to_owned(),
        back: "/members".to_owned(),
    };
    show(status, &view)
}

/// `POST /members/{id}/role`: grants what is ticked and takes away the rest.
pub(crate) async fn role(s: Signed, Path(id): Path<String>) -> Answer {
    let member = member(&s, &id).await?;
    let wanted = s.visit.form.all("role");
    if wanted.is_empty() {
        return Ok(role_page(&s, &id, &member, s.t().errors.field_required, StatusCode::UNPROCESSABLE_ENTITY));
    }
    let account = member.account.id;
    // Given before taken: nobody is without a role in between.
    for name in wanted.iter().filter(|name| !member.roles.iter().any(|held| held == *name)) {
        if let Err(error) =
            s.call(&roles::GRANT, roles::GrantRole { account, tenant: None, role: (*name).to_owned() }).await
        {
            return refuse_role(&s, &id, &member, error);
        }
    }
    for name in member.roles.iter().filter(|held| !wanted.contains(&held.as_str())) {
        if let Err(error) = s.call(&roles::REVOKE, roles::GrantRole { account, tenant: None, role: name.clone() }).await
        {
            return refuse_role(&s, &id, &member, error);
        }
    }
    Ok(done(&s.portal, "/members", "role-changed"))
}

fn refuse_role(s: &Signed, id: &str, member: &access::accounts::Member, error: Error) -> Answer {
    if correctable(&error) {
        Ok(role_page(s, id, member, &said(s, &error), StatusCode::CONFLICT))
    } else {
        Err(error.into())
    }
}

fn remove_question(s: &Signed, id: &str, name: &str) -> Confirm {
    let (p, a) = (s.p(), &s.t().account);
    Confirm {
        id: "remove",
        action: format!("/members/{id}/remove"),
        csrf: p.csrf.clone(),
        title: p.with(a.remove_title, name),
        body: a.remove_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: a.remove.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: "/members".to_owned(),
        page: true,
    }
}

/// `GET /members/{id}/remove`
pub(crate) async fn ask_remove(s: Signed, Path(id): Path<String>) -> Answer {
    let member = member(&s, &id).await?;
    let confirm = remove_question(&s, &id, &member.account.name);
    Ok(ok(&ConfirmPage { p: s.p(), summary: Summary::default(), confirm }))
}

/// `POST /members/{id}/remove`
pub(crate) async fn remove(s: Signed, Path(id): Path<String>) -> Answer {
    match s.call(&accounts::REMOVE, accounts::RemoveAccount { account: id.parse()?, tenant: None }).await {
        Ok(_) => Ok(done(&s.portal, "/members", "removed")),
        Err(error) if correctable(&error) => {
            let summary = Summary::gather(s.t().errors.conflict_title, &[], &said(&s, &error));
            let view = ConfirmPage { p: s.p(), summary, confirm: remove_question(&s, &id, "") };
            Ok(show(StatusCode::CONFLICT, &view))
        }
        Err(error) => Err(error.into()),
    }
}

// Handlers: API tokens.

async fn tokens_page(s: &Signed, secret: Option<String>, wrong: &[(&str, String)], general: &str) -> Answer {
    let t = s.t();
    let found = s.call(&tokens::LIST, tokens::ListTokens { limit: Some(200), ..Default::default() }).await?;
    let rows = found.items.into_iter().map(|k| TokenRow {
        id: k.id.to_string(),
        name: k.name,
        prefix: k.prefix,
        created: k.created_at,
        last_used: k.used_at,
        expires: k.expires_at,
        sensitive: k.sensitive,
    });
    let rows = rows.collect();
    let told = |field: Field| match wrong.iter().find(|(name, _)| *name == field.name) {
        Some((_, words)) => field.error(words.clone()),
        None => field,
    };
    let (given, days) =
        if secret.is_some() { ("", "90") } else { (s.visit.form.get("name"), s.visit.form.get("days")) };
    let choices = ["7", "30", "90", "365"].into_iter().map(|n| {
        let mut choice = Choice::new(n, s.p().with(t.account.days, n));
        choice.chosen = n == days || (days.is_empty() && n == "90");
        choice
    });
    let fields = vec![
        told(Field::line("name", t.account.token_name, given).hint(t.account.token_name_hint)),
        told(Field::select("days", t.account.token_expires, choices.collect())),
        Field::check("sensitive", t.factors.sensitive, t.factors.sensitive_text, s.visit.form.has("sensitive")),
    ];
    let summary = Summary::gather(t.frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(show(status, &Tokens { p: s.p(), summary, secret, tokens: rows, fields }))
}

/// `GET /account/tokens`
pub(crate) async fn tokens_list(s: Signed) -> Answer {
    tokens_page(&s, None, &[], "").await
}

/// `POST /account/tokens`: the answer shows the secret, this once.
pub(crate) async fn token_create(s: Signed) -> Answer {
    let form = &s.visit.form;
    if form.get("name").is_empty() {
        return tokens_page(&s, None, &[("name", s.t().errors.field_required.to_owned())], "").await;
    }
    let input = tokens::CreateToken {
        name: form.get("name").to_owned(),
        days: form.get("days").parse().ok(),
        sensitive: form.has("sensitive"),
        ..tokens::CreateToken::default()
    };
    match s.call(&tokens::CREATE, input).await {
        Ok(made) => tokens_page(&s, Some(made.secret), &[], "").await,
        Err(error) if correctable(&error) => match error.attribute() {
            Some("name") => tokens_page(&s, None, &[("name", said(&s, &error))], "").await,
            Some("days") => tokens_page(&s, None, &[("days", said(&s, &error))], "").await,
            _ => tokens_page(&s, None, &[], &said(&s, &error)).await,
        },
        Err(error) => Err(error.into()),
    }
}

/// `GET /account/tokens/{id}/revoke`
pub(crate) async fn ask_revoke(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, a) = (s.p(), &s.t().account);
    let found = s.call(&tokens::LIST, tokens::ListTokens { limit: Some(200), ..Default::default() }).await?;
    let token = found.items.into_iter().find(|k| k.id.to_string() == id);
    let token = token.ok_or_else(|| Error::not_found("token.not_found", "there is no such token"))?;
    let confirm = Confirm {
        id: "revoke",
        action: format!("/account/tokens/{id}/revoke"),
        csrf: p.csrf.clone(),
        title: p.with(a.revoke_title, &token.name),
        body: a.revoke_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: a.revoke.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: "/account/tokens".to_owned(),
        page: true,
    };
    Ok(ok(&ConfirmPage { p, summary: Summary::default(), confirm }))
}

/// `POST /account/tokens/{id}/revoke`
pub(crate) async fn revoke(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&tokens::REVOKE, tokens::TokenRef { token: id.parse()? }).await?;
    Ok(done(&s.portal, "/account/tokens", "revoked"))
}

// Handlers: sessions.

/// `GET /account/sessions`
pub(crate) async fn sessions_list(s: Signed) -> Answer {
    let found = s.call(&sessions::LIST, roles::Nothing {}).await?;
    let rows = found
        .into_iter()
        .map(|one| SessionRow {
            id: one.id.to_string(),
            device: device(&one.user_agent).unwrap_or_else(|| s.t().frame.unknown.to_owned()),
            address: one.address,
            started: one.created_at,
            last: one.seen_at,
            strength: crate::factors::strength_words(s.p(), one.strength),
            this: one.current,
        })
        .collect();
    Ok(ok(&Sessions { p: s.p(), sessions: rows }))
}

/// A browser's own words about itself, short enough to recognise it by.
fn device(agent: &str) -> Option<String> {
    let find =
        |known: &[(&str, &'static str)]| known.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    let browser = find(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = find(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => Some(format!("{browser} · {system}")),
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (None, None) if agent.is_empty() => None,
        (None, None) => Some(agent.chars().take(60).collect()),
    }
}

/// `POST /account/sessions/{id}/end`
pub(crate) async fn end(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&sessions::CLOSE, sessions::CloseSession { session: Some(id.parse()?) }).await?;
    Ok(done(&s.portal, "/account/sessions", "ended"))
}

/// `POST /account/sessions/end`: all but this one.
pub(crate) async fn end_others(s: Signed) -> Answer {
    s.call(&sessions::CLOSE_ALL, roles::Nothing {}).await?;
    Ok(done(&s.portal, "/account/sessions", "ended"))
}

#[cfg(test)]
mod tests {
    use super::device;

    #[test]
    fn browsers_are_told_by_name() {
        let chrome =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36";
        assert_eq!(device(chrome).unwrap(), "Chrome · Linux");
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1";
        assert_eq!(device(iphone).unwrap(), "Safari · iPhone");
        assert_eq!(device(""), None);
    }
}
