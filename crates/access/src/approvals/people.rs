//! Who may agree to what, and who is the same person.
//!
//! First cut of what a person is: an account; two accounts whose addresses lead into one mailbox, which
//! each of them has shown to be theirs by accepting an invitation there, or of which an identity provider said so that
//! made the account; accounts of which a tenant (or one above it) says that they are one person's; and a service account, which is one person with whoever
//! answers for it or has seen a key of it. These add up: whoever shares a mailbox with an account
//! that is linked with a third is one person with the third. A token acts as its account, so it is its person.

use std::collections::BTreeSet;
use std::time::Duration;

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use gate::{Actor, Bounds, Cx, Proof, Strength, Tx};

use super::store::CameWith;
use super::{Approval, rules, store};
use crate::reach::{self, Standing, known};
use crate::sessions::SessionId;
use crate::tokens::{self, TokenId};
use crate::{accounts, service_accounts, sign_in_rules, tenants};

/// The instant by which a right must have been given to count for approving, or a link taken back to count no more.
pub(super) fn settled_by(tx: &Tx<'_>) -> Timestamp {
    tx.now - Duration::from_secs(limits::APPROVAL_SETTLING_SECONDS.unsigned_abs())
}

fn context(account: AccountId, standing: Standing) -> Cx {
    Cx::new(Actor::Account(account), standing.tenant, standing.scope, standing.roles)
}

/// Who is one person with whom, as seen in a tenant: by what is said there and above, and by mailboxes, over
/// any number of accounts between.
pub(super) struct Persons(Vec<(AccountId, AccountId)>);

impl Persons {
    /// Of these accounts and all that they are linked with.
    pub(super) fn among(tx: &mut Tx<'_>, tenant: TenantId, accounts: &[AccountId]) -> Result<Persons> {
        let since = settled_by(tx);
        let (mut links, mut addresses) = (Vec::new(), Vec::new());
        for above in tenants::store::load(tx, tenant)?.path {
            for [one, other] in store::linked_addresses(tx, above, since)? {
                links.push((one.0, other.0));
                addresses.extend([one, other]);
            }
        }
        for account in accounts {
            let account = accounts::store::load(tx, *account)?;
            if account.is_person() {
                addresses.push((account.id, account.email));
                continue;
            }
            // A program does what those want who hold its keys.
            for person in service_accounts::behind(tx, account.id)? {
                links.push((account.id, person.id));
                addresses.push((person.id, person.email));
            }
        }
        links.extend(rules::sharing(addresses));
        Ok(Persons(links))
    }

    /// Everybody who is one person with an account, it included.
    pub(super) fn same_as(&self, account: AccountId) -> Vec<AccountId> {
        rules::linked(account, &self.0)
    }
}

/// Whether two accounts are one person's.
pub(super) fn are_one(tx: &mut Tx<'_>, tenant: TenantId, one: AccountId, other: AccountId) -> Result<bool> {
    Ok(Persons::among(tx, tenant, &[one, other])?.same_as(one).contains(&other))
}

/// The account that acts, where it is a person's who is signed in: a program holds a token without end, and
/// what an approval is for is that somebody looked.
pub(super) fn by_hand(tx: &Tx<'_>) -> Result<AccountId> {
    let signed_in = tx.cx().session().is_some_and(|text| text.parse::<SessionId>().is_ok());
    tx.cx().account().filter(|_| signed_in).ok_or_else(|| {
        Error::forbidden(
            "approval.by_hand",
            "an API token approves nothing: sign in, on the page or with `yunwei approval approve`, and decide there",
        )
    })
}

/// The context in which an account agrees to something in a tenant, by the rights that have settled.
pub(super) fn approver(tx: &mut Tx<'_>, account: AccountId, tenant: TenantId) -> Result<Cx> {
    let held_by = settled_by(tx);
    let standing = known(reach::standing_since(tx, account, tenant, held_by))?;
    Ok(context(account, standing.ok_or_else(not_entitled)?))
}

