//! `yunwei plan`: the continuity plan, beside what is really there; and on paper.

use base::{Error, Result};
use clap::Subcommand;
use serde_json::{Value as Json, json};

use super::client::Client;
use super::plan_checks::{self, FindingsCommand, ReviewsCommand, StepArgs};
use super::readiness::{self, ContactsCommand, ExercisesCommand, RunbooksCommand};
use super::show;

#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// Show the nine steps: owner, date, state, and what is really there.
    #[command(after_help = "\
Examples:
  yunwei plan show
  yunwei plan show --json | jq '.steps[] | select(.contradicted) | .title.en'")]
    Show,
    /// Change a step: who sees to it, by when, how far it is, what is said of it.
    #[command(after_help = "\
Examples:
  yunwei plan step 3 --owner 'Lin Yi-chun' --due 2026-12-31T00:00:00+08:00 --state in-progress
  yunwei plan step 3 --state done")]
    Step(StepArgs),
    /// Print everything that is needed when all systems are down, as plain text.
    #[command(after_help = "\
Examples:
  yunwei plan print > plan.txt
  yunwei plan print | lp")]
    Print,
    /// Freeze the plan as it stands and ask for it to be approved, by another account.
    #[command(after_help = "\
Examples:
  yunwei plan ask --note 'a second supplier, and new runbooks'")]
    Ask {
        /// What changed.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Make a first plan of what runs already: team, activities, drills, runbooks, an exercise, owners and dates.
    #[command(after_help = "\
Examples:
  yunwei plan start answers.json --dry-run
  yunwei plan start answers.json

answers.json:
  {
    \"purpose\": \"We sell shoes, and must go on.\",
    \"lead\": { \"name\": \"Lin\", \"phone\": \"0912 345 678\" },
    \"services\": [{ \"service\": \"svc_01m80h6wrtet7rkwawzsgh6gss\", \"rtoSeconds\": 3600, \"rpoSeconds\": 86400 }]
  }")]
    Start {
        /// A file with the answers.
        answers: std::path::PathBuf,
        /// Show what would be made, and make nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// The team: who has which duty, who stands in for them, and who calls whom.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei plan contacts ls
  yunwei plan contacts add 'Lin Yi-chun' --duty 'decides' --phone '0912 345 678'"
    )]
    Contacts(ContactsCommand),
    /// Runbooks: what to do, step by step, every edit a version.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei plan runbooks ls
  yunwei plan runbooks draft svc_01m80h6wrtet7rkwawzsgh6gss > web.json"
    )]
    Runbooks(RunbooksCommand),
    /// Exercises: people try the plan, at a table or for real, and write down what they saw.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei plan exercises ls
  yunwei plan exercises conclude exer_01m80h6wrtet7rkwawzsgh6gss --passed --record 'All were reached.'"
    )]
    Exercises(ExercisesCommand),
    /// Reviews: somebody has looked at the whole plan, and says when it is due again.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei plan reviews ls
  yunwei plan reviews record --by Lin --conclusion 'It holds.' --next 2027-11-01T00:00:00+08:00"
    )]
    Reviews(ReviewsCommand),
    /// What reviews and exercises found, with an owner and a date.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei plan findings ls
  yunwei plan findings close find_01m80h6wrtet7rkwawzsgh6gss --note 'It lies at the second site now.'"
    )]
    Findings(FindingsCommand),
    /// List versions.
    #[command(after_help = "\
Examples:
  yunwei plan versions")]
    Versions,
    /// Approve a version that waits. Not for the account that asked.
    #[command(after_help = "\
Examples:
  yunwei plan approve 3")]
    Approve {
        /// The version's number.
        number: u32,
    },
    /// Decline a version that waits.
    #[command(after_help = "\
