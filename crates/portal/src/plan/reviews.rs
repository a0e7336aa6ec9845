//! Reviews of the plan, and everything that reviews and exercises have found.

use super::{date, form_page, may_edit, tabs, typed_findings};
use crate::account::{correctable, said};
use crate::page::{Page, ok};
use crate::ui::{Field, Tabs, told};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use base::Error;
use continuity::plan::Nothing;
use continuity::plan::findings::{self, CloseFinding, Finding, ListFindings};
use continuity::plan::reviews::{self, NewReview, Review};

/// Reviews and findings.
#[derive(Template)]
#[template(path = "plan/reviews.html")]
pub(crate) struct ReviewsPage<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub reviews: Vec<Review>,
    pub findings: Vec<Finding>,
    pub may_edit: bool,
    pub may_close: bool,
}

/// Whether the visitor's roles let them close findings; the gate decides.
pub(crate) fn may_close(s: &Signed) -> bool {
    may_edit(s) || s.cx.has_role("member")
}

/// `GET /plan/reviews`
pub(crate) async fn page(s: Signed) -> Answer {
    let view = ReviewsPage {
        p: s.p(),
        tabs: tabs(s.p(), "/plan/reviews"),
        reviews: s.call(&reviews::LIST, Nothing {}).await?.items,
        findings: s.call(&findings::LIST, ListFindings { closed: true }).await?.items,
        may_edit: may_edit(&s),
        may_close: may_close(&s),
    };
    Ok(ok(&view))
}

fn form(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let (t, f, form) = (&s.t().plan, &s.t().frame, &s.visit.form);
    let fields = vec![
        Field::line("heldBy", t.held_by, form.get("heldBy")),
        Field::line("heldAt", t.held_at, form.get("heldAt")).kind("date", "").hint(t.held_at_hint).optional(f.optional),
        Field::area("conclusion", t.conclusion, form.get("conclusion")).rows(6),
        Field::line("nextDue", t.next_review, form.get("nextDue")).kind("date", ""),
        Field::area("findings", t.findings, form.get("findings")).hint(t.findings_hint).optional(f.optional),
        Field::line("findingsOwner", t.findings_owner, form.get("findingsOwner")).optional(f.optional),
        Field::line("findingsDue", t.findings_due, form.get("findingsDue")).kind("date", "").optional(f.optional),
    ];
    let fields = fields.into_iter().map(|field| told(wrong, field)).collect();
    let at = [("/plan", f.plan), ("/plan/reviews", t.tab_reviews)];
    Ok(form_page(s, &at, t.new_review.to_owned(), "/plan/reviews/new".to_owned(), fields, general))
}

/// `GET /plan/reviews/new`
pub(crate) async fn new(s: Signed) -> Answer {
    form(&s, &[], "")
}

/// What was typed; the name of what does not read.
fn typed(s: &Signed) -> Result<NewReview, &'static str> {
    let form = &s.visit.form;
    Ok(NewReview {
        held_at: date(s, "heldAt")?.map(|day| day.min(s.p().now)),
        held_by: form.get("heldBy").to_owned(),
        conclusion: form.get("conclusion").to_owned(),
        next_due: date(s, "nextDue")?.ok_or("nextDue")?,
        findings: typed_findings(s)?,
    })
}

/// `POST /plan/reviews/new`
pub(crate) async fn record(s: Signed) -> Answer {
    let review = match typed(&s) {
        Ok(review) => review,
        Err(at) => return form(&s, &[(at, s.t().errors.field_required.to_owned())], ""),
    };
    match s.call(&reviews::RECORD, review).await {
        Ok(_) => Ok(done(&s.portal, "/plan/reviews", "saved")),
        Err(error) => refuse(&s, error),
    }
}

fn refuse(s: &Signed, error: Error) -> Answer {
    let words = said(s, &error);
    match error.attribute() {
        Some(at @ ("heldBy" | "conclusion" | "nextDue")) => form(s, &[(at, words)], ""),
        Some("owner") => form(s, &[("findingsOwner", words)], ""),
        _ if correctable(&error) => form(s, &[], &words),
        _ => Err(error.into()),
    }
}

async fn close_form(s: &Signed, id: &str, wrong: &str) -> Answer {
    let (t, f) = (&s.t().plan, &s.t().frame);
    let all = s.call(&findings::LIST, ListFindings { closed: true }).await?.items;
    let found = all.into_iter().find(|one| one.id.to_string() == id);
    let found = found.ok_or_else(|| Error::not_found("finding.not_found", format!("there is no finding {id}")))?;
    let field = Field::area("note", t.done_about_it, s.visit.form.get("note")).hint(found.text).error(wrong);
    let at = [("/plan", f.plan), ("/plan/reviews", t.tab_reviews)];
    Ok(form_page(s, &at, t.close_finding.to_owned(), format!("/plan/findings/{id}/close"), vec![field], ""))
}

/// `GET /plan/findings/{id}/close`
pub(crate) async fn ask_close(s: Signed, Path(id): Path<String>) -> Answer {
    close_form(&s, &id, "").await
}

/// `POST /plan/findings/{id}/close`
pub(crate) async fn close(s: Signed, Path(id): Path<String>) -> Answer {
    let input = CloseFinding { id: id.parse()?, note: s.visit.form.get("note").to_owned() };
    match s.call(&findings::CLOSE, input).await {
        Ok(_) => Ok(done(&s.portal, "/plan/reviews", "saved")),
        Err(error) if correctable(&error) => close_form(&s, &id, &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}
