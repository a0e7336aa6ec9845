//! What the operator's people do with places that the log is shipped to.

use base::{Error, Result, limits};
use db::Class;
use gate::keys::{self, For};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AuditPlace, KIND, State, Target, store, syslog};
use crate::AuditPlaceId;

/// How often a place is shipped to unless said otherwise, in seconds.
const EVERY: i64 = 60;
/// How long a place may be behind unless said otherwise, in seconds.
const BEHIND: i64 = 15 * 60;
/// The name of a webhook's secret among credentials.
const SIGNING: &str = "signing";

fn granted(tx: &mut Tx<'_>, action: &str, id: AuditPlaceId) -> Result<AuditPlace> {
    let now = tx.now;
    let found = store::load(tx, id, now)?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(gate::Granted::into_inner)
}

fn name(name: &str) -> Result<()> {
    if name.trim().is_empty() || name.len() > 200 || name.contains('/') || name.chars().any(char::is_control) {
        let message = "a name has from 1 to 200 characters, no slash and no control characters among them";
        return Err(Error::invalid("name.malformed", message).at("name"));
    }
    Ok(())
}

fn taken(name: &str) -> impl FnOnce(Error) -> Error {
    let message = format!("there is a place called {name} already");
    move |e| if e.code() == "db.duplicate" { Error::conflict("auditPlace.name_taken", message).at("name") } else { e }
}

fn between(value: i64, least: i64, most: i64, attribute: &str) -> Result<i64> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let message = format!("this is from {least} to {most} seconds");
    Err(Error::invalid("auditPlace.seconds", message).at(attribute.to_owned()))
}

fn every(seconds: i64) -> Result<i64> {
    between(seconds, 5, 86_400, "everySeconds")
}

fn behind(seconds: i64) -> Result<i64> {
    between(seconds, 60, 7 * 86_400, "behindSeconds")
}

fn is_secure(url: &str) -> bool {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let plain = !rest.is_empty() && !url.chars().any(|c| c.is_whitespace() || c.is_control() || c == '@');
    let here = ["127.0.0.1", "[::1]", "localhost"].iter().any(|host| rest.starts_with(host));
    plain && (scheme == "https" || (scheme == "http" && here))
}

/// Whether a target can be one; whether it answers shows when it is shipped to.
fn check(target: &Target) -> Result<()> {
    let wrong = |attribute: &str, message: &str| {
        Err(Error::invalid("auditPlace.target", message).at(format!("target.{attribute}")))
    };
    match target {
        Target::Directory { path } => {
            let whole = std::path::Path::new(path);
            let up = whole.components().any(|part| part.as_os_str() == "..");
            if !whole.is_absolute() || up || path.len() > 1_000 || path.chars().any(char::is_control) {
                return wrong("path", "the directory is named from its root, without `..`");
            }
            Ok(())
        }
        Target::Syslog { address, authority } => {
            syslog::parts(address)?;
            syslog::trusting(authority).map(drop)
        }
        Target::Bucket { endpoint, .. } if !is_secure(endpoint) => {
            wrong("endpoint", "the address begins with https://, and holds no credential")
        }
        Target::Bucket { bucket, prefix, .. } if bucket.is_empty() || prefix.contains("..") => {
            wrong("bucket", "a bucket has a name, and a prefix no `..`")
        }
        // Where notifications may not go, this may not: looked at when it is sent, by the name's addresses.
        Target::Webhook { url } if !is_secure(url) => {
            wrong("url", "the address begins with https://, and holds no credential")
        }
        Target::Bucket { .. } | Target::Webhook { .. } => Ok(()),
    }
}

/// A place to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAuditPlace {
    /// Its name.
    pub name: String,
    /// Where it is. It cannot be changed: what lies there was shipped there.
    pub target: Target,
    /// Whether entries go there too, and not the signed heads alone; they do unless said otherwise.
    #[serde(default)]
    pub entries: Option<bool>,
    /// How often it is shipped to, in seconds, where there is something new; 60 unless said otherwise.
    #[serde(default)]
    pub every_seconds: Option<i64>,
    /// How long it may be behind before there is an alarm, in seconds; 900 unless said otherwise.
    #[serde(default)]
    pub behind_seconds: Option<i64>,
}

