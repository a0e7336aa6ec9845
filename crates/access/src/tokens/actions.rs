//! Making, listing and revoking API tokens.

use std::time::Duration;

use base::id::{AccountId, TenantId};
use base::{Error, Result, limits};
use db::Class;
use gate::{Action, Actor, AnyAction, Effect, Tx};
use serde::{Deserialize, Serialize};

use super::{Token, TokenId, came_with, limits_of, rules, store};
use crate::secret::{self, Of};
use crate::{Fact, Page, reach, sign_in_rules, tenants, text};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&CREATE, &LIST, &REVOKE];

/// What a new token is to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreateToken {
    /// What it is for.
    pub name: String,
    /// After how many days it stops working; 90 where it is left out, or fewer where the sign-in rules say so.
    #[serde(default)]
    pub days: Option<u32>,
    /// The roles it is limited to, out of one's own; all where it is left out.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
    /// The scopes it is limited to: an action (`service.reboot`), what reads a thing (`service:read`), all
    /// that is done with it (`service:write`), or `*:read` and `*:write`; all where it is left out.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// The networks it is used from, such as `192.0.2.0/24`; anywhere where it is left out.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Whether it is for sensitive actions, too: those that give or take control over access and keys.
    #[serde(default)]
    pub sensitive: bool,
    /// For whom; only the platform itself (`yunwei admin`) may name somebody else.
    #[serde(default)]
    pub account: Option<AccountId>,
}

/// A token that was just made. The secret is shown this once.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NewToken {
    /// The secret: what a program sends as `Authorization: Bearer …`.
    pub secret: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub token: Token,
}

/// Makes a token for oneself, in the acting tenant.
pub static CREATE: Action<CreateToken, NewToken> = Action {
    name: "token.create",
    summary: "Makes an API token for oneself in the acting tenant; its secret is shown this once.",
    effect: Effect::Create,
    run: |tx, input| {
        let account = match (tx.cx().actor(), input.account) {
            (Actor::Account(own), None) => *own,
            (Actor::Account(own), Some(named)) if *own == named => *own,
            (Actor::System(_), Some(named)) => named,
            (Actor::System(_), None) => {
                return Err(Error::invalid("token.for_whom", "for whom is the token?").at("account"));
            }
            _ => return Err(Error::forbidden("token.not_own", "a token is made by the person that it acts as")),
        };
        let tenant = tx.cx().tenant();
        make(tx, account, tenant, input)
    },
};

/// Makes a token; the caller has decided that it may be made.
pub(crate) fn make(tx: &mut Tx<'_>, account: AccountId, tenant: TenantId, input: &CreateToken) -> Result<NewToken> {
    let expires_at = tx.now + Duration::from_secs(u64::from(days(tx, tenant, input.days)?) * 24 * 60 * 60);
    let roles = limited_roles(tx, account, tenant, input.roles.as_deref())?;
    let (scopes, networks) = limits_for(tx, input)?;
    let now = tx.now;
    if store::in_force(tx, account, now)? >= limits::TOKENS_PER_ACCOUNT_MAX {
        return Err(Error::exhausted(
            "token.too_many",
            format!(
                "an account has at most {} tokens; revoke one that is not needed any more",
                limits::TOKENS_PER_ACCOUNT_MAX
            ),
        ));
    }
    let (secret, hash) = secret::mint(Of::Token)?;
    let token = Token {
        id: TokenId::fresh(tx.ids(), now),
        prefix: secret.chars().take(10).collect(),
        account,
        tenant,
        name: text::name(&input.name, "name")?,
        roles,
        scopes,
        networks,
        sensitive: input.sensitive,
        made_by: tx.cx().actor().to_string(),
        created_at: now,
        expires_at: Some(expires_at),
        revoked_at: None,
        used_at: None,
        used_from: None,
        replaced_by: None,
    };
    store::insert(tx, &token, &hash)?;
    tx.touch("token", &token.id.to_string(), tenant, 0);
    tx.fact(Fact::TokenCreated { token: token.id.to_string() }, tenant)?;
    Ok(NewToken { secret, token })
}

/// How long a token lives, within what the sign-in rules of its tenant allow.
fn days(tx: &mut Tx<'_>, tenant: TenantId, wanted: Option<u32>) -> Result<u32> {
    let path = tenants::store::load(tx, tenant)?.path;
    let most = sign_in_rules::in_tenant(tx, &path)?.token_days;
    let days = wanted.unwrap_or(limits::TOKEN_DAYS_DEFAULT.min(most));
    if (1..=most).contains(&days) {
        return Ok(days);
    }
    Err(Error::invalid("token.days", format!("a token lives between 1 and {most} days here")).at("days"))
}

