//! Approvals: what needs a second person, exactly what would happen, and deciding.

use crate::account::{correctable, said};
use crate::i18n::{Lang, said_of};
use crate::page::{Page, ok, show};
use crate::ui::{Choice, Field, Summary, Tabs};
use crate::visit::{Answer, Signed, done};
use access::accounts::actions::{LIST as MEMBERS, ListAccounts};
use access::approvals::actions::{ApprovalDetail, ApprovalRef, Approve, AskApproval, Decline, ListApprovals, Which};
use access::approvals::settings::{Ruled, SamePerson, SetRule, TwoAccounts};
use access::approvals::{self, Approval, Problem, State, approvable};
use access::roles::actions::Nothing;
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::Error;
use serde_json::Value as Json;

/// Requests.
#[derive(Template)]
#[template(path = "approvals/list.html")]
pub(crate) struct ApprovalsPage<'a> {
    pub p: &'a Page,
    pub tabs: Tabs,
    pub items: Vec<Approval>,
    pub may_rule: bool,
}

/// One request, and the forms that decide it.
#[derive(Template)]
#[template(path = "approvals/show.html")]
pub(crate) struct ApprovalPage<'a> {
    pub p: &'a Page,
    pub found: ApprovalDetail,
    pub summary: Summary,
    pub note: Field,
    /// Whether the visitor asked for it, and it waits.
    pub own: bool,
}

/// The refusal of something that needs a second person, with the form that asks one.
#[derive(Template)]
#[template(path = "approvals/ask.html")]
pub(crate) struct AskPage<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub action: String,
    /// What it is in words, where it has some.
    pub words: &'static str,
    pub input: String,
    pub reason: Field,
}

/// What needs a second person here.
#[derive(Template)]
#[template(path = "approvals/rule.html")]
pub(crate) struct RulePage<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    pub settling_hours: i64,
    pub boxes: Field,
    pub persons: Vec<SamePerson>,
    pub one: Field,
    pub other: Field,
}

/// What an action is in the reader's language.
pub(crate) fn in_words(p: &Page, amounts_to: &str) -> &'static str {
    let (en, zh) = approvable::words(amounts_to);
    if p.lang == Lang::Zh { zh } else { en }
}

/// Why it could not be done, in the reader's language where its code is known.
pub(crate) fn trouble(p: &Page, problem: &Problem) -> String {
    said_of(p.lang, &problem.code, &problem.message)
}

/// The rows of a JSON object, one a line: what somebody who decides reads.
pub(crate) fn rows(value: &Json) -> Vec<(String, String)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.clone(), plain(value))).collect()
}

/// A value as people read it; what has parts is shown as it is.
pub(crate) fn plain(value: &Json) -> String {
    match value {
        Json::Null => "–".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(all) if all.iter().all(Json::is_string) => {
            all.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", ")
        }
        Json::Object(_) | Json::Array(_) => format!("{value:#}"),
        other => other.to_string(),
    }
}

/// Whether the visitor's roles let them set the rule; the gate decides.
fn may_rule(s: &Signed) -> bool {
    ["owner", "administrator"].iter().any(|role| s.cx.has_role(role))
}

/// `GET /approvals`
pub(crate) async fn page(s: Signed) -> Answer {
    let (p, t) = (s.p(), &s.t().approvals);
    let which = match s.visit.query.get("which") {
        "mine" => Which::Mine,
        "all" => Which::All,
        _ => Which::ToDecide,
    };
    let tab = |href: &str, label: &str, is: Which| (href.to_owned(), label.to_owned(), which == is);
    let links = vec![
        tab("/approvals", t.to_decide, Which::ToDecide),
        tab("/approvals?which=mine", t.mine, Which::Mine),
        tab("/approvals?which=all", t.all, Which::All),
    ];
    let items = s.call(&approvals::LIST, ListApprovals { which }).await?.items;
    let tabs = Tabs { label: t.title.to_owned(), links };
    Ok(ok(&ApprovalsPage { p, tabs, items, may_rule: may_rule(&s) }))
}

async fn one(s: &Signed, id: &str, general: &str) -> Answer {
    let (p, t) = (s.p(), s.t());
    let found = s.call(&approvals::GET, ApprovalRef { id: id.parse()? }).await?;
    let own = found.approval.state == State::Waiting && s.cx.account() == Some(found.approval.requester);
    let note = Field::line("note", t.approvals.note, s.visit.form.get("note")).optional(t.frame.optional);
    let summary = Summary::gather(t.frame.form_wrong, &[], general);
    let status = if general.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok(show(status, &ApprovalPage { p, found, summary, note, own }))
}

/// `GET /approvals/{id}`
pub(crate) async fn show_one(s: Signed, Path(id): Path<String>) -> Answer {
    one(&s, &id, "").await
}

