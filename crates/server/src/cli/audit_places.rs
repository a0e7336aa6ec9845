//! `yunwei audit places`: where the log is shipped to.

use std::path::PathBuf;

use base::Result;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Map, Value as Json, json};

use super::backup::{items, made};
use super::bucket::Bucket;
use super::client::{Client, known};
use super::files::{read, read_named};
use super::show;

#[derive(Debug, Subcommand)]
pub enum PlacesCommand {
    /// List places, and how far each has got.
    #[command(after_help = "\
Examples:
  yunwei audit places ls
  yunwei audit places ls --json | jq '.[] | select(.state != \"current\")'")]
    Ls,
    /// Name a place: a directory, a syslog server, a bucket or a webhook.
    ///
    /// A directory is best a disk of another host, mounted so that this host can add and not remove. A syslog
    /// server is spoken to over TLS (RFC 5425). A bucket keeps what it is sent by its own retention (object
    /// lock): set a default retention on it, and its key with `yunwei audit places credential`. A webhook is
    /// signed as Standard Webhooks has it; the secret is shown once, now.
    #[command(after_help = "\
Examples:
  yunwei audit places add other-host --directory /mnt/other-host/audit
  yunwei audit places add siem --syslog log.example.com:6514 --authority log-ca.pem
  yunwei audit places add cloud --endpoint https://s3.example.com --bucket audit --region tw-1
  yunwei audit places add auditor --webhook https://audit.example.com/yunwei --heads-only --every 300")]
    Add(Box<NewPlace>),
    /// Show a place.
    #[command(after_help = "\
Examples:
  yunwei audit places show aupl_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The place's id.
        id: String,
    },
    /// Change a place's name, how often it is shipped to, or how late it may be. Where it is stays.
    #[command(after_help = "\
Examples:
  yunwei audit places change aupl_01m80h6wrtet7rkwawzsgh6gss --every 30 --limit 600")]
    Change(ChangePlace),
    /// Keep what lets one in at a bucket; the secret is read from a file.
    ///
    /// Best a key that may add and read, and neither overwrite nor remove.
    #[command(after_help = "\
Examples:
  yunwei audit places credential aupl_01m80h6wrtet7rkwawzsgh6gss --name yunwei-audit --secret-file secret")]
    Credential {
        /// The place's id.
        id: String,
        /// The access key.
        #[arg(long)]
        name: String,
        /// A file with its secret.
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
    },
    /// Ship to a place at once, whatever its waits.
    #[command(after_help = "\
Examples:
  yunwei audit places ship aupl_01m80h6wrtet7rkwawzsgh6gss")]
    Ship {
        /// The place's id.
        id: String,
    },
    /// Ship to a place no more. What lies there stays.
    #[command(after_help = "\
Examples:
  yunwei audit places remove aupl_01m80h6wrtet7rkwawzsgh6gss --reason 'CHG-412: the server moves to Taichung'")]
    Remove {
        /// The place's id.
        id: String,
        /// Why the log need not go there any more; stands on the log.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["name", "every", "limit"]))]
pub struct ChangePlace {
    /// The place's id.
    id: String,
    /// Its new name.
    #[arg(long)]
    name: Option<String>,
    /// How often it is shipped to, where there is something new.
    #[arg(long, value_name = "SECONDS")]
    every: Option<i64>,
    /// How long it may be behind before there is an alarm.
    #[arg(long, value_name = "SECONDS")]
    limit: Option<i64>,
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("where").required(true).args(["directory", "syslog", "endpoint", "webhook"]))]
pub struct NewPlace {
    /// Its name.
    name: String,
    /// A directory of the server, which must be there: another host's disk.
    #[arg(long, value_name = "DIR")]
    directory: Option<String>,
    /// A syslog server that speaks TLS.
    #[arg(long, value_name = "HOST:PORT", requires = "authority")]
    syslog: Option<String>,
    /// A program that listens for webhooks.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    #[command(flatten)]
    bucket: Bucket,
    /// The authority that the other side's certificate comes from (PEM).
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// Ship signed heads alone, and no entries.
    #[arg(long)]
    heads_only: bool,
    /// How often it is shipped to, where there is something new.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    every: i64,
    /// How long it may be behind before there is an alarm.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    limit: i64,
}

