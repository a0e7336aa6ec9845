//! Repositories: one for each tenant and place, with keys of its own. What opens one leaves this
//! room in two ways only: to the host of an open task, and to whoever may reveal the escrow
//! password, on the record.
//!
//! ```text
//!   new ──(task MakeRepository; its master key is sealed)──► made
//! ```
//!
//! What was found wrong with one is remembered ([`Doubt`]): a look reads a thirtieth of it, and one that reads
//! another thirtieth does not say that it is mended.

use std::sync::Arc;

use base::id::TenantId;
use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, Conn, Row, args};
use drivers::wire::{Outcome, Problem, ReadShare, TaskId, Work};
use gate::keys::{self as sealing, For, Keys};
use gate::{Action, Effect, Tx};
use resources::tasks::{self, Task};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use vault::request::{self, Key, Secret};

use super::places::{self, BackupPlace, Immutability, Location, Role};
use super::whole::{self, Reading};
use super::{keys, points, store};
use crate::{BackupPlaceId, RepositoryId, alarms, datasets};

/// The kind of a task's subject.
pub const KIND: &str = "backupRepository";

/// Where one tenant's copies at one place lie.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupRepository {
    /// Its id.
    pub id: RepositoryId,
    /// Whose data is in it.
    pub tenant: TenantId,
    /// The place.
    pub place: BackupPlaceId,
    /// The place's name.
    pub place_name: String,
    /// Whether it is there.
    pub made: bool,
    /// Why it is not, or what went wrong with it last.
    pub problem: Option<Problem>,
    /// When it was made.
    #[schemars(with = "Option<String>")]
    pub made_at: Option<Timestamp>,
    /// When its escrow password was shown to somebody last.
    #[schemars(with = "Option<String>")]
    pub revealed_at: Option<Timestamp>,
    /// When damage was found in it, or that it is gone, of which nobody has seen yet that it was put right.
    #[schemars(with = "Option<String>")]
    pub doubted_at: Option<Timestamp>,
    /// When everything in it was last read and found whole.
    #[schemars(with = "Option<String>")]
    pub read_at: Option<Timestamp>,
    /// Where everything in it is being read: since when, and how far that is.
    pub reading: Option<Reading>,
    #[serde(skip)]
    pub(crate) task: Option<String>,
    #[serde(skip)]
    pub(crate) checks: i64,
    #[serde(skip)]
    pub(crate) doubt: Option<Doubt>,
    #[serde(skip)]
    pub(crate) reading_task: Option<String>,
    #[serde(skip)]
    sealed: Sealed,
}

/// That something was found wrong with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// When, the last time.
    pub at: Timestamp,
    /// What must be read and found whole before anything in it is called whole again.
    pub read: ReadShare,
}

impl Doubt {
    fn stored(at: Option<Timestamp>, part: Option<i64>) -> Option<Doubt> {
        let read = match part.map(u32::try_from) {
            None => ReadShare::Nothing,
            Some(Ok(part @ 1..=PARTS)) => ReadShare::Part { part, of: PARTS },
            Some(_) => ReadShare::Everything,
        };
        at.map(|at| Doubt { at, read })
    }