/// Back to the request after a decision, or the request with what stood in the way.
async fn decided(s: &Signed, id: &str, result: base::Result<Approval>) -> Answer {
    match result {
        Ok(approval) => {
            let code = if approval.state == State::Done { "approved" } else { "" };
            Ok(done(&s.portal, &format!("/approvals/{}", approval.id), code))
        }
        Err(error) if correctable(&error) || error.code().starts_with("approval.") => {
            one(s, id, &said(s, &error)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /approvals/{id}`: approve, decline or withdraw.
pub(crate) async fn decide(s: Signed, Path(id): Path<String>) -> Answer {
    let form = &s.visit.form;
    let (known, note) = (id.parse()?, form.get("note").to_owned());
    let result = match form.get("decision") {
        "approve" => {
            s.call(&approvals::APPROVE, Approve { id: known, digest: form.get("digest").to_owned(), note }).await
        }
        "decline" => s.call(&approvals::DECLINE, Decline { id: known, reason: note }).await,
        "withdraw" => s.call(&approvals::WITHDRAW, ApprovalRef { id: known }).await,
        _ => return one(&s, &id, "").await,
    };
    decided(&s, &id, result).await
}

/// The page that a refusal becomes: with the form that asks for exactly what was refused.
pub(crate) fn ask_page(p: &Page, action: &str, input: &str, reason: Field, general: &str) -> Response {
    let summary = Summary::gather(p.t.frame.form_wrong, &[&reason], general);
    let (action, input) = (action.to_owned(), input.to_owned());
    let view = AskPage { p, summary, words: in_words(p, &action), action, input, reason };
    show(StatusCode::FORBIDDEN, &view)
}

/// The question why.
pub(crate) fn reason(p: &Page, value: &str) -> Field {
    Field::area("reason", p.t.approvals.why, value).hint(p.t.approvals.why_hint)
}

/// `POST /approvals`
pub(crate) async fn ask(s: Signed) -> Answer {
    let form = &s.visit.form;
    let action = form.get("action").to_owned();
    let input = serde_json::from_str(form.raw("input"))
        .map_err(|e| Error::invalid("input.malformed", "the input is no JSON").because(e))?;
    let asked = AskApproval { action: action.clone(), input, reason: form.get("reason").to_owned() };
    match s.call(&approvals::ASK, asked).await {
        Ok(made) => Ok(done(&s.portal, &format!("/approvals/{}", made.id), "approval-asked")),
        Err(error) if error.attribute() == Some("reason") => {
            let field = reason(s.p(), form.get("reason")).error(said(&s, &error));
            Ok(ask_page(s.p(), &action, form.raw("input"), field, ""))
        }
        Err(error) if correctable(&error) => {
            let field = reason(s.p(), form.get("reason"));
            Ok(ask_page(s.p(), &action, form.raw("input"), field, &said(&s, &error)))
        }
        Err(error) => Err(error.into()),
    }
}

fn box_of(p: &Page, one: &Ruled) -> Choice {
    let t = &p.t.approvals;
    let mut note = p.with(t.rule_able, one.able);
    let told = [(one.usual, t.rule_usual), (one.from_above, t.rule_above), (one.by_provider, t.rule_by_provider)];
    for (is, words) in told {
        if is {
            note.push_str(" · ");
            note.push_str(words);
        }
    }
    Choice { chosen: one.on, ..Choice::new(one.action.clone(), in_words(p, &one.action)).note(note) }
}

async fn rule_with(s: &Signed, general: &str) -> Answer {
    let (p, t) = (s.p(), &s.t().approvals);
    let rule = s.call(&approvals::GET_RULE, Nothing {}).await?;
    let members = s.call(&MEMBERS, ListAccounts { limit: Some(100), ..ListAccounts::default() }).await?.items;
    let people = || -> Vec<Choice> {
        let name = |m: &access::accounts::Member| format!("{} <{}>", m.account.name, m.account.email);
        members.iter().map(|member| Choice::new(member.account.id.to_string(), name(member))).collect()
    };
    let boxes = rule.actions.iter().map(|one| box_of(p, one)).collect();
    let view = RulePage {
        p,
        summary: Summary::gather(s.t().frame.form_wrong, &[], general),
        settling_hours: rule.settling_hours,
        boxes: Field::boxes("action", t.rule_actions, boxes),
        persons: rule.same_persons,
        one: Field::select("account", t.one, people()),
        other: Field::select("other", t.other, people()),
    };
    let status = if general.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
    Ok(show(status, &view))
}

/// `GET /approvals/rule`
pub(crate) async fn rule(s: Signed) -> Answer {
    rule_with(&s, "").await
}

/// `POST /approvals/rule`
pub(crate) async fn set_rule(s: Signed) -> Answer {
    let form = &s.visit.form;
    let pair = || -> base::Result<TwoAccounts> {
        Ok(TwoAccounts { account: form.get("account").parse()?, other: form.get("other").parse()? })
    };
    let result = match form.get("what") {
        "link" => s.call(&approvals::LINK, pair()?).await,
        "unlink" => s.call(&approvals::UNLINK, pair()?).await,
        _ => {
            let actions = form.all("action").into_iter().map(str::to_owned).collect();
            s.call(&approvals::SET_RULE, SetRule { actions }).await
        }
    };
    match result {
        Ok(_) => Ok(done(&s.portal, "/approvals/rule", "saved")),
        Err(error) if correctable(&error) => rule_with(&s, &said(&s, &error)).await,
        Err(error) => Err(error.into()),
    }
}
