//! The guided start: a few questions, what their answers would make, and then it is made.

use crate::account::{correctable, said};
use crate::i18n::{Plan as Words, fill};
use crate::page::{Page, ok, show};
use crate::protection;
use crate::ui::{Choice, Field, Notice, Summary, Tone, told};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::http::StatusCode;
use base::Error;
use continuity::BackupPolicyId;
use continuity::backups::points::ServiceRef;
use continuity::backups::protections;
use continuity::start::{self, Answers, Made, SERVICES_MAX, Urgent, Who};

/// The questions.
#[derive(Template)]
#[template(path = "plan/start.html")]
pub(crate) struct StartPage<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub fields: Vec<Field>,
    /// Of each service: how long it may be away, how much may be lost.
    pub services: Vec<(String, Vec<Field>)>,
    /// Services are not backed up, and there is nothing to choose from.
    pub no_offer: Option<Notice>,
}

/// What the answers would make.
#[derive(Template)]
#[template(path = "plan/start_preview.html")]
pub(crate) struct PreviewPage<'a> {
    pub p: &'a Page,
    pub items: Vec<String>,
    /// The answers, to be sent again.
    pub answers: Vec<(String, String)>,
}

/// How long, in seconds, with its words; empty: the service is left out.
const SPANS: [(&str, u64); 5] = [("1h", 3_600), ("4h", 14_400), ("1d", 86_400), ("3d", 259_200), ("1w", 604_800)];

fn spans(s: &Signed, name: &str, or: &str) -> Vec<Choice> {
    let form = &s.visit.form;
    let chosen = if form.has(name) { form.get(name) } else { or };
    let span = |(word, seconds): (&str, u64)| {
        let label = s.p().span(i64::try_from(seconds).unwrap_or(i64::MAX));
        Choice { chosen: word == chosen, ..Choice::new(word, label) }
    };
    SPANS.map(span).to_vec()
}

/// A policy that is offered: its id, its name, and what it means in a line.
type Offer = (BackupPolicyId, String, String);

/// The policies to ask about, and the services that have none.
async fn unprotected(s: &Signed) -> base::Result<(Vec<Offer>, Vec<String>)> {
    let mut bare = Vec::new();
    for (id, _) in crate::plan::runbooks::living(s).await? {
        let protected = s.call(&protections::GET, ServiceRef { id: id.clone() }).await?;
        bare.extend(protected.policy.is_none().then_some(id));
    }
    let offers = if bare.is_empty() || !protection::chooses(s) { Vec::new() } else { protection::choices(s).await? };
    Ok((offers, bare))
}

/// By which policy a service is backed up that is not yet: the first unless said otherwise.
fn by_policy(s: &Signed, id: &str, offers: &[Offer]) -> Field {
    let (t, form) = (&s.t().plan, &s.visit.form);
    let name = format!("policy-{id}");
    let first = offers.first().map(|(id, ..)| id.to_string()).unwrap_or_default();
    let now = if form.has(&name) { form.get(&name).to_owned() } else { first };
    let each = offers.iter().map(|(id, label, line)| (id.to_string(), label, line));
    let each = each.map(|(id, label, line)| Choice { chosen: id == now, ..Choice::new(id, label).note(line.as_str()) });
    let none = Choice { chosen: now == "-", ..Choice::new("-", t.start_no_policy) };
    Field::select(name, t.start_policy, each.chain([none]).collect())
}

/// The questions about a service; `in_time`: it is among those that a first plan takes.
fn of_service(s: &Signed, id: &str, in_time: bool) -> Vec<Field> {
    let t = &s.t().plan;
    let (rto, rpo) = (format!("rto-{id}"), format!("rpo-{id}"));
    let chosen = if s.visit.form.has(&rto) { s.visit.form.get(&rto) == "-" } else { !in_time };
    let out = Choice { chosen, ..Choice::new("-", t.start_leave_out) };
    let mut away = spans(s, &rto, if in_time { "1d" } else { "" });
    away.push(out);
    let lost = spans(s, &rpo, "1d");
    vec![Field::select(rto, t.start_away, away), Field::select(rpo, t.start_lost, lost)]
}

