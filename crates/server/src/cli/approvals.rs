//! `yunwei approval`: what needs a second person, and deciding about it by hand.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use base::{Error, Kind, Result, limits};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

#[derive(Debug, Subcommand)]
pub enum ApprovalCommand {
    /// List what waits for your decision; what you asked for; or everything you may know of.
    #[command(after_help = "\
Examples:
  yunwei approval ls
  yunwei approval ls --mine
  yunwei approval ls --all --json")]
    Ls {
        /// What you asked for yourself.
        #[arg(long, conflicts_with = "all")]
        mine: bool,
        /// Also what is decided.
        #[arg(long)]
        all: bool,
    },
    /// Show exactly what would happen, to what, and who asks why.
    #[command(after_help = "\
Examples:
  yunwei approval show apr_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The request's id.
        id: String,
    },
    /// Ask a second person to agree to an action with exactly this input.
    ///
    /// Easier: give `--ask REASON` to the command that was refused; it asks with its own input.
    #[command(after_help = "\
Examples:
  yunwei --ask 'ticket 4711: moved away' service rm svc_01m80h6wrtet7rkwawzsgh6gss --yes
  yunwei approval request service.terminate --input '{\"id\":\"svc_01m80h6wrtet7rkwawzsgh6gss\"}' \\
      --reason 'ticket 4711: moved away'")]
    Request {
        /// The action's name, as the permissions' page and the API's description give it.
        action: String,
        /// Its input as JSON, what stands in the address of its route included.
        #[arg(long, default_value = "{}")]
        input: String,
        /// Why, for whoever decides.
        #[arg(long)]
        reason: String,
    },
    /// Approve a request: shows it, asks for your password, and has exactly that done.
    ///
    /// An API token approves nothing, so you sign in for it with mail address and password, and with a code
    /// where your account has a second factor.
    #[command(after_help = "\
Examples:
  yunwei approval approve apr_01m80h6wrtet7rkwawzsgh6gss --email you@example.com
  yunwei approval approve apr_01m80h6wrtet7rkwawzsgh6gss --email you@example.com --note 'seen the ticket'")]
    Approve {
        /// The request's id.
        id: String,
        /// What there is to say to it.
        #[arg(long, default_value = "")]
        note: String,
        /// How you sign in.
        #[command(flatten)]
        hand: Hand,
    },
    /// Decline a request; it is over.
    #[command(after_help = "\
Examples:
  yunwei approval decline apr_01m80h6wrtet7rkwawzsgh6gss --email you@example.com --reason 'they still need it'")]
    Decline {
        /// The request's id.
        id: String,
        /// Why, for whoever asked.
        #[arg(long, default_value = "")]
        reason: String,
        /// How you sign in.
        #[command(flatten)]
        hand: Hand,
    },
    /// Take back what you asked for.
    #[command(after_help = "\
Examples:
  yunwei approval withdraw apr_01m80h6wrtet7rkwawzsgh6gss")]
    Withdraw {
        /// The request's id.
        id: String,
    },
    /// What needs a second person here.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei approval rule show
  yunwei approval rule add service.terminate backupPolicy.update"
    )]
    Rule(RuleCommand),
}

#[derive(Debug, Subcommand)]
pub enum RuleCommand {
    /// Show what can need a second person, what does, and how many could do each.
    #[command(after_help = "\
Examples:
  yunwei approval rule show")]
    Show,
    /// Need a second person for these, too. One person can say so.
    #[command(after_help = "\
Examples:
  yunwei approval rule add service.terminate backupPolicy.update
  yunwei approval rule add --usual")]
    Add {
        /// The actions.
        actions: Vec<String>,
        /// Those that one should begin with.
        #[arg(long)]
        usual: bool,
    },
    /// Need none for these any more. That takes a second person itself: give `--ask REASON`.
    #[command(after_help = "\
Examples:
  yunwei --ask 'too slow for us' approval rule remove service.restore")]
    Remove {
        /// The actions.
        #[arg(required = true)]
        actions: Vec<String>,
    },
    /// Say that two accounts are one person's: neither approves what the other asks for.
    #[command(after_help = "\
Examples:
  yunwei approval rule link acc_01m80h6wrtet7rkwawzsgh6gss acc_01m80h6wsfrxdtdjywxm8khjpd")]
    Link {
        /// One account.
        account: String,
        /// The other.
        other: String,
    },
    /// Take that back; takes a second person where there is a rule, and counts after a day.
    #[command(after_help = "\
Examples:
  yunwei --ask 'a mistake of ours' approval rule unlink acc_01m80h6wrtet7rkwawzsgh6gss acc_01m80h6wsfrxdtdjywxm8khjpd")]
    Unlink {
        /// One account.
        account: String,
        /// The other.
        other: String,
    },
}

