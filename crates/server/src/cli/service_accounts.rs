//! `yunwei service-account`: programs, who answers for them, and their keys.

use base::Result;
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

#[derive(Debug, Subcommand)]
pub enum ServiceAccountCommand {
    /// List the service accounts of your organisation, and who answers for each.
    #[command(after_help = "\
Examples:
  yunwei service-account ls")]
    Ls,
    /// Show a service account and its keys: what each is for, when it ends, when and from where it was used.
    #[command(after_help = "\
Examples:
  yunwei service-account show acc_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The service account's id.
        id: String,
    },
    /// Make an account for a program. It can do nothing before it has a key.
    #[command(after_help = "\
Examples:
  yunwei service-account new deploy --role member --purpose 'Rolls out the shop'
  yunwei service-account new backup-watch --role viewer --responsible acc_01m80h6wrtet7rkwawzsgh6gss")]
    New(NewArgs),
    /// Change what it is called, what it is for, or who answers for it.
    #[command(after_help = "\
Examples:
  yunwei service-account change acc_01m80h6wrtet7rkwawzsgh6gss --responsible acc_01n2vmbjq3fjx8wn2c9m3tq5ha
  yunwei service-account change acc_01m80h6wrtet7rkwawzsgh6gss --sensitive false")]
    Change(ChangeArgs),
    /// Make a key; its secret is printed this once.
    ///
    /// A scope is an action's name (service.reboot), what reads a thing (service:read), all that is done with
    /// it (service:write), or either of everything (*:read, *:write). A key does what its scopes and the roles
    /// of its account both allow. The permissions' page lists the actions by name.
    #[command(after_help = "\
Examples:
  yunwei service-account key acc_01m80h6wrtet7rkwawzsgh6gss ci --scope service:read --scope service.reboot
  yunwei service-account key acc_01m80h6wrtet7rkwawzsgh6gss ci --scope '*:read' --network 192.0.2.0/24 --days 30
  yunwei --json service-account key acc_01m80h6wrtet7rkwawzsgh6gss ci --scope '*:read' | jq -r .secret")]
    Key(KeyArgs),
    /// Replace a key by a new one for the same; both work until the time is over.
    #[command(after_help = "\
Examples:
  yunwei service-account rotate tok_01m80h6wrtet7rkwawzsgh6gss
  yunwei service-account rotate tok_01m80h6wrtet7rkwawzsgh6gss --overlap-hours 0")]
    Rotate {
        /// The key's id.
        id: String,
        /// After how many days the new one stops working; 90, or fewer where the sign-in rules say so.
        #[arg(long)]
        days: Option<u32>,
        /// How long the old one works beside it, in hours; 0 ends it at once.
        #[arg(long, default_value_t = base::limits::KEY_OVERLAP_HOURS_DEFAULT)]
        overlap_hours: u32,
    },
    /// Revoke a key; it stops working at once.
    #[command(after_help = "\
Examples:
  yunwei service-account revoke tok_01m80h6wrtet7rkwawzsgh6gss")]
    Revoke {
        /// The key's id.
        id: String,
    },
    /// Keep a service account out until it is resumed: none of its keys works.
    #[command(after_help = "\
Examples:
  yunwei service-account suspend acc_01m80h6wrtet7rkwawzsgh6gss")]
    Suspend {
        /// The service account's id.
        id: String,
    },
    /// Let a service account in again.
    #[command(after_help = "\
Examples:
  yunwei service-account resume acc_01m80h6wrtet7rkwawzsgh6gss")]
    Resume {
        /// The service account's id.
        id: String,
    },
    /// Remove a service account for good, with its roles and keys.
    #[command(after_help = "\
Examples:
  yunwei service-account rm acc_01m80h6wrtet7rkwawzsgh6gss")]
    Rm {
        /// The service account's id.
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct NewArgs {
    /// What the program is called.
    name: String,
    /// A role; repeat it for several.
    #[arg(long = "role", required = true)]
    roles: Vec<String>,
    /// What it is for.
    #[arg(long, default_value = "")]
    purpose: String,
    /// Who answers for it, by the account's id; you where it is left out.
    #[arg(long)]
    responsible: Option<String>,
    /// Keys of it can be made for sensitive actions: those that give or take control over access and keys.
    #[arg(long)]
    sensitive: bool,
}

#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// The service account's id.
    id: String,
    /// The new name.
    #[arg(long)]
    name: Option<String>,
    /// What it is for.
    #[arg(long)]
    purpose: Option<String>,
    /// Who answers for it from now on, by the account's id.
    #[arg(long)]
    responsible: Option<String>,
    /// Whether its keys can be for sensitive actions.
    #[arg(long)]
    sensitive: Option<bool>,
}

#[derive(Debug, Args)]
pub struct KeyArgs {
    /// The service account's id.
    id: String,
    /// What the key is for.
    name: String,
    /// A scope; repeat it for several.
    #[arg(long = "scope", required = true)]
    scopes: Vec<String>,
    /// A network it is used from, such as 192.0.2.0/24; repeat it for several. Anywhere where there is none.
    #[arg(long = "network")]
    networks: Vec<String>,
    /// After how many days it stops working; 90, or fewer where the sign-in rules say so.
    #[arg(long)]
    days: Option<u32>,
    /// For sensitive actions too; only where its account is.
    #[arg(long)]
    sensitive: bool,
}