    /// Whether a look that found everything whole dispels it: not one that somebody asked for before, nor one
    /// that read something else.
    pub(crate) fn yields_to(&self, asked_at: Timestamp, read: ReadShare) -> bool {
        asked_at >= self.at && (self.read == ReadShare::Nothing || read == ReadShare::Everything || read == self.read)
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Sealed {
    password: String,
    escrow: String,
    master: Option<String>,
}

const SELECT: &str = "SELECT r.id, r.tenant, r.place, p.name, r.state, r.problem, r.made_at, r.revealed_at, r.task, r.checks, r.password, r.escrow, r.master, r.doubted_at, r.doubted_part, r.reading, r.read_at
     FROM backup_repositories r JOIN backup_places p ON p.id = r.place";

fn read(row: &Row) -> Result<BackupRepository> {
    let (state, problem): (String, Option<Json>) = (row.get(4)?, row.get(5)?);
    let doubt = Doubt::stored(row.get(13)?, row.get(14)?);
    Ok(BackupRepository {
        id: row.get(0)?,
        tenant: row.get(1)?,
        place: row.get(2)?,
        place_name: row.get(3)?,
        made: state == "made",
        problem: problem.and_then(|problem| serde_json::from_value(problem).ok()),
        made_at: row.get(6)?,
        revealed_at: row.get(7)?,
        task: row.get(8)?,
        checks: row.get(9)?,
        sealed: Sealed { password: row.get(10)?, escrow: row.get(11)?, master: row.get(12)? },
        doubted_at: doubt.filter(|doubt| doubt.read != ReadShare::Nothing).map(|doubt| doubt.at),
        doubt,
        reading_task: row.get(15)?,
        read_at: row.get(16)?,
        reading: None,
    })
}

/// The repository of that id.
///
/// # Errors
/// `NotFound`.
pub(crate) fn load(conn: &mut Conn<'_>, id: RepositoryId) -> Result<BackupRepository> {
    let found = conn.query_opt(&format!("{SELECT} WHERE r.id = $1"), args![id], read)?;
    found.ok_or_else(|| Error::not_found("backupRepository.not_found", format!("there is no repository {id}")))
}

/// The tenant's repository at a place; its row and its passwords are made where there is none.
pub(crate) fn at(tx: &mut Tx<'_>, tenant: TenantId, place: BackupPlaceId) -> Result<BackupRepository> {
    let found = tx.query_opt(&format!("{SELECT} WHERE r.tenant = $1 AND r.place = $2"), args![tenant, place], read)?;
    if let Some(found) = found {
        return Ok(found);
    }
    let (id, now, keys) = (RepositoryId::fresh(tx.ids(), tx.now), tx.now, keys(tx)?);
    let row = id.to_string();
    let password = keys.seal(For { row: &row, purpose: "password" }, &sealing::password()?)?;
    let escrow = keys.seal(For { row: &row, purpose: "escrow" }, &sealing::password()?)?;
    tx.execute(
        "INSERT INTO backup_repositories (id, tenant, place, state, password, escrow, checks, created_at) VALUES ($1, $2, $3, 'new', $4, $5, 0, $6)",
        args![id, tenant, place, password, escrow, now],
    )?;
    load(tx, id)
}

/// With what is being read of it.
pub(crate) fn with_reading(tx: &mut Tx<'_>, one: BackupRepository) -> Result<BackupRepository> {
    let reading = whole::open(tx, &one)?.map(Reading::from);
    Ok(BackupRepository { reading, ..one })
}

/// Which task reads everything in it.
pub(crate) fn set_reading(tx: &mut Tx<'_>, id: RepositoryId, task: Option<&TaskId>) -> Result<()> {
    let task = task.map(TaskId::as_str);
    tx.execute("UPDATE backup_repositories SET reading = $2 WHERE id = $1", args![id, task]).map(drop)
}

/// Everything in it was read and found whole.
pub(crate) fn set_read(tx: &mut Tx<'_>, id: RepositoryId) -> Result<()> {
    let now = tx.now;
    tx.execute("UPDATE backup_repositories SET read_at = $2 WHERE id = $1", args![id, now]).map(drop)
}

/// Which task the repository waits for.
pub(crate) fn set_task(tx: &mut Tx<'_>, id: RepositoryId, task: Option<&str>) -> Result<()> {
    tx.execute("UPDATE backup_repositories SET task = $2 WHERE id = $1", args![id, task]).map(drop)
}

/// What went wrong with it.
pub(crate) fn set_problem(tx: &mut Tx<'_>, id: RepositoryId, problem: Option<&Problem>) -> Result<()> {
    let problem = problem.map(super::text).transpose()?;
    tx.execute("UPDATE backup_repositories SET problem = $2 WHERE id = $1", args![id, problem]).map(drop)
}

/// It was there already: made by a task whose answer was lost. Its password opens it, more slowly
/// than the master key that nobody was told.
pub(crate) fn found(tx: &mut Tx<'_>, id: RepositoryId) -> Result<()> {
    let now = tx.now;
    let sql =
        "UPDATE backup_repositories SET state = 'made', made_at = $2, problem = NULL WHERE id = $1 AND state = 'new'";
    tx.execute(sql, args![id, now]).map(drop)
}

/// A look was made by a host: whether the place refused to remove data for it; nothing where nobody could try.
pub(crate) fn set_guarded(tx: &mut Tx<'_>, id: RepositoryId, guarded: Option<bool>) -> Result<()> {
    let Some(guarded) = guarded else { return Ok(()) };
    let (kept, yielded) = if guarded { (Some(tx.now), None) } else { (None, Some(tx.now)) };
    let sql = "UPDATE backup_repositories SET guarded_at = $2, yielded_at = $3 WHERE id = $1";
    tx.execute(sql, args![id, kept, yielded])?;
    let place = load(tx, id)?.place;
    let place = places::load(tx, place)?;
    tell_of(tx, &place)
}

/// Whether a place that is said to keep copies has let a host remove or change any, in whichever repository.
fn tell_of(tx: &mut Tx<'_>, place: &BackupPlace) -> Result<()> {
    let sql = "SELECT COUNT(*) FROM backup_repositories WHERE place = $1 AND yielded_at IS NOT NULL";
    let yielding: i64 = tx.query_one(sql, args![place.id], |row| row.get(0))?;
    alarms::place(tx, place, place.immutability != Immutability::None && yielding > 0)
}

/// What is said to keep copies at a place is something else from now on.
pub(crate) fn place_changed(tx: &mut Tx<'_>, place: &BackupPlace) -> Result<()> {
    tell_of(tx, place)
}

/// Whether a place let a host remove or change data in it when it was last tried.
pub(crate) fn has_yielded(conn: &mut Conn<'_>, id: RepositoryId) -> Result<bool> {
    let sql = "SELECT yielded_at FROM backup_repositories WHERE id = $1";
    conn.query_one(sql, args![id], |row| Ok(row.get::<Option<Timestamp>>(0)?.is_some()))
}

/// When the place last refused to remove data from it for a host.
pub(crate) fn guarded_at(conn: &mut Conn<'_>, id: RepositoryId) -> Result<Option<Timestamp>> {
    conn.query_one("SELECT guarded_at FROM backup_repositories WHERE id = $1", args![id], |row| row.get(0))
}

/// Something was found wrong with it; only who reads that much, or everything, can say that it is mended.
pub(crate) fn doubt(tx: &mut Tx<'_>, id: RepositoryId, read: ReadShare) -> Result<()> {
    let known = load(tx, id)?.doubt.map_or(ReadShare::Nothing, |doubt| doubt.read);
    let part: Option<u32> = match (known, read) {
        (ReadShare::Nothing, ReadShare::Nothing) => None,
        (ReadShare::Part { part, .. }, ReadShare::Nothing) | (ReadShare::Nothing, ReadShare::Part { part, .. }) => {
            Some(part)
        }
        (ReadShare::Part { part, .. }, ReadShare::Part { part: other, .. }) if part == other => Some(part),
        _ => Some(0),
    };
    let now = tx.now;
    let sql = "UPDATE backup_repositories SET doubted_at = $2, doubted_part = $3 WHERE id = $1";
    tx.execute(sql, args![id, now, part.map(i64::from)]).map(drop)
}

/// It was found whole by somebody who looked where it was not.
pub(crate) fn trust(tx: &mut Tx<'_>, id: RepositoryId) -> Result<()> {
    tx.execute("UPDATE backup_repositories SET doubted_part = NULL WHERE id = $1", args![id]).map(drop)
}

/// The next part to be read by a check: one after the other, all of it in the end.
pub(crate) fn next_part(tx: &mut Tx<'_>, repository: &BackupRepository) -> Result<u32> {
    tx.execute("UPDATE backup_repositories SET checks = checks + 1 WHERE id = $1", args![repository.id])?;
    Ok(u32::try_from(repository.checks.rem_euclid(i64::from(PARTS))).unwrap_or(0) + 1)
}

/// A check after each backup reads one of so many parts.
pub(crate) const PARTS: u32 = 30;

/// The key that a flow waits on while the repository is made.
pub(crate) fn key(id: RepositoryId) -> String {
    format!("repository:{id}")
}

/// Where it lies, as the vault names it. A credential of that role opens the place.
pub(crate) fn lies(tx: &mut Tx<'_>, place: &BackupPlace, name: &str, role: Role) -> Result<request::Place> {
    Ok(match &place.location {
        Location::Folder { path, .. } => request::Place::Folder(std::path::Path::new(path).join(name)),
        Location::Server { url, authority } => {
            let (user, secret) = places::credential(tx, place, name, role)?;
            let url = format!("{}/{name}", url.trim_end_matches('/'));
            request::Place::Server { url, user, secret: Secret::new(secret), authority: authority.clone() }
        }
        Location::Bucket { endpoint, bucket, prefix, region, virtual_hosted, authority } => {
            let (access_key, secret) = places::credential(tx, place, name, role)?;
            let prefix = [prefix.trim_matches('/'), name].join("/");
            request::Place::Bucket(request::Bucket {
                endpoint: endpoint.clone(),
                bucket: bucket.clone(),
                prefix: prefix.trim_start_matches('/').to_owned(),
                region: region.clone(),
                access_key,
                secret_key: Secret::new(secret),
                virtual_hosted: *virtual_hosted,
                authority: authority.clone(),
            })
        }
    })
}

/// Which of its keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Opener {
    /// The quickest that is known.
    Usual,
    /// The password that it is made with.
    Password,
    /// The one that is kept elsewhere.
    Escrow,
}

fn opened(tx: &mut Tx<'_>, one: &BackupRepository, role: Role, opener: Opener) -> Result<request::Repository> {
    let place = places::load(tx, one.place)?;
    let (keys, row) = (keys(tx)?, one.id.to_string());
    let unseal = |purpose: &str, sealed: &str| keys.unseal(For { row: &row, purpose }, sealed).map(Secret::new);
    let key = match (opener, &one.sealed.master) {
        (Opener::Usual, Some(master)) => Key::Master(unseal("master", master)?),
        (Opener::Usual | Opener::Password, _) => Key::Password(unseal("password", &one.sealed.password)?),
        (Opener::Escrow, _) => Key::Password(unseal("escrow", &one.sealed.escrow)?),
    };
    Ok(request::Repository { place: lies(tx, &place, &one.tenant.to_string(), role)?, key, cache: None })
}

/// Opens it for the one who removes: this server, and nobody else.
pub(crate) fn for_upkeep(tx: &mut Tx<'_>, id: RepositoryId) -> Result<request::Repository> {
    let one = load(tx, id)?;
    opened(tx, &one, Role::Maintain, Opener::Usual)
}

fn as_json(repositories: &[request::Repository]) -> Result<Json> {
    serde_json::to_value(repositories)
        .map_err(|e| Error::bug("repository.access", "an access cannot be written").because(e))
}

/// Repositories, and the password of the server whose data goes in or out.
pub(crate) fn with_password(repositories: Vec<Json>, password: Option<Secret>) -> Json {
    match password {
        Some(password) => json!({ "repositories": repositories, "password": password }),
        None => json!(repositories),
    }
}

fn not_ours(task: &Task) -> Error {
    Error::not_found("task.not_found", format!("task {} opens nothing", task.id))
}

/// What opens the repositories of an open task, in the order that its work names them.
fn access(tx: &mut Tx<'_>, task: &Task) -> Result<Json> {
    let (kind, id) = (task.subject.0.as_str(), task.subject.1.as_str());
    let usual = |tx: &mut Tx<'_>, id| load(tx, id).and_then(|one| opened(tx, &one, Role::Append, Opener::Usual));
    match (kind, &task.work) {
        (KIND, Work::MakeRepository { alike }) => {
            let one = load(tx, id.parse()?)?;
            let mut all = vec![opened(tx, &one, Role::Append, Opener::Password)?];
            if *alike {
                let first = model(tx, &one)?.ok_or_else(|| not_ours(task))?;
                all.push(opened(tx, &first, Role::Append, Opener::Usual)?);
            }
            all.push(opened(tx, &one, Role::Append, Opener::Escrow)?);
            as_json(&all)
        }
        (KIND, Work::CheckRepository { .. }) => {
            let repository = usual(tx, id.parse()?)?;
            as_json(&[repository])
        }
        // A directory of the host itself: there is no credential that could be taken away.
        (KIND, Work::ForgetSnapshots { .. }) => {
            let repository = for_upkeep(tx, id.parse()?)?;
            as_json(&[repository])
        }
        (points::KIND, work) => {
            let wanted = store::repositories_of_task(tx, id.parse()?, &task.id, work)?;
            let all: Result<Vec<_>> = wanted.into_iter().map(|id| usual(tx, id)).collect();
            let all = all?;
            if all.is_empty() {
                return Err(not_ours(task));
            }
            match work {
                Work::BackUpData { set, source, .. } => {
                    let password = datasets::password_for(tx, set.parse()?, source)?;
                    Ok(with_password(all.iter().map(|one| json!(one)).collect(), password))
                }
                _ => as_json(&all),
            }
        }
        (datasets::KIND, Work::EndData { .. }) => datasets::access_to_end(tx, id),
        (datasets::restores::KIND, Work::RestoreData { .. }) => datasets::restores::access(tx, task),
        (
            crate::drills::KIND,
            Work::CheckRepository { .. }
            | Work::RestoreDamaged { .. }
            | Work::DrillData { .. }
            | Work::EndDrill { .. }
            | Work::LoseMachine { .. },
        ) => crate::drills::work::access(tx, task),
        (crate::readings::KIND, _) => crate::readings::access(tx, task),
        _ => Err(not_ours(task)),
    }
}

/// The tenant's oldest repository that is there: others are made alike, so that copies cost nothing twice.
pub(crate) fn model(conn: &mut Conn<'_>, other: &BackupRepository) -> Result<Option<BackupRepository>> {
    let sql =
        format!("{SELECT} WHERE r.tenant = $1 AND r.state = 'made' AND r.id <> $2 ORDER BY r.made_at, r.id LIMIT 1");
    conn.query_opt(&sql, args![other.tenant, other.id], read)
}

/// Keeps the master key of a repository that was made.
fn seal(tx: &mut Tx<'_>, task: &Task, outcome: &Outcome) -> Result<()> {
    let (Outcome::RepositoryMade { repository, master }, KIND) = (outcome, task.subject.0.as_str()) else {
        return Err(not_ours(task));
    };
    let one = load(tx, task.subject.1.parse()?)?;
    let (row, now) = (one.id.to_string(), tx.now);
    let sealed = keys(tx)?.seal(For { row: &row, purpose: "master" }, master.reveal())?;
    tx.execute(
        "UPDATE backup_repositories SET state = 'made', master = $2, repository = $3, made_at = $4, problem = NULL, doubted_part = NULL WHERE id = $1 AND state = 'new'",
        args![one.id, sealed, repository, now],
    )
    .map(drop)
}

/// Opens it for a host that reads from it.
pub(crate) fn for_reading(tx: &mut Tx<'_>, id: RepositoryId) -> Result<Json> {
    let one = load(tx, id)?;
    Ok(json!(opened(tx, &one, Role::Append, Opener::Usual)?))
}

/// Who knows the keys, for the agents' entrance.
pub fn hooks() -> Arc<tasks::Keys> {
    Arc::new(tasks::Keys {
        access: Arc::new(access),
        seal: Arc::new(seal),
        recover: Arc::new(crate::recoveries::access),
    })
}

/// A task about a repository has ended.
pub(crate) fn task_ended(tx: &mut Tx<'_>, id: &str, task: &TaskId) -> Result<()> {
    let one = load(tx, id.parse()?)?;
    let Some(ended) = tasks::get(tx, task)? else { return Ok(()) };
    if one.reading_task.as_deref() == Some(task.as_str()) {
        return whole::ended(tx, one.id, &ended);
    }
    if one.task.as_deref() != Some(task.as_str()) {
        // It was begun anew meanwhile, and whoever waits is to see that.
        return whole::wake(tx, task);
    }
    set_task(tx, one.id, None)?;
    let lost = ended.problem.as_ref().is_some_and(|problem| problem.code == vault::fault::REPOSITORY_EXISTS);
    match (&ended.work, ended.state) {
        (Work::MakeRepository { .. }, tasks::State::Failed) if lost => found(tx, one.id)?,
        (Work::ForgetSnapshots { snapshots, .. }, tasks::State::Succeeded) => {
            store::gone(tx, one.id, snapshots)?;
            set_problem(tx, one.id, None)?;
        }
        (_, tasks::State::Failed) => set_problem(tx, one.id, ended.problem.as_ref())?,
        _ => {}
    }
    durable::flows::wake(tx, &key(one.id)).map(drop)
}

/// Whose repositories.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListRepositories {
    /// Whose; those of the acting tenant unless said otherwise.
    pub tenant: Option<TenantId>,
}

