//! One's own account: name, language, password.

use crate::account::{correctable, said};
use crate::page::{Page, show};
use crate::ui::{Choice, Field, Summary, told};
use crate::visit::{Answer, Signed, done};
use access::Secret;
use access::accounts::actions as accounts;
use access::passwords::actions as passwords;
use askama::Template;
use axum::http::StatusCode;
use base::{Error, Kind};

/// Name and language, and the password, each in a form of its own.
#[derive(Template)]
#[template(path = "account/profile.html")]
pub(crate) struct Profile<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub email: String,
    /// The roles held in the acting tenant, in words.
    pub roles: String,
    pub about: Vec<Field>,
    pub password: Vec<Field>,
}

async fn page(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, t) = (s.p(), s.t());
    let own = s.call(&accounts::GET, accounts::AccountRef { account: own(s)? }).await?;
    let form = &s.visit.form;
    let name = if form.has("name") { form.get("name") } else { &own.account.name };
    let locale = if form.has("locale") { form.get("locale") } else { &own.account.locale };
    let languages = [("zh-TW", "中文"), ("en", "English")].map(|(value, label)| {
        let mut choice = Choice::new(value, label);
        choice.chosen = value == locale;
        choice
    });
    let password = |name: &'static str, label: &str, complete| Field::line(name, label, "").kind("password", complete);
    let about = vec![
        told(wrong, Field::line("name", t.account.own_name, name).kind("text", "name")),
        told(wrong, Field::tiles("locale", t.frame.language, languages.to_vec()).hint(t.account.locale_hint)),
    ];
    let secrets = vec![
        told(wrong, password("current", t.account.password_now, "current-password")),
        told(wrong, password("password", t.door.new_password, "new-password").hint(t.door.password_hint)),
        told(wrong, password("again", t.door.repeat_password, "new-password")),
    ];
    let mut secrets = secrets;
    // A form that brings passwords brings the code along: it is not carried through another page.
    if s.cx.proof().is_some_and(|proof| !proof.is_fresh(gate::Fresh::Factor, p.now)) {
        secrets.push(crate::step_up::field(&s.visit));
    }
    let all: Vec<&Field> = about.iter().chain(&secrets).collect();
    let summary = Summary::gather(t.frame.form_wrong, &all, general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let roles = crate::account::role_words(t, &own.roles);
    Ok(show(status, &Profile { p, summary, email: own.account.email, roles, about, password: secrets }))
}

fn own(s: &Signed) -> base::Result<base::id::AccountId> {
    s.cx.account().ok_or_else(|| Error::unauthenticated("session.required", "sign in to do this"))
}

/// `GET /account`
pub(crate) async fn overview(s: Signed) -> Answer {
    page(&s, &[], "").await
}

/// `POST /account`: name and language. From now on the pages speak it.
pub(crate) async fn save(s: Signed) -> Answer {
    let form = &s.visit.form;
    if form.get("name").is_empty() {
        return page(&s, &[("name", s.t().errors.field_required.to_owned())], "").await;
    }
    let input = accounts::UpdateAccount {
        account: own(&s)?,
        name: Some(form.get("name").to_owned()),
        locale: Some(form.get("locale").to_owned()).filter(|l| !l.is_empty()),
    };
    match s.call(&accounts::UPDATE, input).await {
        Ok(account) => {
            let lang = crate::i18n::Lang::parse(&account.locale).unwrap_or(s.p().lang);
            let mut response = done(&s.portal, "/account", "saved");
            crate::preferences::speak(&s.portal, &mut response, lang);
            Ok(response)
        }
        Err(error) if correctable(&error) => match error.attribute() {
            Some("name") => page(&s, &[("name", said(&s, &error))], "").await,
            Some("locale") => page(&s, &[("locale", said(&s, &error))], "").await,
            _ => page(&s, &[], &said(&s, &error)).await,
        },
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/password`: ends all other sessions.
pub(crate) async fn password(s: Signed) -> Answer {
    let form = &s.visit.form;
    let (current, new, again) = (form.raw("current"), form.raw("password"), form.raw("again"));
    let required = s.t().errors.field_required;
    let mut wrong = Vec::new();
    for (name, given) in [("current", current), ("password", new)] {
        if given.is_empty() {
            wrong.push((name, required.to_owned()));
        }
    }
    if wrong.is_empty() && new != again {
        wrong.push(("again", s.t().door.repeat_differs.to_owned()));
    }
    if !wrong.is_empty() {
        return page(&s, &wrong, "").await;
    }
    let input = passwords::ChangePassword { current: Some(Secret::new(current)), password: Secret::new(new) };
    match passwords::CHANGE.call(&s.portal.gate, &s.cx, input).await {
        Ok(_) => Ok(done(&s.portal, "/account", "password-changed")),
        Err(error) if error.kind() == Kind::Throttled || correctable(&error) => match error.attribute() {
            Some("current") => page(&s, &[("current", said(&s, &error))], "").await,
            Some("password") => page(&s, &[("password", crate::door::strength_words(s.p(), &error))], "").await,
            _ => page(&s, &[], &said(&s, &error)).await,
        },
        Err(error) => Err(error.into()),
    }
}
