//! Data sets: what of a service is backed up besides its machines' disks. Files of a host, or
//! databases that it reaches, through that host's agent.
//!
//! ```text
//!   data set ─(policy: dataSets, everything)─► part of a recovery point ─► copies ─► restore
//! ```
//!
//! | module | what |
//! |---|---|
//! | here | the record: whose, from which host, what; its password, sealed |
//! | [`restores`] | bringing one back, to a place that is new |
//!
//! **Invariants** (tests: `tests.rs`)
//! - only who may use a host names paths or servers on it: hosts are the operator's, so data sets are
//!   the operator's to make; a customer sees and brings back its own;
//! - a password is in no row in clear, no task and no answer; a host is given it for an open task;
//! - what a data set was when it was taken stands on the point, whatever becomes of it since.

pub mod restores;
mod store;
#[cfg(test)]
pub(crate) mod tests;

use base::Error;
use base::Result;
use base::id::{HostId, TenantId};
use base::time::Timestamp;
use db::{Class, Conn};
use drivers::wire::{DataSource, TaskId, Work};
use gate::keys::For;
use gate::{Action, AnyAction, Effect, Granted, Tx};
use provisioning::services::SERVICE;
use resources::{hosts, tasks};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use vault::request::Secret;

use crate::DataSetId;
use crate::backups::{self, places::name};

/// The kind that decisions are about.
pub(crate) const KIND: &str = "dataSet";
/// Longest password, in bytes.
const PASSWORD_BYTES_MAX: usize = 4_096;

/// Every action of this capability.
pub static ACTIONS: &[&dyn AnyAction] = &[
    &CREATE,
    &LIST,
    &GET,
    &UPDATE,
    &END,
    &restores::PLAN,
    &restores::START,
    &restores::LIST,
    &restores::GET,
    &restores::CANCEL,
];

/// A data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataSet {
    /// Its id.
    pub id: DataSetId,
    /// Its name, one of its service's.
    pub name: String,
    /// The service that it belongs to.
    pub service: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// The host whose agent reaches it.
    pub host: HostId,
    /// That host's name.
    pub host_name: String,
    /// What it is made of.
    pub source: DataSource,
    /// Whether a password is kept for it.
    pub has_password: bool,
    /// Which revision this is.
    pub revision: i64,
    /// Since when.
    #[schemars(with = "String")]
    pub created_at: Timestamp,
    /// Until when; what was taken of it stays.
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    #[serde(skip)]
    password: Option<String>,
}

/// The data set of that id.
///
/// # Errors
/// `NotFound`.
pub(crate) fn load(conn: &mut Conn<'_>, id: DataSetId) -> Result<DataSet> {
    store::load(conn, id)?.ok_or_else(|| Error::not_found("dataSet.not_found", format!("there is no data set {id}")))
}

/// The data sets of a service that are backed up, by name.
///
/// # Errors
/// Those of the database.
pub(crate) fn of_service(conn: &mut Conn<'_>, service: &str) -> Result<Vec<DataSet>> {
    store::of_service(conn, service, false)
}

fn granted(tx: &mut Tx<'_>, action: &str, id: DataSetId) -> Result<DataSet> {
    let found = load(tx, id)?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(Granted::into_inner)
}

/// Hosts are the operator's: naming what is on one wants the same right over it.
fn may_use(tx: &mut Tx<'_>, action: &str, host: HostId) -> Result<()> {
    let absent = || Error::dangling("host.absent", format!("there is no host {host}")).at("host");
    let known = hosts::load(tx, host).map_err(|_| absent())?;
    tx.grant(action, "host", &host.to_string(), known.tenant, Class::Internal, ())?;
    match known.state {
        hosts::State::Retired => Err(Error::conflict("host.retired", "the host was retired").at("host")),
        _ => Ok(()),
    }
}

