//! Why was I refused: from a request, or an entry of the audit log, to the gate that said no, and what to do.

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Kind, Result, limits};
use db::{Class, FromValue as _, Value};
use gate::audit::{Named, Refusal, refusals};
use gate::{Action, Cx, Effect, Relation, Strength, Thing, Tx};
use serde::{Deserialize, Serialize};

use super::{Passage, Stage, people, stages};
use crate::roles::{ROLES, Role};
use crate::tenants::{self, Tenant};
use crate::tokens::{self, TokenId};
use crate::{accounts, reach, sessions, sign_in_rules};

/// Which refusal.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRefusal {
    /// The identifier of the request (`X-Request-Id` of the answer), or the place of an entry in the audit log.
    pub id: String,
}

/// Something that the refusal was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedObject {
    /// Its kind.
    pub kind: String,
    /// Which one.
    pub id: String,
}

/// A gate, and what became of the request there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatePassed {
    /// Which gate.
    pub gate: Stage,
    /// What became of it.
    pub passage: Passage,
}

/// A role that would permit it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermittingRole {
    /// The role.
    pub role: String,
    /// What it is for.
    pub summary: String,
}

/// Somebody who can grant such a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grantor {
    /// Who.
    pub account: AccountId,
    /// What they are called.
    pub name: String,
}

/// A policy that forbids it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForbiddingPolicy {
    /// Its identifier.
    pub id: String,
    /// What it says in words; empty where nobody wrote that down.
    pub words: String,
    /// The policy itself, in Cedar.
    pub text: String,
}

/// What the gate would say today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Today {
    /// Whether all gates would let it through that can be asked beforehand; what the action itself asks for is seen when it runs.
    pub allowed: bool,
    /// Which gate would refuse it.
    pub gate: Option<Stage>,
    /// The refusal's code.
    pub code: Option<String>,
    /// The refusal's words.
    pub message: Option<String>,
    /// Whether that is another answer than it was.
    pub differs: bool,
}

/// A refusal, explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Its place in the audit log, once it has one.
    pub index: Option<i64>,
    /// The request that was refused.
    pub request: String,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Who asked: an account, `nobody`, a host.
    pub actor: String,
    /// What they are called, for those who may know.
    pub actor_name: Option<String>,
    /// Whether whoever looks is the one who was refused.
    pub own: bool,
    /// In which tenant they acted.
    pub tenant: String,
    /// What that is called, for those who may know.
    pub tenant_name: Option<String>,
    /// What they asked for.
    pub action: String,
    /// What that does, in a sentence.
    pub title: String,
    /// On what, where the request had come so far.
    pub object: Option<RefusedObject>,
    /// The refusal's code.
    pub code: String,
    /// Whether it was answered as if it were not there; only those whose it is are told so.
    pub hidden: bool,
    /// The gate that said no.
    pub gate: Stage,
    /// All gates in the order in which they stand.
    pub gates: Vec<GatePassed>,
    /// What was refused, in a sentence.
    pub says: String,
    /// What to do about it.
    pub next: String,
    /// The roles that would permit it.
    pub roles: Vec<PermittingRole>,
    /// Some of those in the tenant who can grant one of them.
    pub grantors: Vec<Grantor>,
    /// The policies that forbid it.
    pub policies: Vec<ForbiddingPolicy>,
    /// What the gate would say today, where that can be known beforehand.
    pub today: Option<Today>,
}

/// What was refused in a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explanations {
    /// What was asked about.
    pub id: String,
    /// Each refusal, the newest first: a page can ask for several things.
    pub refusals: Vec<Explanation>,
}

/// Explains a refusal.
pub static EXPLAIN: Action<ExplainRefusal, Explanations> = Action {
    name: "refusal.explain",
    summary: "Explains a refusal: which gate said no, which roles would permit it, who can grant them, and what would be said today.",
    effect: Effect::Read,
    run: |tx, input| {
        let named = named(&input.id)?;
        let mut found = Vec::new();
        for refusal in refusals(tx, named, limits::REFUSALS_EXPLAINED_MAX)? {
            let seen = Seen { own: is_own(tx.cx(), &refusal), read: may_read(tx, &refusal) };
            if seen.own || seen.read {
                found.extend(explained(tx, refusal, seen)?);
            }
        }
        if found.is_empty() {
            return Err(absent());
        }
        Ok(Explanations { id: input.id.clone(), refusals: found })
    },
};

