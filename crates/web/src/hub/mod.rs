//! `/hub`: subscriptions to what happens to records, and their delivery.
//!
//! A subscription belongs to one tenant at one API and hears of that tenant's
//! records there. A notification is a row written in the transaction of the
//! fact ([`Hub::notify`], called by the house's reactions), so that none is
//! lost and none tells of a change that was rolled back; workers send it
//! ([`Hub::deliver`]).
//!
//! States of a delivery:
//! ```text
//! waiting ──2xx──► done
//!    │ ▲ └─10 attempts failed, or the subscription gone──► dead ──retry──► waiting
//!    └─┘ other answer, no answer: later again
//! ```
//!
//! Invariants:
//! - at least once, in no promised order: `webhook-id` is the same at each
//!   attempt, `eventTime` and the revision say what came first;
//! - what is sent is the record as it was at the fact's revision;
//! - nobody hears of what they may not read: subscribing wants the kinds' `get`;
//! - a tenant whose receivers are slow holds up its own notifications alone
//!   ([`deliver`]);
//! - nothing is sent to a loopback, private or link-local address unless the
//!   operator allows it: names are resolved first, and the connection goes to
//!   the very address that was checked ([`address`]);
//! - the secret is made here and shown once.
//!
//! Not here: which facts there are (`gate`, the rooms), live pages (`portal`).

mod actions;
pub mod address;
mod deliver;
mod query;
mod routes;
mod sign;
mod store;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base::{Error, Result};
use gate::{Cx, Effect, Gate, Kind, RecordFact, Tx, Verb, audit};
use serde_json::{Value as Json, json};

pub use actions::{
    DELIVERIES, DeliveriesInput, Delivery, FINDABLE, LIST, ListInput, RETRY, RetryInput, SUBSCRIBE, SubscribeInput,
    Subscription, SubscriptionInput, UNSUBSCRIBE, actions,
};
pub use sign::{fresh_secret, signature};
use store::Waiting;

use crate::{Outgoing, tmf};

/// What an operator can set about notifications.
#[derive(Debug, Clone, Default)]
pub struct HubSettings {
    /// Whether notifications may go to loopback and private addresses.
    pub private_targets: bool,
    /// Certificates (PEM) of authorities to trust besides the usual ones.
    pub authorities: Vec<u8>,
    /// How long to wait after each failed attempt; empty for the usual waits.
    pub waits: Vec<Duration>,
}

/// Subscriptions and deliveries of all kinds. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    kinds: HashMap<&'static str, &'static Kind>,
    site: String,
    settings: HubSettings,
    outgoing: Outgoing,
    wake: Arc<tokio::sync::Notify>,
}

/// The base path of a kind's API, for example `/tmf-api/productOrderingManagement/v4`.
pub(crate) fn api_of(kind: &Kind) -> &'static str {
    kind.path.rsplit_once('/').map_or("", |(base, _)| base)
}

/// A subscription to be made: checked, but for whether its maker may read what it tells.
#[derive(Debug, Clone)]
pub struct Draft {
    input: SubscribeInput,
    reads: Vec<String>,
}

impl Draft {
    /// What notifications will be signed with; shown once.
    pub fn secret(&self) -> &str {
        &self.input.secret
    }

    /// Whether the actor may read all that it will tell.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn require(&self, tx: &Tx<'_>) -> Result<()> {
        self.reads.iter().try_for_each(|action| tx.require(action))
    }

    /// Makes it for the acting tenant.
    ///
    /// # Errors
    /// As [`Draft::require`]; `Exhausted` where there are too many.
    pub fn make(&self, tx: &mut Tx<'_>) -> Result<Subscription> {
        self.require(tx)?;
        (SUBSCRIBE.run)(tx, &self.input)
    }

    /// [`Draft::make`] as an action of its own, for pages.
    ///
    /// # Errors
    /// As [`Draft::make`].
    pub fn subscribe(self, gate: &Gate, cx: &Cx) -> Result<Subscription> {
        let Draft { input, .. } = &self;
        let digest = audit::digest(&(&input.api, &input.callback, &input.query));
        gate.perform(cx, SUBSCRIBE.name, Effect::Create, digest, move |tx| self.make(tx))
    }
}

