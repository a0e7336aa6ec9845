//! What can be done about subscriptions.

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::Class;
use gate::search::{Findable, Reach};
use gate::{Action, AnyAction, Effect, Granted, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::store;

/// A subscription, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subscription {
    /// `hub_…`.
    pub id: String,
    /// Whose records it hears of.
    pub tenant: TenantId,
    /// The base path of the API.
    pub api: String,
    /// Where notifications go.
    pub callback: String,
    /// Which are wanted; empty for all.
    pub query: String,
    /// When it was made.
    #[schemars(with = "String")]
    pub created: Timestamp,
    /// When the other side said that it is gone (410).
    #[schemars(with = "Option<String>")]
    pub gone: Option<Timestamp>,
}

/// One notification on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Delivery {
    /// The `webhook-id`.
    pub id: String,
    /// The type of event.
    pub event: String,
    /// The kind of record.
    pub kind: String,
    /// The record.
    pub record: String,
    /// Its revision that is told of.
    pub revision: i64,
    /// When it happened.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// `waiting`, `done` or `dead`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next, or when it ended.
    #[schemars(with = "String")]
    pub due: Timestamp,
    /// What went wrong last.
    pub failure: String,
}

/// What a new subscription says. The route adds the API and a fresh secret.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SubscribeInput {
    /// The base path of the API.
    pub api: String,
    /// Where notifications go.
    pub callback: String,
    /// Which are wanted.
    pub query: String,
    /// What they are signed with.
    pub secret: String,
}

/// Names one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionInput {
    /// `hub_…`.
    pub id: String,
}

/// A page of subscriptions.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ListInput {
    /// Continue after this one.
    #[serde(default)]
    pub after: Option<String>,
}

/// A page of deliveries.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DeliveriesInput {
    /// The subscription.
    pub id: String,
    /// Only those in this state.
    #[serde(default)]
    pub state: Option<String>,
    /// Continue after this one.
    #[serde(default)]
    pub after: Option<String>,
}

/// Names a delivery.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RetryInput {
    /// The subscription.
    pub id: String,
    /// The delivery.
    pub delivery: String,
}

/// Subscribes the acting tenant.
pub static SUBSCRIBE: Action<SubscribeInput, Subscription> = Action {
    name: "hub.subscribe",
    summary: "Be told, at an address of yours, what happens to records.",
    effect: Effect::Create,
    run: subscribe,
};
/// Ends a subscription.
pub static UNSUBSCRIBE: Action<SubscriptionInput, ()> =
    Action { name: "hub.unsubscribe", summary: "End a subscription.", effect: Effect::Delete, run: unsubscribe };
/// The acting tenant's subscriptions.
pub static LIST: Action<ListInput, Vec<Subscription>> =
    Action { name: "hub.list", summary: "List subscriptions to events.", effect: Effect::Read, run: list };
/// What was sent to one.
pub static DELIVERIES: Action<DeliveriesInput, Vec<Delivery>> = Action {
    name: "hub.deliveries",
    summary: "See what was sent to a subscription, what waits and what was given up.",
    effect: Effect::Read,
    run: deliveries,
};
/// Sends once more what was given up.
pub static RETRY: Action<RetryInput, ()> = Action {
    name: "hub.retry",
    summary: "Send again a notification that was given up.",
    effect: Effect::Change,
    run: retry,
};

/// What of this room is found; see [`gate::search`].
pub static FINDABLE: &[Findable] =
    &[Findable::table(["hub", "hub"], "hub.list", "hub_subscriptions t", "t.callback").by_words().reach(Reach::Acting)];

/// All of them.
pub fn actions() -> Vec<&'static dyn AnyAction> {
    vec![&SUBSCRIBE, &UNSUBSCRIBE, &LIST, &DELIVERIES, &RETRY]
}

fn subscribe(tx: &mut Tx<'_>, input: &SubscribeInput) -> Result<Subscription> {
    let tenant = tx.cx().tenant();
    if store::count(tx, tenant, &input.api)? >= limits::SUBSCRIPTIONS_MAX {
        let message = format!("a tenant has at most {} subscriptions at one API", limits::SUBSCRIPTIONS_MAX);
        return Err(Error::new(base::Kind::Exhausted, "hub.too_many", message));
    }
    let new = Subscription {
        id: tx.ids().text("hub", tx.now),
        tenant,
        api: input.api.clone(),
        callback: input.callback.clone(),
        query: input.query.clone(),
        created: tx.now,
        gone: None,
    };
    store::subscribe(tx, &new, &input.secret)?;
    tx.touch("hub", &new.id, tenant, 0);
    Ok(new)
}

fn granted(tx: &mut Tx<'_>, action: &str, id: &str) -> Result<Granted<Subscription>> {
    let found =
        store::find(tx, id)?.ok_or_else(|| Error::not_found("hub.not_found", format!("there is no hub {id}")))?;
    tx.grant(action, "hub", id, found.tenant, Class::Internal, found)
}

fn unsubscribe(tx: &mut Tx<'_>, input: &SubscriptionInput) -> Result<()> {
    let found = granted(tx, UNSUBSCRIBE.name, &input.id)?;
    store::unsubscribe(tx, &found.id)
}

fn list(tx: &mut Tx<'_>, input: &ListInput) -> Result<Vec<Subscription>> {
    let tenant = tx.cx().tenant();
    store::of_tenant(tx, tenant, input.after.as_deref().unwrap_or(""))
}

fn deliveries(tx: &mut Tx<'_>, input: &DeliveriesInput) -> Result<Vec<Delivery>> {
    let found = granted(tx, DELIVERIES.name, &input.id)?;
    store::deliveries(tx, &found.id, input.state.as_deref().unwrap_or(""), input.after.as_deref().unwrap_or(""))
}

fn retry(tx: &mut Tx<'_>, input: &RetryInput) -> Result<()> {
    let found = granted(tx, RETRY.name, &input.id)?;
    if store::retry(tx, &found.id, &input.delivery)? == 0 {
        return Err(Error::conflict("delivery.not_dead", "only a notification that was given up can be sent again"));
    }
    Ok(())
}
