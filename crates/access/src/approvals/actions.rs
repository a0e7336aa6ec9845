//! Asking, looking, deciding.

use std::collections::BTreeMap;
use std::time::Duration;

use base::id::{AccountId, TenantId};
use base::{Error, Kind, Result, limits};
use db::Class;
use gate::{Action, Cx, Deed, Done, Effect, Object, Relation, Tx};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::approvable::{self, Approvable};
use super::people::{self, People};
use super::store::CameWith;
use super::{About, Approval, ApprovalId, Problem, State, rules, store};
use crate::notices::{self, Notice, Spoken};
use crate::{accounts, tenants};

/// The kind, in audit and policies.
pub const KIND: &str = "approval";

/// What a second person is to agree to.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskApproval {
    /// The action, by name.
    pub action: String,
    /// Its input, as it would be sent to do it; what stands in the address of its route included.
    pub input: Json,
    /// Why, for whoever decides.
    pub reason: String,
}

/// Asks a second person to agree to an action.
pub static ASK: Action<AskApproval, Approval> = Action {
    name: "approval.request",
    summary: "Asks a second person to agree to an action with exactly this input. What would fail if it were done now is refused now.",
    effect: Effect::Create,
    run: ask,
};

fn ask(tx: &mut Tx<'_>, input: &AskApproval) -> Result<Approval> {
    let nobody = || Error::forbidden("approval.person", "only an account asks and decides");
    let requester = tx.cx().account().ok_or_else(nobody)?;
    let (reason, plain) = (rules::reason(&input.reason)?, tx.plain_input(&input.action, &input.input)?);
    if plain.to_string().len() > limits::APPROVAL_INPUT_BYTES_MAX {
        let most = limits::APPROVAL_INPUT_BYTES_MAX / 1024;
        let message = format!("that is more than {most} KiB: more than somebody can agree to");
        return Err(Error::invalid("approval.input_too_large", message).at("input"));
    }
    let now = tx.now;
    let a_day_ago = now - Duration::from_secs(24 * 60 * 60);
    if store::asked_since(tx, requester, a_day_ago)? >= limits::APPROVALS_PER_ACCOUNT_DAY_MAX {
        let most = limits::APPROVALS_PER_ACCOUNT_DAY_MAX;
        let message = format!("you have asked for {most} approvals within a day; each is a mail to others: wait");
        return Err(Error::exhausted("approval.too_many", message));
    }
    if store::waiting_of(tx, requester, now)? >= limits::APPROVALS_WAITING_PER_ACCOUNT_MAX {
        let most = limits::APPROVALS_WAITING_PER_ACCOUNT_MAX;
        return Err(Error::exhausted("approval.too_many", format!("{most} requests of yours wait; withdraw some")));
    }
    let cx = tx.cx().clone();
    let (seen, done) = tx.rehearse(|tx| {
        let seen = approvable::look(tx, &cx, &input.action, &plain)?;
        Ok((seen, tx.run_as(&cx, &input.action, &plain)?))
    })?;
    let amounts_to = amounts_to(&input.action, &done)?;
    let seen = with_others(seen, &done);
    let account = accounts::store::load(tx, requester)?;
    let mut made = Approval {
        id: ApprovalId::fresh(tx.ids(), now),
        tenant: cx.tenant(),
        action: input.action.clone(),
        summary: approvable::words(&amounts_to).0.to_owned(),
        amounts_to,
        object: about(&done),
        object_name: None,
        input: plain,
        seen,
        digest: String::new(),
        requester,
        requester_name: account.name,
        reason,
        state: State::Waiting,
        created_at: now,
        expires_at: now + Duration::from_secs(limits::APPROVAL_SECONDS.unsigned_abs()),
        decided_by: None,
        decided_by_name: None,
        decided_at: None,
        note: String::new(),
        problem: None,
        result: None,
    };
    let hash = rules::digest(&made);
    made.digest = base::hex::encode(&hash);
    store::insert(tx, &made, &hash, &CameWith::of(&cx))?;
    tx.touch(KIND, &made.id.to_string(), made.tenant, 0);
    tell_approvers(tx, &made)?;
    store::load(tx, made.id, now)
}

