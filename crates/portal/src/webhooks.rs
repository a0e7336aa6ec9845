//! Webhooks: subscriptions of the acting tenant to what happens to its records,
//! and what was sent to each.

use crate::account::{ConfirmPage, correctable, said};
use crate::page::{Page, ok, show};
use crate::ui::{Choice, Confirm, Copy, Field, Pager, Summary, Tabs};
use crate::visit::{Answer, Signed, done};
use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use base::time::Timestamp;
use base::{Error, Result, limits};
use web::hub as actions;
use web::hub::Subscription;

/// A subscription in the list.
#[derive(Clone, Debug)]
pub(crate) struct HookRow {
    pub id: String,
    pub callback: String,
    pub api: String,
    pub query: String,
    pub created: Timestamp,
    pub gone: bool,
}

/// The subscriptions, with the form that makes one.
#[derive(Template)]
#[template(path = "webhooks/list.html")]
pub(crate) struct Hooks<'a> {
    pub p: &'a Page,
    pub summary: Summary,
    /// The secret of the one just made, shown this once.
    pub secret: Option<Copy>,
    pub hooks: Vec<HookRow>,
    pub fields: Vec<Field>,
    pub may_change: bool,
}

/// A notification on its way, or where it ended.
#[derive(Clone, Debug)]
pub(crate) struct DeliveryRow {
    pub id: String,
    pub event: String,
    pub record: String,
    pub at: Timestamp,
    pub state: String,
    pub attempts: i64,
    pub due: Timestamp,
    pub failure: String,
    pub again: bool,
}

/// One subscription and what was sent to it.
#[derive(Template)]
#[template(path = "webhooks/show.html")]
pub(crate) struct HookPage<'a> {
    pub p: &'a Page,
    pub hook: HookRow,
    pub tabs: Tabs,
    pub deliveries: Vec<DeliveryRow>,
    pub pager: Pager,
    pub may_change: bool,
}

fn row(hook: &Subscription) -> HookRow {
    HookRow {
        id: hook.id.clone(),
        callback: hook.callback.clone(),
        api: short(&hook.api),
        query: hook.query.clone(),
        created: hook.created,
        gone: hook.gone.is_some(),
    }
}

/// `/tmf-api/productOrderingManagement/v4` as `productOrderingManagement v4`.
fn short(api: &str) -> String {
    api.trim_start_matches("/tmf-api/").replace('/', " ")
}

/// Whether the visitor's roles let them subscribe; the gate decides.
fn may_change(s: &Signed) -> bool {
    ["owner", "administrator", "operations"].iter().any(|role| s.cx.has_role(role))
}

async fn page(s: &Signed, secret: Option<String>, wrong: &[(&str, String)], general: &str) -> Answer {
    let (p, t, form) = (s.p(), s.t(), &s.visit.form);
    let w = &t.webhooks;
    let hooks = s.call(&actions::LIST, actions::ListInput { after: None }).await?;
    let told = |field: Field| match wrong.iter().find(|(name, _)| *name == field.name) {
        Some((_, words)) => field.error(words.clone()),
        None => field,
    };
    let kept = |name: &str| if secret.is_some() { "" } else { form.get(name) };
    let choices = s.portal.hub.apis().into_keys().map(|api| {
        let mut choice = Choice::new(api, short(api));
        choice.chosen = if form.has("api") { form.get("api") == api } else { api.contains("productOrdering") };
        choice
    });
    let fields = vec![
        told(Field::select("api", w.api, choices.collect())),
        told(Field::line("callback", w.callback, kept("callback")).kind("url", "off").hint(w.callback_hint)),
        told(Field::line("query", w.query, kept("query")).hint(w.query_hint).optional(t.frame.optional)),
    ];
    let summary = Summary::gather(t.frame.form_wrong, &fields.iter().collect::<Vec<_>>(), general);
    let status = if summary.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let secret = secret.map(|secret| p.copy("secret", secret));
    let hooks = hooks.iter().map(row).collect();
    Ok(show(status, &Hooks { p, summary, secret, hooks, fields, may_change: may_change(s) }))
}

/// `GET /webhooks`
pub(crate) async fn list(s: Signed) -> Answer {
    page(&s, None, &[], "").await
}

/// `POST /webhooks`: the answer shows the secret, this once.
pub(crate) async fn create(s: Signed) -> Answer {
    let form = &s.visit.form;
    if form.get("callback").is_empty() {
        return page(&s, None, &[("callback", s.t().errors.field_required.to_owned())], "").await;
    }
    let draft = match s.portal.hub.draft(form.get("api"), form.get("callback"), form.get("query")) {
        Ok(draft) => draft,
        Err(error) => return refuse(&s, error).await,
    };
    let secret = draft.secret().to_owned();
    match s.blocking(move |gate, cx| draft.subscribe(gate, cx)).await {
        Ok(_) => page(&s, Some(secret), &[], "").await,
        Err(error) => refuse(&s, error).await,
    }
}

