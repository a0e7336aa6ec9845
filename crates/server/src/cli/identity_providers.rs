//! `yunwei identity-provider`: where an organisation's people sign in.

use std::io::Read as _;
use std::path::PathBuf;

use base::{Error, Result, limits};
use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

#[derive(Debug, Subcommand)]
pub enum IdentityProviderCommand {
    /// List the identity providers.
    #[command(after_help = "\
Examples:
  yunwei identity-provider ls")]
    Ls,
    /// Show what is settled about an identity provider.
    #[command(after_help = "\
Examples:
  yunwei identity-provider show idp_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The provider's id.
        id: String,
    },
    /// Set an identity provider up: reads its discovery document. It is off until you switch it on.
    ///
    /// Register the platform there first, as a client of the authorization code flow. What this prints says to which
    /// address the provider must send people back: add it there.
    #[command(after_help = "\
Examples:
  yunwei identity-provider new Brightwater --issuer https://id.brightwater.example --client-id yunwei \\
      --domain brightwater.example
  yunwei identity-provider secret idp_01m80h6wrtet7rkwawzsgh6gss --file secret.txt
  yunwei identity-provider on idp_01m80h6wrtet7rkwawzsgh6gss")]
    New(NewArgs),
    /// Change what is settled: whose accounts are made, which groups give which roles, what stands for two factors.
    ///
    /// A list is replaced by what you name, and emptied by '': --default-role ''.
    #[command(after_help = "\
Examples:
  yunwei identity-provider change idp_01m80h6wrtet7rkwawzsgh6gss --makes-accounts true --default-role viewer
  yunwei identity-provider change idp_01m80h6wrtet7rkwawzsgh6gss --groups-claim groups \\
      --group-role it-operations=member --group-role it-heads=owner
  yunwei identity-provider change idp_01m80h6wrtet7rkwawzsgh6gss --two-factor-amr mfa --passwords false")]
    Change(ChangeArgs),
    /// Set the client's secret; it is kept sealed and never shown.
    #[command(after_help = "\