/// Repositories, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RepositoryPage {
    /// The repositories.
    pub items: Vec<BackupRepository>,
}

/// Lists a tenant's repositories.
pub static LIST: Action<ListRepositories, RepositoryPage> = Action {
    name: "backupRepository.list",
    summary: "Lists a tenant's backup repositories: one at each place that holds copies of its data.",
    effect: Effect::Read,
    run: |tx, input| {
        let tenant = input.tenant.unwrap_or(tx.cx().tenant());
        tx.grant("backupRepository.list", "tenant", &tenant.to_string(), tenant, Class::Internal, ())?;
        let sql = format!("{SELECT} WHERE r.tenant = $1 ORDER BY r.id LIMIT $2");
        let all = tx.query(&sql, args![tenant, limits::PAGE_MAX], read)?;
        let items: Result<_> = all.into_iter().map(|one| with_reading(tx, one)).collect();
        Ok(RepositoryPage { items: items? })
    },
};

/// What is to be shown, and why.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reveal {
    /// The repository.
    pub id: RepositoryId,
    /// Why, in your words: it stands on the audit log beside your name.
    #[serde(default)]
    pub reason: String,
}

/// What opens a repository with plain restic, shown to whoever may leave with it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Escrow {
    /// The repository.
    pub id: RepositoryId,
    /// The place's name.
    pub place_name: String,
    /// Where the place is.
    pub location: Location,
    /// The name of the tenant's part of it.
    pub name: String,
    /// The password, for `RESTIC_PASSWORD`.
    pub password: String,
}

