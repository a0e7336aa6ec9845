//! The plan as it leaves the printer: it works on paper, when all systems are down.

use super::{StepRow, row};
use crate::drills::scenario;
use crate::page::{Page, ok};
use crate::visit::{Answer, Signed};
use askama::Template;
use base::time::Timestamp;
use continuity::drills::rules::Objectives;
use continuity::exercises::Exercise;
use continuity::plan::Nothing;
use continuity::plan::contacts::Call;
use continuity::plan::findings::Finding;
use continuity::plan::paper::{self, Paper, Promise};
use continuity::plan::versions::Version;
use continuity::runbooks::Runbook;

/// A step with what is said of it.
#[derive(Clone, Debug)]
pub(crate) struct PaperStep {
    pub row: StepRow,
    pub text: String,
}

/// What is promised of services.
#[derive(Clone, Debug)]
pub(crate) struct PromiseRow {
    pub name: String,
    pub services: String,
    pub scenario: &'static str,
    pub rto: String,
    pub rpo: String,
    pub owner: String,
    pub last: Option<(bool, Timestamp)>,
}

/// The plan on paper.
#[derive(Template)]
#[template(path = "plan/paper.html")]
pub(crate) struct PaperPage<'a> {
    pub p: &'a Page,
    pub firm: String,
    pub printed: Timestamp,
    pub version: Option<Version>,
    pub approver: String,
    pub is_draft: bool,
    pub steps: Vec<PaperStep>,
    pub calls: Vec<Call>,
    pub promises: Vec<PromiseRow>,
    pub runbooks: Vec<Runbook>,
    pub exercises: Vec<Exercise>,
    pub findings: Vec<Finding>,
}

fn promise(p: &Page, one: &Promise) -> PromiseRow {
    let span = |which: fn(&Objectives) -> u64| {
        let seconds = one.objectives.as_ref().map(|own| i64::try_from(which(own)).unwrap_or(i64::MAX));
        seconds.map_or_else(|| "–".to_owned(), |seconds| p.span(seconds).to_string())
    };
    PromiseRow {
        name: one.name.clone(),
        services: one.services.join(" → "),
        scenario: scenario(&p.t.drills, &one.scenario),
        rto: span(|own| own.rto_seconds),
        rpo: span(|own| own.rpo_seconds),
        owner: one.owner.clone(),
        last: one.last.as_ref().map(|last| (last.passed, last.at)),
    }
}

/// What is printed.
pub(crate) fn view(p: &Page, paper: Paper) -> PaperPage<'_> {
    let approver = paper.plan.approved.as_ref().and_then(|version| version.decided_by.clone()).unwrap_or_default();
    let steps = paper.plan.steps.iter().map(|step| PaperStep { row: row(p, step), text: step.own_text.clone() });
    PaperPage {
        p,
        firm: p.who.as_ref().map(|who| who.tenant.clone()).unwrap_or_default(),
        printed: paper.printed_at,
        approver: paper.people.get(&approver).cloned().unwrap_or(approver),
        is_draft: paper.plan.is_draft,
        steps: steps.collect(),
        promises: paper.promises.iter().map(|one| promise(p, one)).collect(),
        version: paper.plan.approved,
        calls: paper.calls,
        runbooks: paper.runbooks,
        exercises: paper.exercises,
        findings: paper.findings,
    }
}

/// `GET /plan/print`
pub(crate) async fn page(s: Signed) -> Answer {
    let paper = s.call(&paper::PRINT, Nothing {}).await?;
    Ok(ok(&view(s.p(), paper)))
}