Examples:
  yunwei identity-provider secret idp_01m80h6wrtet7rkwawzsgh6gss --file secret.txt
  pass show yunwei-client | yunwei identity-provider secret idp_01m80h6wrtet7rkwawzsgh6gss")]
    Secret {
        /// The provider's id.
        id: String,
        /// A file with the secret; standard input where it is left out.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Let people sign in with it.
    #[command(after_help = "\
Examples:
  yunwei identity-provider on idp_01m80h6wrtet7rkwawzsgh6gss")]
    On {
        /// The provider's id.
        id: String,
    },
    /// Let nobody sign in with it; passwords that it replaced work again.
    #[command(after_help = "\
Examples:
  yunwei identity-provider off idp_01m80h6wrtet7rkwawzsgh6gss")]
    Off {
        /// The provider's id.
        id: String,
    },
    /// Confirm, as the operator, that a mail domain is the customer's.
    #[command(after_help = "\
Examples:
  yunwei identity-provider confirm-domain idp_01m80h6wrtet7rkwawzsgh6gss brightwater.example")]
    ConfirmDomain {
        /// The provider's id.
        id: String,
        /// The domain.
        domain: String,
    },
    /// Remove an identity provider, what connects accounts with it, and the roles that it gave.
    #[command(after_help = "\
Examples:
  yunwei identity-provider rm idp_01m80h6wrtet7rkwawzsgh6gss")]
    Rm {
        /// The provider's id.
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct NewArgs {
    /// What people read on the button.
    name: String,
    /// Its issuer, exactly as its discovery document says it.
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// As whom the platform is known there.
    #[arg(long)]
    client_id: String,
    /// A mail domain of its people; repeat it for several.
    #[arg(long = "domain")]
    domains: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// The provider's id.
    id: String,
    /// What people read on the button.
    #[arg(long)]
    name: Option<String>,
    /// A mail domain of its people; repeat it for several. Replaces those that there were.
    #[arg(long = "domain")]
    domains: Vec<String>,
    /// What is asked for besides `openid`; repeat it for several.
    #[arg(long = "scope")]
    scopes: Vec<String>,
    /// Whether an account is made for somebody who comes first, with an address in a confirmed domain.
    #[arg(long)]
    makes_accounts: Option<bool>,
    /// A role of accounts that it makes; repeat it for several.
    #[arg(long = "default-role")]
    default_roles: Vec<String>,
    /// The claim that names groups.
    #[arg(long)]
    groups_claim: Option<String>,
    /// A group and the role that it gives; repeat it for several.
    #[arg(long = "group-role", value_name = "GROUP=ROLE")]
    group_roles: Vec<String>,
    /// Whether accounts that are connected with it may sign in with a password, too.
    #[arg(long)]
    passwords: Option<bool>,
    /// A value of `amr` that stands for two factors; repeat it for several.
    #[arg(long = "two-factor-amr")]
    two_factor_amr: Vec<String>,
    /// A value of `acr` that stands for two factors; repeat it for several.
    #[arg(long = "two-factor-acr")]
    two_factor_acr: Vec<String>,
}

const PATH: &str = "/api/v1/identity-providers";

pub fn run(command: IdentityProviderCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    let at = |id: &str| known(id).map(|id| format!("{PATH}/{id}"));
    match command {
        IdentityProviderCommand::Ls => list(&client.get(PATH)?, json),
        IdentityProviderCommand::Show { id } => one(&client.get(&at(&id)?)?, json),
        IdentityProviderCommand::New(args) => {
            let body = json!({
                "name": args.name, "issuer": args.issuer, "client_id": args.client_id, "domains": args.domains,
            });
            one(&client.post(PATH, &body)?, json);
        }
        IdentityProviderCommand::Change(args) => {
            let path = at(&args.id)?;
            let body = changes(&args, &client.get(&path)?)?;
            one(&client.patch(&path, &body)?, json);
        }
        IdentityProviderCommand::Secret { id, file } => {
            let body = json!({ "secret": secret(file)? });
            one(&client.post(&format!("{}/secret", at(&id)?), &body)?, json);
        }
        IdentityProviderCommand::On { id } => one(&client.patch(&at(&id)?, &json!({ "state": "active" }))?, json),
        IdentityProviderCommand::Off { id } => one(&client.patch(&at(&id)?, &json!({ "state": "off" }))?, json),
        IdentityProviderCommand::ConfirmDomain { id, domain } => {
            let done = client.post(&format!("{}/confirm-domain", at(&id)?), &json!({ "domain": domain }))?;
            said(&done, "The domain is confirmed; its addresses lead to the provider.", json);
        }
        IdentityProviderCommand::Rm { id } => {
            let done = client.post(&format!("{}/remove", at(&id)?), &json!({}))?;
            said(&done, "It is removed, and the roles that it gave are taken back. The accounts stay.", json);
        }
    }
    Ok(())
}

fn said(answer: &Json, words: &str, json: bool) {
    if json {
        show::json(answer);
    } else {
        println!("{words}");
    }
}

fn secret(file: Option<PathBuf>) -> Result<String> {
    let mut text = String::new();
    let most = limits::CLIENT_SECRET_BYTES_MAX as u64 + 2;
    let read = match &file {
        Some(path) => std::fs::File::open(path).and_then(|open| open.take(most).read_to_string(&mut text)),
        None => std::io::stdin().take(most).read_to_string(&mut text),
    };
    read.map_err(|e| Error::invalid("secret.file", format!("the secret cannot be read: {e}")))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// What is settled as a whole, with what was said otherwise.
fn changes(args: &ChangeArgs, one: &Json) -> Result<Json> {
    let mut settings = one["settings"].clone();
    for (name, words) in [
        ("scopes", &args.scopes),
        ("default_roles", &args.default_roles),
        ("two_factor_amr", &args.two_factor_amr),
        ("two_factor_acr", &args.two_factor_acr),
    ] {
        if !words.is_empty() {
            settings[name] = json!(named(words));
        }
    }
    for (name, value) in [("makes_accounts", args.makes_accounts), ("passwords", args.passwords)] {
        if let Some(value) = value {
            settings[name] = json!(value);
        }
    }
    if let Some(claim) = &args.groups_claim {
        settings["groups_claim"] = json!(claim);
    }
    if !args.group_roles.is_empty() {
        let pairs = named(&args.group_roles).into_iter().map(|text| {
            let (group, role) = text.rsplit_once('=').ok_or_else(|| {
                Error::invalid("group_role.malformed", format!("`{text}` is not GROUP=ROLE")).at("group-role")
            })?;
            Ok(json!({ "group": group, "role": role }))
        });
        settings["group_roles"] = Json::Array(pairs.collect::<Result<_>>()?);
    }
    // Of two who change it at once, the second is told.
    let mut body = json!({ "settings": settings, "revision": one["revision"] });
    if let Some(name) = &args.name {
        body["name"] = json!(name);
    }
    if !args.domains.is_empty() {
        body["domains"] = json!(named(&args.domains));
    }
    Ok(body)
}

/// What was named of a list; an empty name stands for nothing, so that a list can be emptied.
fn named(words: &[String]) -> Vec<&String> {
    words.iter().filter(|word| !word.is_empty()).collect()
}

fn domains(one: &Json) -> String {
    let word = |domain: &Json| {
        let waits = if domain["confirmed_at"].is_null() { " (not confirmed)" } else { "" };
        format!("{}{waits}", show::text(domain, "domain"))
    };
    let all: Vec<String> = one["domains"].as_array().into_iter().flatten().map(word).collect();
    if all.is_empty() { "–".to_owned() } else { all.join(", ") }
}

fn list(found: &Json, json: bool) {
    if json {
        return show::json(found);
    }
    let row = |one: &Json| {
        vec![
            show::text(one, "id"),
            show::text(one, "name"),
            show::text(one, "issuer"),
            domains(one),
            show::text(one, "state"),
        ]
    };
    let rows = found["items"].as_array().into_iter().flatten().map(row).collect();
    show::table(
        &["id", "name", "issuer", "domains", "state"],
        rows,
        "People sign in with passwords and passkeys alone.",
    );
}

fn one(found: &Json, json: bool) {
    if json {
        return show::json(found);
    }
    println!("{}  {}  {}", show::text(found, "id"), show::text(found, "name"), show::text(found, "state"));
    println!("issuer: {}   client: {}", show::text(found, "issuer"), show::text(found, "client_id"));
    println!("redirect address: {}", show::text(found, "redirect"));
    println!("secret: {}", if found["has_secret"] == true { "set" } else { "not set" });
    println!("domains: {}", domains(found));
    println!("settings: {:#}", found["settings"]);
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        change: ChangeArgs,
    }

    #[test]
    fn a_list_is_emptied_by_an_empty_name_and_stays_where_none_is_given() {
        let typed = Typed::parse_from(["x", "idp_1", "--default-role", "", "--group-role", "", "--domain", ""]);
        let settings = json!({ "default_roles": ["viewer"], "scopes": ["email"], "group_roles": [{}] });
        let body = changes(&typed.change, &json!({ "settings": settings, "revision": 7 })).unwrap();
        assert_eq!(body["revision"], 7);
        assert_eq!(body["settings"], json!({ "default_roles": [], "scopes": ["email"], "group_roles": [] }));
        assert_eq!(body["domains"], json!([]));
    }
}
