//! Inviting, answering, taking back.

use std::time::Duration;

use base::id::{AccountId, TenantId};
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn};
use gate::{Action, AnyAction, Effect, Relation, Tx};
use serde::{Deserialize, Serialize};

use super::{Invitation, InvitationId, InvitationState, store};
use crate::accounts::{self, Account, AccountKind, AccountState, NewPerson};
use crate::mail::{self, Errand, links};
use crate::passwords::{hashing, strength};
use crate::prepared::Prepared;
use crate::roles::{self, OWNER};
use crate::secret::Secret;
use crate::tenants::{self, Tenant};
use crate::{Fact, Page, reach, text};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&INVITE, &LIST, &RESEND, &WITHDRAW, &PREVIEW, &ACCEPT];

/// Who is to be asked to join, where, as what.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InviteAccount {
    /// Where to; the acting tenant where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// The mail address.
    pub email: String,
    /// What the person is called.
    pub name: String,
    /// The language of the mail; the tenant's where it is left out.
    #[serde(default)]
    pub locale: Option<String>,
    /// The roles they will have.
    pub roles: Vec<String>,
}

/// Asks somebody to join a tenant.
pub static INVITE: Action<InviteAccount, Invitation> = Action {
    name: "account.invite",
    summary: "Asks somebody to join a tenant with certain roles, by a mail with a link.",
    effect: Effect::Create,
    run: |tx, input| {
        let tenant = destination(tx, "account.invite", input.tenant.unwrap_or(tx.cx().tenant()), &input.roles)?;
        let person = NewPerson { email: input.email.clone(), name: input.name.clone(), locale: input.locale.clone() };
        make(tx, &tenant, &person, &input.roles)
    },
};

/// The tenant that somebody is invited to. A parent may invite an owner to its
/// child without seeing inside it: that is how a customer gets its first one,
/// and a new one when all have gone.
fn destination(tx: &mut Tx<'_>, action: &str, id: TenantId, as_what: &[String]) -> Result<Tenant> {
    let tenant = tenants::store::load(tx, id)?;
    let by_parent = tenant.parent == Some(tx.cx().tenant())
        && tx.cx().relation(id) == Relation::Elsewhere
        && as_what.iter().all(|role| role == OWNER);
    let owner = if by_parent { tx.cx().tenant() } else { id };
    tx.grant(action, "tenant", &id.to_string(), owner, Class::Personal, tenant).map(gate::Granted::into_inner)
}

/// Makes an invitation and has it mailed; the caller has decided that it may be made.
pub(crate) fn make(tx: &mut Tx<'_>, tenant: &Tenant, person: &NewPerson, as_what: &[String]) -> Result<Invitation> {
    let email = text::email(&person.email)?;
    let mut wanted: Vec<String> = as_what.to_vec();
    wanted.sort();
    wanted.dedup();
    if wanted.is_empty() {
        return Err(Error::invalid("role.needed", "as what is this person to join?").at("roles"));
    }
    for name in &wanted {
        let role = roles::rules::role_for(name, tenant.kind)?;
        // The platform's own workers decided before they asked.
        if tx.cx().account().is_some() {
            roles::rules::may_grant(tx.cx().roles(), role)?;
        }
    }
    let now = tx.now;
    if let Some(before) = store::pending(tx, tenant.id, &email.key)? {
        if before.expires_at > now {
            return Err(Error::conflict(
                "invitation.pending",
                "this person has been invited already; send the invitation again, or withdraw it",
            )
            .at("email"));
        }
        store::close(tx, before.id, InvitationState::Withdrawn)?;
    }
    if let Some(account) = accounts::store::by_email(tx, &email.key)? {
        let held = roles::store::held(tx, account.id, tenant.id)?;
        if wanted.iter().all(|role| held.contains(role)) {
            return Err(Error::conflict("account.member", "this person has joined already").at("email"));
        }
    }
    if store::pending_number(tx, tenant.id)? >= limits::INVITATIONS_PENDING_MAX {
        return Err(Error::exhausted("invitation.too_many", "too many invitations wait for an answer; withdraw some"));
    }
    within_the_day(tx, tenant)?;
    let invitation = Invitation {
        id: InvitationId::fresh(tx.ids(), now),
        tenant: tenant.id,
        name: text::name(&person.name, "name")?,
        locale: person.locale.as_deref().map_or(Ok(tenant.locale.clone()), text::locale)?,
        email: email.shown.clone(),
        roles: wanted,
        state: InvitationState::Pending,
        invited_by: tx.cx().actor().to_string(),
        created_at: now,
        expires_at: now + Duration::from_secs(limits::INVITATION_SECONDS.unsigned_abs()),
    };
    store::insert(tx, &invitation, &email)?;
    tx.touch("invitation", &invitation.id.to_string(), tenant.id, 0);
    tx.fact(Fact::InvitationMade { invitation: invitation.id.to_string() }, tenant.id)?;
    mail::ask(tx, &Errand::Invitation { invitation: invitation.id })?;
    Ok(invitation)
}