/// One answer for what never was, what is others', and what was answered as if it were not there.
fn absent() -> Error {
    Error::not_found(
        "refusal.not_found",
        "there is no refusal of that identifier that you may see; an answer “not found” is none: there is nothing there for you",
    )
}

/// A request's identifier, or a place in the log.
fn named(id: &str) -> Result<Named<'_>> {
    if let Ok(index) = id.parse::<i64>() {
        return Ok(Named::Index(index));
    }
    let plain = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    plain.then_some(Named::Request(id)).ok_or_else(|| {
        Error::invalid(
            "refusal.id",
            "name the request as its answer did (req_…), or an entry of the audit log by its number",
        )
        .at("id")
    })
}

/// Why somebody may see an entry.
#[derive(Clone, Copy)]
struct Seen {
    /// It is their own.
    own: bool,
    /// They may read it in the audit log.
    read: bool,
}

/// Whether it is one's own: of a token, what that token met, and nothing else of its account.
fn is_own(cx: &Cx, refusal: &Refusal) -> bool {
    let token = cx.proof().is_some_and(|proof| proof.strength == Strength::Token);
    cx.account().is_some_and(|account| account.to_string() == refusal.actor)
        && (!token || cx.session() == Some(refusal.session.as_str()))
}

/// Whether the actor may read the entry in the audit log; who has yet to enrol a factor reads nothing of others.
fn may_read(tx: &Tx<'_>, refusal: &Refusal) -> bool {
    let Ok(owner) = refusal.object_tenant.parse::<TenantId>() else { return false };
    let thing = Thing { kind: "auditEntry", id: "", owner, class: Class::Internal };
    !tx.cx().proof().is_some_and(|proof| proof.must_enrol) && tx.would_allow_on(tx.cx(), "audit.get", Some(thing))
}

/// What the refusal was about and may be shown, with the classes that it can be of.
struct Object {
    kind: String,
    id: String,
    owner: TenantId,
    classes: Vec<Class>,
}

impl Object {
    fn things(&self) -> impl Iterator<Item = Thing<'_>> {
        self.classes.iter().map(|class| Thing { kind: &self.kind, id: &self.id, owner: self.owner, class: *class })
    }
}

/// The refusal as it may be told to whoever asks; nothing where it is about what they were told is not there.
fn explained(tx: &mut Tx<'_>, refusal: Refusal, seen: Seen) -> Result<Option<Explanation>> {
    let own = seen.own;
    let tenant = match refusal.tenant.parse::<TenantId>() {
        Ok(id) => tenants::store::find(tx, id)?,
        Err(_) => None,
    };
    let account = refusal.actor.parse::<AccountId>().ok();
    let object = object(tx, &refusal, seen, account, tenant.as_ref())?;
    let told = stages::of(&refusal.code, object.is_some());
    let (stage, says, next) = match told {
        Some(stage) => (stage, stages::says(stage, &refusal.code), stages::next(stage, &refusal.code)),
        // Answered as not there to whoever asked, and known to those whose it is.
        None if seen.read => (Stage::Object, HIDDEN, HIDDEN_NEXT),
        None => return Ok(None),
    };
    let insight = Insight::of(tx, &refusal, own, account, tenant.as_ref(), object.as_ref(), stage)?;
    let actor_name = match account {
        Some(account) => accounts::store::find(tx, account)?.filter(|one| own || sees(tx.cx(), one.home)),
        None => None,
    };
    Ok(Some(Explanation {
        index: refusal.index,
        at: refusal.at,
        actor_name: actor_name.map(|one| one.name),
        own,
        tenant_name: tenant.filter(|one| own || sees(tx.cx(), one.id)).map(|one| one.name),
        title: tx.catalogue().title(&refusal.action).unwrap_or_default(),
        object: object.map(|one| RefusedObject { kind: one.kind, id: one.id }),
        hidden: told.is_none(),
        gate: stage,
        gates: gates(stage),
        says: says.to_owned(),
        next: next.to_owned(),
        roles: insight.roles,
        grantors: insight.grantors,
        policies: insight.policies,
        today: insight.today,
        request: refusal.request,
        actor: refusal.actor,
        tenant: refusal.tenant,
        action: refusal.action,
        code: refusal.code,
    }))
}

/// What is said of a refusal that was answered as if nothing were there, to those whose it is.
const HIDDEN: &str = "It is out of reach for whoever asked, and was answered as if it were not there.";
const HIDDEN_NEXT: &str =
    "Nothing, unless they should reach it: then they need a role in the organisation that it belongs to.";

