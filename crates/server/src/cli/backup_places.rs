//! `yunwei backup places`: where copies lie, and what lets one in there.

use std::path::PathBuf;

use base::{Error, Result};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde_json::{Map, Value as Json, json};

use super::backup::{items, made};
use super::bucket::Bucket;
use super::client::{Client, known};
use super::files::{read, read_named};
use super::show;

#[derive(Debug, Subcommand)]
pub enum PlacesCommand {
    /// List places.
    #[command(after_help = "\
Examples:
  yunwei backup places ls")]
    Ls,
    /// Make a place: a directory of a host, a repository server or a bucket.
    #[command(after_help = "\
Examples:
  yunwei backup places add near --folder hst_01m80h6wrtet7rkwawzsgh6gss:/srv/backups
  yunwei backup places add far --server https://backup.example.com:8430 --site elsewhere --immutability append-only
  yunwei backup places add next --server https://10.0.0.8:8430 --on hst_01m80h6wrtet7rkwawzsgh6gss --immutability append-only
  yunwei backup places add cloud --endpoint https://s3.example.com --bucket copies --region tw-1 --site elsewhere")]
    Add(Box<NewPlace>),
    /// Show a place.
    #[command(after_help = "\
Examples:
  yunwei backup places show bkpl_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The place's id.
        id: String,
    },
    /// Change a place: its name, where it stands, what protects copies there. Where copies lie stays.
    #[command(after_help = "\
Examples:
  yunwei backup places change bkpl_01m80h6wrtet7rkwawzsgh6gss --name taichung
  yunwei backup places change bkpl_01m80h6wrtet7rkwawzsgh6gss --on hst_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup places change bkpl_01m80h6wrtet7rkwawzsgh6gss --on none --site elsewhere --immutability append-only

Copies lie where the place is, so its address cannot change: make another place, and name it in the policy.")]
    Change(ChangePlace),
    /// Keep what lets one in at a server or bucket; the secret is read from a file.
    #[command(after_help = "\
Examples:
  yunwei backup places credential bkpl_01m80h6wrtet7rkwawzsgh6gss --role append --name acme --secret-file secret
  yunwei backup places credential bkpl_01m80h6wrtet7rkwawzsgh6gss --role maintain --name acme-prune --secret-file other \\
      --tenant ten_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup places credential bkpl_01m80h6wrtet7rkwawzsgh6gss --role append --name platform --secret-file third --control-plane")]
    Credential {
        /// The place's id.
        id: String,
        /// What it lets one do.
        #[arg(long, value_enum)]
        role: Role,
        /// Its name, or the access key.
        #[arg(long)]
        name: String,
        /// A file with its secret.
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        /// The tenant whose repository it is for; all that have none of their own by default.
        #[arg(long, conflicts_with = "control_plane")]
        tenant: Option<String>,
        /// It is for the platform's own repository, `control-plane`.
        #[arg(long)]
        control_plane: bool,
    },
    /// Begin anew at a place where nothing is whole any more: its repositories are made again, and copies
    /// brought there from the other places. Move away first what still lies there.
    #[command(after_help = "\
Examples:
  yunwei backup places renew bkpl_01m80h6wrtet7rkwawzsgh6gss")]
    Renew {
        /// The place's id.
        id: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Role {
    /// Read and add: hosts get it while they work.
    Append,
    /// Remove as well: for this platform's own scheduler; no host is given it.
    Maintain,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Immutability {
    /// Nothing.
    None,
    /// The server lets writers add and not remove.
    AppendOnly,
    /// The storage keeps each object until its time has come.
    ObjectLock,
}

impl Immutability {
    fn word(self) -> &'static str {
        match self {
            Immutability::None => "none",
            Immutability::AppendOnly => "appendOnly",
            Immutability::ObjectLock => "objectLock",
        }
    }
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["name", "site", "on", "immutability"]))]
pub struct ChangePlace {
    /// The place's id.
    id: String,
    /// Its new name.
    #[arg(long)]
    name: Option<String>,
    /// The site that it stands at now, or `elsewhere`.
    #[arg(long, value_name = "ID")]
    site: Option<String>,
    /// The host of ours that it stands on now, or `none`.
    #[arg(long, value_name = "HOST")]
    on: Option<String>,
    /// What keeps copies there from being changed now.
    #[arg(long, value_enum)]
    immutability: Option<Immutability>,
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("where").required(true).args(["folder", "server", "endpoint"]))]
pub struct NewPlace {
    /// Its name.
    name: String,
    /// A directory of a host, HOST:PATH: for the machines that stand there.
    #[arg(long, value_name = "HOST:PATH")]
    folder: Option<String>,
    /// A server that speaks restic's REST protocol, such as yunwei-repository.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    #[command(flatten)]
    bucket: Bucket,
    /// The authority that the server's certificate comes from, where it is your own (PEM).
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// The site that it stands at, or `elsewhere`. What stands on a host of ours stands where that does.
    #[arg(long)]
    site: Option<String>,
    /// The host that the server runs on, where it is one of ours: copies there are lost with it.
    #[arg(long, value_name = "HOST", conflicts_with = "folder")]
    on: Option<String>,
    /// What keeps copies there from being changed.
    #[arg(long, value_enum)]
    immutability: Option<Immutability>,
}