/// The roles that a token is limited to, out of those its account has there.
fn limited_roles(
    tx: &mut Tx<'_>,
    account: AccountId,
    tenant: TenantId,
    wanted: Option<&[String]>,
) -> Result<Option<Vec<String>>> {
    let standing = reach::standing(tx, account, Some(tenant), None)?;
    // What made this token may be limited itself; it cannot hand on more than it has.
    let own = if tx.cx().account() == Some(account) { tx.cx().roles().clone() } else { standing.roles.clone() };
    let cx = tx.cx();
    let limited = own != standing.roles || limits_of(tx, cx)?.is_some();
    match wanted {
        None if limited => Ok(Some(own.iter().cloned().collect())),
        None => Ok(None),
        Some([]) => Err(Error::invalid("token.roles", "a token without any role can do nothing").at("roles")),
        Some(wanted) => match wanted.iter().find(|role| !own.contains(*role)) {
            Some(_) => {
                let own: Vec<String> = own.into_iter().collect();
                let message = format!("a token can have these roles: {}", own.join(", "));
                Err(Error::invalid("token.roles", message).at("roles"))
            }
            None => Ok(Some(wanted.to_vec())),
        },
    }
}

/// The scopes and networks of a token: as they are wanted, and no more than those of the token that makes it.
fn limits_for(tx: &mut Tx<'_>, input: &CreateToken) -> Result<(Option<Vec<String>>, Vec<String>)> {
    let catalogue = tx.catalogue();
    let wanted = input.scopes.as_deref().map(|scopes| rules::scopes(catalogue, scopes)).transpose()?;
    let networks = rules::networks(&input.networks)?;
    let cx = tx.cx();
    let (Some(own), Some(bounds)) = (came_with(tx, cx)?, cx.bounds()) else {
        return Ok((wanted, networks.iter().map(ToString::to_string).collect()));
    };
    let scopes = match &own.scopes {
        Some(scopes) => Some(rules::within(catalogue, (scopes, bounds), wanted)?),
        None => wanted,
    };
    Ok((scopes, rules::networks_within(&rules::networks(&own.networks)?, networks)?))
}

/// A page of tokens.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListTokens {
    /// Everybody's in this tenant, not only one's own.
    #[serde(default)]
    pub everybody: bool,
    /// The last identifier of the page before.
    #[serde(default)]
    pub after: Option<TokenId>,
    /// How many.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Lists the tokens that have not been revoked.
pub static LIST: Action<ListTokens, Page<Token>> = Action {
    name: "token.list",
    summary: "Lists one's own API tokens in the acting tenant, or everybody's there.",
    effect: Effect::Read,
    run: |tx, input| {
        let tenant = tx.cx().tenant();
        let own = tx.cx().account();
        let whose = if input.everybody { None } else { own };
        if whose.is_none() {
            tx.grant("token.list", "tenant", &tenant.to_string(), tenant, Class::Personal, ())?;
        }
        let limit = Page::<Token>::limit(input.limit);
        let found = store::list(tx, tenant, whose, input.after, limit + 1)?;
        Ok(Page::cut(found, limit, |token| token.id.to_string()))
    },
};

/// Which token.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TokenRef {
    /// Its identifier.
    pub token: TokenId,
}

/// Revokes a token: one's own, or a member's.
pub static REVOKE: Action<TokenRef, Token> = Action {
    name: "token.revoke",
    summary: "Revokes an API token, one's own or a member's; it stops working at once.",
    effect: Effect::Delete,
    run: |tx, input| {
        let absent = || Error::not_found("token.not_found", format!("there is no token {}", input.token));
        let token = store::find(tx, input.token)?.ok_or_else(absent)?;
        // One's own can be revoked from wherever one acts.
        let (owner, class) = if tx.cx().account() == Some(token.account) {
            (tx.cx().tenant(), Class::Internal)
        } else {
            (token.tenant, Class::Personal)
        };
        let mut token = tx.grant("token.revoke", "token", &token.id.to_string(), owner, class, token)?.into_inner();
        let now = tx.now;
        if store::revoke(tx, token.id, now)? {
            token.revoked_at = Some(now);
            reach::changed(tx);
            tx.fact(Fact::TokenRevoked { token: token.id.to_string() }, token.tenant)?;
        }
        Ok(token)
    },
};