fn gates(refused: Stage) -> Vec<GatePassed> {
    let at = Stage::ALL.iter().position(|stage| *stage == refused).unwrap_or(0);
    let passage = |place: usize| match place.cmp(&at) {
        std::cmp::Ordering::Less => Passage::Passed,
        std::cmp::Ordering::Equal => Passage::Refused,
        std::cmp::Ordering::Greater => Passage::NotReached,
    };
    Stage::ALL.iter().enumerate().map(|(place, gate)| GatePassed { gate: *gate, passage: passage(place) }).collect()
}

fn sees(cx: &Cx, tenant: TenantId) -> bool {
    matches!(cx.relation(tenant), Relation::Own | Relation::Below)
}

/// The object of a refusal, where whoever looks may know of it.
fn object(
    tx: &mut Tx<'_>,
    refusal: &Refusal,
    seen: Seen,
    account: Option<AccountId>,
    tenant: Option<&Tenant>,
) -> Result<Option<Object>> {
    let (Ok(owner), false) = (refusal.object_tenant.parse::<TenantId>(), refusal.object_kind.is_empty()) else {
        return Ok(None);
    };
    let (kind, id) = (refusal.object_kind.clone(), refusal.object_id.clone());
    let class = db::records::owner(tx, &kind, &id)?.map(|(_, class)| class);
    let relation = match (seen.read, account, tenant) {
        (true, ..) => tx.cx().relation(owner),
        // As they stood where they acted, as far as that is so still.
        (false, Some(account), Some(tenant)) => {
            let standing = reach::known(reach::standing(tx, account, Some(tenant.id), None))?;
            standing.map_or(Relation::Elsewhere, |standing| people::context(account, standing).relation(owner))
        }
        (false, ..) => Relation::Elsewhere,
    };
    let shown = match relation {
        Relation::Own | Relation::Below => true,
        Relation::Above => class == Some(Class::Public),
        Relation::Elsewhere => false,
    };
    // Of what is no record nobody keeps the class: what is said of it has to hold for both that there are.
    let classes = class.map_or_else(|| vec![Class::Internal, Class::Personal], |class| vec![class]);
    Ok(shown.then_some(Object { kind, id, owner, classes }))
}

/// What is worked out anew, by the policies, roles and rules of now.
#[derive(Default)]
struct Insight {
    roles: Vec<PermittingRole>,
    grantors: Vec<Grantor>,
    policies: Vec<ForbiddingPolicy>,
    today: Option<Today>,
}

impl Insight {
    /// Of an account, in a tenant that whoever looks may see into; of others nothing is said.
    fn of(
        tx: &mut Tx<'_>,
        refusal: &Refusal,
        own: bool,
        account: Option<AccountId>,
        tenant: Option<&Tenant>,
        object: Option<&Object>,
        stage: Stage,
    ) -> Result<Insight> {
        let (Some(account), Some(tenant)) = (account, tenant) else { return Ok(Insight::default()) };
        if !own && !sees(tx.cx(), tenant.id) {
            return Ok(Insight::default());
        }
        let today = today(tx, refusal, account, tenant.id, object, stage)?;
        let mut insight = Insight { today, ..Insight::default() };
        let standing = reach::known(reach::standing(tx, account, Some(tenant.id), None))?;
        let (true, Some(standing)) = (matches!(stage, Stage::Policy | Stage::Object), standing) else {
            return Ok(insight);
        };
        let cx = people::context(account, standing);
        insight.policies = forbidding(tx, &cx, &refusal.action, object)?;
        if insight.policies.is_empty() && !allows(tx, &cx, &refusal.action, object) {
            let roles = permitting(tx, &cx, tenant, &refusal.action, object)?;
            insight.grantors = if roles.is_empty() { Vec::new() } else { people::grantors(tx, tenant, &roles)? };
            let told = |role: &&'static Role| PermittingRole { role: role.name.into(), summary: role.summary.into() };
            insight.roles = roles.iter().map(told).collect();
        }
        Ok(insight)
    }
}

/// Whether the policies permit it, of whatever class the object is that it can be of.
fn allows(tx: &Tx<'_>, cx: &Cx, action: &str, object: Option<&Object>) -> bool {
    match object {
        None => tx.would_allow_on(cx, action, None),
        Some(object) => object.things().all(|thing| tx.would_allow_on(cx, action, Some(thing))),
    }
}

