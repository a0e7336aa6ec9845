//! The door: sign-in, invitation, forgotten and new password. Nobody is known
//! yet on these pages, so they say the same to those who have an account and
//! to those who have none.

use crate::Portal;
use crate::http::is_local;
use crate::page::{Page, show};
use crate::ui::{Field, Summary};
use crate::visit::{Answer, Anybody, Visit, done};
use access::Secret;
use access::factors::passkeys::actions::{AskPasskey, CHALLENGE, OPEN, OpenWithPasskey};
use access::invitations::actions as invitations;
use access::passwords::actions as passwords;
use access::sessions::actions::{self as sessions, OpenSession, Opened, SignedIn};
use access::sessions::confirm::{CONFIRM, ConfirmSession};
use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use base::{Error, Kind, limits};

/// Sign-in.
#[derive(Template)]
#[template(path = "door/sign_in.html")]
pub(crate) struct SignIn<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub email: Field,
    pub password: Field,
    /// Where to go afterwards; a path of ours.
    pub next: String,
}

/// Any other form of the door.
#[derive(Template)]
#[template(path = "door/form.html")]
pub(crate) struct DoorForm<'a> {
    pub p: &'a Page,
    pub title: String,
    pub body: String,
    pub summary: Summary,
    pub action: String,
    pub hidden: Vec<(&'static str, String)>,
    pub fields: Vec<Field>,
    pub button: &'static str,
}

/// Something to read, and where to go from here.
#[derive(Template)]
#[template(path = "door/message.html")]
pub(crate) struct DoorMessage<'a> {
    pub p: &'a Page,
    pub title: String,
    pub body: String,
    pub links: Vec<(String, &'static str)>,
}

// Handlers.

/// The link of a mail carries its token here: `…?token=…`.
fn link_token(visit: &Visit) -> Secret {
    let from = if visit.form.has("token") { &visit.form } else { &visit.query };
    Secret::new(from.get("token").chars().take(200).collect::<String>())
}

fn email_field(visit: &Visit, complete: &'static str) -> Field {
    Field::line("email", visit.page.t.door.email, visit.form.get("email")).kind("email", complete)
}

fn password_field(name: &'static str, label: &'static str, complete: &'static str) -> Field {
    Field::line(name, label, "").kind("password", complete)
}

/// Where to go after signing in: a path of ours, never another site.
pub(crate) fn next(visit: &Visit) -> String {
    local(if visit.form.has("next") { visit.form.get("next") } else { visit.query.get("next") })
}

/// A path of ours that is no door, or the first page.
pub(crate) fn local(wanted: &str) -> String {
    if is_local(wanted) && !wanted.starts_with("/sign-") { wanted.to_owned() } else { "/".to_owned() }
}

/// The page on which one begins again, with what went wrong.
pub(crate) fn sign_in_failed(visit: &Visit, words: &str, status: StatusCode) -> Response {
    let password = password_field("password", visit.page.t.door.password, "current-password");
    sign_in_page(visit, words, [email_field(visit, "username"), password], status)
}

fn sign_in_page(visit: &Visit, wrong: &str, fields: [Field; 2], status: StatusCode) -> Response {
    let [email, password] = fields;
    let email = if email.error.is_empty() && visit.form.get("email").is_empty() { email.focus() } else { email };
    let summary = Summary::gather(visit.page.t.frame.form_wrong, &[&email, &password], wrong);
    show(status, &SignIn { p: &visit.page, summary, email, password, next: next(visit) })
}

/// `GET /sign-in`
pub(crate) async fn sign_in_form(Anybody(visit): Anybody) -> Response {
    if visit.cx.is_some() {
        return Redirect::to(&next(&visit)).into_response();
    }
    let d = &visit.page.t.door;
    sign_in_page(
        &visit,
        "",
        [email_field(&visit, "username"), password_field("password", d.password, "current-password")],
        StatusCode::OK,
    )
}

