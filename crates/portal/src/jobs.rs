//! Jobs: one thing each, done again until it succeeds; those that failed for
//! good wait here for a person.

use crate::account::{ConfirmPage, correctable, said};
use crate::i18n::said_of;
use crate::operator::{JobRow, Jobs};
use crate::page::{Page, ok, show};
use crate::records::ROWS;
use crate::ui::{Confirm, Field, Summary, Tabs};
use crate::visit::{Answer, Signed, done};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::{Error, Result};
use durable::jobs as actions;

/// `GET /operator/jobs`
pub(crate) async fn list(s: Signed) -> Answer {
    let (p, t) = (s.p(), s.t());
    let all = s.visit.query.get("show") == "all";
    let after = s.visit.query.get("after").to_owned();
    let input = actions::ListJobs {
        state: (!all).then(|| "dead".to_owned()),
        after: if after.is_empty() { None } else { Some(after.parse()?) },
        limit: Some(ROWS),
    };
    let found = s.call(&actions::LIST, input).await?;
    let names = crate::customers::names(&s, found.items.iter().map(|job| job.tenant)).await;
    let rows: Vec<JobRow> = found
        .items
        .iter()
        .map(|job| JobRow {
            id: job.id.to_string(),
            kind: job.kind.clone(),
            customer: names.get(&job.tenant).cloned().unwrap_or_default(),
            state: if job.state == "ready" { "queued".to_owned() } else { job.state.clone() },
            attempt: job.attempt,
            due: job.due,
            failure: job.failure.as_ref().map(|f| said_of(p.lang, &f.code, &f.message)).unwrap_or_default(),
            code: job.failure.as_ref().map(|f| f.code.clone()).unwrap_or_default(),
            created: job.created,
        })
        .collect();
    let base = if all { "/operator/jobs?show=all" } else { "/operator/jobs" };
    let next = found.next.map(|id| id.to_string());
    let pager = p.pager(base, rows.len(), next.as_deref(), !after.is_empty());
    let tabs = Tabs {
        label: t.frame.jobs.to_owned(),
        links: vec![
            ("/operator/jobs".to_owned(), t.operator.tab_attention.to_owned(), !all),
            ("/operator/jobs?show=all".to_owned(), t.operator.tab_all.to_owned(), all),
        ],
    };
    let may_decide = ["administrator", "operations"].iter().any(|role| s.cx.has_role(role));
    Ok(ok(&Jobs { p, tabs, jobs: rows, pager, may_decide }))
}

/// How many wait for a person; more than a page is said as such.
pub(crate) async fn dead(s: &Signed) -> Result<usize> {
    let input = actions::ListJobs { state: Some("dead".to_owned()), after: None, limit: Some(100) };
    Ok(s.call(&actions::LIST, input).await?.items.len())
}

fn question(p: &Page, id: &str, verb: &str, wrong: &str) -> Result<Confirm> {
    let o = &p.t.operator;
    let (id_of, title, body, button, danger) = match verb {
        "retry" => ("retry", o.job_retry_title, o.job_retry_body, o.retry, false),
        "discard" => ("discard", o.job_discard_title, o.job_discard_body, o.job_discard, true),
        _ => return Err(Error::not_found("page.not_found", "there is no such decision")),
    };
    Ok(Confirm {
        id: id_of,
        action: format!("/operator/jobs/{id}/{verb}"),
        csrf: p.csrf.clone(),
        title: title.to_owned(),
        body: body.to_owned(),
        fields: vec![Field::area("reason", p.t.frame.reason, "").hint(p.t.frame.reason_hint).error(wrong)],
        hidden: vec![],
        button: button.to_owned(),
        danger,
        cancel: p.t.frame.cancel,
        back: "/operator/jobs".to_owned(),
        page: true,
    })
}

fn asked(s: &Signed, id: &str, verb: &str, wrong: &str, general: &str) -> Result<Response> {
    let confirm = question(s.p(), id, verb, wrong)?;
    let summary = Summary::gather(s.t().frame.form_wrong, &confirm.fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(show(status, &ConfirmPage { p: s.p(), summary, confirm }))
}

/// `GET /operator/jobs/{id}/{verb}`
pub(crate) async fn ask(s: Signed, Path((id, verb)): Path<(String, String)>) -> Answer {
    Ok(asked(&s, &id, &verb, "", "")?)
}

/// `POST /operator/jobs/{id}/{verb}`
pub(crate) async fn decide(s: Signed, Path((id, verb)): Path<(String, String)>) -> Answer {
    question(s.p(), &id, &verb, "")?;
    let reason = s.visit.form.get("reason").to_owned();
    if reason.is_empty() {
        return Ok(asked(&s, &id, &verb, s.t().errors.field_required, "")?);
    }
    let action = if verb == "retry" { &actions::RETRY } else { &actions::DISCARD };
    let s = Signed { cx: s.cx.because(&reason), ..s };
    match s.call(action, actions::DecideJob { id: id.parse()?, reason }).await {
        Ok(_) => Ok(done(&s.portal, "/operator/jobs", "job-decided")),
        Err(error) if correctable(&error) => Ok(asked(&s, &id, &verb, "", &said(&s, &error))?),
        Err(error) => Err(error.into()),
    }
}
