//! `yunwei alarm`: what is wrong with copies and drills, and who sees to it.

use base::Result;
use clap::Subcommand;
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

#[derive(Debug, Subcommand)]
pub enum AlarmCommand {
    /// List what is wrong: the newest first.
    #[command(after_help = "\
Examples:
  yunwei alarm ls
  yunwei alarm ls --all --json")]
    Ls {
        /// Also what is right again.
        #[arg(long)]
        all: bool,
    },
    /// Say that you see to an alarm. It stays until what is wrong is right.
    #[command(after_help = "\
Examples:
  yunwei alarm ack alrm_01m80h6wrtet7rkwawzsgh6gss --note 'the disk of the server is being exchanged'")]
    Ack {
        /// The alarm's id.
        id: String,
        /// Who does what.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Say that an unusual change is as it should be. Other alarms clear themselves.
    #[command(after_help = "\
Examples:
  yunwei alarm clear alrm_01m80h6wrtet7rkwawzsgh6gss --note 'the yearly import'")]
    Clear {
        /// The alarm's id.
        id: String,
        /// Why it is as it should be.
        #[arg(long)]
        note: String,
    },
}

const PATH: &str = "/api/v1/alarms";

pub fn run(command: AlarmCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    let say = |id: &str, verb: &str, note: &str| {
        let said = client.post(&format!("{PATH}/{}/{verb}", known(id)?), &json!({ "note": note }))?;
        list(&json!([said]), json);
        Ok(())
    };
    match command {
        AlarmCommand::Ls { all } => {
            list(&client.get(&format!("{PATH}?cleared={all}"))?["items"], json);
            Ok(())
        }
        AlarmCommand::Ack { id, note } => say(&id, "acknowledge", &note),
        AlarmCommand::Clear { id, note } => say(&id, "clear", &note),
    }
}

fn list(items: &Json, json: bool) {
    if json {
        return show::json(items);
    }
    let row = |one: &Json| {
        let object = &one["alarmedObject"];
        let name = Some(show::text(object, "name")).filter(|name| !name.is_empty());
        let state = match (one["alarmClearedTime"].is_null(), one["ackTime"].is_null()) {
            (false, _) => "cleared",
            (true, false) => "seen to",
            (true, true) => "open",
        };
        vec![
            show::text(one, "id"),
            show::text(one, "perceivedSeverity"),
            show::text(one, "probableCause"),
            name.unwrap_or_else(|| show::text(object, "id")),
            show::time(one, "alarmRaisedTime"),
            state.to_owned(),
            show::text(&one["specificProblem"], "message"),
        ]
    };
    let rows = items.as_array().into_iter().flatten().map(row).collect();
    show::table(&["id", "severity", "cause", "about", "since", "", "problem"], rows, "Nothing is wrong.");
}
