//! `yunwei backup data-set`: files and databases that belong to a service, and bringing them back.

use std::path::PathBuf;
use std::time::Duration;

use base::{Error, Result};
use clap::{ArgGroup, Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::restore::{mib, span};
use super::show;

#[derive(Debug, Subcommand)]
pub enum DataSetCommand {
    /// List a service's data sets.
    #[command(after_help = "\
Examples:
  yunwei backup data-set ls svc_01m80h6wrtet7rkwawzsgh6gss")]
    Ls {
        /// The service's id.
        service: String,
        /// Also those that have ended.
        #[arg(long)]
        all: bool,
    },
    /// Make one: files of a host, or databases that it reaches. A password is read from a file.
    #[command(after_help = "\
Examples:
  yunwei backup data-set add svc_… www --host hst_… --path /srv/www --path /etc/nginx --except '*.log'
  yunwei backup data-set add svc_… shop --host hst_… --postgresql backup@/var/run/postgresql --password-file secret
  yunwei backup data-set add svc_… blog --host hst_… --mysql backup@127.0.0.1:3306 --database blog --password-file secret")]
    Add(Box<NewDataSet>),
    /// Show one.
    #[command(after_help = "\
Examples:
  yunwei backup data-set show dset_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// Its id.
        id: String,
    },
    /// Take no more of one; what was taken stays.
    #[command(after_help = "\
Examples:
  yunwei backup data-set end dset_01m80h6wrtet7rkwawzsgh6gss")]
    End {
        /// Its id.
        id: String,
    },
    /// Bring one back, to a place that is new: a plan first, then the way there.
    #[command(after_help = "\
Examples:
  yunwei backup data-set restore dset_… --plan                       what it would do
  yunwei backup data-set restore dset_…                              to a directory of its own
  yunwei backup data-set restore dset_… --database shop --as shop_2    a dump, into a new database
  yunwei backup data-set restore dset_… --at 2026-11-22T20:15:00Z    a server with its logs, as of then
  yunwei backup data-set restore dset_… --below /srv/restored --host hst_…")]
    Restore(Box<Restore>),
    /// List the restores of a service's data sets, the newest first.
    #[command(after_help = "\
Examples:
  yunwei backup data-set restores svc_01m80h6wrtet7rkwawzsgh6gss")]
    Restores {
        /// The service's id.
        service: String,
    },
    /// End a restore that runs.
    #[command(after_help = "\
Examples:
  yunwei backup data-set cancel drst_01m80h6wrtet7rkwawzsgh6gss")]
    Cancel {
        /// The restore's id.
        id: String,
    },
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("source").required(true).args(["paths", "postgresql", "mysql"]))]
pub struct NewDataSet {
    /// The service's id.
    service: String,
    /// Its name.
    name: String,
    /// The host whose agent reaches it.
    #[arg(long, value_name = "ID")]
    host: String,
    /// A file or directory of that host; as often as there are.
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// A pattern of what is left out, as in a .gitignore.
    #[arg(long, value_name = "PATTERN", requires = "paths")]
    except: Vec<String>,
    /// A PostgreSQL server: USER@HOST[:PORT], or USER@/DIRECTORY of its sockets.
    #[arg(long, value_name = "SERVER")]
    postgresql: Option<String>,
    /// A MariaDB or MySQL server: USER@HOST[:PORT], or USER@/SOCKET.
    #[arg(long, value_name = "SERVER")]
    mysql: Option<String>,
    /// A database of it; all of them where none is named.
    #[arg(long = "database", value_name = "NAME", conflicts_with = "paths")]
    databases: Vec<String>,
    /// Keep the whole PostgreSQL server with its logs, to bring it back to any instant.
    #[arg(long, requires = "postgresql", conflicts_with = "databases")]
    logs: bool,
    /// A file with the password there; `-` reads it from standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "paths")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// The data set's id.
    id: String,
    /// From this point; otherwise from the newest that will do.
    #[arg(long, value_name = "ID")]
    point: Option<String>,
    /// From the copy at this place; otherwise from the first that will do.
    #[arg(long, value_name = "ID")]
    place: Option<String>,
    /// On this host; otherwise on the data set's own.
    #[arg(long, value_name = "ID")]
    host: Option<String>,
    /// Below this directory; otherwise below the agent's own.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "database")]
    below: Option<String>,
    /// Only this path.
    #[arg(long, value_name = "PATH", conflicts_with = "database")]
    only: Option<String>,
    /// This database of it, into a new one of its server.
    #[arg(long, value_name = "NAME", requires = "new_name")]
    database: Option<String>,
    /// The new database's name.
    #[arg(long = "as", id = "new_name", value_name = "NAME", requires = "database")]
    new_name: Option<String>,
    /// A PostgreSQL server that is kept with its logs, as of this instant or of the `newest`.
    #[arg(long, value_name = "INSTANT", conflicts_with_all = ["database", "only"])]
    at: Option<String>,
    /// Show what it would do, and do nothing.
    #[arg(long)]
    plan: bool,
    /// Do not wait for it.
    #[arg(long, conflicts_with = "plan")]
    no_wait: bool,
}

