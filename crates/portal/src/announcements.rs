//! Announcements: what everyone concerned is told, and who has read it.

use crate::account::{ConfirmPage, correctable, said};
use crate::page::{Page, ok};
use crate::plan::form_page;
use crate::ui::{Choice, Confirm, Field, Summary, told};
use crate::visit::{Answer, Signed, done};
use access::announcements::actions::{self, AnnouncementRef, InboxAsk, NewAnnouncement, Receipts};
use access::announcements::{Announcement, Audience, Received};
use access::roles::actions::Nothing;
use askama::Template;
use axum::extract::Path;
use base::Error;

/// What is addressed to the visitor, and what their organisation has told.
#[derive(Template)]
#[template(path = "announcements/list.html")]
pub(crate) struct AnnouncementsPage<'a> {
    pub p: &'a Page,
    pub inbox: Vec<Received>,
    pub told: Vec<Announcement>,
    pub may_tell: bool,
}

/// One announcement and who has read it.
#[derive(Template)]
#[template(path = "announcements/show.html")]
pub(crate) struct ReceiptsPage<'a> {
    pub p: &'a Page,
    pub receipts: Receipts,
    pub may_tell: bool,
}

/// Whether the visitor's roles let them see who has read; the gate decides.
fn may_see(s: &Signed) -> bool {
    may_tell(s) || s.cx.has_role("auditor")
}

fn may_tell(s: &Signed) -> bool {
    ["owner", "administrator", "operations"].iter().any(|role| s.cx.has_role(role))
}

/// `GET /announcements`
pub(crate) async fn page(s: Signed) -> Answer {
    let inbox = s.call(&actions::INBOX, InboxAsk::default()).await?.items;
    let told = if may_see(&s) { s.call(&actions::LIST, Nothing {}).await?.items } else { Vec::new() };
    Ok(ok(&AnnouncementsPage { p: s.p(), inbox, told, may_tell: may_tell(&s) }))
}

fn form(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let (t, form) = (&s.t().announcements, &s.visit.form);
    let wide = form.get("audience") == "customers";
    let own = Choice { chosen: !wide, ..Choice::new("own", t.own) };
    let customers = Choice { chosen: wide, ..Choice::new("customers", t.customers) };
    let mut fields = vec![
        Field::line("title", t.title, form.get("title")),
        Field::area("text", t.text, form.get("text")).rows(8),
        Field::check("mail", t.mail, t.mail_too, form.get("mail") == "true").free(),
    ];
    if s.p().operator() {
        fields.insert(0, Field::tiles("audience", t.audience, vec![own, customers]));
    }
    let fields = fields.into_iter().map(|field| told(wrong, field)).collect();
    let at = [("/announcements", s.t().frame.announcements)];
    Ok(form_page(s, &at, t.new.to_owned(), "/announcements/new".to_owned(), fields, general))
}

/// `GET /announcements/new`
pub(crate) async fn new(s: Signed) -> Answer {
    form(&s, &[], "")
}

/// `POST /announcements/new`
pub(crate) async fn create(s: Signed) -> Answer {
    let typed = &s.visit.form;
    let input = NewAnnouncement {
        audience: if typed.get("audience") == "customers" { Audience::Customers } else { Audience::Own },
        title: typed.get("title").to_owned(),
        text: typed.get("text").to_owned(),
        mail: typed.get("mail") == "true",
    };
    match s.call(&actions::CREATE, input).await {
        Ok(made) => Ok(done(&s.portal, &format!("/announcements/{}", made.id), "saved")),
        Err(error) => refuse(&s, error),
    }
}

fn refuse(s: &Signed, error: Error) -> Answer {
    let words = said(s, &error);
    match error.attribute() {
        Some(at @ ("title" | "text" | "audience")) => form(s, &[(at, words)], ""),
        _ if correctable(&error) => form(s, &[], &words),
        _ => Err(error.into()),
    }
}

/// `GET /announcements/{id}`
pub(crate) async fn show_one(s: Signed, Path(id): Path<String>) -> Answer {
    let receipts = s.call(&actions::RECEIPTS, AnnouncementRef { id: id.parse()? }).await?;
    Ok(ok(&ReceiptsPage { p: s.p(), receipts, may_tell: may_tell(&s) }))
}

/// `POST /announcements/{id}/read`
pub(crate) async fn read(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&actions::READ, AnnouncementRef { id: id.parse()? }).await?;
    Ok(done(&s.portal, "/announcements", "saved"))
}

/// `GET /announcements/{id}/end`
pub(crate) async fn ask_end(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, t) = (s.p(), &s.t().announcements);
    let found = s.call(&actions::RECEIPTS, AnnouncementRef { id: id.parse()? }).await?.announcement;
    let confirm = Confirm {
        id: "end",
        action: format!("/announcements/{id}/end"),
        csrf: p.csrf.clone(),
        title: p.with(t.end_title, &found.title),
        body: t.end_body.to_owned(),
        fields: vec![],
        hidden: vec![],
        button: t.end.to_owned(),
        danger: false,
        cancel: s.t().frame.cancel,
        back: format!("/announcements/{id}"),
        page: true,
    };
    Ok(ok(&ConfirmPage { p, summary: Summary::default(), confirm }))
}

/// `POST /announcements/{id}/end`
pub(crate) async fn end(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&actions::END, AnnouncementRef { id: id.parse()? }).await?;
    Ok(done(&s.portal, "/announcements", "saved"))
}
