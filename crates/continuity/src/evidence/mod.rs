//! Evidence: what a drill found, in a form that nobody can change afterwards without being found out.
//!
//! ```text
//!   run that has ended ─► document ─canonical─► text ─signed with the audit log's key─► note
//!                             └──────────────── file: document · key · note ◄───────────┘
//! ```
//!
//! The note is a signed note (C2SP): two lines, of which the second is the document in its one
//! form (RFC 8785), and an Ed25519 signature. Any implementation of either can check it.
//!
//! | module | what |
//! |---|---|
//! | [`canonical`] | one way of writing a document down |
//! | [`verify`] | looking at a file without anybody's help, and saying what is wrong with it |

pub mod canonical;
#[cfg(test)]
mod tests;
pub mod verify;

use std::sync::Arc;

use base::{Error, Result};
use gate::audit::Key;
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::drills::databases::Database;
use crate::drills::platform::Platform;
use crate::drills::rules::Control;
use crate::drills::runs::{self, DrillRef, DrillRun, Machine, Restored};

/// The first line of what is signed: what it is, and the version of its form.
pub const TITLE: &str = "yunwei/drill-evidence/1";

/// Evidence as it is handed on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// What is said.
    pub document: Json,
    /// The key that signed it, as signed notes write it: compare it with what the installation publishes.
    pub key: String,
    /// The same document as it was signed.
    pub note: String,
}

fn machine(one: &Machine) -> Json {
    json!({
        "saved": one.saved,
        "snapshot": one.snapshot,
        "host": one.host,
        "made": one.made,
        "disks": one.disks,
        "unseenMilliseconds": one.unseen_milliseconds,
    })
}

fn database(one: &Database) -> Json {
    json!({
        "dataSet": one.data_set,
        "database": one.database,
        "marker": one.marker,
        "host": one.host,
        "snapshot": one.snapshot,
        "logs": one.logs,
        "until": one.until,
        "bytes": one.bytes,
        "digest": one.digest,
        "tables": one.tables,
    })
}

/// What came back of the platform, what people showed, and what nobody did.
fn platform(one: &Platform) -> Json {
    json!({
        "point": one.point,
        "snapshot": one.snapshot,
        "version": one.version,
        "bytes": one.bytes,
        "digest": one.digest,
        "auditEntries": one.audit_entries,
        "auditSigned": one.audit_signed,
        "keyShares": one.witnessed.shares,
        "recoveryKitMadeAt": one.witnessed.kit_made_at,
        "notShown": one.not_shown(),
    })
}

fn service(one: &Restored) -> Json {
    let machines: Vec<Json> = one.machines.iter().map(machine).collect();
    json!({
        "service": one.service,
        "name": one.name,
        "wave": one.wave,
        "after": one.after,
        "recoveryPoint": one.point,
        "takenAt": one.taken_at,
        "place": one.place,
        "placeName": one.place_name,
        "machines": machines,
        "database": one.database.as_ref().map(database),
        "platform": one.platform.as_ref().map(platform),
        "phases": one.phases,
        "rtoMilliseconds": one.rto_milliseconds,
        "rpoMilliseconds": one.rpo_milliseconds,
        "newestRecord": one.newest_record,
        "recordProblem": one.record_problem,
        "dataIsSame": one.data_is_same,
    })
}

/// What is said of a run.
pub fn document(run: &DrillRun) -> Json {
    let (body, terms) = (&run.body, &run.body.terms);
    let services: Vec<Json> = body.services.iter().map(service).collect();
    let control: &Control = &body.control;
    json!({
        "type": TITLE,
        "tenant": run.tenant,
        "plan": {
            "id": run.plan,
            "name": body.plan_name,
            "revision": body.plan_revision,
            "plannedBy": body.planned_by,
            "approved": body.approved,
            "owner": terms.owner,
            "scope": terms.scope,
            "scenario": terms.scenario,
            "place": terms.place,
            "record": terms.record,
            "negativeEvery": terms.negative_every,
        },
        "objectives": terms.objectives,
        "objectivesBecause": body.objectives_because,
        "run": {
            "id": run.id,
            "number": run.number,
            "flow": run.flow,
            "startedBy": run.started_by,
            "byHand": run.by_hand,
            "incidentAt": run.incident_at,
            "endedAt": run.ended_at,
            "badAfter": body.bad_after,
            "detection": body.detection,
            "verdict": run.state,
            "stopped": body.stopped,
            "failure": body.failure,
        },
        "services": services,
        "circles": body.circles,
        "control": control,
        "misses": body.misses,
    })
}

/// The key that evidence is signed with, installed by the server.
fn key(tx: &Tx<'_>) -> Result<Arc<Key>> {
    tx.installed::<Key>().ok_or_else(|| Error::bug("evidence.no_key", "no key for evidence was installed in this gate"))
}

/// Signs what is said of a run that has come to its end.
pub(crate) fn sign(tx: &Tx<'_>, run: &DrillRun) -> Result<File> {
    let (key, document) = (key(tx)?, document(run));
    let text = format!("{TITLE}\n{}\n", canonical::canonical(&document)?);
    Ok(File { document, key: key.public().text(), note: key.sign_text(&text) })
}

/// Gives the signed evidence of a run.
pub static GET: Action<DrillRef, File> = Action {
    name: "evidence.get",
    summary: "Gives the signed evidence of a drill. Look at it offline with `yunwei evidence verify`.",
    effect: Effect::Read,
    run: |tx, input| {
        let run = runs::granted(tx, "evidence.get", input.id)?;
        let stored = runs::evidence(tx, run.id)?;
        let none =
            || Error::conflict("evidence.none_yet", "the drill is on its way: there is evidence when it is over");
        let damaged = |e| Error::bug("evidence.damaged", "stored evidence does not read").because(e);
        serde_json::from_value(stored.ok_or_else(none)?).map_err(damaged)
    },
};