/// `POST /sign-in`
pub(crate) async fn sign_in(portal: Portal, Anybody(visit): Anybody) -> Answer {
    let (d, e) = (&visit.page.t.door, &visit.page.t.errors);
    let mut email = email_field(&visit, "username");
    let mut password = password_field("password", d.password, "current-password");
    if visit.form.get("email").is_empty() {
        email = email.error(e.field_required);
    }
    if visit.form.raw("password").is_empty() {
        password = password.error(e.field_required);
    }
    if !email.error.is_empty() || !password.error.is_empty() {
        return Ok(sign_in_page(&visit, "", [email, password], StatusCode::UNPROCESSABLE_ENTITY));
    }
    let input = OpenSession {
        email: visit.form.get("email").to_owned(),
        password: Secret::new(visit.form.raw("password")),
        user_agent: visit.agent.clone(),
    };
    // Whoever is signed in here ends that by signing in again.
    let cx = match &visit.cx {
        Some(cx) => cx.clone(),
        None => portal.stranger(&visit)?,
    };
    match sessions::OPEN.call(&portal.gate, &cx, input).await {
        Ok(Opened::SignedIn(signed_in)) => Ok(let_in(&portal, &next(&visit), &signed_in)),
        Ok(Opened::FactorNeeded(needed)) => {
            let to = format!("/sign-in/code?next={}", crate::http::encode(&next(&visit)));
            let mut response = Redirect::to(&to).into_response();
            let kept = portal.cookie(portal.sign_in_cookie(), &needed.ticket, Some(limits::SIGN_IN_SECONDS));
            add_cookie(&mut response, &kept);
            Ok(response)
        }
        Err(error) => {
            let (words, status) = match error.kind() {
                Kind::Unauthenticated | Kind::Invalid => (d.sign_in_wrong.to_owned(), StatusCode::UNAUTHORIZED),
                Kind::Forbidden if error.code() == "provider.only" => (visit.page.error(&error), StatusCode::FORBIDDEN),
                Kind::Forbidden => (d.account_suspended.to_owned(), StatusCode::FORBIDDEN),
                Kind::Throttled => {
                    let seconds = error.wait().map_or(60, |wait| wait.as_secs().max(1));
                    (
                        visit.page.with(d.sign_in_slow, visit.page.span(i64::try_from(seconds).unwrap_or(i64::MAX))),
                        StatusCode::TOO_MANY_REQUESTS,
                    )
                }
                _ => return Err(error.into()),
            };
            Ok(sign_in_page(&visit, &words, [email, password], status))
        }
    }
}

/// A browser that is signed in from now on.
pub(crate) fn let_in(portal: &Portal, next: &str, signed_in: &SignedIn) -> Response {
    let mut response = Redirect::to(next).into_response();
    add_cookie(&mut response, &access::sessions::cookie::set(&signed_in.secret, portal.tls));
    response
}