/// Under what name it needs a second person.
fn amounts_to(action: &str, done: &Done) -> Result<String> {
    let deed = done.deeds.first().map(|deed| deed.name);
    deed.or_else(|| Approvable::find(action).map(|one| one.action)).map(str::to_owned).ok_or_else(|| {
        let message = "that needs no second person: do it";
        Error::invalid("approval.not_approvable", message).at("action")
    })
}

/// Under what name the rest of it stands in what was seen.
const OTHERS: &str = "others";

/// With what else it amounts to, where it does several things at once: shown, and held, like the first.
fn with_others(mut seen: Json, done: &Done) -> Json {
    let other = |deed: &Deed| {
        let Object { kind, id, revision, .. } = &deed.object;
        json!({ "action": deed.name, "kind": kind, "id": id, "revision": revision })
    };
    let others: Vec<Json> = done.deeds.iter().skip(1).map(other).collect();
    if let (false, Json::Object(seen)) = (others.is_empty(), &mut seen) {
        seen.insert(OTHERS.to_owned(), others.into());
    }
    seen
}

/// What it is about: nothing that is only made by it.
fn about(done: &Done) -> About {
    let object = match done.effect {
        Effect::Create => done.deeds.first().map(|deed| deed.object.clone()).unwrap_or_default(),
        _ => done.object.clone(),
    };
    About { kind: object.kind, id: object.id, tenant: object.tenant, revision: object.revision }
}

fn tell_approvers(tx: &mut Tx<'_>, made: &Approval) -> Result<()> {
    let mut told = People::of(tx, made.tenant, true)?.accounts(tx, &made.action);
    let all = [&told[..], &[made.requester]].concat();
    let mine = people::Persons::among(tx, made.tenant, &all)?.same_as(made.requester);
    told.retain(|account| !mine.contains(account));
    told.truncate(limits::APPROVERS_TOLD_MAX);
    let (en, zh) = approvable::words(&made.amounts_to);
    let (who, why) = (&made.requester_name, &made.reason);
    let notice = Notice {
        en: Spoken {
            title: format!("Your approval is asked for: {en}"),
            text: format!(
                "{who} asks a second person to agree: {en}.\n\nWhy: {why}\n\nLook at what exactly would happen before you decide. The request waits for three days."
            ),
        },
        zh: Spoken {
            title: format!("有一項請求等您核准：{zh}"),
            text: format!(
                "{who} 請第二人核准：{zh}。\n\n理由：{why}\n\n決定之前，請先看清楚會發生什麼。此請求保留三天。"
            ),
        },
        path: format!("/approvals/{}", made.id),
    };
    told.into_iter().try_for_each(|account| notices::one(tx, account, &notice))
}

fn tell_requester(tx: &mut Tx<'_>, decided: &Approval) -> Result<()> {
    let (en, zh) = approvable::words(&decided.amounts_to);
    let who = decided.decided_by_name.clone().unwrap_or_default();
    let (came, came_zh) = match decided.state {
        State::Done => ("was approved and done", "已核准並執行"),
        State::Failed => {
            ("was approved, but could not be done any more; nothing was changed", "已核准，但已無法執行；未做任何變更")
        }
        _ => ("was declined", "已被拒絕"),
    };
    let notice = Notice {
        en: Spoken {
            title: format!("Your request {came}: {en}"),
            text: format!("“{en}” {came}.\n\nDecided by {who}. {}", decided.note),
        },
        zh: Spoken {
            title: format!("您的請求{came_zh}：{zh}"),
            text: format!("「{zh}」{came_zh}。\n\n決定者：{who}。{}", decided.note),
        },
        path: format!("/approvals/{}", decided.id),
    };
    notices::one(tx, decided.requester, &notice)
}

/// Which approvals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Which {
    /// What waits and the asker could decide.
    #[default]
    ToDecide,
    /// What the asker asked for.
    Mine,
    /// Everything here and below that the asker may know of.
    All,
}

