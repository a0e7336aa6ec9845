//! Setting up the operator: the root of the tree and its first administrator.
//!
//! Done once, by the platform itself on the command line
//! (`Cx::system("admin", the new tenant's identifier)`); no policy lets a person
//! or a program do it through the API.

use base::id::{AccountId, TenantId};
use base::{Error, Result, limits};
use gate::{AnyAction, Effect, Tx};
use serde::{Deserialize, Serialize};

use crate::accounts::{self, Account, AccountKind, AccountState};
use crate::passwords::{hashing, strength};
use crate::prepared::Prepared;
use crate::roles::{self, ADMINISTRATOR, SUPPORT};
use crate::secret::Secret;
use crate::tenants::{self, Tenant, TenantKind, TenantState};
use crate::tokens::actions::{CreateToken, NewToken, make};
use crate::{Fact, reach, text};

/// All of them.
pub static ACTIONS: &[&dyn AnyAction] = &[&INIT];

/// The operator and its first administrator.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InitOperator {
    /// The operator's name.
    pub name: String,
    /// The administrator's mail address.
    pub email: String,
    /// What the administrator is called; the mail address where it is left out.
    #[serde(default)]
    pub administrator: Option<String>,
    /// The language, `zh-TW` or `en`; `zh-TW` where it is left out.
    #[serde(default)]
    pub locale: Option<String>,
    /// The IANA time zone; `Asia/Taipei` where it is left out.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// A password for the pages; without one it is set later (`password.change` with the token).
    #[serde(default)]
    pub password: Option<Secret>,
    /// Without the role `support`: the administrator then does not see inside customers' tenants.
    #[serde(default)]
    pub without_support: bool,
}

/// The operator that was made, and the first token, shown this once.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Operator {
    /// The operator's tenant.
    pub tenant: TenantId,
    /// The first administrator.
    pub account: AccountId,
    /// The administrator's API token, shown this once.
    pub token: String,
}

/// Sets up the operator and its first administrator; refuses where there is one.
pub static INIT: Prepared<InitOperator, (InitOperator, Option<String>), Operator> = Prepared {
    name: "operator.init",
    summary: "Sets up the operator and its first administrator, whose API token is shown this once; refuses where there is an operator.",
    effect: Effect::Create,
    prepare: |_, _, input| {
        let phc = match &input.password {
            None => None,
            Some(password) => {
                strength::check(
                    password.reveal(),
                    &[&input.email, &input.name, input.administrator.as_deref().unwrap_or_default()],
                )?;
                Some(hashing::hash(password.reveal())?)
            }
        };
        Ok((input, phc))
    },
    run: |tx, (input, phc)| init(tx, input, phc.as_deref()),
};

fn init(tx: &mut Tx<'_>, input: &InitOperator, phc: Option<&str>) -> Result<Operator> {
    if tenants::store::operator(tx)?.is_some() {
        return Err(Error::conflict("operator.exists", "the operator has been set up already"));
    }
    let (now, id) = (tx.now, tx.cx().tenant());
    let email = text::email(&input.email)?;
    let locale = text::locale(input.locale.as_deref().unwrap_or("zh-TW"))?;
    let tenant = Tenant {
        id,
        parent: None,
        kind: TenantKind::Operator,
        name: text::name(&input.name, "name")?,
        locale: locale.clone(),
        time_zone: text::time_zone(input.time_zone.as_deref().unwrap_or("Asia/Taipei"))?,
        state: TenantState::Active,
        created_at: now,
        path: vec![id],
    };
    tenants::store::insert(tx, &tenant)?;
    let account = Account {
        id: AccountId::fresh(tx.ids(), now),
        home: id,
        kind: AccountKind::Person,
        email: email.shown.clone(),
        name: text::name(input.administrator.as_deref().unwrap_or(&input.email), "administrator")?,
        locale,
        state: AccountState::Active,
        created_at: now,
        signed_in_at: None,
    };
    accounts::store::insert(tx, &account, &email)?;
    if let Some(phc) = phc {
        accounts::store::set_password(tx, account.id, phc, now)?;
    }
    let by = tx.cx().actor().to_string();
    let granted: &[&str] = if input.without_support { &[ADMINISTRATOR] } else { &[ADMINISTRATOR, SUPPORT] };
    for role in granted {
        roles::store::insert(tx, account.id, id, role, &by, now)?;
    }
    reach::changed(tx);
    tx.fact(Fact::TenantCreated { tenant: id.to_string() }, id)?;
    tx.fact(Fact::AccountJoined { account: account.id.to_string() }, id)?;
    let wanted = CreateToken {
        name: "first administrator".to_owned(),
        days: Some(limits::TOKEN_DAYS_MAX),
        sensitive: true,
        ..CreateToken::default()
    };
    let NewToken { secret, .. } = make(tx, account.id, id, &wanted)?;
    Ok(Operator { tenant: id, account: account.id, token: secret })
}
