//! The team: duties, deputies, and who calls whom.

use super::{form_page, may_edit, tabs};
use crate::account::{ConfirmPage, correctable, said};
use crate::page::{Page, ok};
use crate::ui::{Choice, Confirm, Field, Summary, Tabs, told};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use base::Error;
use continuity::ContactId;
use continuity::plan::Nothing;
use continuity::plan::contacts::{self, Call, ChangePerson, ContactRef, Person};

/// The contact tree.
#[derive(Template)]
#[template(path = "plan/team.html")]
pub(crate) struct TeamPage<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub calls: Vec<Call>,
    pub may_edit: bool,
}

async fn team(s: &Signed) -> base::Result<Vec<Call>> {
    Ok(s.call(&contacts::LIST, Nothing {}).await?.items)
}

/// `GET /plan/team`
pub(crate) async fn page(s: Signed) -> Answer {
    let calls = team(&s).await?;
    Ok(ok(&TeamPage { p: s.p(), tabs: tabs(s.p(), "/plan/team"), calls, may_edit: may_edit(&s) }))
}

/// What is known of somebody who is there already; of nobody, where somebody is added.
async fn known(s: &Signed, id: Option<ContactId>) -> base::Result<(Vec<Call>, Person)> {
    let calls = team(s).await?;
    let Some(id) = id else { return Ok((calls, Person::default())) };
    let found = calls.iter().find(|call| call.contact.id == id).map(|call| call.contact.clone());
    let one = found.ok_or_else(|| Error::not_found("contact.not_found", format!("there is no contact {id}")))?;
    let (name, duty, phone, email) = (one.name, one.duty, one.phone, one.email);
    Ok((calls, Person { name, duty, phone, email, deputy: one.deputy, called_by: one.called_by }))
}

fn fields(s: &Signed, id: Option<ContactId>, calls: &[Call], now: &Person, wrong: &[(&str, String)]) -> Vec<Field> {
    let (t, f, form) = (&s.t().plan, &s.t().frame, &s.visit.form);
    let kept = |name: &str, or: &str| if form.has(name) { form.get(name).to_owned() } else { or.to_owned() };
    let others = |name: &str, nobody: &str, now: Option<ContactId>| {
        let chosen = kept(name, &now.map(|id| id.to_string()).unwrap_or_default());
        let people = calls.iter().filter(|call| Some(call.contact.id) != id);
        let people = people.map(|call| (call.contact.id.to_string(), call.contact.name.clone()));
        let all = std::iter::once((String::new(), nobody.to_owned())).chain(people);
        let choice = |(value, label): (String, String)| Choice { chosen: value == chosen, ..Choice::new(value, label) };
        all.map(choice).collect::<Vec<_>>()
    };
    let fields = [
        Field::line("name", f.name, kept("name", &now.name)),
        Field::line("duty", t.duty, kept("duty", &now.duty)).hint(t.duty_hint).optional(f.optional),
        Field::line("phone", t.phone, kept("phone", &now.phone)).hint(t.phone_hint).kind("tel", "off"),
        Field::line("email", t.email, kept("email", &now.email)).kind("email", "off").optional(f.optional),
        Field::select("calledBy", t.called_by, others("calledBy", t.called_by_nobody, now.called_by)),
        Field::select("deputy", t.deputy, others("deputy", t.nobody, now.deputy)),
    ];
    fields.into_iter().map(|field| told(wrong, field)).collect()
}

async fn form(s: &Signed, id: Option<ContactId>, wrong: &[(&str, String)], general: &str) -> Answer {
    let (calls, now) = known(s, id).await?;
    let t = &s.t().plan;
    let (title, action) = match id {
        Some(id) => (now.name.clone(), format!("/plan/team/{id}")),
        None => (t.add_contact.to_owned(), "/plan/team/new".to_owned()),
    };
    let fields = fields(s, id, &calls, &now, wrong);
    let at = [("/plan", s.t().frame.plan), ("/plan/team", t.tab_team)];
    Ok(form_page(s, &at, title, action, fields, general))
}

/// `GET /plan/team/new`
pub(crate) async fn new(s: Signed) -> Answer {
    form(&s, None, &[], "").await
}

/// `GET /plan/team/{id}`
pub(crate) async fn edit(s: Signed, Path(id): Path<String>) -> Answer {
    form(&s, Some(id.parse()?), &[], "").await
}

/// What was typed.
fn typed(s: &Signed) -> Person {
    let form = &s.visit.form;
    let text = |name: &str| form.get(name).to_owned();
    let person = |name: &str| form.get(name).parse().ok();
    Person {
        name: text("name"),
        duty: text("duty"),
        phone: text("phone"),
        email: text("email"),
        deputy: person("deputy"),
        called_by: person("calledBy"),
    }
}

async fn refuse(s: &Signed, id: Option<ContactId>, error: Error) -> Answer {
    let words = said(s, &error);
    let at = ["name", "duty", "phone", "email", "calledBy", "deputy"];
    match at.into_iter().find(|at| error.attribute() == Some(at)) {
        Some(at) => form(s, id, &[(at, words)], "").await,
        None if correctable(&error) => form(s, id, &[], &words).await,
        None => Err(error.into()),
    }
}

/// `POST /plan/team/new`
pub(crate) async fn create(s: Signed) -> Answer {
    match s.call(&contacts::CREATE, typed(&s)).await {
        Ok(_) => Ok(done(&s.portal, "/plan/team", "saved")),
        Err(error) => refuse(&s, None, error).await,
    }
}

/// `POST /plan/team/{id}`
pub(crate) async fn change(s: Signed, Path(id): Path<String>) -> Answer {
    let id: ContactId = id.parse()?;
    match s.call(&contacts::UPDATE, ChangePerson { id, person: typed(&s) }).await {
        Ok(_) => Ok(done(&s.portal, "/plan/team", "saved")),
        Err(error) => refuse(&s, Some(id), error).await,
    }
}

/// `GET /plan/team/{id}/remove`
pub(crate) async fn ask_remove(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, t) = (s.p(), &s.t().plan);
    let (_, person) = known(&s, Some(id.parse()?)).await?;
    let confirm = Confirm {
        id: "remove",
        action: format!("/plan/team/{id}/remove"),
        csrf: p.csrf.clone(),
        title: p.with(t.remove_title, &person.name),
        body: t.remove_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: t.remove.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: "/plan/team".to_owned(),
        page: true,
    };
    Ok(ok(&ConfirmPage { p, summary: Summary::default(), confirm }))
}

/// `POST /plan/team/{id}/remove`
pub(crate) async fn remove(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&contacts::REMOVE, ContactRef { id: id.parse()? }).await?;
    Ok(done(&s.portal, "/plan/team", "saved"))
}