/// What opens the server that a data set is on.
pub(crate) fn password(tx: &mut Tx<'_>, id: DataSetId) -> Result<Option<Secret>> {
    let known = load(tx, id)?;
    let (keys, row) = (backups::keys(tx)?, id.to_string());
    let unseal = |sealed: &String| keys.unseal(For { row: &row, purpose: "password" }, sealed).map(Secret::new);
    known.password.as_ref().map(unseal).transpose()
}

/// [`password`], for a server that was named when something was taken or asked for: where the data set
/// names another one by now, its password is not for the old one.
pub(crate) fn password_for(tx: &mut Tx<'_>, id: DataSetId, source: &DataSource) -> Result<Option<Secret>> {
    if load(tx, id)?.source.server() != source.server() {
        let message = "the data set names another server or user by now, and its password is for that one alone";
        return Err(Error::conflict("dataSet.stale", message));
    }
    password(tx, id)
}

fn sealed(tx: &mut Tx<'_>, id: DataSetId, source: &DataSource, password: Option<&String>) -> Result<Option<String>> {
    let Some(password) = password else { return Ok(None) };
    if source.server().is_none() {
        return Err(Error::invalid("dataSet.password", "files need no password").at("password"));
    }
    if password.len() > PASSWORD_BYTES_MAX || password.is_empty() || password.contains(['\0', '\n', '\r']) {
        let message = "a password is a line of at most 4096 bytes";
        return Err(Error::invalid("dataSet.password", message).at("password"));
    }
    let row = id.to_string();
    backups::keys(tx)?.seal(For { row: &row, purpose: "password" }, password).map(Some)
}

/// A data set to be made.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewDataSet {
    /// The service that it belongs to; a customer-facing one.
    pub id: String,
    /// Its name, one of its service's.
    pub name: String,
    /// The host whose agent reaches it.
    pub host: HostId,
    /// What it is made of.
    pub source: DataSource,
    /// The password at a database server; kept sealed, and told to nobody again.
    #[serde(default)]
    pub password: Option<String>,
}

/// Makes a data set.
pub static CREATE: Action<NewDataSet, DataSet> = Action {
    name: "dataSet.create",
    summary: "Makes a data set of a service: files of a host, or databases that it reaches.",
    effect: Effect::Create,
    run: |tx, input| {
        let tenant = tx.load_for("dataSet.create", &SERVICE, &input.id)?.tenant;
        may_use(tx, "dataSet.create", input.host)?;
        name(&input.name)?;
        input.source.check()?;
        let id = DataSetId::fresh(tx.ids(), tx.now);
        let password = sealed(tx, id, &input.source, input.password.as_ref())?;
        tx.touch(KIND, &id.to_string(), tenant, 1);
        store::insert(tx, id, tenant, input, password.as_deref())?;
        load(tx, id)
    },
};

/// Whose data sets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListDataSets {
    /// The service.
    pub id: String,
    /// Also those that have ended.
    #[serde(default)]
    pub ended: bool,
}

/// Data sets, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DataSetPage {
    /// The data sets, by name.
    pub items: Vec<DataSet>,
}

/// Lists a service's data sets.
pub static LIST: Action<ListDataSets, DataSetPage> = Action {
    name: "dataSet.list",
    summary: "Lists a service's data sets.",
    effect: Effect::Read,
    run: |tx, input| {
        tx.load_for("dataSet.list", &SERVICE, &input.id)?;
        Ok(DataSetPage { items: store::of_service(tx, &input.id, input.ended)? })
    },
};

/// Which data set.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataSetRef {
    /// Its id.
    pub id: DataSetId,
}

/// Shows a data set.
pub static GET: Action<DataSetRef, DataSet> = Action {
    name: "dataSet.get",
    summary: "Shows a data set.",
    effect: Effect::Read,
    run: |tx, input| granted(tx, "dataSet.get", input.id),
};

/// What changes of a data set.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeDataSet {
    /// The data set.
    pub id: DataSetId,
    /// The revision that the change was made on.
    #[serde(default)]
    pub revision: Option<i64>,
    /// Its new name.
    #[serde(default)]
    pub name: Option<String>,
    /// The host whose agent reaches it now.
    #[serde(default)]
    pub host: Option<HostId>,
    /// What it is made of from the next point on.
    #[serde(default)]
    pub source: Option<DataSource>,
    /// The password from now on.
    #[serde(default)]
    pub password: Option<String>,
}