pub fn run(client: &Client, command: &DataSetCommand, json: bool) -> Result<()> {
    match command {
        DataSetCommand::Ls { service, all } => list(client, known(service)?, *all, json),
        DataSetCommand::Add(new) => {
            let path = format!("/api/v1/services/{}/data-sets", known(&new.service)?);
            told(&client.post(&path, &body(new)?)?, json)
        }
        DataSetCommand::Show { id } => told(&client.get(&path(id)?)?, json),
        DataSetCommand::End { id } => told(&client.post(&format!("{}/end", path(id)?), &json!({}))?, json),
        DataSetCommand::Restore(wish) => restore(client, wish, json),
        DataSetCommand::Restores { service } => restores(client, known(service)?, json),
        DataSetCommand::Cancel { id } => {
            let path = format!("/api/v1/data-restores/{}/cancel", known(id)?);
            came(&client.post(&path, &json!({}))?, json)
        }
    }
}

fn path(id: &str) -> Result<String> {
    Ok(format!("/api/v1/data-sets/{}", known(id)?))
}

/// `user@host:port`, `user@/socket`.
fn server(text: &str) -> Result<Json> {
    let malformed = || Error::invalid("server.malformed", "a server is named USER@HOST[:PORT] or USER@/SOCKET");
    let (user, at) = text.rsplit_once('@').ok_or_else(malformed)?;
    if at.starts_with('/') {
        return Ok(json!({ "user": user, "socket": at }));
    }
    let (host, port) = match at.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, Some(port.parse::<u16>().map_err(|_| malformed())?))
        }
        _ => (at, None),
    };
    Ok(json!({ "user": user, "host": host.trim_start_matches('[').trim_end_matches(']'), "port": port }))
}

fn password(file: &PathBuf) -> Result<String> {
    let read = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(file),
    };
    let text = read.map_err(|e| Error::invalid("file.unreadable", format!("cannot read {}: {e}", file.display())))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn body(new: &NewDataSet) -> Result<Json> {
    let source = match (&new.postgresql, &new.mysql) {
        (Some(at), _) => {
            json!({ "type": "postgresql", "server": server(at)?, "databases": new.databases, "logs": new.logs })
        }
        (None, Some(at)) => json!({ "type": "mysql", "server": server(at)?, "databases": new.databases }),
        (None, None) => json!({ "type": "files", "paths": new.paths, "except": new.except }),
    };
    let password = new.password_file.as_ref().map(password).transpose()?;
    Ok(json!({ "name": new.name, "host": new.host, "source": source, "password": password }))
}

/// What a data set is made of, in a line.
fn source(set: &Json) -> String {
    let source = &set["source"];
    let list = |name: &str| {
        let all = source[name].as_array().cloned().unwrap_or_default();
        all.iter().filter_map(Json::as_str).map(str::to_owned).collect::<Vec<_>>().join(", ")
    };
    let server = ["socket", "host"].iter().find_map(|way| source["server"][*way].as_str()).unwrap_or_default();
    match source["type"].as_str() {
        Some("files") => list("paths"),
        Some(_) => {
            let databases = list("databases");
            let which = if databases.is_empty() { "all databases" } else { databases.as_str() };
            format!("{which} at {server}")
        }
        None => String::new(),
    }
}