/// Which approvals.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListApprovals {
    /// Which.
    pub which: Which,
}

/// Approvals.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Approvals {
    /// What waits: what ends soonest first. Otherwise the newest first.
    pub items: Vec<Approval>,
}

/// Lists approvals.
pub static LIST: Action<ListApprovals, Approvals> = Action {
    name: "approval.list",
    summary: "Lists requests for approval: those to decide, one's own, or all that one may know of.",
    effect: Effect::Read,
    run: |tx, input| {
        let me =
            tx.cx().account().ok_or_else(|| Error::forbidden("approval.person", "only an account asks and decides"))?;
        let (tenant, now) = (tx.cx().tenant(), tx.now);
        tx.grant("approval.list", "tenant", &tenant.to_string(), tenant, Class::Internal, ())?;
        if input.which == Which::Mine {
            return Ok(Approvals { items: store::of_requester(tx, me, now)? });
        }
        let (from, to) = tenants::store::range(&tenants::store::load(tx, tenant)?.path);
        let found = match input.which {
            Which::All => store::of_range(tx, (&from, &to), now)?,
            _ => store::waiting(tx, tenant, (&from, &to), now)?,
        };
        let mut items: Vec<Approval> = found.into_iter().filter(|approval| may_see(tx, approval)).collect();
        if input.which == Which::ToDecide {
            items = decidable(tx, me, items)?;
        }
        Ok(Approvals { items })
    },
};

/// Whether the actor may know of it: they asked, could do the same, or read the audit log.
fn may_see(tx: &Tx<'_>, approval: &Approval) -> bool {
    let cx = tx.cx();
    let near = matches!(cx.relation(approval.tenant), Relation::Own | Relation::Below);
    let entitled = [approval.action.as_str(), "audit.list"].iter().any(|action| tx.would_allow(cx, action));
    cx.account() == Some(approval.requester) || (near && entitled)
}

/// The one of that identifier, if the actor may know of it.
pub(crate) fn found(tx: &mut Tx<'_>, id: ApprovalId) -> Result<Option<Approval>> {
    let now = tx.now;
    let found = store::load(tx, id, now)?;
    Ok(may_see(tx, &found).then_some(found))
}

/// Somebody who could decide in a tenant.
struct Decider {
    /// Their accounts.
    mine: Vec<AccountId>,
    /// As what they decide, where they stand there.
    cx: Option<Cx>,
}

impl Decider {
    /// Beside those who asked there.
    fn of(tx: &mut Tx<'_>, me: AccountId, tenant: TenantId, requesters: &[AccountId]) -> Result<Decider> {
        let all = [requesters, &[me]].concat();
        let mine = people::Persons::among(tx, tenant, &all)?.same_as(me);
        let cx = match people::approver(tx, me, tenant) {
            Ok(cx) => Some(cx),
            Err(e) if e.kind() == Kind::Forbidden => None,
            Err(e) => return Err(e),
        };
        Ok(Decider { mine, cx })
    }

    /// Why they cannot decide about it, whatever their hands: the code of the refusal.
    fn why_not(&self, tx: &Tx<'_>, approval: &Approval) -> Option<&'static str> {
        if self.mine.contains(&approval.requester) {
            return Some("approval.own");
        }
        let able = self.cx.as_ref().is_some_and(|cx| tx.would_allow(cx, &approval.action));
        (!able).then_some("approval.not_entitled")
    }
}

fn why_not(tx: &mut Tx<'_>, me: AccountId, approval: &Approval) -> Result<Option<&'static str>> {
    let decider = Decider::of(tx, me, approval.tenant, &[approval.requester])?;
    Ok(decider.why_not(tx, approval))
}

/// Those about which somebody could decide. Every page asks for their number: each tenant is looked at once.
fn decidable(tx: &mut Tx<'_>, me: AccountId, waiting: Vec<Approval>) -> Result<Vec<Approval>> {
    let mut requesters: BTreeMap<TenantId, Vec<AccountId>> = BTreeMap::new();
    for approval in &waiting {
        requesters.entry(approval.tenant).or_default().push(approval.requester);
    }
    let mut deciders = BTreeMap::new();
    for (tenant, mut asked) in requesters {
        asked.sort_unstable();
        asked.dedup();
        deciders.insert(tenant, Decider::of(tx, me, tenant, &asked)?);
    }
    let could = |one: &Approval| deciders.get(&one.tenant).is_some_and(|decider| decider.why_not(tx, one).is_none());
    Ok(waiting.into_iter().filter(could).collect())
}

/// Which approval.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalRef {
    /// The identifier.
    pub id: ApprovalId,
}

/// What changes of one attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Difference {
    /// Which.
    pub attribute: String,
    /// What it was when it was asked for.
    pub before: Json,
    /// What it would be.
    pub after: Json,
}

