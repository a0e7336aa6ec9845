//! Consoles: somebody wants to read one, the agent hands over its end.

use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{Class, args};
use drivers::wire::{ConsoleTail, IntentId, Problem};
use gate::{Action, Effect, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::intents::{self, Intent};
use crate::{Fact, observe, wake};

/// The end of a console, or that it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Console {
    /// The machine.
    pub intent: String,
    /// The newest request.
    pub request: String,
    /// Whether the newest request is answered. Until then the text is of an earlier one.
    pub answered: bool,
    /// When it was asked for.
    #[schemars(with = "String")]
    pub asked_at: Timestamp,
    /// When the text was read on the host.
    #[schemars(with = "Option<String>")]
    pub captured_at: Option<Timestamp>,
    /// The text. It comes from the guest and may hold control characters: escape it.
    pub text: String,
    /// Whether there was more before it.
    pub truncated: bool,
    /// Why there is none.
    pub problem: Option<String>,
}

/// Whose console, and how much of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AskConsole {
    /// The machine.
    pub id: IntentId,
    /// How many bytes of its end.
    #[serde(default)]
    pub bytes: Option<u32>,
}

/// Loads a machine for whom it belongs to.
fn granted(tx: &mut Tx<'_>, action: &str, id: &IntentId) -> Result<Intent> {
    let found = intents::get(tx, id)?
        .ok_or_else(|| Error::not_found("intent.not_found", format!("there is no intent {id}")))?;
    let tenant = found.tenant;
    Ok(tx.grant(action, "intent", id.as_str(), tenant, Class::Confidential, found)?.into_inner())
}

/// Asks for the end of a machine's console.
pub static REQUEST: Action<AskConsole, Console> = Action {
    name: "console.request",
    summary: "Asks a machine's host for the end of its console; read it with console.get a moment later.",
    effect: Effect::Change,
    run: |tx, input| {
        let intent = granted(tx, "console.request", &input.id)?;
        ask(tx, &intent, input.bytes)
    },
};

/// [`REQUEST`] for a machine whose owner the caller has decided about.
///
/// # Errors
/// `Conflict` (`console.machine_gone`).
pub fn ask(tx: &mut Tx<'_>, intent: &Intent, bytes: Option<u32>) -> Result<Console> {
    if intent.is_gone() {
        return Err(Error::conflict("console.machine_gone", format!("machine {} is gone", intent.id)));
    }
    let bytes = bytes.unwrap_or(limits::CONSOLE_BYTES_MAX).clamp(1, limits::CONSOLE_BYTES_MAX);
    let (now, request) = (tx.now, tx.ids().text("cons", tx.now));
    tx.execute(
        "INSERT INTO consoles (intent, request, bytes_max, asked_at, answered, text, truncated) VALUES ($1, $2, $3, $4, 0, '', 0)
         ON CONFLICT (intent) DO UPDATE SET request = $2, bytes_max = $3, asked_at = $4, answered = 0",
        args![intent.id.as_str(), request, bytes, now],
    )?;
    wake::after(tx, intent.host);
    read(tx, &intent.id)
}

/// Reads what was captured last.
pub static GET: Action<intents::IntentRef, Console> = Action {
    name: "console.get",
    summary: "Reads the end of a machine's console as it was captured last.",
    effect: Effect::Read,
    run: |tx, input| {
        granted(tx, "console.get", &input.id)?;
        read(tx, &input.id)
    },
};

/// What was captured last, for a machine whose owner the caller has decided about.
///
/// # Errors
/// `NotFound` (`console.not_asked`).
pub fn read(tx: &mut Tx<'_>, id: &IntentId) -> Result<Console> {
    let found = tx.query_opt(
        "SELECT intent, request, answered, asked_at, captured_at, text, truncated, problem FROM consoles WHERE intent = $1",
        args![id.as_str()],
        |row| {
            Ok(Console {
                intent: row.get(0)?,
                request: row.get(1)?,
                answered: row.get(2)?,
                asked_at: row.get(3)?,
                captured_at: row.get(4)?,
                text: row.get(5)?,
                truncated: row.get(6)?,
                problem: row.get(7)?,
            })
        },
    )?;
    found.ok_or_else(|| Error::not_found("console.not_asked", format!("nobody asked for the console of {id} yet")))
}

/// Stores a console's end. An answer to a request that nobody waits for any more changes nothing.
pub static ANSWER: Action<ConsoleTail, ()> = Action {
    name: "agent.console",
    summary: "Stores the end of a console that was asked for.",
    effect: Effect::Change,
    run: |tx, tail| {
        let host = observe::speaker(tx)?;
        let intent = intents::get(tx, &tail.id)?.filter(|intent| intent.host == host);
        let intent = intent.ok_or_else(|| {
            Error::not_found("intent.not_found", format!("there is no intent {} on this host", tail.id))
        })?;
        let (text, cut) = last_bytes(&tail.text, limits::CONSOLE_BYTES_MAX as usize);
        let problem = tail.problem.as_ref().map(|Problem { code, message, .. }| format!("{code}: {message}"));
        let stored = tx.execute(
            "UPDATE consoles SET answered = 1, captured_at = $3, text = $4, truncated = $5, problem = $6 WHERE intent = $1 AND request = $2 AND answered = 0",
            args![tail.id.as_str(), tail.request, tail.captured_at, text, cut || tail.truncated, problem],
        )?;
        if stored == 1 {
            tx.fact(Fact::ConsoleCaptured { intent: tail.id.to_string() }, intent.tenant)?;
        }
        Ok(())
    },
};

/// The last `most` bytes of a text, at a character's border. PostgreSQL takes no NUL.
fn last_bytes(text: &str, most: usize) -> (String, bool) {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    (text[start..].replace('\0', "\u{fffd}"), start > 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_end_of_a_text_is_cut_at_a_character() {
        assert_eq!(super::last_bytes("雲維ab", 4), ("ab".to_owned(), true));
        assert_eq!(super::last_bytes("雲維ab", 5), ("維ab".to_owned(), true));
        assert_eq!(super::last_bytes("a\0b", 9), ("a\u{fffd}b".to_owned(), false));
    }
}