const PATH: &str = "/api/v1/service-accounts";

pub fn run(command: ServiceAccountCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        ServiceAccountCommand::Ls => list(&client.get(PATH)?["items"], json),
        ServiceAccountCommand::Show { id } => one(&client.get(&format!("{PATH}/{}", known(&id)?))?, json),
        ServiceAccountCommand::New(args) => one(&client.post(PATH, &new(&args))?, json),
        ServiceAccountCommand::Change(args) => {
            one(&client.patch(&format!("{PATH}/{}", known(&args.id)?), &changes(&args))?, json);
        }
        ServiceAccountCommand::Key(args) => {
            let body = json!({
                "name": args.name,
                "scopes": args.scopes,
                "networks": args.networks,
                "days": args.days,
                "sensitive": args.sensitive,
            });
            secret(&client.post(&format!("{PATH}/{}/keys", known(&args.id)?), &body)?, json);
        }
        ServiceAccountCommand::Rotate { id, days, overlap_hours } => {
            let body = json!({ "days": days, "overlap_hours": overlap_hours });
            secret(&client.post(&format!("{PATH}/keys/{}/rotate", known(&id)?), &body)?, json);
        }
        ServiceAccountCommand::Revoke { id } => {
            act(&client, &format!("/api/v1/tokens/{}/revoke", known(&id)?), "The key works no more.", json)?;
        }
        ServiceAccountCommand::Suspend { id } => {
            account(&client, &id, "suspend", "None of its keys works until it is resumed.", json)?;
        }
        ServiceAccountCommand::Resume { id } => account(&client, &id, "resume", "Its keys work again.", json)?,
        ServiceAccountCommand::Rm { id } => {
            account(&client, &id, "remove", "It is removed, and its keys with it.", json)?;
        }
    }
    Ok(())
}

fn new(args: &NewArgs) -> Json {
    json!({
        "name": args.name,
        "roles": args.roles,
        "purpose": args.purpose,
        "responsible": args.responsible,
        "sensitive": args.sensitive,
    })
}

/// What is to change and nothing else.
fn changes(args: &ChangeArgs) -> Json {
    let all = [
        ("name", json!(args.name)),
        ("purpose", json!(args.purpose)),
        ("responsible", json!(args.responsible)),
        ("sensitive", json!(args.sensitive)),
    ];
    Json::Object(all.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, v)| (name.to_owned(), v)).collect())
}

fn account(client: &Client, id: &str, verb: &str, done: &str, json: bool) -> Result<()> {
    act(client, &format!("/api/v1/accounts/{}/{verb}", known(id)?), done, json)
}

fn act(client: &Client, path: &str, done: &str, json: bool) -> Result<()> {
    let answer = client.post(path, &json!({}))?;
    if json {
        show::json(&answer);
    } else {
        println!("{done}");
    }
    Ok(())
}

/// A list of words, or a dash.
fn words(json: &Json, name: &str) -> String {
    let words: Vec<&str> = json[name].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    if words.is_empty() { "–".to_owned() } else { words.join(", ") }
}

fn responsible(one: &Json) -> String {
    let name = show::text(one, "responsible_name");
    if one["without_owner"] == true { format!("nobody ({name} does not any more)") } else { name }
}

fn list(items: &Json, json: bool) {
    if json {
        return show::json(items);
    }
    let row = |one: &Json| {
        vec![
            show::text(one, "id"),
            show::text(one, "name"),
            words(one, "roles"),
            responsible(one),
            show::text(one, "state"),
            show::time(one, "used_at"),
        ]
    };
    let rows = items.as_array().into_iter().flatten().map(row).collect();
    show::table(
        &["id", "name", "roles", "answers for it", "state", "last used"],
        rows,
        "There are no service accounts.",
    );
}

fn one(found: &Json, json: bool) {
    if json {
        return show::json(found);
    }
    println!("{}  {}  {}", show::text(found, "id"), show::text(found, "name"), show::text(found, "state"));
    println!("roles: {}   answers for it: {}", words(found, "roles"), responsible(found));
    if found["purpose"].as_str().is_some_and(|text| !text.is_empty()) {
        println!("{}", show::text(found, "purpose"));
    }
    let Some(keys) = found["keys"].as_array() else { return };
    let row = |key: &Json| {
        vec![
            show::text(key, "id"),
            show::text(key, "name"),
            words(key, "scopes"),
            words(key, "networks"),
            show::time(key, "expires_at"),
            format!("{}  {}", show::time(key, "used_at"), show::text(key, "used_from")),
        ]
    };
    let rows = keys.iter().map(row).collect();
    show::table(&["key", "for", "scopes", "networks", "expires", "last used, from"], rows, "It has no keys.");
}

fn secret(made: &Json, json: bool) {
    if json {
        return show::json(made);
    }
    println!("The key, shown this once:\n\n  {}\n", show::text(made, "secret"));
    println!("{}  works until {}", show::text(made, "id"), show::time(made, "expires_at"));
}