pub(super) fn not_entitled() -> Error {
    let hours = limits::APPROVAL_SETTLING_SECONDS / 3_600;
    Error::forbidden(
        "approval.not_entitled",
        format!(
            "whoever approves must be entitled to do the same themselves, by roles they have held for {hours} hours"
        ),
    )
}

/// The context in which whoever asked has it done: what they may now, and no more than they might then.
pub(super) fn requester(tx: &mut Tx<'_>, approval: &Approval) -> Result<Cx> {
    let gone = || {
        Error::forbidden("approval.requester_gone", "whoever asked is not entitled to this any more; nothing was done")
    };
    let CameWith { session, strength, roles: had } = store::came_with(tx, approval.id)?;
    let token = match session.parse::<TokenId>() {
        Ok(token) => Some(tokens::store::find(tx, token)?.ok_or_else(gone)?),
        Err(_) => None,
    };
    let may = match &token {
        Some(token) => token.is_in_force(tx.now),
        // By now they could do nothing but enrol a second factor: by what they had shown when they asked, since sessions
        // end sooner than requests.
        None => !sign_in_rules::must_enrol(tx, approval.requester, strength)?,
    };
    if !may {
        return Err(gone());
    }
    let standing = reach::standing(tx, approval.requester, Some(approval.tenant), None);
    let mut standing = known(standing)?.ok_or_else(gone)?;
    standing.roles.retain(|role| had.contains(role));
    let why = format!("{}: {}", approval.id, approval.reason);
    let mut cx = context(approval.requester, standing).in_session(session);
    if let Some(token) = token {
        let program = service_accounts::store::find(tx, approval.requester)?;
        // It came from where the token is used when it was asked for.
        let bounds = token.bounds(tx.catalogue(), program.is_some())?.map(Bounds::anywhere);
        // What the token, and its program, are for by now.
        cx = cx.proven(Proof {
            strength: Strength::Token,
            at: token.created_at,
            has_factor: false,
            must_enrol: false,
            for_sensitive: token.sensitive && program.is_none_or(|program| program.sensitive),
        });
        cx = bounds.map_or(cx.clone(), |bounds| cx.bounded(bounds));
    }
    let request = tx.cx().request().to_owned();
    Ok(cx.for_request(request, None).because(why))
}

/// The people of a tenant and above it, each account as it stands there, with whose it is.
pub(super) struct People(Vec<Someone>);

struct Someone {
    account: AccountId,
    cx: Cx,
    /// The same person's account that is first by its identifier.
    person: AccountId,
}

impl People {
    /// Those who stand in a tenant by their rights as they have settled, or as they are now.
    pub(super) fn of(tx: &mut Tx<'_>, tenant: TenantId, settled: bool) -> Result<People> {
        let path = tenants::store::load(tx, tenant)?.path;
        let held_by = if settled { settled_by(tx) } else { tx.now };
        let mut all: Vec<Someone> = Vec::new();
        let candidates = store::candidates(tx, &path)?;
        let persons = Persons::among(tx, tenant, &candidates)?;
        for account in candidates {
            // Somebody above who has no role here stands nowhere.
            let Some(standing) = known(reach::standing_since(tx, account, tenant, held_by))? else { continue };
            let person = persons.same_as(account).into_iter().min().unwrap_or(account);
            all.push(Someone { account, cx: context(account, standing), person });
        }
        Ok(People(all))
    }

    fn able<'p>(&'p self, tx: &'p Tx<'_>, action: &'p str) -> impl Iterator<Item = &'p Someone> {
        self.0.iter().filter(|someone| tx.would_allow(&someone.cx, action))
    }

    /// The accounts that could begin an action.
    pub(super) fn accounts(&self, tx: &Tx<'_>, action: &str) -> Vec<AccountId> {
        self.able(tx, action).map(|someone| someone.account).collect()
    }

    /// How many persons these are.
    pub(super) fn persons(&self, tx: &Tx<'_>, action: &str) -> usize {
        self.able(tx, action).map(|someone| someone.person).collect::<BTreeSet<_>>().len()
    }
}