fn told(set: &Json, json: bool) -> Result<()> {
    if json {
        show::json(set);
        return Ok(());
    }
    println!("{}  {}  {}", show::text(set, "id"), show::text(set, "name"), show::text(set, "source.type"));
    println!("from    {}  {}", show::text(set, "hostName"), show::text(set, "host"));
    println!("what    {}", source(set));
    if set["endedAt"].is_string() {
        println!("ended   {}", show::time(set, "endedAt"));
    }
    Ok(())
}

fn list(client: &Client, service: &str, all: bool, json: bool) -> Result<()> {
    let page = client.get(&format!("/api/v1/services/{service}/data-sets?ended={all}"))?;
    let items = page["items"].as_array().cloned().unwrap_or_default();
    if json {
        show::json(&Json::Array(items));
        return Ok(());
    }
    let row = |set: &Json| {
        let kind = show::text(set, "source.type");
        vec![show::text(set, "id"), show::text(set, "name"), kind, show::text(set, "hostName"), source(set)]
    };
    show::table(
        &["id", "name", "kind", "from", "what"],
        items.iter().map(row).collect(),
        "No data sets: only machines' disks are backed up. Make one: `yunwei backup data-set add --help`.",
    );
    Ok(())
}

fn restore(client: &Client, wish: &Restore, json: bool) -> Result<()> {
    let at = format!("{}/restore", path(&wish.id)?);
    let to = match (&wish.database, &wish.new_name) {
        _ if wish.at.is_some() => {
            let at = wish.at.as_deref().filter(|at| *at != "newest");
            json!({ "type": "instant", "below": wish.below, "at": at })
        }
        (Some(database), Some(name)) => json!({ "type": "database", "database": database, "name": name }),
        _ => json!({ "type": "directory", "below": wish.below, "only": wish.only.as_deref().unwrap_or_default() }),
    };
    let mut body = json!({ "point": wish.point, "place": wish.place, "host": wish.host, "to": to });
    let plan = client.post(&format!("{at}/plan"), &body)?;
    if wish.plan || !json {
        planned(&plan, json)?;
    }
    if wish.plan {
        return Ok(());
    }
    // What was shown is what is asked for.
    body["point"] = plan["point"].clone();
    let begun = client.post(&at, &body)?;
    match wish.no_wait {
        true => came(&begun, json),
        false => follow(client, &show::text(&begun, "id"), json),
    }
}

fn planned(plan: &Json, json: bool) -> Result<()> {
    if json {
        show::json(plan);
        return Ok(());
    }
    println!("from    {} of {}", show::text(plan, "point"), show::time(plan, "takenAt"));
    println!("age     {}", span(plan["losesSeconds"].as_i64().unwrap_or(0)));
    println!("copy    {}  {}", show::text(plan, "placeName"), show::text(plan, "place"));
    println!("data    {}, {}", mib(&plan["bytes"]), show::text(plan, "consistency"));
    match plan["estimatedSeconds"].as_f64() {
        Some(seconds) => println!("takes   about {seconds:.0} s, by what was measured from there"),
        None => println!("takes   not known: nothing was ever brought back from there"),
    }
    println!("onto    {}  {}", show::text(plan, "hostName"), show::text(plan, "host"));
    match plan["to"]["type"].as_str() {
        Some("database") => println!("as      a new database {}", show::text(plan, "to.name")),
        Some("instant") => {
            let at = plan["to"]["at"].as_str().unwrap_or("the newest that its logs hold");
            println!("as      a data directory as of {at}, proven by starting it");
        }
        _ => println!("as      a directory of its own below {}", plan["to"]["below"].as_str().unwrap_or("the agent's")),
    }
    if plan["unreadCount"].as_u64().unwrap_or(0) > 0 {
        println!("lacks   {} that could not be read when it was taken", plan["unreadCount"]);
    }
    Ok(())
}

