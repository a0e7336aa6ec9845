//! Reading the audit log: what people and programs may ask of it.
//!
//! A customer sees the entries about what is theirs, the operator's staff's
//! touches with their reasons among them; addresses of other people's staff they do not.

use base::time::from_micros;
use base::{Error, Result, hex, limits};
use db::records::Scope;
use db::{Class, Row, Value, args};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::filter::{Conditions, Filter};
use super::leaf::Private;
use super::tree::{consistency_path, inclusion_path};
use super::{sequencer, store};
use crate::search::{Asked, Findable, Hit};
use crate::{Action, AnyAction, Effect, Tx};

/// What to list, newest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListEntries {
    /// Only of this actor.
    pub actor: Option<String>,
    /// Only of this action, or with a trailing `.` of this noun: `productOrder.`.
    pub action: Option<String>,
    /// Without what hosts report by themselves, which is most of it.
    pub without_hosts: bool,
    /// Only about this object.
    pub object: Option<String>,
    /// Only about objects of this tenant.
    pub tenant: Option<String>,
    /// Only with this outcome: `done`, or `refused`.
    pub outcome: Option<String>,
    /// Only from this instant on.
    #[schemars(with = "Option<String>")]
    pub from: Option<base::time::Timestamp>,
    /// Only before this instant.
    #[schemars(with = "Option<String>")]
    pub until: Option<base::time::Timestamp>,
    /// Only before this place in the log: the `next` of the page before.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: Option<u32>,
}

impl ListEntries {
    fn filter(&self) -> Filter {
        Filter {
            actor: self.actor.clone(),
            action: self.action.clone(),
            object: self.object.clone(),
            tenant: self.tenant.clone(),
            outcome: self.outcome.clone(),
            since: self.from,
            until: self.until,
        }
    }
}

/// An entry as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its place in the log.
    pub index: i64,
    /// When.
    #[schemars(with = "String")]
    pub at: base::time::Timestamp,
    /// Who.
    pub actor: String,
    /// In which tenant they acted.
    pub tenant: String,
    /// Whose the object is.
    pub object_tenant: String,
    /// What they did.
    pub action: String,
    /// Kind of the object.
    pub object_kind: String,
    /// Which object.
    pub object_id: String,
    /// The object's revision.
    pub revision: i64,
    /// `done`, or `refused:` and why.
    pub outcome: String,
    /// Session or token.
    pub session: String,
    /// How they had shown who they are: `password`, `password+code`, `password+recovery` or `token`.
    pub strength: String,
    /// The request's identifier.
    pub request: String,
    /// Why, in the actor's words; absent where none was given or it was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where the request came from, for those who may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A page of entries.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntries {
    /// Newest first.
    pub items: Vec<AuditEntry>,
    /// Give this as `before` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// Names an entry.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneEntry {
    /// Its place in the log.
    pub index: i64,
}

/// An entry with the exact text that is in the tree.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EntryDetail {
    /// The entry.
    pub entry: AuditEntry,
    /// The leaf; its hash is SHA-256(0x00 ‖ leaf).
    pub leaf: String,
}

/// No input.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Newest {}

/// The newest checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SignedCheckpoint {
    /// When it was signed.
    #[schemars(with = "String")]
    pub at: base::time::Timestamp,
    /// The signed note.
    pub note: String,
}

/// Of what to prove that it is in the log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProveEntry {
    /// The entry's place.
    pub index: i64,
    /// In the tree of how many entries; the whole by default.
    #[serde(default)]
    pub size: Option<i64>,
}

/// Of which two trees to prove that one begins the other.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProveGrowth {
    /// Entries of the smaller tree.
    pub from: i64,
    /// Entries of the larger one; the whole by default.
    #[serde(default)]
    pub size: Option<i64>,
}

/// A proof (RFC 6962): the heads of subtrees, in hexadecimal, nearest first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// Entries of the tree.
    pub size: i64,
    /// Its root, in hexadecimal.
    pub root: String,
    /// The leaf's hash, where the proof is of an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf: Option<String>,
    /// The proof.
    pub hashes: Vec<String>,
}

/// Whose personal data to erase.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseActor {
    /// The actor, for example an account's id.
    pub actor: String,
    /// Why: the request it answers.
    pub reason: String,
}

