//! `yunwei plan contacts`, `runbooks`, `exercises`: the people of the plan, what they do, and how they try it.

use std::path::{Path, PathBuf};

use base::{Error, Result};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

#[derive(Debug, Subcommand)]
pub enum ContactsCommand {
    /// List the team: duties, telephones, deputies, and who calls whom.
    #[command(after_help = "\
Examples:
  yunwei plan contacts ls
  yunwei plan contacts ls --json | jq -r '.[] | select(.phone == \"\") | .name'")]
    Ls,
    /// Add somebody. They need a telephone number or a mail address.
    #[command(after_help = "\
Examples:
  yunwei plan contacts add 'Lin Yi-chun' --duty 'decides' --phone '0912 345 678'
  yunwei plan contacts add 'Wu Da-wei' --duty machines --phone '0987 654 321' \\
      --called-by cont_01m80h6wrtet7rkwawzsgh6gss")]
    Add {
        /// Their name.
        name: String,
        #[command(flatten)]
        known: PersonArgs,
    },
    /// Change what is known of somebody; what is not named stays as it is.
    #[command(after_help = "\
Examples:
  yunwei plan contacts change cont_01m80h6wrtet7rkwawzsgh6gss --phone '0911 222 333'
  yunwei plan contacts change cont_01m80h6wrtet7rkwawzsgh6gss --called-by none")]
    Change {
        /// Their id.
        id: String,
        /// Their new name.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        known: PersonArgs,
    },
    /// Remove somebody and everything known of them; whom they called, their caller calls now.
    #[command(after_help = "\
Examples:
  yunwei plan contacts remove cont_01m80h6wrtet7rkwawzsgh6gss")]
    Remove {
        /// Their id.
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct PersonArgs {
    /// What they do when something has happened.
    #[arg(long)]
    duty: Option<String>,
    /// Where they can be called: one number or several.
    #[arg(long)]
    phone: Option<String>,
    /// Where they can be written to.
    #[arg(long)]
    email: Option<String>,
    /// Who stands in for them, by id; `none` for nobody.
    #[arg(long, value_name = "ID")]
    deputy: Option<String>,
    /// Who calls them, by id; `none`: they begin.
    #[arg(long, value_name = "ID")]
    called_by: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum RunbooksCommand {
    /// List runbooks that are in use.
    #[command(after_help = "\
Examples:
  yunwei plan runbooks ls
  yunwei plan runbooks ls --service svc_01m80h6wrtet7rkwawzsgh6gss
  yunwei plan runbooks ls --shared")]
    Ls {
        /// Only those about this service.
        #[arg(long, value_name = "ID")]
        service: Option<String>,
        /// For the operator's staff: those that customers have shared with them.
        #[arg(long)]
        shared: bool,
    },
    /// Show a runbook, step by step.
    #[command(after_help = "\
Examples:
  yunwei plan runbooks show rnbk_01m80h6wrtet7rkwawzsgh6gss
  yunwei plan runbooks show rnbk_01m80h6wrtet7rkwawzsgh6gss --version 2")]
    Show {
        /// Its id.
        id: String,
        /// An earlier version.
        #[arg(long, value_name = "N")]
        version: Option<u32>,
    },
    /// Write a first runbook for bringing a service back, from what is known of it. Nothing is kept.
    #[command(after_help = "\
Examples:
  yunwei plan runbooks draft svc_01m80h6wrtet7rkwawzsgh6gss > web.json
  yunwei plan runbooks add web.json")]
    Draft {
        /// The service's id.
        service: String,
        /// In which language.
        #[arg(long, default_value = "en", value_parser = ["en", "zh-TW"])]
        locale: String,
    },
    /// Make a runbook of a file, as `draft` writes one.
    #[command(after_help = "\
Examples:
  yunwei plan runbooks add web.json

web.json:
  {
    \"title\": \"Bring the shop back\",
    \"purpose\": \"When it is lost with its host.\",
    \"steps\": [{ \"text\": \"Restore it.\", \"who\": \"Wu\", \"minutes\": 15, \"shows\": \"The shop answers.\" }]
  }")]
    Add {
        /// The file; `-` for standard input.
        file: PathBuf,
    },
    /// Make the next version of a runbook of a file, as `show --json` writes it. Earlier ones stay to be read.
    #[command(after_help = "\
Examples:
  yunwei plan runbooks show rnbk_01m80h6wrtet7rkwawzsgh6gss --json > web.json
  yunwei plan runbooks change rnbk_01m80h6wrtet7rkwawzsgh6gss web.json --note 'a second supplier'")]
    Change {
        /// Its id.
        id: String,
        /// The file; `-` for standard input.
        file: PathBuf,
        /// What was changed.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Show every version of a runbook.
    #[command(after_help = "\
Examples:
  yunwei plan runbooks versions rnbk_01m80h6wrtet7rkwawzsgh6gss")]
    Versions {
        /// Its id.
        id: String,
    },
    /// Share a runbook with the operator's staff who carry it out: as it says now and from now on, to be read.
    #[command(after_help = "\
Examples:
  yunwei plan runbooks share rnbk_01m80h6wrtet7rkwawzsgh6gss
  yunwei plan runbooks share rnbk_01m80h6wrtet7rkwawzsgh6gss --stop")]
    Share {
        /// Its id.
        id: String,
        /// Share it no more.
        #[arg(long)]
        stop: bool,
    },
    /// Use a runbook no more. Its versions stay to be read.
    #[command(after_help = "\
Examples:
  yunwei plan runbooks end rnbk_01m80h6wrtet7rkwawzsgh6gss")]
    End {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum ExercisesCommand {
    /// List exercises, the latest first.
    #[command(after_help = "\
Examples:
  yunwei plan exercises ls")]
    Ls,
    /// Show an exercise, what was seen, and what it found.
    #[command(after_help = "\
Examples:
  yunwei plan exercises show exer_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// Its id.
        id: String,
    },
    /// Plan an exercise.
    #[command(after_help = "\
Examples:
  yunwei plan exercises add 'Autumn' --mode table-top --at 2026-12-01T10:00:00+08:00 \\
      --scenario 'The first site burns.' --lead 'Lin Yi-chun' --participant Wu --participant Chen --observer Ho")]
    Add {
        /// What it is called.
        name: String,
        /// How.
        #[arg(long, value_enum)]
        mode: Mode,
        /// When, RFC 3339.
        #[arg(long, value_name = "TIME")]
        at: String,
        /// What has happened, in the play.
        #[arg(long)]
        scenario: String,
        /// Who leads it.
        #[arg(long)]
        lead: String,
        /// Who takes part, once for each.
        #[arg(long = "participant", value_name = "NAME")]
        participants: Vec<String>,
        /// Who observes, once for each: nobody who leads it or takes part.
        #[arg(long = "observer", value_name = "NAME")]
        observers: Vec<String>,
    },
    /// Change an exercise that is still to come; what is not named stays as it is.
    #[command(after_help = "\
Examples:
  yunwei plan exercises change exer_01m80h6wrtet7rkwawzsgh6gss --at 2026-12-08T10:00:00+08:00")]
    Change {
        /// Its id.
        id: String,
        /// What it is called.
        #[arg(long)]
        name: Option<String>,
        /// How.
        #[arg(long, value_enum)]
        mode: Option<Mode>,
        /// When, RFC 3339.
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// What has happened, in the play.
        #[arg(long)]
        scenario: Option<String>,
        /// Who leads it.
        #[arg(long)]
        lead: Option<String>,
        /// Who takes part, once for each; instead of all who are named now.
        #[arg(long = "participant", value_name = "NAME")]
        participants: Vec<String>,
        /// Who observes, once for each; instead of all who are named now.
        #[arg(long = "observer", value_name = "NAME")]
        observers: Vec<String>,
    },
    /// Call an exercise off.
    #[command(after_help = "\
Examples:
  yunwei plan exercises cancel exer_01m80h6wrtet7rkwawzsgh6gss")]
    Cancel {
        /// Its id.
        id: String,
    },
    /// Write down what came of an exercise. A technical or full one passes only with drills that passed.
    #[command(after_help = "\
Examples:
  yunwei plan exercises conclude exer_01m80h6wrtet7rkwawzsgh6gss --passed --record 'All were reached in ten minutes.'
  yunwei plan exercises conclude exer_01m80h6wrtet7rkwawzsgh6gss --passed --record 'The shop came back.' \\
      --drill drun_01m80h6wrtet7rkwawzsgh6gss
  yunwei plan exercises conclude exer_01m80h6wrtet7rkwawzsgh6gss --not-passed --record 'Nobody had the kit.' \\
      --finding 'The kit must lie at the second site' --finding-owner Lin --finding-due 2027-01-31T00:00:00+08:00")]
    Conclude(Conclusion),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("came to").required(true).args(["passed", "not_passed"]))]
pub struct Conclusion {
    /// Its id.
    id: String,
    /// What was to be shown was shown.
    #[arg(long)]
    passed: bool,
    /// It was not.
    #[arg(long)]
    not_passed: bool,
    /// What happened.
    #[arg(long)]
    record: String,
    /// When it was held, RFC 3339; now by default.
    #[arg(long, value_name = "TIME")]
    held_at: Option<String>,
    /// A drill that was part of it, once for each.
    #[arg(long = "drill", value_name = "ID")]
    drills: Vec<String>,
    /// Who observed it, once for each; those who were to by default.
    #[arg(long = "observer", value_name = "NAME")]
    observers: Vec<String>,
    /// What was found, once for each.
    #[arg(long = "finding", value_name = "TEXT", requires = "finding_owner", requires = "finding_due")]
    findings: Vec<String>,
    /// Who puts that right.
    #[arg(long, value_name = "NAME")]
    finding_owner: Option<String>,
    /// By when, RFC 3339.
    #[arg(long, value_name = "TIME")]
    finding_due: Option<String>,
    /// Which of the observers found it.
    #[arg(long, value_name = "NAME", requires = "findings")]
    finding_observer: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Mode {
    /// At a table: what would we do?
    TableTop,
    /// Step by step, at the places where it would happen.
    WalkThrough,
    /// Services are really brought back.
    Technical,
    /// All of it, as if it had happened.
    Full,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Mode::TableTop => "tableTop",
            Mode::WalkThrough => "walkThrough",
            Mode::Technical => "technical",
            Mode::Full => "full",
        }
    }
}

const CONTACTS: &str = "/api/v1/plan/contacts";
const RUNBOOKS: &str = "/api/v1/runbooks";
const EXERCISES: &str = "/api/v1/exercises";

fn items(page: &Json) -> &[Json] {
    page["items"].as_array().map_or(&[], Vec::as_slice)
}

/// Prints a list: as JSON, or a row for each.
fn listed(page: &Json, json: bool, head: &[&str], row: impl Fn(&Json) -> Vec<String>, nothing: &str) {
    match json {
        true => show::json(&page["items"]),
        false => show::table(head, items(page).iter().map(row).collect(), nothing),
    }
}

// People.

/// What was named of somebody over what is known of them.
fn person(before: &Json, name: Option<&str>, said: &PersonArgs) -> Json {
    let word = |new: Option<&str>, field: &str| new.map_or_else(|| before[field].clone(), Json::from);
    let id = |new: &Option<String>, field: &str| match new.as_deref() {
        Some("none") => Json::Null,
        new => word(new, field),
    };
    let text = |new: &Option<String>, field: &str| match word(new.as_deref(), field) {
        Json::Null => json!(""),
        said => said,
    };
    json!({
        "name": word(name, "name"),
        "duty": text(&said.duty, "duty"),
        "phone": text(&said.phone, "phone"),
        "email": text(&said.email, "email"),
        "deputy": id(&said.deputy, "deputy"),
        "calledBy": id(&said.called_by, "calledBy"),
    })
}

pub fn contacts(client: &Client, command: &ContactsCommand, json: bool) -> Result<()> {
    match command {
        ContactsCommand::Ls => team(&client.get(CONTACTS)?, json),
        ContactsCommand::Add { name, known } => {
            contact(&client.post(CONTACTS, &person(&Json::Null, Some(name), known))?, json);
        }
        ContactsCommand::Change { id, name, known: said } => {
            let all = client.get(CONTACTS)?;
            let before = items(&all).iter().find(|one| one["id"] == *id).ok_or_else(|| nobody(id))?;
            let body = person(before, name.as_deref(), said);
            contact(&client.put(&format!("{CONTACTS}/{}", known(id)?), &body)?, json);
        }
        ContactsCommand::Remove { id } => {
            client.delete(&format!("{CONTACTS}/{}", known(id)?))?;
            team(&client.get(CONTACTS)?, json);
        }
    }
    Ok(())
}

fn nobody(id: &str) -> Error {
    Error::not_found("contact.not_found", format!("there is nobody of the id {id} in the team"))
}

fn contact(one: &Json, json: bool) {
    match json {
        true => show::json(one),
        false => println!("{}  {}", show::text(one, "id"), show::text(one, "name")),
    }
}

fn team(page: &Json, json: bool) {
    let row = |one: &Json| {
        let depth = usize::try_from(one["depth"].as_u64().unwrap_or(0)).unwrap_or(0);
        let name = format!("{}{}", "  ".repeat(depth), show::text(one, "name"));
        let said = |field| show::text(one, field);
        vec![said("id"), name, said("duty"), said("phone"), said("email"), said("deputyName")]
    };
    let head = ["id", "who, below whoever calls them", "duty", "telephone", "mail", "deputy"];
    listed(page, json, &head, row, "Nobody yet. Add them: `yunwei plan contacts add --help`.");
}

// What they do.

/// A document of a file, or of standard input.
fn read(file: &Path) -> Result<Json> {
    let wrong = |e: String| Error::invalid("file.unreadable", format!("cannot read {}: {e}", file.display()));
    let text = match file.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(file),
    };
    serde_json::from_str(&text.map_err(|e| wrong(e.to_string()))?).map_err(|e| wrong(e.to_string()))
}

/// What a runbook says, of a file that says more: as it was shown.
fn contents(file: &Json) -> Json {
    let said = ["title", "service", "purpose", "steps"].into_iter().filter(|field| !file[*field].is_null());
    Json::Object(said.map(|field| (field.to_owned(), file[field].clone())).collect())
}

pub fn runbooks(client: &Client, command: &RunbooksCommand, json: bool) -> Result<()> {
    match command {
        RunbooksCommand::Ls { service, shared } => {
            let only = service.as_deref().map(known).transpose()?.map(|id| format!("&service={id}"));
            books(&client.get(&format!("{RUNBOOKS}?shared={shared}{}", only.unwrap_or_default()))?, json);
        }
        RunbooksCommand::Show { id, version } => {
            let which = version.map(|version| format!("?version={version}")).unwrap_or_default();
            book(&client.get(&format!("{RUNBOOKS}/{}{which}", known(id)?))?, json);
        }
        RunbooksCommand::Draft { service, locale } => {
            let at = format!("/api/v1/services/{}/runbook/draft", known(service)?);
            show::json(&client.post(&at, &json!({ "locale": locale }))?);
        }
        RunbooksCommand::Add { file } => book(&client.post(RUNBOOKS, &contents(&read(file)?))?, json),
        RunbooksCommand::Change { id, file, note } => {
            let (file, at) = (read(file)?, format!("{RUNBOOKS}/{}", known(id)?));
            let mut body = contents(&file);
            // The version that the change was made on, where the file says it.
            (body["version"], body["note"]) = (file["version"].clone(), json!(note));
            book(&client.put(&at, &body)?, json);
        }
        RunbooksCommand::Versions { id } => {
            books(&client.get(&format!("{RUNBOOKS}/{}/versions", known(id)?))?, json);
        }
        RunbooksCommand::Share { id, stop } => {
            let at = format!("{RUNBOOKS}/{}/share", known(id)?);
            book(&client.post(&at, &json!({ "shared": !stop }))?, json);
        }
        RunbooksCommand::End { id } => {
            book(&client.post(&format!("{RUNBOOKS}/{}/end", known(id)?), &json!({}))?, json);
        }
    }
    Ok(())
}

fn books(page: &Json, json: bool) {
    let row = |one: &Json| {
        let steps = one["steps"].as_array().map_or(0, Vec::len).to_string();
        let said = |field| show::text(one, field);
        vec![said("id"), said("title"), said("version"), steps, show::time(one, "changedAt"), said("note")]
    };
    let nothing = "No runbooks yet. Write one: `yunwei plan runbooks draft SERVICE`.";
    listed(page, json, &["id", "title", "version", "steps", "changed", "what"], row, nothing);
}

fn book(one: &Json, json: bool) {
    if json {
        return show::json(one);
    }
    let said = |field| show::text(one, field);
    println!("{}  {}  version {}", said("id"), said("title"), said("version"));
    println!("{}", said("purpose"));
    if let Some(from) = one["sharedFrom"].as_i64() {
        println!("{}: shared with the operator's staff from version {from} on", said("tenantName"));
    }
    if !one["endedAt"].is_null() {
        println!("used no more since {}", show::time(one, "endedAt"));
    }
    for (at, step) in one["steps"].as_array().into_iter().flatten().enumerate() {
        let minutes = step["minutes"].as_u64().map(|minutes| format!(", {minutes} min")).unwrap_or_default();
        println!("{}. {} ({}{minutes})", at + 1, show::text(step, "text"), show::text(step, "who"));
        println!("   done when: {}", show::text(step, "shows"));
    }
}

// How they try it.

pub fn exercises(client: &Client, command: &ExercisesCommand, json: bool) -> Result<()> {
    let at = |id: &str| Ok::<_, Error>(format!("{EXERCISES}/{}", known(id)?));
    match command {
        ExercisesCommand::Ls => trials(&client.get(EXERCISES)?, json),
        ExercisesCommand::Show { id } => trial(&client.get(&at(id)?)?, json),
        ExercisesCommand::Add { name, mode, at, scenario, lead, participants, observers } => {
            let body = json!({
                "name": name, "mode": mode.word(), "plannedAt": at, "scenario": scenario, "lead": lead,
                "participants": participants, "observers": observers,
            });
            trial(&client.post(EXERCISES, &body)?, json);
        }
        ExercisesCommand::Change { id, name, mode, at: when, scenario, lead, participants, observers } => {
            let before = client.get(&at(id)?)?;
            let word = |new: Option<&str>, field: &str| new.map_or_else(|| before[field].clone(), Json::from);
            let named = |new: &[String], field: &str| if new.is_empty() { before[field].clone() } else { json!(new) };
            let body = json!({
                "name": word(name.as_deref(), "name"),
                "mode": word(mode.map(Mode::word), "mode"),
                "plannedAt": word(when.as_deref(), "plannedAt"),
                "scenario": word(scenario.as_deref(), "scenario"),
                "lead": word(lead.as_deref(), "lead"),
                "participants": named(participants, "participants"),
                "observers": named(observers, "observers"),
            });
            trial(&client.put(&at(id)?, &body)?, json);
        }
        ExercisesCommand::Cancel { id } => trial(&client.post(&format!("{}/cancel", at(id)?), &json!({}))?, json),
        ExercisesCommand::Conclude(one) => {
            trial(&client.post(&format!("{}/conclude", at(&one.id)?), &concluded(one))?, json);
        }
    }
    Ok(())
}

fn concluded(one: &Conclusion) -> Json {
    let finding = |text: &String| {
        json!({
            "text": text, "owner": one.finding_owner, "dueAt": one.finding_due, "observedBy": one.finding_observer,
        })
    };
    json!({
        "observers": Some(&one.observers).filter(|names| !names.is_empty()),
        "heldAt": one.held_at,
        "record": one.record,
        "passed": one.passed,
        "drills": one.drills,
        "findings": one.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn trials(page: &Json, json: bool) {
    let row = |one: &Json| {
        let said = |field| show::text(one, field);
        let state = if one["overdue"] == true { "overdue".to_owned() } else { said("state") };
        vec![said("id"), said("name"), said("mode"), show::time(one, "plannedAt"), state, said("lead")]
    };
    let nothing = "No exercises yet. Plan one: `yunwei plan exercises add --help`.";
    listed(page, json, &["id", "name", "mode", "when", "state", "lead"], row, nothing);
}

fn trial(one: &Json, json: bool) {
    if json {
        return show::json(one);
    }
    let said = |field| show::text(one, field);
    println!("{}  {}  {}  {}", said("id"), said("name"), said("mode"), said("state"));
    println!("{}, led by {}", show::time(one, "plannedAt"), said("lead"));
    println!("{}", said("scenario"));
    if one["outcome"].is_object() {
        println!("held {}: {}", show::time(one, "outcome.heldAt"), said("outcome.record"));
    }
    let watching = if one["outcome"].is_object() { &one["outcome"]["observers"] } else { &one["observers"] };
    let names: Vec<&str> = watching.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    if !names.is_empty() {
        println!("observed by {}", names.join(", "));
    }
    for finding in one["findings"].as_array().into_iter().flatten() {
        println!(
            "- {}  {}  by {}{}",
            show::text(finding, "text"),
            show::text(finding, "owner"),
            show::time(finding, "dueAt"),
            finding["observedBy"].as_str().map(|by| format!("  (found by the observer {by})")).unwrap_or_default()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> PersonArgs {
        PersonArgs { duty: None, phone: None, email: None, deputy: None, called_by: None }
    }

    #[test]
    fn what_is_not_named_of_somebody_stays_as_it_is() {
        let before = json!({ "name": "Lin", "duty": "decides", "phone": "0912", "email": "", "deputy": "cont_2", "calledBy": "cont_3" });
        let change = PersonArgs { phone: Some("0911".into()), called_by: Some("none".into()), ..said() };
        let now = person(&before, None, &change);
        let wanted = json!({ "name": "Lin", "duty": "decides", "phone": "0911", "email": "", "deputy": "cont_2", "calledBy": null });
        assert_eq!(now, wanted);
        assert_eq!(person(&Json::Null, Some("Wu"), &said())["duty"], "");
    }

    #[test]
    fn a_runbook_that_was_shown_can_be_changed_and_given_back() {
        let shown = json!({ "id": "rnbk_1", "title": "Web", "service": null, "purpose": "", "steps": [], "version": 3, "note": "x" });
        assert_eq!(contents(&shown), json!({ "title": "Web", "purpose": "", "steps": [] }));
    }
}