/// Whoever owns an organisation has mails written in our name, to anybody and
/// with names of their choosing: so many a day, its departments included.
fn within_the_day(tx: &mut Tx<'_>, tenant: &Tenant) -> Result<()> {
    let Some(customer) = tenant.path.get(..2) else { return Ok(()) };
    let since = tx.now - Duration::from_secs(24 * 60 * 60);
    if store::made_since(tx, customer, since)? < limits::INVITATIONS_PER_DAY_MAX {
        return Ok(());
    }
    Err(Error::throttled("invitation.too_many_today", "that is enough invitations for one day; go on tomorrow")
        .retry_after(Duration::from_secs(60 * 60)))
}

/// A page of invitations.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListInvitations {
    /// To which tenant; the acting one where it is left out.
    #[serde(default)]
    pub tenant: Option<TenantId>,
    /// The last identifier of the page before.
    #[serde(default)]
    pub after: Option<InvitationId>,
    /// How many.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Lists the invitations that wait for an answer.
pub static LIST: Action<ListInvitations, Page<Invitation>> = Action {
    name: "invitation.list",
    summary: "Lists the invitations to a tenant that wait for an answer.",
    effect: Effect::Read,
    run: |tx, input| {
        let id = input.tenant.unwrap_or(tx.cx().tenant());
        let tenant = destination(tx, "invitation.list", id, &[])?;
        // A parent that does not see inside sees the owners that it invites, and no others.
        let owners_only = tx.cx().relation(tenant.id) == Relation::Elsewhere;
        let limit = Page::<Invitation>::limit(input.limit);
        let found = store::list(tx, tenant.id, owners_only, input.after, limit + 1)?;
        Ok(Page::cut(found, limit, |invitation| invitation.id.to_string()))
    },
};

/// Which invitation.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InvitationRef {
    /// Its identifier.
    pub invitation: InvitationId,
}

/// Reads a pending invitation for `action`.
fn load(tx: &mut Tx<'_>, action: &str, id: InvitationId) -> Result<Invitation> {
    let absent = || Error::not_found("invitation.not_found", format!("there is no invitation {id}"));
    let invitation = store::find(tx, id)?.ok_or_else(absent)?;
    tx.touch("invitation", &id.to_string(), invitation.tenant, 0);
    destination(tx, action, invitation.tenant, &invitation.roles)
        .map_err(|e| if e.kind() == base::Kind::NotFound { absent() } else { e })?;
    if invitation.state != InvitationState::Pending {
        return Err(Error::conflict("invitation.closed", "this invitation has been answered or withdrawn"));
    }
    Ok(invitation)
}

/// Sends an invitation again, with a new link and a new term.
pub static RESEND: Action<InvitationRef, Invitation> = Action {
    name: "invitation.resend",
    summary: "Sends an invitation again, with a new link and a new term.",
    effect: Effect::Change,
    run: |tx, input| {
        let mut invitation = load(tx, "invitation.resend", input.invitation)?;
        let sent = invitation.expires_at - Duration::from_secs(limits::INVITATION_SECONDS.unsigned_abs());
        let next = sent + Duration::from_secs(limits::INVITATION_RESENT_AFTER_SECONDS);
        if tx.now < next {
            let wait = Duration::try_from(next.duration_since(tx.now)).unwrap_or_default();
            let message = "the invitation was sent a moment ago; give it ten minutes to arrive";
            return Err(Error::throttled("invitation.just_sent", message).retry_after(wait));
        }
        invitation.expires_at = tx.now + Duration::from_secs(limits::INVITATION_SECONDS.unsigned_abs());
        store::prolong(tx, invitation.id, invitation.expires_at)?;
        mail::ask(tx, &Errand::Invitation { invitation: invitation.id })?;
        Ok(invitation)
    },
};

/// Takes an invitation back; its links stop working.
pub static WITHDRAW: Action<InvitationRef, Invitation> = Action {
    name: "invitation.withdraw",
    summary: "Takes an invitation back; its links stop working.",
    effect: Effect::Delete,
    run: |tx, input| {
        let mut invitation = load(tx, "invitation.withdraw", input.invitation)?;
        store::close(tx, invitation.id, InvitationState::Withdrawn)?;
        invitation.state = InvitationState::Withdrawn;
        Ok(invitation)
    },
};

/// The token of a mailed link.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LinkToken {
    /// What stands behind `token=` in the link.
    pub token: Secret,
}

/// What somebody sees before they accept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Preview {
    /// The name of the tenant.
    pub tenant: String,
    /// Whom it is for.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// The language of the mail.
    pub locale: String,
    /// The roles they will have.
    pub roles: Vec<String>,
    /// Whether there is an account already, so that no password is asked for.
    pub has_account: bool,
    /// Until when it can be accepted.
    #[schemars(with = "String")]
    pub expires_at: Timestamp,
}