pub(crate) fn add_cookie(response: &mut Response, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn code_page(visit: &Visit, wrong: &str, status: StatusCode) -> Response {
    let (p, f) = (&visit.page, &visit.page.t.factors);
    let field = crate::factors::code_field(p, "code").error(wrong).focus();
    let form = DoorForm {
        p,
        title: f.sign_in_title.into(),
        body: f.sign_in_body.into(),
        summary: Summary::gather(p.t.frame.form_wrong, &[&field], ""),
        action: "/sign-in/code".into(),
        hidden: vec![("next", next(visit))],
        fields: vec![field],
        button: f.sign_in_go,
    };
    show(status, &form)
}

/// `GET /sign-in/code`: the second step.
pub(crate) async fn code_form(Anybody(visit): Anybody) -> Response {
    match visit.sign_in {
        Some(_) => code_page(&visit, "", StatusCode::OK),
        None => Redirect::to("/sign-in").into_response(),
    }
}

/// `POST /sign-in/code`
pub(crate) async fn code(portal: Portal, Anybody(visit): Anybody) -> Answer {
    let f = &visit.page.t.factors;
    let forget = portal.cookie(portal.sign_in_cookie(), "", Some(0));
    let Some(ticket) = visit.sign_in.clone() else { return Ok(done(&portal, "/sign-in", "sign-in-over")) };
    if visit.form.get("code").is_empty() {
        return Ok(code_page(&visit, visit.page.t.errors.field_required, StatusCode::UNPROCESSABLE_ENTITY));
    }
    let cx = match &visit.cx {
        Some(cx) => cx.clone(),
        None => portal.stranger(&visit)?,
    };
    let input = ConfirmSession { ticket, code: Secret::new(visit.form.get("code")) };
    match CONFIRM.call(&portal.gate, &cx, input).await {
        Ok(signed_in) => {
            let mut response = let_in(&portal, &next(&visit), &signed_in);
            add_cookie(&mut response, &forget);
            Ok(response)
        }
        Err(error) if error.code() == "session.sign_in_over" => {
            let mut response = done(&portal, "/sign-in", "sign-in-over");
            add_cookie(&mut response, &forget);
            Ok(response)
        }
        Err(error) if error.code().starts_with("passkey.") => {
            Ok(code_page(&visit, f.passkey_wrong, StatusCode::UNAUTHORIZED))
        }
        Err(error) if error.kind() == Kind::Unauthenticated => Ok(code_page(&visit, f.wrong, StatusCode::UNAUTHORIZED)),
        Err(error) if error.kind() == Kind::Throttled => {
            let seconds = error.wait().map_or(60, |wait| i64::try_from(wait.as_secs().max(1)).unwrap_or(60));
            let words = visit.page.with(f.slow, visit.page.span(seconds));
            Ok(code_page(&visit, &words, StatusCode::TOO_MANY_REQUESTS))
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /passkey-challenge?for=…`: what the browser needs to use a passkey, as JSON; for signing in
/// alone (`sign-in`), after the password (`code`), or to show anew who one is.
pub(crate) async fn challenge(portal: Portal, Anybody(visit): Anybody) -> Answer {
    let wanted = visit.query.get("for");
    let ticket = visit.sign_in.clone().filter(|_| wanted == "code");
    let cx = match &visit.cx {
        Some(cx) => cx.clone(),
        None => portal.stranger(&visit)?,
    };
    let input = AskPasskey { ticket, anew: wanted == "sign-in" };
    let asked = portal.gate.call(&cx, &CHALLENGE, input).await?;
    Ok(axum::Json(asked).into_response())
}

/// `POST /sign-in/passkey`: signs in with a passkey alone.
pub(crate) async fn passkey(portal: Portal, Anybody(visit): Anybody) -> Answer {
    let (d, f) = (&visit.page.t.door, &visit.page.t.factors);
    let cx = match &visit.cx {
        Some(cx) => cx.clone(),
        None => portal.stranger(&visit)?,
    };
    let credential = visit.form.raw("credential").to_owned();
    let input = OpenWithPasskey { credential, user_agent: visit.agent.clone() };
    match OPEN.call(&portal.gate, &cx, input).await {
        Ok(signed_in) => Ok(let_in(&portal, &next(&visit), &signed_in)),
        Err(error) => {
            let (words, status) = match error.kind() {
                Kind::Unauthenticated | Kind::Invalid => (f.passkey_wrong, StatusCode::UNAUTHORIZED),
                Kind::Forbidden => (d.account_suspended, StatusCode::FORBIDDEN),
                _ => return Err(error.into()),
            };
            let password = password_field("password", d.password, "current-password");
            Ok(sign_in_page(&visit, words, [email_field(&visit, "username"), password], status))
        }
    }
}

/// `POST /sign-out`
pub(crate) async fn sign_out(portal: Portal, Anybody(visit): Anybody) -> Answer {
    if let Some(cx) = &visit.cx {
        portal.gate.call(cx, &sessions::CLOSE, sessions::CloseSession::default()).await?;
    }
    let mut response = done(&portal, "/sign-in", "signed-out");
    if let Ok(value) = HeaderValue::from_str(&access::sessions::cookie::clear(portal.tls)) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    Ok(response)
}

fn gone(visit: &Visit, title: &str, body: &str, links: Vec<(String, &'static str)>) -> Response {
    show(StatusCode::GONE, &DoorMessage { p: &visit.page, title: title.to_owned(), body: body.to_owned(), links })
}

fn is_void(error: &Error) -> bool {
    matches!(error.kind(), Kind::NotFound | Kind::Unauthenticated | Kind::Forbidden)
        || error.code().starts_with("link.")
}

fn invitation_gone(visit: &Visit) -> Response {
    let d = &visit.page.t.door;
    gone(visit, d.invite_gone_title, d.invite_gone_body, vec![("/sign-in".into(), d.back_to_sign_in)])
}

/// `GET /invitation?token=…`
pub(crate) async fn invitation(portal: Portal, Anybody(visit): Anybody) -> Answer {
    answer_invitation(&portal, &visit, Vec::new(), "").await
}

/// Shows the form of an invitation with what was wrong with the last try.
async fn answer_invitation(
    portal: &Portal,
    visit: &Visit,
    wrong: Vec<(&'static str, String)>,
    general: &str,
) -> Answer {
    let p = &visit.page;
    let d = &p.t.door;
    let token = link_token(visit);
    let cx = portal.stranger(visit)?;
    let preview =
        match portal.gate.call(&cx, &invitations::PREVIEW, invitations::LinkToken { token: token.clone() }).await {
            Ok(preview) => preview,
            Err(error) if is_void(&error) => return Ok(invitation_gone(visit)),
            Err(error) => return Err(error.into()),
        };
    let told = |field: Field| match wrong.iter().find(|(name, _)| *name == field.name) {
        Some((_, words)) => field.error(words.clone()),
        None => field,
    };
    let name = if visit.form.has("name") { visit.form.get("name") } else { &preview.name };
    let fields = if preview.has_account {
        Vec::new()
    } else {
        vec![
            told(Field::line("name", d.your_name, name).kind("text", "name")),
            told(password_field("password", d.new_password, "new-password").hint(d.password_hint)),
            told(password_field("again", d.repeat_password, "new-password")),
        ]
    };
    let roles: Vec<&str> = preview.roles.iter().map(|role| crate::account::role_word(p.t, role).0).collect();
    let failed = !wrong.is_empty() || !general.is_empty();
    let summary = Summary::gather(p.t.frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let form = DoorForm {
        p,
        title: p.with(d.invite_title, &preview.tenant),
        body: p.with2(
            if preview.has_account { d.invite_known } else { d.invite_body },
            &preview.email,
            roles.join("、"),
        ),
        summary,
        action: "/invitation".into(),
        hidden: vec![("token", token.reveal().to_owned())],
        fields,
        button: d.accept,
    };
    Ok(show(if failed { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }, &form))
}

/// A new password typed twice: what is wrong with it, if anything.
fn typed_twice(visit: &Visit) -> Vec<(&'static str, String)> {
    let (t, one, two) = (visit.page.t, visit.form.raw("password"), visit.form.raw("again"));
    if one.is_empty() {
        vec![("password", t.errors.field_required.to_owned())]
    } else if one != two {
        vec![("again", t.door.repeat_differs.to_owned())]
    } else {
        Vec::new()
    }
}

/// `POST /invitation`
pub(crate) async fn accept_invitation(portal: Portal, Anybody(visit): Anybody) -> Answer {
    let token = link_token(&visit);
    let chooses = visit.form.has("password");
    let wrong = if chooses { typed_twice(&visit) } else { Vec::new() };
    if !wrong.is_empty() {
        return answer_invitation(&portal, &visit, wrong, "").await;
    }
    let input = invitations::AcceptInvitation {
        token,
        name: Some(visit.form.get("name").to_owned()).filter(|n| !n.is_empty()),
        password: chooses.then(|| Secret::new(visit.form.raw("password"))),
    };
    let cx = portal.stranger(&visit)?;
    match invitations::ACCEPT.call(&portal.gate, &cx, input).await {
        Ok(_) => Ok(done(&portal, "/sign-in", "joined")),
        Err(error) if error.kind() == Kind::Invalid => {
            let words = strength_words(&visit.page, &error);
            match error.attribute() {
                Some("name") => answer_invitation(&portal, &visit, vec![("name", visit.page.error(&error))], "").await,
                Some("password") => answer_invitation(&portal, &visit, vec![("password", words)], "").await,
                _ => answer_invitation(&portal, &visit, Vec::new(), &words).await,
            }
        }
        Err(error) if is_void(&error) => Ok(invitation_gone(&visit)),
        Err(error) => Err(error.into()),
    }
}

/// Why a password is refused, in the reader's language.
pub(crate) fn strength_words(p: &Page, error: &Error) -> String {
    let d = &p.t.door;
    match error.code() {
        "password.too_short" => d.password_short.to_owned(),
        "password.too_long" => d.password_long.to_owned(),
        _ => p.error(error),
    }
}

fn forgotten_page(visit: &Visit, email: Field, status: StatusCode) -> Response {
    let d = &visit.page.t.door;
    let summary = Summary::gather(visit.page.t.frame.form_wrong, &[&email], "");
    let form = DoorForm {
        p: &visit.page,
        title: d.forgot_title.into(),
        body: d.forgot_body.into(),
        summary,
        action: "/forgotten".into(),
        hidden: vec![],
        fields: vec![email],
        button: d.send_link,
    };
    show(status, &form)
}

/// `GET /forgotten`
pub(crate) async fn forgotten_form(Anybody(visit): Anybody) -> Response {
    forgotten_page(&visit, email_field(&visit, "username").focus(), StatusCode::OK)
}

/// `POST /forgotten`: says the same whether there is such an account or not.
pub(crate) async fn forgotten(portal: Portal, Anybody(visit): Anybody) -> Answer {
    let d = &visit.page.t.door;
    let input = passwords::RequestReset { email: visit.form.get("email").to_owned() };
    match passwords::REQUEST_RESET.call(&portal.gate, &portal.stranger(&visit)?, input).await {
        Ok(_) => {
            let links = vec![("/sign-in".to_owned(), d.back_to_sign_in)];
            Ok(show(
                StatusCode::OK,
                &DoorMessage { p: &visit.page, title: d.sent_title.into(), body: d.sent_body.into(), links },
            ))
        }
        Err(error) if error.kind() == Kind::Invalid => {
            let field = email_field(&visit, "username").error(d.email_wrong);
            Ok(forgotten_page(&visit, field, StatusCode::UNPROCESSABLE_ENTITY))
        }
        Err(error) => Err(error.into()),
    }
}

fn reset_page(visit: &Visit, wrong: Vec<(&'static str, String)>) -> Response {
    let d = &visit.page.t.door;
    let told = |field: Field| match wrong.iter().find(|(name, _)| *name == field.name) {
        Some((_, words)) => field.error(words.clone()),
        None => field,
    };
    let fields = vec![
        told(password_field("password", d.new_password, "new-password").hint(d.password_hint)),
        told(password_field("again", d.repeat_password, "new-password")),
    ];
    let summary = Summary::gather(visit.page.t.frame.form_wrong, &fields.iter().collect::<Vec<_>>(), "");
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let form = DoorForm {
        p: &visit.page,
        title: d.reset_title.into(),
        body: d.reset_body.into(),
        summary,
        action: "/reset".into(),
        hidden: vec![("token", link_token(visit).reveal().to_owned())],
        fields,
        button: d.reset,
    };
    show(status, &form)
}

/// `GET /reset?token=…`
pub(crate) async fn reset_form(Anybody(visit): Anybody) -> Response {
    reset_page(&visit, Vec::new())
}

/// `POST /reset`
pub(crate) async fn reset(portal: Portal, Anybody(visit): Anybody) -> Answer {
    let wrong = typed_twice(&visit);
    if !wrong.is_empty() {
        return Ok(reset_page(&visit, wrong));
    }
    let input =
        passwords::ResetPassword { token: link_token(&visit), password: Secret::new(visit.form.raw("password")) };
    match passwords::RESET.call(&portal.gate, &portal.stranger(&visit)?, input).await {
        Ok(_) => Ok(done(&portal, "/sign-in", "password-set")),
        Err(error) if error.kind() == Kind::Invalid && !is_void(&error) => {
            Ok(reset_page(&visit, vec![("password", strength_words(&visit.page, &error))]))
        }
        Err(error) if is_void(&error) => {
            let d = &visit.page.t.door;
            let links = vec![("/forgotten".to_owned(), d.forgot_title), ("/sign-in".to_owned(), d.back_to_sign_in)];
            Ok(gone(&visit, d.reset_gone_title, d.reset_gone_body, links))
        }
        Err(error) => Err(error.into()),
    }
}