impl Hub {
    /// Over all `kinds`; `site` begins the `href` of what is sent.
    pub fn new(kinds: &[&'static Kind], site: &str, settings: HubSettings) -> Self {
        let kinds = kinds.iter().map(|kind| (kind.name, *kind)).collect();
        let outgoing = Outgoing::new(settings.private_targets, &settings.authorities);
        let site = site.trim_end_matches('/').to_owned();
        Hub(Arc::new(Inner { kinds, site, settings, outgoing, wake: Arc::default() }))
    }

    /// A subscription to be made, checked, with a fresh secret.
    ///
    /// # Errors
    /// `NotFound` for an API that is not there, `Invalid` for an address or a
    /// query that will not do.
    pub fn draft(&self, api: &str, callback: &str, query: &str) -> Result<Draft> {
        let known = self.apis();
        let types =
            known.get(api).ok_or_else(|| Error::not_found("hub.not_found", format!("there is no API {api}")))?;
        address::read(callback, self.0.settings.private_targets)?;
        let wanted = query::Wanted::parse(query)?;
        wanted.expect_known(types)?;
        let reads = self.heard(api, &wanted).iter().map(|kind| kind.action(Verb::Get)).collect();
        let (api, callback, query) = (api.to_owned(), callback.to_owned(), query.to_owned());
        Ok(Draft { input: SubscribeInput { api, callback, query, secret: fresh_secret()? }, reads })
    }

    /// The base paths of all APIs, each with the types of event it has.
    pub fn apis(&self) -> BTreeMap<&'static str, Vec<String>> {
        let mut apis: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        for kind in self.0.kinds.values() {
            apis.entry(api_of(kind)).or_default().extend(event_types(kind));
        }
        apis.values_mut().for_each(|types| types.sort());
        apis
    }

    /// The kinds at an API that a subscription would hear of.
    fn heard(&self, api: &str, wanted: &query::Wanted) -> Vec<&'static Kind> {
        let here = self.0.kinds.values().copied().filter(|kind| api_of(kind) == api);
        here.filter(|kind| event_types(kind).any(|event| wanted.hears(&event))).collect()
    }

    /// Writes a delivery for everybody who subscribed to this. A reaction, inside the fact's transaction.
    ///
    /// # Errors
    /// Those of the database.
    pub fn notify(&self, tx: &mut Tx<'_>, fact: &RecordFact) -> Result<()> {
        let Some(kind) = self.0.kinds.get(fact.kind).copied() else { return Ok(()) };
        let Some(event) = event_type(kind, fact.name) else { return Ok(()) };
        let listeners = store::listeners(tx, fact.tenant, api_of(kind))?;
        if listeners.is_empty() {
            return Ok(());
        }
        let record = db::records::at_revision(tx, kind.name, &fact.id, fact.revision)?;
        for (subscription, asked) in listeners {
            let wanted =
                query::Wanted::parse(&asked).is_ok_and(|wanted| wanted.takes(&event, kind.name, record.as_ref()));
            if wanted {
                store::enqueue(tx, &subscription, &event, fact)?;
            }
        }
        let wake = self.0.wake.clone();
        tx.after_commit(move || wake.notify_one());
        Ok(())
    }

    /// What is sent: TM Forum's event around the record as it was.
    fn event(&self, waiting: &Waiting, record: Option<db::Record>) -> Json {
        let kind = self.0.kinds.get(waiting.kind.as_str());
        let payload = match (kind, record) {
            (Some(kind), Some(record)) => Json::Object(tmf::render(&self.0.site, kind, record)),
            _ => json!({ "id": waiting.record }),
        };
        let name = waiting.kind.clone();
        json!({
            "eventId": waiting.id,
            "eventTime": waiting.at.to_string(),
            "eventType": waiting.event,
            "@type": waiting.event,
            "event": { name: payload },
        })
    }
}

/// The types of event that a kind has.
fn event_types(kind: &Kind) -> impl Iterator<Item = String> {
    let facts = ["RecordCreated", "RecordChanged", "RecordStateChanged", "RecordDeleted"];
    facts.into_iter().filter_map(|fact| event_type(kind, fact))
}

/// The catalogs of services and resources call every change `ChangeEvent`.
const PLAIN_CHANGES: [&str; 2] = ["/tmf-api/serviceCatalogManagement/v4", "/tmf-api/resourceCatalog/v4"];

/// TM Forum's name for what happened to a record.
fn event_type(kind: &Kind, fact: &str) -> Option<String> {
    let word = match fact {
        "RecordCreated" => "CreateEvent",
        "RecordChanged" | "RecordStateChanged" if PLAIN_CHANGES.contains(&api_of(kind)) => "ChangeEvent",
        "RecordChanged" => "AttributeValueChangeEvent",
        "RecordStateChanged" => "StateChangeEvent",
        "RecordDeleted" => "DeleteEvent",
        _ => return None,
    };
    Some(format!("{}{word}", kind.shape.name))
}