/// How a person signs in for one decision.
#[derive(Debug, Args)]
pub struct Hand {
    /// Your mail address.
    #[arg(long, env = "YUNWEI_EMAIL")]
    email: String,
    /// A file with your password; `-` reads standard input. Asked for where absent.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The code of your authenticator, or a recovery code. Asked for where absent and needed.
    #[arg(long)]
    code: Option<String>,
}

const PATH: &str = "/api/v1/approvals";

pub fn run(command: ApprovalCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        ApprovalCommand::Ls { mine, all } => {
            let which = if mine {
                "mine"
            } else if all {
                "all"
            } else {
                "toDecide"
            };
            list(&client.get(&format!("{PATH}?which={which}"))?["items"], json);
            Ok(())
        }
        ApprovalCommand::Show { id } => {
            tell(&client.get(&format!("{PATH}/{}", known(&id)?))?, json);
            Ok(())
        }
        ApprovalCommand::Request { action, input, reason } => {
            let input: Json = serde_json::from_str(&input)
                .map_err(|e| Error::invalid("input.malformed", format!("--input is no JSON: {e}")))?;
            let body = json!({ "action": action, "input": input, "reason": reason });
            tell(&client.post(PATH, &body)?, json);
            Ok(())
        }
        ApprovalCommand::Approve { id, note, hand } => {
            let seen = client.get(&format!("{PATH}/{}", known(&id)?))?;
            if !json {
                tell(&seen, false);
            }
            let body = json!({ "digest": seen["digest"], "note": note });
            decided(&hand.decide(&client, &seen, "approve", &body)?, json)
        }
        ApprovalCommand::Decline { id, reason, hand } => {
            let seen = client.get(&format!("{PATH}/{}", known(&id)?))?;
            decided(&hand.decide(&client, &seen, "decline", &json!({ "reason": reason }))?, json)
        }
        ApprovalCommand::Withdraw { id } => {
            decided(&client.post(&format!("{PATH}/{}/withdraw", known(&id)?), &json!({}))?, json)
        }
        ApprovalCommand::Rule(command) => rule(&client, command, json),
    }
}

impl Hand {
    /// Signs in, decides where the request is to be done, and signs out.
    fn decide(&self, client: &Client, seen: &Json, verb: &str, body: &Json) -> Result<Json> {
        let password = match &self.password_file {
            Some(file) => password_of(file)?,
            None => ask("Your password", "--password-file")?,
        };
        let code = || self.code.clone().map_or_else(|| ask("The code of your authenticator", "--code"), Ok);
        let tenant = seen["tenant"].as_str().unwrap_or_default();
        let session = client.sign_in(&self.email, &password, tenant, code)?;
        let path = format!("{PATH}/{}/{verb}", known(seen["id"].as_str().unwrap_or_default())?);
        let result = client.post_by_hand(&session, &path, body);
        let ended = client.post_by_hand(&session, "/api/v1/sessions/close", &json!({}));
        let decided = result?;
        ended.map(|_| decided)
    }
}

fn password_of(file: &Path) -> Result<String> {
    let fault = |e: std::io::Error| Error::invalid("password.file", format!("cannot read {}: {e}", file.display()));
    let most = u64::try_from(limits::PASSWORD_BYTES_MAX).unwrap_or(u64::MAX) + 2;
    let mut text = String::new();
    match file.to_str() {
        Some("-") => std::io::stdin().lock().take(most).read_to_string(&mut text).map_err(fault)?,
        _ => std::fs::File::open(file).map_err(fault)?.take(most).read_to_string(&mut text).map_err(fault)?,
    };
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks at the terminal, without showing what is typed.
fn ask(what: &str, option: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::invalid("input.terminal", format!("nobody sits at a terminal: give {option}")));
    }
    let shown = |on: bool| {
        let word = if on { "echo" } else { "-echo" };
        std::process::Command::new("stty").arg(word).status().is_ok_and(|status| status.success())
    };
    eprint!("{what}: ");
    let _ = std::io::stderr().flush();
    let hidden = shown(false);
    let mut line = String::new();
    let read = std::io::stdin().lock().take(4_096).read_line(&mut line);
    if hidden {
        shown(true);
        eprintln!();
    }
    read.map_err(|e| Error::invalid("input.terminal", "nothing could be read").because(e))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn rows(items: &Json, row: impl Fn(&Json) -> Vec<String>) -> Vec<Vec<String>> {
    items.as_array().into_iter().flatten().map(row).collect()
}