/// A place that was made.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MadeAuditPlace {
    /// The place.
    #[serde(flatten)]
    pub place: AuditPlace,
    /// What a webhook is signed with; shown once, and only of a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<String>,
}

/// Makes a place that the log is shipped to.
pub static CREATE: Action<NewAuditPlace, MadeAuditPlace> = Action {
    name: "auditPlace.create",
    summary: "Names a place off this host that the audit log is shipped to: a directory, syslog, a bucket or a webhook.",
    effect: Effect::Create,
    run: |tx, input| {
        name(&input.name)?;
        check(&input.target)?;
        if store::count(tx)? >= limits::AUDIT_PLACES_MAX {
            let message = format!("the log is shipped to {} places at most", limits::AUDIT_PLACES_MAX);
            return Err(Error::exhausted("auditPlace.too_many", message));
        }
        let (id, now, tenant) = (AuditPlaceId::fresh(tx.ids(), tx.now), tx.now, tx.cx().tenant());
        tx.touch(KIND, &id.to_string(), tenant, 1);
        let target = serde_json::to_string(&input.target)
            .map_err(|e| Error::bug("auditPlace.target", "a place cannot be written").because(e))?;
        let place = AuditPlace {
            id,
            tenant,
            name: input.name.clone(),
            target: input.target.clone(),
            entries: input.entries.unwrap_or(true),
            every_seconds: every(input.every_seconds.unwrap_or(EVERY))?,
            behind_seconds: behind(input.behind_seconds.unwrap_or(BEHIND))?,
            state: State::Waiting,
            shipped: 0,
            shipped_at: None,
            behind_since: None,
            attempts: 0,
            next_at: now,
            problem: None,
            has_credential: false,
            revision: 1,
            created_at: now,
            is_ahead: false,
            sealed: None,
        };
        store::insert(tx, &place, &target).map_err(taken(&input.name))?;
        let signing_secret = match &input.target {
            Target::Webhook { .. } => {
                let secret = web::hub::fresh_secret()?;
                seal(tx, id, SIGNING, &secret)?;
                Some(secret)
            }
            _ => None,
        };
        Ok(MadeAuditPlace { place: store::load(tx, id, now)?, signing_secret })
    },
};

fn seal(tx: &mut Tx<'_>, id: AuditPlaceId, name: &str, secret: &str) -> Result<()> {
    let row = id.to_string();
    let sealed = keys::installed(tx)?.seal(For { row: &row, purpose: "audit" }, secret)?;
    store::set_secret(tx, id, name, &sealed)
}

/// Nothing to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListAuditPlaces {}

/// All places.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditPlaces {
    /// The places, the oldest first.
    pub items: Vec<AuditPlace>,
}

/// Lists places that the log is shipped to.
pub static LIST: Action<ListAuditPlaces, AuditPlaces> = Action {
    name: "auditPlace.list",
    summary: "Lists the places that the audit log is shipped to, and how far each has got.",
    effect: Effect::Read,
    run: |tx, _| {
        let (now, tenant) = (tx.now, tx.cx().tenant());
        let mut items = store::all(tx, now)?;
        items.retain(|place| place.tenant == tenant);
        Ok(AuditPlaces { items })
    },
};

/// Which place.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditPlaceRef {
    /// Its id.
    pub id: AuditPlaceId,
}

/// Shows a place.
pub static GET: Action<AuditPlaceRef, AuditPlace> = Action {
    name: "auditPlace.get",
    summary: "Shows a place that the audit log is shipped to.",
    effect: Effect::Read,
    run: |tx, input| granted(tx, "auditPlace.get", input.id),
};