/// Changes a data set.
pub static UPDATE: Action<ChangeDataSet, DataSet> = Action {
    name: "dataSet.update",
    summary: "Changes a data set; what was taken of it stays as it was.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "dataSet.update", input.id)?;
        if found.ended_at.is_some() {
            return Err(Error::conflict("dataSet.ended", "the data set has ended"));
        }
        if input.revision.is_some_and(|revision| revision != found.revision) {
            let message = format!("the data set is at revision {} by now", found.revision);
            return Err(Error::stale("dataSet.stale", message));
        }
        let host = input.host.unwrap_or(found.host);
        may_use(tx, "dataSet.update", host)?;
        let source = input.source.as_ref().unwrap_or(&found.source);
        source.check()?;
        let elsewhere = source.server() != found.source.server() || host != found.host || !source.keeps_logs();
        if found.source.keeps_logs() && elsewhere {
            let message = "the server keeps its logs for this data set; end it, and make another for the other server";
            return Err(Error::conflict("dataSet.logs_kept", message));
        }
        // A password is for one server and one user: sent to another it would be given away.
        if input.password.is_none() && found.password.is_some() && source.server() != found.source.server() {
            let message = "the server or its user changes: give the password anew";
            return Err(Error::invalid("dataSet.password", message).at("password"));
        }
        let called = input.name.as_ref().unwrap_or(&found.name);
        name(called)?;
        let password = sealed(tx, input.id, source, input.password.as_ref())?.or_else(|| found.password.clone());
        store::update(tx, (input.id, found.tenant), called, host, source, password.as_deref())?;
        load(tx, input.id)
    },
};

/// What is kept between its points is let go, by the host that keeps it; then the password is not needed.
fn let_go(tx: &mut Tx<'_>, set: &DataSet) -> Result<()> {
    if !set.source.keeps_logs() || hosts::load(tx, set.host)?.state == hosts::State::Retired {
        return store::forget_password(tx, set.id);
    }
    let task = tasks::fresh(tx)?;
    let work = Work::EndData { set: set.id.to_string(), source: set.source.clone() };
    tasks::put(tx, set.host, &task, &work, (KIND, &set.id.to_string()))
}

/// What a host needs to let go: no repository, and the password of the server.
pub(crate) fn access_to_end(tx: &mut Tx<'_>, set: &str) -> Result<Json> {
    let password = password(tx, set.parse()?)?;
    Ok(backups::repositories::with_password(Vec::new(), password))
}

/// A host has let go, or could not: then the slot at the server is left to its owner, who is told.
pub(crate) fn task_ended(tx: &mut Tx<'_>, set: &str, task: &TaskId) -> Result<()> {
    if let Some(problem) = tasks::get(tx, task)?.and_then(|task| task.problem) {
        tracing::warn!(set, code = problem.code, "the slot of a data set that has ended is left: {}", problem.message);
    }
    store::forget_password(tx, set.parse()?)
}

/// A service is no more: nothing is taken of its data sets, and no server keeps anything for them. The
/// reaction to provisioning's `ServiceTerminated`.
///
/// # Errors
/// Those of the database.
pub fn service_terminated(tx: &mut Tx<'_>, service: &str) -> Result<()> {
    for set in store::of_service(tx, service, false)? {
        store::end(tx, set.id)?;
        let_go(tx, &set)?;
    }
    Ok(())
}

/// Takes no more of a data set.
pub static END: Action<DataSetRef, DataSet> = Action {
    name: "dataSet.end",
    summary: "Takes no more of a data set and forgets its password. What was taken of it stays.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "dataSet.end", input.id)?;
        if found.ended_at.is_some() {
            return Ok(found);
        }
        store::end(tx, input.id)?;
        let_go(tx, &found)?;
        load(tx, input.id)
    },
};