fn forbidding(tx: &Tx<'_>, cx: &Cx, action: &str, object: Option<&Object>) -> Result<Vec<ForbiddingPolicy>> {
    let mut found = match object {
        None => tx.forbidding(cx, action, None)?,
        Some(object) => {
            let each = object.things().map(|thing| tx.forbidding(cx, action, Some(thing)));
            each.collect::<Result<Vec<_>>>()?.concat()
        }
    };
    found.dedup();
    let told = |one: gate::Forbidding| ForbiddingPolicy { id: one.id, words: one.words, text: one.text };
    Ok(found.into_iter().map(told).collect())
}

/// The roles that can be held there and, beside those held already, would have it permitted.
fn permitting(
    tx: &mut Tx<'_>,
    cx: &Cx,
    tenant: &Tenant,
    action: &str,
    object: Option<&Object>,
) -> Result<Vec<&'static Role>> {
    let mut found = Vec::new();
    for role in ROLES.iter().filter(|role| role.fits(tenant.kind)) {
        let mut roles = cx.roles().clone();
        roles.insert(role.name.to_owned());
        let scope = reach::scope(tx, tenant, &roles)?;
        let with = Cx::new(cx.actor().clone(), tenant.id, scope, roles);
        if allows(tx, &with, action, object) {
            found.push(role);
        }
    }
    Ok(found)
}

/// What the gate would say today to the same actor with the same session or token.
fn today(
    tx: &mut Tx<'_>,
    refusal: &Refusal,
    account: AccountId,
    tenant: TenantId,
    object: Option<&Object>,
    then: Stage,
) -> Result<Option<Today>> {
    let asked = as_now(tx, refusal, account, tenant);
    let answers: Vec<Result<()>> = match (asked, object) {
        (Err(e), _) => vec![Err(e)],
        (Ok(cx), None) => vec![tx.would_refuse(&cx, &refusal.action, None)],
        (Ok(cx), Some(object)) => {
            object.things().map(|thing| tx.would_refuse(&cx, &refusal.action, Some(thing))).collect()
        }
    };
    let mut answers = answers.into_iter();
    let Some(first) = answers.next() else { return Ok(None) };
    // What depends on the object's class, which nobody keeps, is not known.
    if answers.any(|other| other.is_ok() != first.is_ok()) {
        return Ok(None);
    }
    match first {
        Ok(()) => {
            // The others do not say beforehand what they will: an action's own rules, and what it amounts to.
            let guarded = tx.catalogue().guard().is_some_and(|guard| (guard.knows)(&refusal.action));
            let known = match then {
                Stage::SignIn | Stage::Token | Stage::Policy | Stage::Proof | Stage::Object => true,
                Stage::SecondPerson => guarded,
                Stage::Tenant | Stage::Rule => false,
            };
            Ok(known.then_some(Today { allowed: true, gate: None, code: None, message: None, differs: true }))
        }
        Err(e) if matches!(e.kind(), Kind::Forbidden | Kind::Unauthenticated | Kind::NotFound) => {
            let stage = stages::of(e.code(), object.is_some() && then == Stage::Object).unwrap_or(Stage::Object);
            let (code, message) = (Some(e.code().to_owned()), Some(e.message().to_owned()));
            Ok(Some(Today { allowed: false, gate: Some(stage), code, message, differs: stage != then }))
        }
        Err(e) => Err(e),
    }
}

/// The context in which the same request would come today: with the same token, or in the same session, or, where
/// that is over, in a new one that was begun as strongly.
fn as_now(tx: &mut Tx<'_>, refusal: &Refusal, account: AccountId, tenant: TenantId) -> Result<Cx> {
    let now = tx.now;
    let cx = match refusal.session.parse::<TokenId>() {
        Ok(token) => {
            let gone = || Error::unauthenticated("token.unknown", "that API token is not known here any more");
            let token = tokens::store::find(tx, token)?.ok_or_else(gone)?;
            token.check_in_force(now)?;
            let catalogue = tx.catalogue();
            reach::through_token(tx, catalogue, &token, Some(tenant))?
        }
        Err(_) => {
            let standing = reach::standing(tx, account, Some(tenant), None)?;
            let asked = sign_in_rules::of_account(tx, account)?;
            let strength = Strength::from_value(Value::Text(refusal.strength.as_str().into()));
            let anew = (strength.unwrap_or(Strength::Password), now);
            let shown = sessions::store::shown(tx, &refusal.session)?.unwrap_or(anew);
            reach::in_person(tx, account, standing, &asked, shown)?
        }
    };
    Ok(cx.for_request(refusal.request.as_str(), refusal.address))
}
