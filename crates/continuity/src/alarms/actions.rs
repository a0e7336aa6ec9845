//! The use cases as values.

use base::id::TenantId;
use base::{Error, Result, limits};
use db::Class;
use gate::{Action, Effect, Granted, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Alarm, Cause, KIND, store};
use crate::AlarmId;
use crate::drills::plans::listed;

/// Which alarms.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ListAlarms {
    /// Whose; those of the acting tenant unless said otherwise. The operator sees everybody's.
    pub tenant: Option<TenantId>,
    /// Also those that are right again.
    pub cleared: bool,
}

/// Alarms, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AlarmPage {
    /// The alarms: open ones first, then the newest.
    pub items: Vec<Alarm>,
}

/// Lists alarms.
pub static LIST: Action<ListAlarms, AlarmPage> = Action {
    name: "alarm.list",
    summary: "Lists what is wrong with copies and drills, and what to do about it.",
    effect: Effect::Read,
    run: |tx, input| {
        let whose = listed(tx, "alarm.list", input.tenant)?;
        Ok(AlarmPage { items: store::list(tx, whose, input.cleared, limits::PAGE_MAX)? })
    },
};

/// Something is said of an alarm.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SayOfAlarm {
    /// Which.
    pub id: AlarmId,
    /// What: who does what about it, or why it is as it should be.
    #[serde(default)]
    pub note: String,
}

fn granted(tx: &mut Tx<'_>, action: &str, id: AlarmId) -> Result<Alarm> {
    let found = store::load(tx, id)?;
    let tenant = found.tenant;
    let found = tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(Granted::into_inner)?;
    match found.alarm_cleared_time {
        None => Ok(found),
        Some(_) => Err(Error::conflict("alarm.cleared", "that alarm is cleared: it is right again")),
    }
}

fn note(text: &str) -> Result<&str> {
    let text = text.trim();
    if text.len() > limits::REASON_BYTES_MAX || text.chars().any(|c| c.is_control() && c != '\n') {
        let message = format!("at most {} bytes of plain text", limits::REASON_BYTES_MAX);
        return Err(Error::invalid("alarm.note", message).at("note"));
    }
    Ok(text)
}

/// Somebody sees to it.
pub static ACKNOWLEDGE: Action<SayOfAlarm, Alarm> = Action {
    name: "alarm.acknowledge",
    summary: "Says that you see to an alarm. It stays until what is wrong is right.",
    effect: Effect::Change,
    run: |tx, input| {
        granted(tx, "alarm.acknowledge", input.id)?;
        store::acknowledge(tx, input.id, note(&input.note)?)?;
        store::load(tx, input.id)
    },
};

/// A person judges that it is as it should be.
pub static CLEAR: Action<SayOfAlarm, Alarm> = Action {
    name: "alarm.clear",
    summary: "Says that an unusual change is as it should be. Other alarms clear themselves when it is right again.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = granted(tx, "alarm.clear", input.id)?;
        if found.probable_cause != Cause::BackupUnusual {
            let message = "this alarm clears itself when what is wrong is right; acknowledge it meanwhile";
            return Err(Error::conflict("alarm.clears_itself", message));
        }
        let text = note(&input.note)?;
        if text.is_empty() {
            return Err(Error::invalid("alarm.note", "say why it is as it should be").at("note"));
        }
        store::acknowledge(tx, input.id, text)?;
        let (by, object) = (tx.cx().actor().to_string(), found.alarmed_object);
        store::clear(tx, &object.kind, &object.id, found.probable_cause, &by)?;
        store::load(tx, input.id)
    },
};