fn follow(client: &Client, id: &str, json: bool) -> Result<()> {
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    loop {
        let now = client.get(&format!("/api/v1/data-restores/{}", known(id)?))?;
        bar.set_message(doing(&now));
        bar.tick();
        let state = show::text(&now, "state");
        if state != "running" {
            bar.finish_and_clear();
            came(&now, json)?;
            return match state.as_str() {
                "done" => Ok(()),
                _ => Err(Error::conflict("restore.failed", show::text(&now, "problem.message"))),
            };
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// How far it is: `restoring 12.5 MiB of 80.0 MiB`.
fn doing(restore: &Json) -> String {
    let progress = &restore["progress"];
    let held = restore["heldUp"]["message"].as_str();
    match (held, progress["bytes"] == true, progress["total"].is_number()) {
        (Some(why), ..) => format!("held up: {why}"),
        (None, true, true) => {
            format!("{} {} of {}", show::text(progress, "phase"), mib(&progress["done"]), mib(&progress["total"]))
        }
        (None, true, false) => format!("{} {}", show::text(progress, "phase"), mib(&progress["done"])),
        (None, false, _) => format!("asking {}", show::text(restore, "hostName")),
    }
}

fn came(restore: &Json, json: bool) -> Result<()> {
    if json {
        show::json(restore);
        return Ok(());
    }
    println!("{}  {}", show::text(restore, "id"), show::text(restore, "state"));
    if restore["problem"].is_object() {
        println!("why     {} ({})", show::text(restore, "problem.message"), show::text(restore, "problem.code"));
    }
    let restored = &restore["restored"];
    if restored.is_object() {
        let (read, hashed) =
            (restored["seconds"].as_f64().unwrap_or(0.0), restored["verifySeconds"].as_f64().unwrap_or(0.0));
        println!("at      {}  on {}", show::text(restored, "at"), show::text(restore, "hostName"));
        println!("data    {} in {} files", mib(&restored["bytes"]), restored["files"]);
        println!("time    {read:.1} s + {hashed:.1} s to verify");
        println!("digest  {}", show::text(restored, "digest"));
        if restore["keptUntil"].is_string() {
            println!("kept    until {}, unless it is moved or taken over", show::time(restore, "keptUntil"));
        }
        if restored["newest"].is_string() {
            println!("newest  committed {}", show::time(restored, "newest"));
        }
        if restored["tables"].is_number() {
            println!("tables  {}", restored["tables"]);
        }
    }
    Ok(())
}

fn restores(client: &Client, service: &str, json: bool) -> Result<()> {
    let page = client.get(&format!("/api/v1/services/{service}/data-restores"))?;
    let items = page["items"].as_array().cloned().unwrap_or_default();
    if json {
        show::json(&Json::Array(items));
        return Ok(());
    }
    let row = |one: &Json| {
        vec![
            show::text(one, "id"),
            show::text(one, "state"),
            show::text(one, "name"),
            show::time(one, "requestedAt"),
            show::text(one, "restored.at"),
        ]
    };
    show::table(
        &["id", "state", "of", "asked for", "at"],
        items.iter().map(row).collect(),
        "No data set of this service was ever brought back.",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_server_is_named_in_a_word() {
        assert_eq!(super::server("a@b:5").unwrap(), json!({ "user": "a", "host": "b", "port": 5 }));
        assert_eq!(super::server("a@b").unwrap(), json!({ "user": "a", "host": "b", "port": null }));
        assert_eq!(super::server("a@[::1]:5").unwrap(), json!({ "user": "a", "host": "::1", "port": 5 }));
        assert_eq!(super::server("a@x@/run/s").unwrap(), json!({ "user": "a@x", "socket": "/run/s" }));
        for bad in ["b:5", "a@b:x", "a@b:70000"] {
            assert_eq!(super::server(bad).unwrap_err().code(), "server.malformed", "{bad}");
        }
    }
}
