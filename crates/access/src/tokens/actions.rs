//! Making, listing and revoking API tokens.

use std::time::Duration;

use base::id::{AccountId, TenantId};
use base::{Error, Result, limits};
use db::Class;
use gate::{Action, Actor, AnyAction, Effect, Tx};
use serde::{Deserialize, Serialize};

use super::{Token, TokenId, limits_of, store};
use crate::secret::{self, Of};
use crate::{Fact, Page, reach, text};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&CREATE, &LIST, &REVOKE];

/// What a new token is to be.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreateToken {
    /// What it is for.
    pub name: String,
    /// After how many days it stops working; 90 where it is left out.
    #[serde(default)]
    pub days: Option<u32>,
    /// The roles it is limited to, out of one's own; all where it is left out.
    #[serde(default)]
    pub roles: Option<Vec<String>>,
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
    let days = input.days.unwrap_or(limits::TOKEN_DAYS_DEFAULT);
    if !(1..=limits::TOKEN_DAYS_MAX).contains(&days) {
        return Err(Error::invalid(
            "token.days",
            format!("a token lives between 1 and {} days", limits::TOKEN_DAYS_MAX),
        )
        .at("days"));
    }
    let standing = reach::standing(tx, account, Some(tenant), None)?;
    // What made this token may be limited itself; it cannot hand on more than it has.
    let own = if tx.cx().account() == Some(account) { tx.cx().roles().clone() } else { standing.roles.clone() };
    let cx = tx.cx();
    let limited = own != standing.roles || limits_of(tx, cx)?.is_some();
    let roles = match &input.roles {
        None if limited => Some(own.iter().cloned().collect()),
        None => None,
        Some(wanted) if wanted.is_empty() => {
            return Err(Error::invalid("token.roles", "a token without any role can do nothing").at("roles"));
        }
        Some(wanted) => match wanted.iter().find(|role| !own.contains(*role)) {
            Some(_) => {
                return Err(Error::invalid(
                    "token.roles",
                    format!("a token can have these roles: {}", own.into_iter().collect::<Vec<_>>().join(", ")),
                )
                .at("roles"));
            }
            None => Some(wanted.clone()),
        },
    };
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
        sensitive: input.sensitive,
        created_at: now,
        expires_at: Some(now + Duration::from_secs(u64::from(days) * 24 * 60 * 60)),
        revoked_at: None,
        used_at: None,
    };
    store::insert(tx, &token, &hash)?;
    tx.touch("token", &token.id.to_string(), tenant, 0);
    tx.fact(Fact::TokenCreated { token: token.id.to_string() }, tenant)?;
    Ok(NewToken { secret, token })
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