async fn refuse(s: &Signed, error: Error) -> Answer {
    let words = said(s, &error);
    match (error.code(), error.attribute()) {
        ("hub.address", _) | (_, Some("callback")) => page(s, None, &[("callback", words)], "").await,
        (_, Some("query")) => page(s, None, &[("query", words)], "").await,
        _ if correctable(&error) => page(s, None, &[], &words).await,
        _ => Err(error.into()),
    }
}

/// One of the acting tenant's subscriptions.
async fn find(s: &Signed, id: &str) -> Result<Subscription> {
    let mut after = None;
    loop {
        let hooks = s.call(&actions::LIST, actions::ListInput { after }).await?;
        let more = hooks.len() >= limits::PAGE_MAX as usize;
        after = hooks.last().map(|hook| hook.id.clone()).filter(|_| more);
        if let Some(hook) = hooks.into_iter().find(|hook| hook.id == id) {
            return Ok(hook);
        }
        if after.is_none() {
            return Err(Error::not_found("hub.not_found", format!("there is no hub {id}")));
        }
    }
}

/// `GET /webhooks/{id}`
pub(crate) async fn show_one(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, t) = (s.p(), s.t());
    let hook = find(&s, &id).await?;
    let state = Some(s.visit.query.get("state").to_owned()).filter(|state| !state.is_empty());
    let after = Some(s.visit.query.get("after").to_owned()).filter(|after| !after.is_empty());
    let beyond = after.is_some();
    let input = actions::DeliveriesInput { id: id.clone(), state: state.clone(), after };
    let found = s.call(&actions::DELIVERIES, input).await?;
    let may_change = may_change(&s);
    let next = found.last().map(|last| last.id.clone()).filter(|_| found.len() >= limits::PAGE_MAX as usize);
    let base = format!("/webhooks/{id}");
    let at =
        state.as_deref().map_or_else(|| base.clone(), |state| format!("{base}?state={}", crate::http::encode(state)));
    let pager = p.pager(&at, found.len(), next.as_deref(), beyond);
    let tab = |key: &str, label: &str| {
        let href = if key.is_empty() { base.clone() } else { format!("{base}?state={key}") };
        (href, label.to_owned(), state.as_deref().unwrap_or_default() == key)
    };
    let tabs = Tabs {
        label: t.webhooks.deliveries.to_owned(),
        links: vec![
            tab("", t.frame.all),
            tab("waiting", t.state.waiting),
            tab("done", t.webhooks.delivered),
            tab("dead", t.state.given_up),
        ],
    };
    let deliveries = found.into_iter().map(|one| DeliveryRow {
        again: may_change && one.state == "dead",
        id: one.id,
        event: one.event,
        record: one.record,
        at: one.at,
        state: one.state,
        attempts: one.attempts,
        due: one.due,
        failure: one.failure,
    });
    Ok(ok(&HookPage { p, hook: row(&hook), tabs, deliveries: deliveries.collect(), pager, may_change }))
}

/// `POST /webhooks/{id}/deliveries/{delivery}/retry`
pub(crate) async fn retry(s: Signed, Path((id, delivery)): Path<(String, String)>) -> Answer {
    s.call(&actions::RETRY, actions::RetryInput { id: id.clone(), delivery }).await?;
    Ok(done(&s.portal, &format!("/webhooks/{id}"), "delivery-again"))
}

/// `GET /webhooks/{id}/end`
pub(crate) async fn ask_end(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, w) = (s.p(), &s.t().webhooks);
    let hook = find(&s, &id).await?;
    let confirm = Confirm {
        id: "end",
        action: format!("/webhooks/{id}/end"),
        csrf: p.csrf.clone(),
        title: w.end_title.to_owned(),
        body: p.with(w.end_body, &hook.callback),
        fields: vec![],
        hidden: vec![],
        button: w.end.to_owned(),
        danger: true,
        cancel: s.t().frame.cancel,
        back: format!("/webhooks/{id}"),
        page: true,
    };
    Ok(ok(&ConfirmPage { p, summary: Summary::default(), confirm }))
}

/// `POST /webhooks/{id}/end`
pub(crate) async fn end(s: Signed, Path(id): Path<String>) -> Answer {
    s.call(&actions::UNSUBSCRIBE, actions::SubscriptionInput { id }).await?;
    Ok(done(&s.portal, "/webhooks", "webhook-ended"))
}