/// What changes of a place.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeAuditPlace {
    /// The place.
    pub id: AuditPlaceId,
    /// The revision that the change was made on.
    #[serde(default)]
    pub revision: Option<i64>,
    /// Its new name.
    #[serde(default)]
    pub name: Option<String>,
    /// How often it is shipped to now, in seconds.
    #[serde(default)]
    pub every_seconds: Option<i64>,
    /// How long it may be behind now before there is an alarm, in seconds.
    #[serde(default)]
    pub behind_seconds: Option<i64>,
}

/// Changes a place.
pub static UPDATE: Action<ChangeAuditPlace, AuditPlace> = Action {
    name: "auditPlace.update",
    summary: "Renames a place that the audit log is shipped to, or changes how often and how late it may be.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut found = granted(tx, "auditPlace.update", input.id)?;
        if input.revision.is_some_and(|revision| revision != found.revision) {
            let message = format!("the place is at revision {} by now", found.revision);
            return Err(Error::stale("auditPlace.stale", message));
        }
        if let Some(called) = &input.name {
            name(called)?;
            found.name.clone_from(called);
        }
        found.every_seconds = every(input.every_seconds.unwrap_or(found.every_seconds))?;
        found.behind_seconds = behind(input.behind_seconds.unwrap_or(found.behind_seconds))?;
        store::update(tx, &found).map_err(taken(&found.name))?;
        let now = tx.now;
        store::load(tx, input.id, now)
    },
};

/// What lets one in at a bucket.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetAuditCredential {
    /// The place.
    pub id: AuditPlaceId,
    /// The access key.
    pub name: String,
    /// Its secret.
    pub secret: String,
}

/// Keeps what lets one in at a bucket; told to nobody again.
pub static SET_CREDENTIAL: Action<SetAuditCredential, AuditPlace> = Action {
    name: "auditPlace.set_credential",
    summary: "Keeps, sealed, what lets one in at a bucket that the audit log is shipped to.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "auditPlace.set_credential", input.id)?;
        if !matches!(found.target, Target::Bucket { .. }) {
            let message = "only a bucket has a credential; a webhook's secret was made with it";
            return Err(Error::conflict("auditPlace.no_credentials", message));
        }
        let fits = |text: &str| (1..=4_096).contains(&text.len()) && !text.chars().any(char::is_control);
        if !fits(&input.name) || !fits(&input.secret) {
            let message = "a credential has a name and a secret, without control characters";
            return Err(Error::invalid("credential.malformed", message).at("secret"));
        }
        seal(tx, input.id, &input.name, &input.secret)?;
        let now = tx.now;
        store::hurry(tx, input.id, now)?;
        store::load(tx, input.id, now)
    },
};

/// Ships to a place at once.
pub static SHIP: Action<AuditPlaceRef, AuditPlace> = Action {
    name: "auditPlace.ship",
    summary: "Has the audit log shipped to a place at once, whatever its waits.",
    effect: Effect::Change,
    run: |tx, input| {
        granted(tx, "auditPlace.ship", input.id)?;
        let now = tx.now;
        store::hurry(tx, input.id, now)?;
        store::load(tx, input.id, now)
    },
};

/// Which place, and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoveAuditPlace {
    /// The place.
    pub id: AuditPlaceId,
    /// Why the log need not go there any more; stands on the log.
    pub reason: String,
}

/// Ships to a place no more.
pub static REMOVE: Action<RemoveAuditPlace, AuditPlace> = Action {
    name: "auditPlace.remove",
    summary: "Ships the audit log to a place no more. What lies there stays.",
    effect: Effect::Delete,
    run: |tx, input| {
        let found = granted(tx, "auditPlace.remove", input.id)?;
        if input.reason.trim().is_empty() {
            let message = "say why: shipping less is what an intruder would want";
            return Err(Error::invalid("reason.missing", message).at("reason"));
        }
        store::remove(tx, input.id)?;
        Ok(found)
    },
};