Examples:
  yunwei plan decline 3 --reason 'step 7 names nobody'")]
    Decline {
        /// The version's number.
        number: u32,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

const PLAN: &str = "/api/v1/plan";
const VERSIONS: &str = "/api/v1/plan/versions";

pub fn run(command: PlanCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    let decide = |number: u32, body: &Json| client.post(&format!("{VERSIONS}/{number}/decide"), body);
    match command {
        PlanCommand::Show => steps(&client.get(PLAN)?, json),
        PlanCommand::Print => paper(&client, json)?,
        PlanCommand::Ask { note } => version(&client.post(VERSIONS, &json!({ "note": note }))?, json),
        PlanCommand::Start { answers, dry_run } => start(&client, &answers, dry_run, json)?,
        PlanCommand::Contacts(command) => readiness::contacts(&client, &command, json)?,
        PlanCommand::Runbooks(command) => readiness::runbooks(&client, &command, json)?,
        PlanCommand::Exercises(command) => readiness::exercises(&client, &command, json)?,
        PlanCommand::Step(step) => plan_checks::step(&client, &step, json)?,
        PlanCommand::Reviews(command) => plan_checks::reviews(&client, &command, json)?,
        PlanCommand::Findings(command) => plan_checks::findings(&client, &command, json)?,
        PlanCommand::Versions => versions(&client.get(VERSIONS)?, json),
        PlanCommand::Approve { number } => version(&decide(number, &json!({ "approve": true }))?, json),
        PlanCommand::Decline { number, reason } => {
            version(&decide(number, &json!({ "approve": false, "reason": reason }))?, json);
        }
    }
    Ok(())
}

fn start(client: &Client, answers: &std::path::Path, dry_run: bool, json: bool) -> Result<()> {
    let unread = |e: String| Error::invalid("plan.answers", format!("{} does not read: {e}", answers.display()));
    let text = std::fs::read_to_string(answers).map_err(|e| unread(e.to_string()))?;
    let body: Json = serde_json::from_str(&text).map_err(|e| unread(e.to_string()))?;
    let path = if dry_run { "/api/v1/plan/start/preview" } else { "/api/v1/plan/start" };
    let made = client.post(path, &body)?;
    if json {
        show::json(&made);
        return Ok(());
    }
    let row = |one: &Json| {
        let name = if one["name"].is_null() { day(one, "dueAt") } else { show::text(one, "name") };
        vec![show::text(one, "what"), show::text(one, "number"), name]
    };
    let head = if dry_run { "would be made" } else { "made" };
    show::table(&[head, "", ""], list(&made, "items").iter().map(row).collect(), "All of it is there already.");
    Ok(())
}

fn list<'j>(json: &'j Json, path: &str) -> &'j [Json] {
    json[path].as_array().map_or(&[], Vec::as_slice)
}

/// A date without its time of day; empty where there is none.
fn day(json: &Json, path: &str) -> String {
    if json[path].is_null() { String::new() } else { show::time(json, path).chars().take(10).collect() }
}

/// How a step stands, and whether what is there agrees.
fn standing(step: &Json) -> String {
    let marks = [("overdue", " (overdue)"), ("contradicted", " BUT NOT SO")];
    let marks: String = marks.iter().filter(|(flag, _)| step[*flag] == true).map(|(_, mark)| *mark).collect();
    show::text(step, "state") + &marks
}

/// `protected 3/5, copies 1/3`.
fn links(step: &Json) -> String {
    let said = |link: &Json| match link["of"].as_u64() {
        Some(of) => format!("{} {}/{of}", show::text(link, "what"), show::text(link, "found")),
        None => format!("{} {}", show::text(link, "what"), show::text(link, "found")),
    };
    list(step, "links").iter().map(said).collect::<Vec<_>>().join(", ")
}

fn steps(plan: &Json, json: bool) {
    if json {
        return show::json(plan);
    }
    let row = |step: &Json| {
        vec![
            show::text(step, "number"),
            show::text(step, "title.en"),
            show::text(step, "owner"),
            day(step, "dueAt"),
            standing(step),
            links(step),
        ]
    };
    let rows = list(plan, "steps").iter().map(row).collect();
    show::table(&["", "step", "owner", "due", "state", "what is there"], rows, "");
    println!("{}", in_force(plan));
}

fn in_force(plan: &Json) -> String {
    match (plan["approved"]["number"].as_i64(), plan["isDraft"] == true) {
        (None, _) => "draft: no version was approved yet".to_owned(),
        (Some(number), true) => format!("version {number} is approved; the plan has changed since"),
        (Some(number), false) => format!("version {number}, as it was approved"),
    }
}

fn version(one: &Json, json: bool) {
    if json {
        return show::json(one);
    }
    println!(
        "version {}  {}  sha256 {}",
        show::text(one, "number"),
        show::text(one, "state"),
        show::text(one, "digest")
    );
}

fn versions(page: &Json, json: bool) {
    if json {
        return show::json(&page["items"]);
    }
    let row = |v: &Json| {
        vec![
            show::text(v, "number"),
            show::text(v, "state"),
            show::time(v, "askedAt"),
            show::text(v, "askedBy"),
            show::text(v, "decidedBy"),
            show::text(v, "note"),
        ]
    };
    show::table(
        &["version", "state", "asked", "by", "decided by", "note"],
        list(page, "items").iter().map(row).collect(),
        "No versions yet. Ask for one to be approved: `yunwei plan ask`.",
    );
}

fn paper(client: &Client, json: bool) -> Result<()> {
    let paper = client.get(&format!("{PLAN}/paper"))?;
    if json {
        show::json(&paper);
    } else {
        print!("{}", text(&paper));
    }
    Ok(())
}

/// A heading as plain text has it.
fn heading(text: &str) -> String {
    format!("\n{text}\n{}\n", "=".repeat(text.chars().count()))
}

