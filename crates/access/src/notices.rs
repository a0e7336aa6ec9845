//! Notices: what the platform tells the people of a tenant by mail, each in their own language.

use base::Result;
use base::id::{AccountId, TenantId};
use db::args;
use gate::Tx;
use serde::{Deserialize, Serialize};

use crate::mail::{self, Errand};

/// What is told. It holds no secret: it waits in a job until the mail has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// In English.
    pub en: Spoken,
    /// In Traditional Chinese.
    pub zh: Spoken,
    /// The page of the portal that says more.
    pub path: String,
}

/// In one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoken {
    /// In a line.
    pub title: String,
    /// In plain paragraphs.
    pub text: String,
}

/// Mails everybody who may work and has one of the roles in the tenant itself, in the transaction of
/// what it is about.
///
/// # Errors
/// Those of the database.
pub fn tell(tx: &mut Tx<'_>, tenant: TenantId, roles: &[&str], notice: &Notice) -> Result<()> {
    let sql = "SELECT DISTINCT g.account FROM role_grants g JOIN accounts a ON a.id = g.account AND a.state = 'active' AND a.kind = 'person'
         WHERE g.tenant = $1 AND g.role = $2 ORDER BY g.account";
    let mut people: Vec<AccountId> = Vec::new();
    for role in roles {
        people.extend(tx.query(sql, args![tenant, *role], |row| row.get::<AccountId>(0))?);
    }
    people.sort_unstable();
    people.dedup();
    people.into_iter().try_for_each(|account| mail::ask(tx, &Errand::Notice { account, notice: notice.clone() }))
}

/// Mails one account, in the transaction of what it is about.
///
/// # Errors
/// Those of the database.
pub(crate) fn one(tx: &mut Tx<'_>, account: AccountId, notice: &Notice) -> Result<()> {
    mail::ask(tx, &Errand::Notice { account, notice: notice.clone() })
}