/// Shows an invitation to whoever holds its link.
pub static PREVIEW: Action<LinkToken, Preview> = Action {
    name: "invitation.preview",
    summary: "Shows an invitation to whoever holds its link, before it is accepted.",
    effect: Effect::Read,
    run: |tx, input| {
        let now = tx.now;
        let (invitation, account) = behind(tx, &input.token, now)?;
        let tenant = tenants::store::load(tx, invitation.tenant)?.name;
        let Invitation { email, name, locale, roles, expires_at, .. } = invitation;
        Ok(Preview { tenant, email, name, locale, roles, has_account: account.is_some(), expires_at })
    },
};

/// The pending invitation behind a link, and the account that its address has.
fn behind(conn: &mut Conn<'_>, token: &Secret, now: Timestamp) -> Result<(Invitation, Option<Account>)> {
    let id: InvitationId = links::open(conn, links::INVITATION, token, now)?.parse()?;
    let invitation = store::find(conn, id)?
        .filter(|i| i.state == InvitationState::Pending && i.expires_at > now)
        .ok_or_else(links::void)?;
    let account = accounts::store::by_email(conn, &text::email(&invitation.email)?.key)?;
    Ok((invitation, account))
}

/// An answer to an invitation.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AcceptInvitation {
    /// What stands behind `token=` in the link.
    pub token: Secret,
    /// What the person wants to be called; as invited where it is left out.
    #[serde(default)]
    pub name: Option<String>,
    /// The password they choose; not needed, and not looked at, where they have an account already.
    #[serde(default)]
    pub password: Option<Secret>,
}

/// An answer whose password has been hashed.
#[derive(Debug)]
pub struct Answer {
    token: Secret,
    name: Option<String>,
    password: Option<String>,
}

/// Somebody who has joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Joined {
    /// Who.
    pub account: AccountId,
    /// Where.
    pub tenant: TenantId,
    /// Whether they had an account before.
    pub had_account: bool,
}

/// Accepts an invitation.
pub static ACCEPT: Prepared<AcceptInvitation, Answer, Joined> = Prepared {
    name: "invitation.accept",
    summary: "Accepts an invitation; somebody new chooses a password.",
    effect: Effect::Create,
    prepare: |gate, _, input| {
        let (token, now) = (input.token.clone(), gate.now());
        let (invitation, account, tenant) = gate.db().read(move |conn| {
            let (invitation, account) = behind(conn, &token, now)?;
            let tenant = tenants::store::load(conn, invitation.tenant)?.name;
            Ok((invitation, account, tenant))
        })?;
        let name = input.name.as_deref().map(|name| text::name(name, "name")).transpose()?;
        let password = match (account, &input.password) {
            (Some(_), _) => None,
            (None, None) => return Err(Error::invalid("password.needed", "choose a password").at("password")),
            (None, Some(password)) => {
                strength::check(
                    password.reveal(),
                    &[&invitation.email, name.as_deref().unwrap_or(&invitation.name), &tenant],
                )?;
                Some(hashing::hash(password.reveal())?)
            }
        };
        Ok(Answer { token: input.token, name, password })
    },
    run: |tx, answer| {
        let now = tx.now;
        let (invitation, account) = behind(tx, &answer.token, now)?;
        let tenant = tenants::store::load(tx, invitation.tenant)?;
        if tenants::store::closed(tx, &tenant.path)?.is_some() {
            return Err(Error::conflict("tenant.suspended", "this organisation is suspended at present"));
        }
        let had_account = account.is_some();
        let account = match account {
            Some(account) if account.state == AccountState::Suspended => {
                return Err(Error::conflict("account.suspended", "this account is suspended"));
            }
            Some(account) => account,
            None => join(tx, &invitation, answer)?,
        };
        if !store::close(tx, invitation.id, InvitationState::Accepted)? {
            return Err(links::void());
        }
        for role in &invitation.roles {
            roles::store::insert(tx, account.id, tenant.id, role, &invitation.invited_by, now)?;
        }
        reach::changed(tx);
        tx.touch("invitation", &invitation.id.to_string(), tenant.id, 0);
        tx.fact(Fact::AccountJoined { account: account.id.to_string() }, tenant.id)?;
        Ok(Joined { account: account.id, tenant: tenant.id, had_account })
    },
};

/// The account of somebody new.
fn join(tx: &mut Tx<'_>, invitation: &Invitation, answer: &Answer) -> Result<Account> {
    // There was an account a moment ago, and it has left meanwhile.
    let password =
        answer.password.as_ref().ok_or_else(|| Error::contended("invitation.changed", "open the link again"))?;
    let account = Account {
        id: AccountId::fresh(tx.ids(), tx.now),
        home: invitation.tenant,
        kind: AccountKind::Person,
        email: invitation.email.clone(),
        name: answer.name.clone().unwrap_or_else(|| invitation.name.clone()),
        locale: invitation.locale.clone(),
        state: AccountState::Active,
        created_at: tx.now,
        signed_in_at: None,
    };
    let now = tx.now;
    accounts::store::insert(tx, &account, &text::email(&invitation.email)?)?;
    accounts::store::set_password(tx, account.id, password, now)?;
    Ok(account)
}