/// An approval with what one needs to decide.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalDetail {
    /// The approval.
    #[serde(flatten)]
    pub approval: Approval,
    /// What would change, where the input names attributes of the object.
    pub differences: Vec<Difference>,
    /// Whether it waits and the asker could decide about it.
    pub may_decide: bool,
    /// The code of the reason why not, where it waits.
    pub why_not: Option<String>,
}

fn granted(tx: &mut Tx<'_>, action: &str, id: ApprovalId) -> Result<Approval> {
    let now = tx.now;
    let found = store::load(tx, id, now)?;
    // What one asked for oneself is one's own, wherever one acts by now.
    let own = tx.cx().account() == Some(found.requester);
    let tenant = if own { tx.cx().tenant() } else { found.tenant };
    let found = tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found)?.into_inner();
    if !may_see(tx, &found) {
        return Err(Error::not_found("approval.not_found", format!("there is no approval {id}")));
    }
    Ok(found)
}

/// Shows an approval.
pub static GET: Action<ApprovalRef, ApprovalDetail> = Action {
    name: "approval.get",
    summary: "Shows a request for approval: exactly what would happen, to what, and who asks why.",
    effect: Effect::Read,
    run: |tx, input| {
        let approval = granted(tx, "approval.get", input.id)?;
        let me = tx.cx().account().unwrap_or(approval.requester);
        let waits = approval.state == State::Waiting;
        let why_not = if waits { why_not(tx, me, &approval)?.map(str::to_owned) } else { None };
        let differences = differences(&approval);
        Ok(ApprovalDetail { may_decide: waits && why_not.is_none(), why_not, differences, approval })
    },
};

fn differences(approval: &Approval) -> Vec<Difference> {
    let (Some(input), Some(seen)) = (approval.input.as_object(), approval.seen.as_object()) else { return Vec::new() };
    let changed = |name: &String| {
        let (before, after) = (seen.get(name)?, input.get(name)?);
        let differ = before != after && before.get("id") != Some(after);
        differ.then(|| Difference { attribute: name.clone(), before: before.clone(), after: after.clone() })
    };
    input.keys().filter_map(changed).collect()
}

/// What is approved.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// The approval.
    pub id: ApprovalId,
    /// Its digest as it was shown: what was looked at is what is approved.
    pub digest: String,
    /// What there is to say to it.
    #[serde(default)]
    pub note: String,
}

/// Approves, and does it.
pub static APPROVE: Action<Approve, Approval> = Action {
    name: "approval.approve",
    summary: "Approves a request and does exactly that, as whoever asked. Answers with the state `done`, or `failed` where it could not be done any more: then nothing was changed.",
    effect: Effect::Change,
    run: approve,
};

fn note(text: &str) -> Result<String> {
    if text.trim().is_empty() { Ok(String::new()) } else { rules::reason(text).map_err(|e| e.at("note")) }
}