/// The plan as plain text, to be read without anything but eyes.
fn text(paper: &Json) -> String {
    let mut out = format!("CONTINUITY PLAN\nprinted {}\n{}\n", show::time(paper, "printedAt"), approval(paper));
    out += &heading("Whom to call");
    out.extend(list(paper, "calls").iter().map(call));
    out += &heading("What is promised");
    out.extend(list(paper, "promises").iter().map(promise));
    for runbook in list(paper, "runbooks") {
        out += &heading(&format!("{} (version {})", show::text(runbook, "title"), show::text(runbook, "version")));
        out += &format!("{}\n", show::text(runbook, "purpose"));
        out.extend(list(runbook, "steps").iter().enumerate().map(todo));
    }
    out += &heading("Nine steps");
    out.extend(list(&paper["plan"], "steps").iter().map(step));
    out
}

/// Who has approved what is printed, or that nobody has.
fn approval(paper: &Json) -> String {
    let version = &paper["plan"]["approved"];
    let by = show::text(version, "decidedBy");
    match version.is_null() {
        true => "A DRAFT THAT NOBODY HAS APPROVED".to_owned(),
        false => format!(
            "{}\napproved {} by {}\nsha256 {}",
            in_force(&paper["plan"]),
            show::time(version, "decidedAt"),
            paper["people"][&by].as_str().unwrap_or(&by),
            show::text(version, "digest")
        ),
    }
}

fn call(one: &Json) -> String {
    let depth = usize::try_from(one["depth"].as_u64().unwrap_or(0)).unwrap_or(0);
    let said = |path| show::text(one, path);
    let deputy = one["deputyName"].as_str().map(|name| format!("; deputy: {name}")).unwrap_or_default();
    format!(
        "{}- {}  {}  {}  ({}{deputy})\n",
        "  ".repeat(depth),
        said("name"),
        said("phone"),
        said("email"),
        said("duty")
    )
}

fn promise(one: &Json) -> String {
    let services: Vec<&str> = list(one, "services").iter().filter_map(Json::as_str).collect();
    let hours = |path: &str| {
        let Some(seconds) = one["objectives"][path].as_u64() else { return "nobody says".to_owned() };
        format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60)
    };
    let last = match (one["last"]["passed"].as_bool(), day(&one["last"], "at")) {
        (Some(true), at) => format!("last drill passed, {at}"),
        (Some(false), at) => format!("LAST DRILL DID NOT PASS, {at}"),
        (None, _) => "never drilled".to_owned(),
    };
    format!(
        "- {}: back within {}, at most {} lost; {}; {last}\n",
        services.join(" then "),
        hours("rtoSeconds"),
        hours("rpoSeconds"),
        show::text(one, "owner")
    )
}

fn todo((at, step): (usize, &Json)) -> String {
    let minutes = step["minutes"].as_u64().map(|minutes| format!(", {minutes} min")).unwrap_or_default();
    format!(
        "[ ] {}. {}\n      {}{minutes}\n      done when: {}\n      time ________  signature ________\n",
        at + 1,
        show::text(step, "text").replace('\n', "\n      "),
        show::text(step, "who"),
        show::text(step, "shows")
    )
}

fn step(one: &Json) -> String {
    let said = |path| show::text(one, path);
    let own = said("ownText");
    let own =
        if own == "–" || own.is_empty() { String::new() } else { format!("   {}\n", own.replace('\n', "\n   ")) };
    format!(
        "{}. {} - {} - {}\n   {}\n{own}",
        said("number"),
        said("title.en"),
        said("owner"),
        standing(one),
        links(one)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_printed_plan_says_whom_to_call_what_to_do_and_that_nobody_has_approved_it() {
        let call =
            json!({ "depth": 1, "name": "Lin", "phone": "0912", "email": "", "duty": "machines", "deputyName": "Wu" });
        let step = json!({ "text": "Restore.", "who": "Lin", "minutes": 30, "shows": "It answers." });
        let promise = json!({ "services": ["db", "web"], "objectives": { "rtoSeconds": 5_400, "rpoSeconds": 0 }, "owner": "Ops", "last": { "passed": false, "at": "2026-11-01T00:00:00Z" } });
        let nine = json!({ "number": 1, "title": { "en": "Purpose" }, "owner": "Ada", "state": "done", "contradicted": true, "ownText": "", "links": [{ "what": "scope", "found": 0 }] });
        let paper = json!({
            "printedAt": "2026-11-22T00:00:00Z",
            "plan": { "approved": null, "steps": [nine] },
            "calls": [call], "promises": [promise],
            "runbooks": [{ "title": "Bring back web", "version": 2, "purpose": "It is lost.", "steps": [step] }],
        });
        let text = super::text(&paper);
        for said in [
            "A DRAFT THAT NOBODY HAS APPROVED",
            "  - Lin  0912",
            "deputy: Wu",
            "db then web: back within 1 h 30 min",
            "LAST DRILL DID NOT PASS",
            "[ ] 1. Restore.",
            "done when: It answers.",
            "done BUT NOT SO",
        ] {
            assert!(text.contains(said), "{said} is not in: {text}");
        }
    }
}