/// Shows the password that opens a repository with plain restic. On the record each time.
pub static REVEAL: Action<Reveal, Escrow> = Action {
    name: "backup.reveal_escrow",
    summary: "Shows the password that opens a tenant's backup repository with plain restic; each time is on the audit log, with the reason that it wants.",
    effect: Effect::Change,
    run: |tx, input| {
        let reason = input.reason.trim();
        if reason.is_empty() || reason.len() > limits::REASON_BYTES_MAX {
            let message = format!("say why, in at most {} bytes; it stands on the audit log", limits::REASON_BYTES_MAX);
            return Err(Error::invalid("reason.missing", message).at("reason"));
        }
        let one = load(tx, input.id)?;
        let tenant = one.tenant;
        let one = tx.grant("backup.reveal_escrow", KIND, &input.id.to_string(), tenant, Class::Personal, one)?;
        if !one.made {
            return Err(Error::conflict("backupRepository.not_made", "there is no repository yet: nothing to open"));
        }
        let (row, now) = (one.id.to_string(), tx.now);
        let password = keys(tx)?.unseal(For { row: &row, purpose: "escrow" }, &one.sealed.escrow)?;
        tx.execute("UPDATE backup_repositories SET revealed_at = $2 WHERE id = $1", args![input.id, now])?;
        let location = places::load(tx, one.place)?.location;
        Ok(Escrow { id: one.id, place_name: one.place_name.clone(), location, name: tenant.to_string(), password })
    },
};

/// Makes what seals known to every transaction.
pub fn install(gate: &gate::Gate, keys: Keys) -> Result<()> {
    keys.settle(gate)?;
    gate.install(Arc::new(keys));
    gate.install(hooks());
    Ok(())
}