fn list(items: &Json, json: bool) {
    if json {
        return show::json(items);
    }
    let row = |one: &Json| {
        vec![
            show::text(one, "id"),
            show::text(one, "state"),
            show::text(one, "summary"),
            show::text(one, "requesterName"),
            show::time(one, "expiresAt"),
        ]
    };
    show::table(&["id", "state", "what", "asked by", "until"], rows(items, row), "There is nothing.");
}

/// Everything that somebody who decides must see.
fn tell(found: &Json, json: bool) {
    if json {
        return show::json(found);
    }
    let text = |path: &str| show::text(found, path);
    println!("{}  {}", text("id"), text("state"));
    println!("{}  ({})", text("summary"), text("action"));
    let name = found["objectName"].as_str().map(|_| format!("“{}” ", text("objectName"))).unwrap_or_default();
    println!("about     {name}{} {}", text("object.kind"), text("object.id"));
    println!("asked by  {}  {}", text("requesterName"), text("requester"));
    println!("why       {}", text("reason"));
    println!("until     {}", show::time(found, "expiresAt"));
    println!("input     {:#}", found["input"]);
    for one in found["differences"].as_array().into_iter().flatten() {
        println!("changes   {}: {} → {}", show::text(one, "attribute"), one["before"], one["after"]);
    }
    if let Some(problem) = found["problem"].as_object() {
        println!("failed    {}", problem.get("message").and_then(Json::as_str).unwrap_or_default());
    }
    println!("digest    {}", text("digest"));
}

/// What came of it; that it could not be done is no success.
fn decided(approval: &Json, json: bool) -> Result<()> {
    match json {
        true => show::json(approval),
        false => println!("{}  {}", show::text(approval, "id"), show::text(approval, "state")),
    }
    if approval["state"] != "failed" {
        return Ok(());
    }
    let (code, message) = (show::text(approval, "problem.code"), show::text(approval, "problem.message"));
    Err(Error::new(Kind::Conflict, code, format!("it was approved and could not be done: {message}")))
}

fn rule(client: &Client, command: RuleCommand, json: bool) -> Result<()> {
    let path = format!("{PATH}/rule");
    let names = |rule: &Json, which: &str| -> Vec<String> {
        let of = rule["actions"].as_array().into_iter().flatten().filter(|one| one[which] == true);
        of.map(|one| show::text(one, "action")).collect()
    };
    let now = match command {
        RuleCommand::Show => client.get(&path)?,
        RuleCommand::Add { actions, usual } => {
            let before = client.get(&path)?;
            let mut wanted = names(&before, "on");
            wanted.extend(actions);
            wanted.extend(if usual { names(&before, "usual") } else { Vec::new() });
            client.put(&path, &json!({ "actions": wanted }))?
        }
        RuleCommand::Remove { actions } => {
            let mut wanted = names(&client.get(&path)?, "on");
            wanted.retain(|one| !actions.contains(one));
            client.put(&path, &json!({ "actions": wanted }))?
        }
        RuleCommand::Link { account, other } => {
            client.post("/api/v1/persons/link", &json!({ "account": account, "other": other }))?
        }
        RuleCommand::Unlink { account, other } => {
            client.post("/api/v1/persons/unlink", &json!({ "account": account, "other": other }))?
        }
    };
    if json {
        show::json(&now);
        return Ok(());
    }
    let row = |one: &Json| {
        let on = if one["on"] == true {
            "yes"
        } else if one["fromAbove"] == true {
            "from above"
        } else {
            "no"
        };
        vec![show::text(one, "action"), on.to_owned(), show::text(one, "able"), show::text(one, "summary")]
    };
    show::table(&["action", "second person", "who could", "what"], rows(&now["actions"], row), "Nothing can need one.");
    for one in now["samePersons"].as_array().into_iter().flatten() {
        println!("one person: {} = {}", show::text(one, "name"), show::text(one, "otherName"));
    }
    Ok(())
}