const PLACES: &str = "/api/v1/backup-places";

pub fn run(client: &Client, command: PlacesCommand, json: bool) -> Result<()> {
    match command {
        PlacesCommand::Ls => places(client, json),
        PlacesCommand::Add(new) => made(&client.post(PLACES, &place(&new)?)?, json),
        PlacesCommand::Show { id } => told(&client.get(&path(&id)?)?, json),
        PlacesCommand::Change(change) => told(&client.patch(&path(&change.id)?, &changed(&change))?, json),
        PlacesCommand::Credential { id, role, name, secret_file, tenant, control_plane } => {
            let secret = read(&secret_file)?;
            let role = match role {
                Role::Append => "append",
                Role::Maintain => "maintain",
            };
            let body = json!({ "role": role, "name": name, "secret": secret.trim_end(), "tenant": tenant, "controlPlane": control_plane });
            made(&client.post(&format!("{}/credential", path(&id)?), &body)?, json)
        }
        PlacesCommand::Renew { id } => made(&client.post(&format!("{}/renew", path(&id)?), &json!({}))?, json),
    }
}

fn path(id: &str) -> Result<String> {
    Ok(format!("{PLACES}/{}", known(id)?))
}

/// What was named, and nothing else: what is not there stays as it is.
fn changed(change: &ChangePlace) -> Json {
    let mut body = Map::new();
    let mut say = |name: &str, value: Option<Json>| value.map(|value| body.insert(name.to_owned(), value));
    say("name", change.name.clone().map(Json::from));
    say("site", change.site.clone().map(Json::from));
    say("host", change.on.as_ref().map(|on| if on == "none" { Json::Null } else { json!(on) }));
    say("immutability", change.immutability.map(|one| json!(one.word())));
    Json::Object(body)
}

fn at(place: &Json) -> String {
    let at = ["location.path", "location.url", "location.endpoint"];
    at.iter().map(|path| show::text(place, path)).find(|text| text != "–").unwrap_or_default()
}

fn told(place: &Json, json: bool) -> Result<()> {
    if json {
        show::json(place);
        return Ok(());
    }
    println!("{}  {}", show::text(place, "id"), show::text(place, "name"));
    println!("where         {}  {}", show::text(place, "location.type"), at(place));
    println!("site          {}", show::text(place, "site"));
    println!("on host       {}", show::text(place, "host"));
    println!("immutability  {}", show::text(place, "immutability"));
    Ok(())
}

fn place(new: &NewPlace) -> Result<Json> {
    let authority = read_named(new.authority.as_ref())?;
    let location = match (&new.folder, &new.server) {
        (Some(folder), _) => {
            let (host, path) = folder.split_once(':').ok_or_else(|| {
                Error::invalid("folder.malformed", "a directory is named HOST:PATH, with the host's id").at("--folder")
            })?;
            json!({ "type": "folder", "host": host, "path": path })
        }
        (None, Some(url)) => json!({ "type": "server", "url": url, "authority": authority }),
        (None, None) => new.bucket.location(authority),
    };
    let immutability = new.immutability.map(Immutability::word);
    Ok(json!({
        "name": new.name, "location": location, "site": new.site, "host": new.on, "immutability": immutability,
    }))
}

fn places(client: &Client, json: bool) -> Result<()> {
    let all = items(&client.get(PLACES)?);
    if json {
        show::json(&Json::Array(all));
        return Ok(());
    }
    let row = |p: &Json| {
        vec![show::text(p, "id"), show::text(p, "name"), at(p), show::text(p, "site"), show::text(p, "immutability")]
    };
    show::table(
        &["id", "name", "where", "site", "immutability"],
        all.iter().map(row).collect(),
        "No places for copies yet. Make two: `yunwei backup places add --help`.",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_was_named_and_nothing_else() {
        let all =
            ChangePlace { id: "bkpl_1".into(), name: None, site: None, on: Some("none".into()), immutability: None };
        assert_eq!(changed(&all), json!({ "host": null }));
        let all =
            ChangePlace { name: Some("far".into()), on: None, immutability: Some(Immutability::AppendOnly), ..all };
        assert_eq!(changed(&all), json!({ "name": "far", "immutability": "appendOnly" }));
    }
}