/// How much was erased.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct Erased {
    /// Entries whose personal data is gone.
    pub entries: u64,
}

fn read(row: &Row, scope: &Scope) -> Result<(AuditEntry, String)> {
    let stored = store::read(row)?;
    let leaf = stored.leaf.text()?;
    let private: Option<Private> = stored.private.and_then(|(_, body)| serde_json::from_str(&body).ok());
    let l = stored.leaf;
    let knows_address = match scope {
        Scope::All => true,
        Scope::Tenants { own, .. } => own.iter().any(|tenant| tenant.to_string() == l.tenant),
    };
    let entry = AuditEntry {
        index: row.get(18)?,
        at: from_micros(l.at)?,
        actor: l.actor,
        tenant: l.tenant,
        object_tenant: l.object_tenant,
        action: l.action,
        object_kind: l.object_kind,
        object_id: l.object_id,
        revision: l.revision,
        outcome: l.outcome,
        session: if knows_address { l.session } else { String::new() },
        strength: l.strength,
        request: l.request,
        reason: private.as_ref().map(|private| private.reason.clone()).filter(|reason| !reason.is_empty()),
        address: private.and_then(|private| private.address).filter(|_| knows_address),
    };
    Ok((entry, leaf))
}

/// Lists entries, newest first.
pub static LIST: Action<ListEntries, AuditEntries> = Action {
    name: "audit.list",
    summary: "Lists entries of the audit log, newest first.",
    effect: Effect::Read,
    run: |tx, input| {
        let most = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
        let scope = tx.cx().scope().clone();
        let mut where_ = Conditions::placed();
        where_.filter(&input.filter());
        if input.without_hosts {
            where_.and("e.action <>", Value::Text("agent.observe".into()));
        }
        if let Some(before) = input.before {
            where_.and("e.leaf_index <", Value::Int(before));
        }
        where_.scope(&scope);
        let sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY e.leaf_index DESC LIMIT {}",
            store::COLUMNS,
            store::FROM,
            where_.sql,
            most + 1
        );
        let mut items = tx.query(&sql, &where_.values, |row| read(row, &scope).map(|(entry, _)| entry))?;
        let more = items.len() > most as usize;
        items.truncate(most as usize);
        let next = if more { items.last().map(|entry| entry.index) } else { None };
        Ok(AuditEntries { items, next })
    },
};

/// Shows one entry.
pub static GET: Action<OneEntry, EntryDetail> = Action {
    name: "audit.get",
    summary: "Shows an entry of the audit log with the exact text that is in the tree.",
    effect: Effect::Read,
    run: |tx, input| {
        let (entry, leaf) = seen(tx, input.index)?;
        Ok(EntryDetail { entry, leaf })
    },
};

/// Gives the newest checkpoint.
pub static CHECKPOINT: Action<Newest, SignedCheckpoint> = Action {
    name: "audit.checkpoint",
    summary: "Gives the newest signed head of the audit log, as a C2SP signed note.",
    effect: Effect::Read,
    run: |tx, _| {
        let found = store::newest_checkpoint(tx)?;
        let (at, note) = found.ok_or_else(|| Error::not_found("audit.unsigned", "no checkpoint was signed yet"))?;
        Ok(SignedCheckpoint { at, note })
    },
};

/// Proves that an entry is in the log.
pub static PROOF: Action<ProveEntry, Proof> = Action {
    name: "audit.proof",
    summary: "Proves that an entry is in the tree of a checkpoint (RFC 6962 inclusion proof).",
    effect: Effect::Read,
    run: |tx, input| {
        seen(tx, input.index)?;
        let (index, size) = (place(input.index, "index")?, size(tx, input.size)?);
        if index >= size {
            return Err(Error::invalid("audit.size", "the tree of that size does not hold the entry yet").at("size"));
        }
        let leaf = store::subtree(tx, index, index + 1)?;
        prove(tx, size, Some(hex::encode(&leaf)), &inclusion_path(index, size))
    },
};

/// Proves that the log only grew.
pub static CONSISTENCY: Action<ProveGrowth, Proof> = Action {
    name: "audit.consistency",
    summary: "Proves that the tree of one checkpoint is the beginning of another's (RFC 6962 consistency proof).",
    effect: Effect::Read,
    run: |tx, input| {
        let (from, size) = (place(input.from, "from")?, size(tx, input.size)?);
        if from == 0 || from > size {
            return Err(Error::invalid(
                "audit.size",
                "the smaller tree needs between one entry and as many as the larger",
            )
            .at("from"));
        }
        prove(tx, size, None, &consistency_path(from, size))
    },
};

