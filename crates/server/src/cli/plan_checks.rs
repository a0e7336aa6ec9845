//! `yunwei plan step`, `reviews`, `findings`: what is done, who has looked at it, and what is to be put right.

use base::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

const STEPS: &str = "/api/v1/plan/steps";
const REVIEWS: &str = "/api/v1/plan/reviews";
const FINDINGS: &str = "/api/v1/plan/findings";

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum StepState {
    /// Nobody has begun.
    NotStarted,
    /// Somebody works on it.
    InProgress,
    /// It is done.
    Done,
}

impl StepState {
    fn word(self) -> &'static str {
        match self {
            StepState::NotStarted => "notStarted",
            StepState::InProgress => "inProgress",
            StepState::Done => "done",
        }
    }
}

#[derive(Debug, Args)]
pub struct StepArgs {
    /// Which, from 1 to 9.
    number: u8,
    /// Who sees to it.
    #[arg(long)]
    owner: Option<String>,
    /// By when, RFC 3339.
    #[arg(long, value_name = "TIME", conflicts_with = "no_date")]
    due: Option<String>,
    /// It has no date any more.
    #[arg(long)]
    no_date: bool,
    /// How far it is.
    #[arg(long, value_enum)]
    state: Option<StepState>,
    /// What is said of it.
    #[arg(long)]
    text: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum ReviewsCommand {
    /// List reviews, the newest first.
    #[command(after_help = "\
Examples:
  yunwei plan reviews ls")]
    Ls,
    /// Write a review down: by whom, what came of it, when the next is due.
    #[command(after_help = "\
Examples:
  yunwei plan reviews record --by 'Lin, Wu' --conclusion 'Two runbooks are old.' --next 2027-11-01T00:00:00+08:00
  yunwei plan reviews record --by Lin --conclusion 'It holds.' --next 2027-11-01T00:00:00+08:00 \\
      --finding 'Nobody stands in for Wu' --finding-owner Lin --finding-due 2027-01-31T00:00:00+08:00")]
    Record(NewReview),
}

#[derive(Debug, Args)]
pub struct NewReview {
    /// Who has looked at the plan.
    #[arg(long = "by", value_name = "NAMES")]
    held_by: String,
    /// What came of it.
    #[arg(long)]
    conclusion: String,
    /// When the next is due, RFC 3339.
    #[arg(long, value_name = "TIME")]
    next: String,
    /// When it was held, RFC 3339; now by default.
    #[arg(long, value_name = "TIME")]
    held_at: Option<String>,
    /// What was found, once for each.
    #[arg(long = "finding", value_name = "TEXT", requires = "finding_owner", requires = "finding_due")]
    findings: Vec<String>,
    /// Who puts that right.
    #[arg(long, value_name = "NAME")]
    finding_owner: Option<String>,
    /// By when, RFC 3339.
    #[arg(long, value_name = "TIME")]
    finding_due: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum FindingsCommand {
    /// List what reviews and exercises found and is still open.
    #[command(after_help = "\
Examples:
  yunwei plan findings ls
  yunwei plan findings ls --all --json | jq -r '.[] | select(.overdue) | .text'")]
    Ls {
        /// Also those that are closed.
        #[arg(long)]
        all: bool,
    },
    /// Add a finding to a review or an exercise that was written down before.
    #[command(after_help = "\
Examples:
  yunwei plan findings add exer_01m80h6wrtet7rkwawzsgh6gss 'The kit was not there' --owner Lin \\
      --due 2027-01-31T00:00:00+08:00 --observer Ho")]
    Add {
        /// The review or exercise.
        source: String,
        /// What was found.
        text: String,
        /// Who puts it right.
        #[arg(long)]
        owner: String,
        /// By when, RFC 3339.
        #[arg(long, value_name = "TIME")]
        due: String,
        /// Which of an exercise's observers found it.
        #[arg(long, value_name = "NAME")]
        observer: Option<String>,
    },
    /// Close a finding, saying what was done about it.
    #[command(after_help = "\
Examples:
  yunwei plan findings close find_01m80h6wrtet7rkwawzsgh6gss --note 'It lies at the second site now.'")]
    Close {
        /// Its id.
        id: String,
        /// What was done.
        #[arg(long)]
        note: String,
    },
}

/// What was named of a step, and nothing else: what is not named stays as it is.
fn change(step: &StepArgs) -> Json {
    let named = [
        ("owner", step.owner.clone().map(Json::from)),
        ("dueAt", step.due.clone().map(Json::from)),
        ("noDate", step.no_date.then(|| Json::from(true))),
        ("state", step.state.map(|state| Json::from(state.word()))),
        ("text", step.text.clone().map(Json::from)),
    ];
    Json::Object(named.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect())
}

pub fn step(client: &Client, step: &StepArgs, json: bool) -> Result<()> {
    let said = client.patch(&format!("{STEPS}/{}", step.number), &change(step))?;
    if json {
        show::json(&said);
        return Ok(());
    }
    let due = if said["dueAt"].is_null() { "no date".to_owned() } else { show::time(&said, "dueAt") };
    println!("{}  {}  {}  {due}", step.number, show::text(&said, "state"), show::text(&said, "owner"));
    Ok(())
}

fn recorded(new: &NewReview) -> Json {
    let finding = |text: &String| json!({ "text": text, "owner": new.finding_owner, "dueAt": new.finding_due });
    json!({
        "heldAt": new.held_at,
        "heldBy": new.held_by,
        "conclusion": new.conclusion,
        "nextDue": new.next,
        "findings": new.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

pub fn reviews(client: &Client, command: &ReviewsCommand, json: bool) -> Result<()> {
    let row = |one: &Json| {
        let said = |field| show::text(one, field);
        vec![show::time(one, "heldAt"), said("heldBy"), said("conclusion"), show::time(one, "nextDue")]
    };
    let page = match command {
        ReviewsCommand::Ls => client.get(REVIEWS)?["items"].clone(),
        ReviewsCommand::Record(new) => match (client.post(REVIEWS, &recorded(new))?, json) {
            (made, true) => {
                show::json(&made);
                return Ok(());
            }
            (made, false) => json!([made]),
        },
    };
    let nothing = "No reviews yet. Write one down: `yunwei plan reviews record --help`.";
    listed(&page, json, &["held", "by", "what came of it", "next"], row, nothing);
    Ok(())
}

pub fn findings(client: &Client, command: &FindingsCommand, json: bool) -> Result<()> {
    let one = match command {
        FindingsCommand::Ls { all } => {
            let page = client.get(&format!("{FINDINGS}?closed={all}"))?["items"].clone();
            let nothing = "Nothing is open of what reviews and exercises found.";
            listed(&page, json, &["id", "what", "owner", "due", "", "found by"], found, nothing);
            return Ok(());
        }
        FindingsCommand::Add { source, text, owner, due, observer } => {
            let body =
                json!({ "source": known(source)?, "text": text, "owner": owner, "dueAt": due, "observedBy": observer });
            client.post(FINDINGS, &body)?
        }
        FindingsCommand::Close { id, note } => {
            client.post(&format!("{FINDINGS}/{}/close", known(id)?), &json!({ "note": note }))?
        }
    };
    match json {
        true => show::json(&one),
        false => println!("{}", found(&one).join("  ")),
    }
    Ok(())
}

/// A finding in a row.
fn found(one: &Json) -> Vec<String> {
    let state = match (one["open"] == true, one["overdue"] == true) {
        (false, _) => "closed",
        (true, true) => "overdue",
        (true, false) => "open",
    };
    let by = one["observedBy"].as_str().map_or_else(|| show::text(one, "source"), |by| format!("observer {by}"));
    let said = |field| show::text(one, field);
    vec![said("id"), said("text"), said("owner"), show::time(one, "dueAt"), state.to_owned(), by]
}

/// Prints a list: as JSON, or a row for each.
fn listed(items: &Json, json: bool, head: &[&str], row: impl Fn(&Json) -> Vec<String>, nothing: &str) {
    match json {
        true => show::json(items),
        false => show::table(head, items.as_array().into_iter().flatten().map(row).collect(), nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_of_a_step_is_changed() {
        let none = StepArgs { number: 3, owner: None, due: None, no_date: false, state: None, text: None };
        assert_eq!(change(&none), json!({}));
        let some = StepArgs { owner: Some("Lin".into()), no_date: true, state: Some(StepState::InProgress), ..none };
        assert_eq!(change(&some), json!({ "owner": "Lin", "noDate": true, "state": "inProgress" }));
    }

    #[test]
    fn a_finding_says_how_it_stands_and_who_found_it() {
        let of = |open: bool, overdue: bool, by: Json| {
            let one = json!({ "id": "find_1", "text": "x", "owner": "Lin", "dueAt": "2027-01-31T00:00:00Z",
                "open": open, "overdue": overdue, "source": "exercise", "observedBy": by });
            (found(&one)[4].clone(), found(&one)[5].clone())
        };
        assert_eq!(of(true, true, json!("Ho")), ("overdue".into(), "observer Ho".into()));
        assert_eq!(of(true, false, Json::Null), ("open".into(), "exercise".into()));
        assert_eq!(of(false, false, Json::Null).0, "closed");
    }
}
