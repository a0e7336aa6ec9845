//! How tenants, people, announcements and requests for approval are found; see [`gate::search`].

use base::id::{AccountId, TenantId};
use base::{Result, limits};
use db::records::Scope;
use db::{args, words};
use gate::Tx;
use gate::search::{Asked, Findable, Hit};

use crate::accounts::{self, AccountState};
use crate::tenants::{self, Tenant, TenantKind};
use crate::{announcements, approvals};

/// Identifiers that are looked at for each that is shown: others' stand among one's own.
const AMONG: usize = 20;

/// Everything of this room that is found.
pub static FINDABLE: &[Findable] = &[
    Findable::own("tenant", "tenant.list", find_tenants),
    Findable::own("account", "account.list", find_accounts),
    Findable::own("announcement", "announcement.inbox", find_announcements),
    Findable::own("approval", "approval.list", find_approvals),
];

/// Identifiers in `table` that begin so. `table` is one of this file's own words.
fn begun<T>(tx: &mut Tx<'_>, table: &str, begin: Option<&str>, limit: usize) -> Result<Vec<T>>
where
    T: db::FromValue,
{
    let Some(begin) = begin else { return Ok(Vec::new()) };
    let sql = format!("SELECT id FROM {table} WHERE id >= $1 AND id < $2 ORDER BY id LIMIT $3");
    tx.query(&sql, args![begin, format!("{begin}~"), limit * AMONG], |row| row.get(0))
}

/// As `tenant.list` shows them: of the operator its customers, of a customer its departments.
fn find_tenants(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    let here = tx.cx().tenant();
    let parent = tenants::store::load(tx, here)?;
    let below = |one: &Tenant| match parent.kind {
        TenantKind::Operator => one.parent == Some(parent.id),
        _ => one.id != parent.id && one.path.contains(&parent.id),
    };
    let mut found = Vec::new();
    for id in begun::<TenantId>(tx, "tenants", asked.begins(TenantId::PREFIX), asked.limit)? {
        found.extend(tenants::store::find(tx, id)?.filter(below));
    }
    found.extend(tenants::store::search(tx, &parent, asked.text, asked.limit)?);
    let hit = |one: Tenant| Hit {
        id: one.id.to_string(),
        name: one.name,
        tenant: one.id,
        state: one.state.word().to_owned(),
        about: one.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        category: one.kind.word().to_owned(),
    };
    Ok(found.into_iter().map(hit).collect())
}

/// Those at home in sight. Who has left is found no more.
fn find_accounts(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    let homes = match tx.cx().scope() {
        Scope::All => None,
        Scope::Tenants { own, .. } => Some(own.clone()),
    };
    let mut found = Vec::new();
    for id in begun::<AccountId>(tx, "accounts", asked.begins(AccountId::PREFIX), asked.limit)? {
        let seen = |home: &TenantId| homes.as_ref().is_none_or(|homes| homes.contains(home));
        let one = accounts::store::find(tx, id)?;
        found.extend(one.filter(|one| seen(&one.home) && one.state != AccountState::Left));
    }
    found.extend(accounts::store::search(tx, homes.as_deref(), asked.text, asked.limit)?);
    let hit = |one: accounts::Account| Hit {
        id: one.id.to_string(),
        name: one.name,
        tenant: one.home,
        state: one.state.word().to_owned(),
        about: one.email,
        category: String::new(),
    };
    Ok(found.into_iter().map(hit).collect())
}

/// What the acting tenant told, for those who may list that; and what one was told oneself.
fn find_announcements(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    let here = tx.cx().tenant();
    let lists = tx.would_allow(tx.cx(), announcements::actions::LIST.name);
    let (own, told) = (lists.then_some(here), tx.cx().account());
    let begin = asked.begins(announcements::AnnouncementId::PREFIX);
    let mut ids = begun::<String>(tx, "announcements", begin, asked.limit)?;
    // Whoever told oneself something stands above.
    let path = tenants::store::load(tx, here)?.path;
    ids.extend(words::find(tx, announcements::actions::KIND, Some(&path), asked.text, limits::SEARCH_MAX * AMONG)?);
    let mut hits = Vec::new();
    for id in ids {
        hits.extend(announcements::store::shown(tx, &id, own, told)?);
        if hits.len() > asked.limit {
            break;
        }
    }
    Ok(hits)
}

/// By their own identifier, or by that of what they are about.
fn find_approvals(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    let mut ids =
        begun::<approvals::ApprovalId>(tx, "approvals", asked.begins(approvals::ApprovalId::PREFIX), asked.limit)?;
    if let Some(whole) = asked.whole() {
        let sql = "SELECT id FROM approvals WHERE object_id = $1 ORDER BY id DESC LIMIT $2";
        ids.extend(tx.query(sql, args![whole, asked.limit * AMONG], |row| row.get::<approvals::ApprovalId>(0))?);
    }
    let mut hits = Vec::new();
    for id in ids {
        hits.extend(approvals::actions::found(tx, id)?.map(|one| Hit {
            id: one.id.to_string(),
            name: one.object_name.map_or_else(|| one.summary.clone(), |name| format!("{} {name}", one.summary)),
            tenant: one.tenant,
            state: one.state.word().to_owned(),
            about: one.object.id,
            category: String::new(),
        }));
    }
    Ok(hits)
}