/// Erases personal data.
pub static ERASE: Action<EraseActor, Erased> = Action {
    name: "audit.erase",
    summary: "Erases the personal data (addresses, reasons) in an actor's entries; the entries and the tree stay.",
    effect: Effect::Delete,
    run: |tx, input| {
        if input.reason.trim().is_empty() {
            return Err(Error::invalid("reason.missing", "say which request this answers").at("reason"));
        }
        let owner = tx.cx().tenant();
        tx.touch("account", &input.actor, owner, 0);
        Ok(Erased { entries: sequencer::erase(tx, &input.actor)? })
    },
};

/// Entries that are found: by their number, or by the identifier of what they are about.
pub static FINDABLE: &[Findable] = &[Findable::own("auditEntry", "audit.list", find)];

fn find(tx: &mut Tx<'_>, asked: &Asked<'_>) -> Result<Vec<Hit>> {
    let scope = tx.cx().scope().clone();
    let mut where_ = Conditions::placed();
    match (asked.text.parse::<i64>(), asked.whole()) {
        (Ok(number), _) => where_.and("e.leaf_index =", Value::Int(number)),
        (_, Some(id)) => where_.and("e.object_id =", Value::Text(id.to_owned().into())),
        _ => return Ok(Vec::new()),
    }
    where_.scope(&scope);
    let (columns, from, conditions, most) = (store::COLUMNS, store::FROM, where_.sql, asked.limit);
    let sql = format!("SELECT {columns} FROM {from} WHERE {conditions} ORDER BY e.leaf_index DESC LIMIT {most}");
    let found = tx.query(&sql, &where_.values, |row| read(row, &scope).map(|(entry, _)| entry))?;
    let hit = |entry: AuditEntry| {
        Ok(Hit {
            id: entry.index.to_string(),
            name: entry.action,
            tenant: entry.object_tenant.parse()?,
            state: entry.outcome,
            about: entry.object_id,
            category: String::new(),
        })
    };
    found.into_iter().map(hit).collect()
}

/// Everything that can be asked of the log.
pub static ACTIONS: &[&dyn AnyAction] = &[&LIST, &GET, &CHECKPOINT, &PROOF, &CONSISTENCY, &ERASE];

/// The entry, if it is the actor's to see.
fn seen(tx: &mut Tx<'_>, index: i64) -> Result<(AuditEntry, String)> {
    let absent = || Error::not_found("audit.not_found", format!("there is no entry {index}"));
    let scope = tx.cx().scope().clone();
    let sql = format!("SELECT {} FROM {} WHERE e.leaf_index = $1", store::COLUMNS, store::FROM);
    let (entry, leaf) = tx.query_opt(&sql, args![index], |row| read(row, &scope))?.ok_or_else(absent)?;
    let owner = entry.object_tenant.parse().map_err(|_| absent())?;
    Ok(tx.grant("audit.get", "auditEntry", &index.to_string(), owner, Class::Internal, (entry, leaf))?.into_inner())
}

fn place(number: i64, attribute: &str) -> Result<u64> {
    u64::try_from(number).map_err(|_| Error::invalid("audit.index", "a place in the log is not negative").at(attribute))
}

fn size(tx: &mut Tx<'_>, wanted: Option<i64>) -> Result<u64> {
    let whole = store::tree(tx)?.map_or(0, |(size, _)| size);
    match wanted {
        Some(wanted) if wanted < 1 || wanted > whole => {
            Err(Error::invalid("audit.size", format!("the log has {whole} entries")).at("size"))
        }
        wanted => place(wanted.unwrap_or(whole), "size"),
    }
}

fn prove(tx: &mut Tx<'_>, size: u64, leaf: Option<String>, path: &[(u64, u64)]) -> Result<Proof> {
    let hashes =
        path.iter().map(|(start, end)| Ok(hex::encode(&store::subtree(tx, *start, *end)?))).collect::<Result<_>>()?;
    let root = hex::encode(&store::subtree(tx, 0, size)?);
    Ok(Proof { size: i64::try_from(size).unwrap_or(i64::MAX), root, leaf, hashes })
}