fn approve(tx: &mut Tx<'_>, input: &Approve) -> Result<Approval> {
    let found = granted(tx, "approval.approve", input.id)?;
    let (me, now) = (people::by_hand(tx)?, tx.now);
    if people::are_one(tx, found.tenant, me, found.requester)? {
        return Err(Error::forbidden("approval.own", "whoever asked cannot approve it, with no account of theirs"));
    }
    // Taken first: of two who approve at one moment, the second waits here and then finds it taken.
    store::settle(tx, found.id, State::Done, me, &note(&input.note)?, now)?;
    if input.digest != found.digest {
        return Err(Error::stale("approval.digest", "that is not what was shown; look at it again"));
    }
    if base::hex::encode(&rules::digest(&found)) != found.digest {
        return Err(Error::bug("approval.damaged", "a stored approval does not match its own hash"));
    }
    let cx = people::approver(tx, me, found.tenant)?;
    let rehearsed = tx.rehearse(|tx| tx.run_as(&cx, &found.action, &found.input).map(drop));
    match &rehearsed {
        Err(e) if matches!(e.kind(), Kind::Forbidden | Kind::Unauthenticated) => return Err(people::not_entitled()),
        Err(e) if !is_answer(e) => return Err(e.clone()),
        _ => {}
    }
    let end = match tx.attempt(|tx| carry_out(tx, &found)) {
        // It can be done, and not by whoever approves.
        Ok(done) => rehearsed.map(|()| Ok::<Json, Problem>(done.output))?,
        Err(e) if is_answer(&e) => Err(Problem { code: e.code().to_owned(), message: e.message().to_owned() }),
        Err(e) => return Err(e),
    };
    store::finish(tx, found.id, end)?;
    let decided = store::load(tx, found.id, now)?;
    tell_requester(tx, &decided)?;
    Ok(decided)
}

/// Whether an error answers the question whether it can be done; the others want it done again.
fn is_answer(error: &Error) -> bool {
    !error.kind().is_transient() && error.kind() != Kind::Bug
}

/// Does what was approved, if everything is still as it was.
fn carry_out(tx: &mut Tx<'_>, found: &Approval) -> Result<Done> {
    let changed = || {
        let message = "what this was asked about has changed since; ask anew, so that it is looked at anew";
        Error::stale("approval.object_changed", message)
    };
    let cx = people::requester(tx, found)?;
    let seen = approvable::look(tx, &cx, &found.action, &found.input)?;
    let mut held = found.seen.clone();
    held.as_object_mut().and_then(|held| held.remove(OTHERS));
    if seen != held {
        return Err(changed());
    }
    let done = tx.run_as(&cx, &found.action, &found.input)?;
    if with_others(seen, &done) != found.seen
        || about(&done) != found.object
        || amounts_to(&found.action, &done)? != found.amounts_to
    {
        return Err(changed());
    }
    Ok(done)
}

/// What is declined, and why.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decline {
    /// The approval.
    pub id: ApprovalId,
    /// Why, for whoever asked.
    #[serde(default)]
    pub reason: String,
}

/// Declines.
pub static DECLINE: Action<Decline, Approval> = Action {
    name: "approval.decline",
    summary: "Declines a request for approval; it is over.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "approval.decline", input.id)?;
        let (me, now) = (people::by_hand(tx)?, tx.now);
        match why_not(tx, me, &found)? {
            Some("approval.own") => {
                return Err(Error::forbidden("approval.own", "what you asked for yourself you withdraw"));
            }
            Some(_) => return Err(people::not_entitled()),
            None => {}
        }
        store::settle(tx, found.id, State::Declined, me, &note(&input.reason)?, now)?;
        let decided = store::load(tx, found.id, now)?;
        tell_requester(tx, &decided)?;
        Ok(decided)
    },
};

/// Takes a request back.
pub static WITHDRAW: Action<ApprovalRef, Approval> = Action {
    name: "approval.withdraw",
    summary: "Takes back what one asked for oneself.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "approval.withdraw", input.id)?;
        let (me, now) = (tx.cx().account(), tx.now);
        let Some(me) = me.filter(|me| *me == found.requester) else {
            return Err(Error::forbidden("approval.not_yours", "only whoever asked takes it back; you can decline it"));
        };
        store::settle(tx, found.id, State::Withdrawn, me, "", now)?;
        store::load(tx, found.id, now)
    },
};
