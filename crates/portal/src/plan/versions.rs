//! Versions of the plan: who asked, who decided, what differs.

use super::{both, may_edit, tabs};
use crate::account::{correctable, said};
use crate::page::{Page, show};
use crate::ui::{Field, Summary, Tabs};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use continuity::drills::rules::Objectives;
use continuity::plan::Nothing;
use continuity::plan::steps;
use continuity::plan::versions::{
    self, AskApproval, Decide, Difference, Frozen, FrozenPlan, FrozenStep, State, Version, VersionRef,
};

/// All versions, and the form that asks for the next.
#[derive(Template)]
#[template(path = "plan/versions.html")]
pub(crate) struct VersionsPage<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub versions: Vec<Version>,
    pub summary: Summary,
    /// The field of the form; none where the visitor may not ask.
    pub ask: Option<Field>,
}

/// One version.
#[derive(Template)]
#[template(path = "plan/version.html")]
pub(crate) struct VersionPage<'a> {
    pub p: &'a Page,
    pub version: Version,
    /// All that it says: what is decided about, also where there is nothing to hold it against.
    pub steps: Vec<StepSaid>,
    pub says: Frozen,
    pub since: Option<i64>,
    pub differences: Vec<Difference>,
    pub summary: Summary,
    /// The field of the decision; none where there is nothing for the visitor to decide.
    pub decide: Option<Field>,
    /// It waits, and the visitor has asked for it.
    pub own: bool,
}

/// A step of a version.
pub(crate) struct StepSaid {
    pub title: String,
    pub said: FrozenStep,
}

impl VersionPage<'_> {
    /// How fast, with how little loss.
    fn promise(&self, one: &FrozenPlan) -> String {
        let span = |seconds| self.p.span(i64::try_from(seconds).unwrap_or(i64::MAX));
        let words = |own: &Objectives| {
            let t = &self.p.t.drills;
            format!("{} {} · {} {}", t.rto, span(own.rto_seconds), t.rpo, span(own.rpo_seconds))
        };
        one.objectives.as_ref().map_or_else(|| "–".to_owned(), words)
    }
}

/// The steps of a version, each under its title.
pub(crate) fn steps_said(p: &Page, frozen: &Frozen) -> Result<Vec<StepSaid>, base::Error> {
    let definitions = steps::definitions()?;
    let titled = |said: &FrozenStep| {
        let title = definitions.iter().find(|one| one.number == said.number).map(|one| both(p, &one.title));
        StepSaid { title: title.unwrap_or_default(), said: said.clone() }
    };
    Ok(frozen.steps.iter().map(titled).collect())
}

async fn list(s: &Signed, general: &str) -> Answer {
    let (p, t) = (s.p(), s.t());
    let field = Field::area("note", t.plan.note, s.visit.form.get("note")).optional(t.frame.optional);
    let summary = Summary::gather(t.frame.form_wrong, &[], general);
    let status = if general.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
    let view = VersionsPage {
        p,
        tabs: tabs(p, "/plan/versions"),
        versions: s.call(&versions::LIST, Nothing {}).await?.items,
        summary,
        ask: may_edit(s).then_some(field),
    };
    Ok(show(status, &view))
}

/// `GET /plan/versions`
pub(crate) async fn page(s: Signed) -> Answer {
    list(&s, "").await
}

/// `POST /plan/versions`
pub(crate) async fn ask(s: Signed) -> Answer {
    let input = AskApproval { note: s.visit.form.get("note").to_owned() };
    match s.call(&versions::ASK, input).await {
        Ok(version) => Ok(done(&s.portal, &format!("/plan/versions/{}", version.number), "saved")),
        Err(error) if correctable(&error) => list(&s, &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}

async fn one(s: &Signed, number: &str, wrong: &str) -> Answer {
    let (p, t) = (s.p(), s.t());
    let found = s.call(&versions::GET, VersionRef { number: number.parse().unwrap_or_default() }).await?;
    let waits = found.version.state == State::Waiting;
    let own = s.cx.account().is_some_and(|account| account.to_string() == found.version.asked_by);
    let may_decide = ["owner", "administrator"].iter().any(|role| s.cx.has_role(role));
    let field = Field::area("reason", t.plan.reason, s.visit.form.get("reason"));
    let field = field.hint(t.plan.reason_hint).optional(t.frame.optional).error(wrong);
    let summary = Summary::gather(t.frame.form_wrong, &[&field], "");
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let view = VersionPage {
        p,
        steps: steps_said(p, &found.plan)?,
        says: found.plan,
        since: found.since,
        differences: found.differences,
        version: found.version,
        summary,
        decide: (waits && may_decide && !own).then_some(field),
        own: waits && own,
    };
    Ok(show(status, &view))
}

/// `GET /plan/versions/{number}`
pub(crate) async fn show_one(s: Signed, Path(number): Path<String>) -> Answer {
    one(&s, &number, "").await
}

/// `POST /plan/versions/{number}`
pub(crate) async fn decide(s: Signed, Path(number): Path<String>) -> Answer {
    let form = &s.visit.form;
    let input = Decide {
        number: number.parse().unwrap_or_default(),
        approve: form.get("decision") == "approve",
        reason: form.get("reason").to_owned(),
    };
    match s.call(&versions::DECIDE, input).await {
        Ok(_) => Ok(done(&s.portal, "/plan/versions", "saved")),
        Err(error) if correctable(&error) => one(&s, &number, &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}