async fn form(s: &Signed, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, t, f, form) = (s.p(), &s.t().plan, &s.t().frame, &s.visit.form);
    let me = p.who.as_ref().map(|who| who.name.clone()).unwrap_or_default();
    let lead = if form.has("lead") { form.get("lead").to_owned() } else { me };
    let fields = [
        Field::area("purpose", t.start_purpose, form.get("purpose")).hint(t.start_purpose_hint),
        Field::line("lead", t.start_lead, lead),
        Field::line("leadPhone", t.phone, form.get("leadPhone")).kind("tel", "off").hint(t.phone_hint),
        Field::line("deputy", t.start_deputy, form.get("deputy")).optional(f.optional),
        Field::line("deputyPhone", t.start_deputy_phone, form.get("deputyPhone"))
            .kind("tel", "off")
            .optional(f.optional),
    ];
    let fields: Vec<Field> = fields.into_iter().map(|field| told(wrong, field)).collect();
    let services = crate::plan::runbooks::living(s).await?;
    let (offers, bare) = unprotected(s).await?;
    let questions = |(n, (id, name)): (usize, (String, String))| {
        let mut fields = of_service(s, &id, n < SERVICES_MAX);
        fields.extend((!offers.is_empty() && bare.contains(&id)).then(|| by_policy(s, &id, &offers)));
        (name, fields)
    };
    let services = services.into_iter().enumerate().map(questions).collect();
    let no_offer = (!bare.is_empty() && offers.is_empty())
        .then(|| Notice::new(Tone::Care, s.t().rules.none_offered, s.t().rules.none_offered_body));
    let summary = Summary::gather(f.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(show(status, &StartPage { p, summary, fields, services, no_offer }))
}

/// `GET /plan/start`
pub(crate) async fn page(s: Signed) -> Answer {
    form(&s, &[], "").await
}

/// What was answered, and the same as it was sent.
async fn typed(s: &Signed) -> base::Result<(Answers, Vec<(String, String)>)> {
    let form = &s.visit.form;
    let text = |name: &str| form.get(name).to_owned();
    let seconds = |name: &str| SPANS.iter().find(|(word, _)| *word == form.get(name)).map(|(_, seconds)| *seconds);
    let names = ["purpose", "lead", "leadPhone", "deputy", "deputyPhone"];
    let mut sent: Vec<(String, String)> = names.iter().map(|name| ((*name).to_owned(), text(name))).collect();
    let mut services = Vec::new();
    for (id, _) in crate::plan::runbooks::living(s).await? {
        let (rto, rpo, by) = (format!("rto-{id}"), format!("rpo-{id}"), format!("policy-{id}"));
        let policy = Some(form.get(&by)).filter(|by| !by.is_empty() && *by != "-").map(str::parse).transpose()?;
        if let (Some(rto_seconds), Some(rpo_seconds)) = (seconds(&rto), seconds(&rpo)) {
            services.push(Urgent { service: id, rto_seconds, rpo_seconds, policy });
        }
        sent.extend([rto, rpo, by].map(|name| (name.clone(), text(&name))));
    }
    let answers = Answers {
        locale: s.p().lang.code().to_owned(),
        purpose: text("purpose"),
        lead: Who { name: text("lead"), phone: text("leadPhone") },
        deputy: Who { name: text("deputy"), phone: text("deputyPhone") },
        services,
        policy: None,
    };
    Ok((answers, sent))
}

fn line(p: &Page, t: &'static Words, made: &Made) -> String {
    match made {
        Made::Contact { name } => p.with(t.start_contact, name),
        Made::Activity { name, .. } => p.with(t.start_activity, name),
        Made::Protection { name, policy, .. } => p.with2(t.start_protection, name, policy),
        Made::DrillPlan { name, .. } => p.with(t.start_drill, name),
        Made::Runbook { name, .. } => p.with(t.start_runbook, name),
        Made::Exercise { name } => p.with(t.start_exercise, name),
        Made::Step { number, due_at } => fill(t.start_step, &[number, &p.date(due_at)]),
    }
}

/// `POST /plan/start`: shows what the answers would make or, once that was seen, makes it.
pub(crate) async fn answer(s: Signed) -> Answer {
    let (answers, sent) = typed(&s).await?;
    let make = s.visit.form.get("make") == "true";
    let started = match make {
        true => s.call(&start::MAKE, answers).await,
        false => s.call(&start::PREVIEW, answers).await,
    };
    match started {
        Ok(_) if make => Ok(done(&s.portal, "/plan", "saved")),
        Ok(started) => {
            let items = started.items.iter().map(|made| line(s.p(), &s.t().plan, made)).collect();
            Ok(ok(&PreviewPage { p: s.p(), items, answers: sent }))
        }
        Err(error) => refuse(&s, error).await,
    }
}

async fn refuse(s: &Signed, error: Error) -> Answer {
    let words = said(s, &error);
    let field = match error.attribute() {
        Some("purpose") => Some("purpose"),
        Some("lead.name") => Some("lead"),
        Some("lead.phone") => Some("leadPhone"),
        Some("deputy.name") => Some("deputy"),
        Some("deputy.phone") => Some("deputyPhone"),
        _ => None,
    };
    match field {
        Some(field) => form(s, &[(field, words)], "").await,
        None if correctable(&error) => form(s, &[], &words).await,
        None => Err(error.into()),
    }
}