const PLACES: &str = "/api/v1/audit/places";

pub fn run(command: PlacesCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        PlacesCommand::Ls => list(&client, json),
        PlacesCommand::Add(new) => {
            let place = client.post(PLACES, &body(&new)?)?;
            match place.get("signingSecret").filter(|_| !json) {
                Some(secret) => {
                    println!("{}  {}", show::text(&place, "id"), show::text(&place, "name"));
                    println!("signed with    {}   (not shown again)", secret.as_str().unwrap_or_default());
                    Ok(())
                }
                None => made(&place, json),
            }
        }
        PlacesCommand::Show { id } => told(&client.get(&path(&id)?)?, json),
        PlacesCommand::Change(change) => {
            let mut body = Map::new();
            let mut say = |name: &str, value: Option<Json>| value.map(|value| body.insert(name.to_owned(), value));
            say("name", change.name.map(Json::from));
            say("everySeconds", change.every.map(Json::from));
            say("behindSeconds", change.limit.map(Json::from));
            told(&client.patch(&path(&change.id)?, &Json::Object(body))?, json)
        }
        PlacesCommand::Credential { id, name, secret_file } => {
            let body = json!({ "name": name, "secret": read(&secret_file)?.trim_end() });
            told(&client.post(&format!("{}/credential", path(&id)?), &body)?, json)
        }
        PlacesCommand::Ship { id } => told(&client.post(&format!("{}/ship", path(&id)?), &json!({}))?, json),
        PlacesCommand::Remove { id, reason } => {
            let gone = client.post(&format!("{}/remove", path(&id)?), &json!({ "reason": reason }))?;
            if json {
                show::json(&gone);
            } else {
                println!("The audit log is shipped to {} no more. What lies there stays.", show::text(&gone, "name"));
            }
            Ok(())
        }
    }
}

fn path(id: &str) -> Result<String> {
    Ok(format!("{PLACES}/{}", known(id)?))
}

fn body(new: &NewPlace) -> Result<Json> {
    let authority = read_named(new.authority.as_ref())?;
    let target = match (&new.directory, &new.syslog, &new.webhook) {
        (Some(path), ..) => json!({ "type": "directory", "path": path }),
        (_, Some(address), _) => json!({ "type": "syslog", "address": address, "authority": authority }),
        (_, _, Some(url)) => json!({ "type": "webhook", "url": url }),
        (None, None, None) => new.bucket.location(authority),
    };
    Ok(json!({
        "name": new.name, "target": target, "entries": !new.heads_only,
        "everySeconds": new.every, "behindSeconds": new.limit,
    }))
}

fn at(place: &Json) -> String {
    let at = ["target.path", "target.address", "target.endpoint", "target.url"];
    at.iter().map(|path| show::text(place, path)).find(|text| text != "–").unwrap_or_default()
}

fn told(place: &Json, json: bool) -> Result<()> {
    if json {
        show::json(place);
        return Ok(());
    }
    println!("{}  {}", show::text(place, "id"), show::text(place, "name"));
    println!("where         {}  {}", show::text(place, "target.type"), at(place));
    println!("state         {}", show::text(place, "state"));
    println!("shipped       {} entries, last {}", show::text(place, "shipped"), show::text(place, "shippedAt"));
    println!("behind since  {}", show::text(place, "behindSince"));
    println!("problem       {}", show::text(place, "problem.message"));
    println!(
        "every         {} s; alarm after {} s",
        show::text(place, "everySeconds"),
        show::text(place, "behindSeconds")
    );
    Ok(())
}

fn list(client: &Client, json: bool) -> Result<()> {
    let all = items(&client.get(PLACES)?);
    if json {
        show::json(&Json::Array(all));
        return Ok(());
    }
    let row = |p: &Json| {
        let (id, name, shipped) = (show::text(p, "id"), show::text(p, "name"), show::text(p, "shipped"));
        vec![id, name, at(p), show::text(p, "state"), shipped, show::text(p, "problem.code")]
    };
    show::table(
        &["id", "name", "where", "state", "shipped", "problem"],
        all.iter().map(row).collect(),
        "The audit log leaves this server for nowhere: whoever has the server can rewrite it. Name a place: `yunwei audit places add --help`.",
    );
    Ok(())
}
