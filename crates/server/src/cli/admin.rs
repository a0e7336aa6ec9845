//! `yunwei admin`: setting an installation up.

use std::path::PathBuf;

use base::time::Clock;
use base::{Error, Result};
use clap::{Args, Subcommand};
use gate::{Actor, Cx};
use serde_json::json;

use super::client::Client;
use super::{DataArgs, show};
use crate::app::{self, Folder};

#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    /// Make the operator and its first administrator; prints the administrator's API token once.
    ///
    /// On SQLite, not beside a running server.
    Init(InitArgs),
    /// Put an image on sale: stores the file in the data directory and registers it.
    ///
    /// Works beside a running server, and needs a login (or YUNWEI_URL and YUNWEI_TOKEN).
    AddImage(ImageArgs),
    /// Put the starter catalog on sale: what can be sold at once, to begin from.
    SeedCatalog,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The operator's name, as customers see it.
    #[arg(long, default_value = "Yunwei")]
    name: String,
    /// The administrator's mail address.
    #[arg(long, default_value = "admin@localhost.localdomain")]
    email: String,
    /// A file with the administrator's password for the pages; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The operator's language.
    #[arg(long, default_value = "zh-TW", value_parser = ["zh-TW", "en"])]
    locale: String,
    /// The operator's time zone.
    #[arg(long, default_value = "Asia/Taipei")]
    time_zone: String,
}

#[derive(Debug, Args)]
pub struct ImageArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The image's file.
    file: PathBuf,
    /// The name under which specifications refer to it.
    #[arg(long)]
    name: String,
    /// What kind of file it is.
    #[arg(long, default_value = "qcow2")]
    format: String,
}

pub fn run(command: AdminCommand, json: bool) -> Result<()> {
    match command {
        AdminCommand::Init(args) => init(args, json),
        AdminCommand::AddImage(args) => add_image(args, json),
        AdminCommand::SeedCatalog => seed(json),
    }
}

fn init(args: InitArgs, json: bool) -> Result<()> {
    let password = args.password_file.as_deref().map(read_secret).transpose()?;
    Folder::open(&args.data.data)?;
    let gate = app::open_gate(&args.data.location(), Clock::System)?;
    let tenant = base::id::TenantId::fresh(gate.ids(), gate.now());
    let cx = Cx::new(Actor::System("init"), tenant, db::records::Scope::All, Default::default());
    let input = access::operator::InitOperator {
        name: args.name,
        email: args.email,
        administrator: None,
        locale: Some(args.locale),
        time_zone: Some(args.time_zone),
        password,
        without_support: false,
    };
    let made = access::operator::INIT.run(&gate, &cx, input)?;
    if json {
        show::json(&json!({ "tenant": made.tenant, "account": made.account, "token": made.token }));
    } else {
        println!("The operator is there. The first administrator's API token, shown this once:\n\n  {}\n", made.token);
        println!("Next: yunwei serve --data {}", args.data.data.display());
    }
    Ok(())
}

fn read_secret(file: &std::path::Path) -> Result<access::Secret> {
    let fault = |e: std::io::Error| Error::invalid("password.file", format!("cannot read {}: {e}", file.display()));
    let text = match file.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()).map_err(fault)?,
        false => std::fs::read_to_string(file).map_err(fault)?,
    };
    Ok(access::Secret::new(text.trim_end_matches(['\n', '\r'])))
}

fn add_image(args: ImageArgs, json: bool) -> Result<()> {
    let client = Client::connect()?;
    let folder = Folder::open(&args.data.data)?;
    let (sha256, bytes) = resources::images::store(&folder.images(), &args.file)?;
    let image = client.post(
        "/api/v1/images",
        &json!({ "name": args.name, "sha256": sha256, "bytes": bytes, "format": args.format }),
    )?;
    match json {
        true => show::json(&image),
        false => println!("{} is registered as {}.", args.name, show::text(&image, "id")),
    }
    Ok(())
}

fn seed(json: bool) -> Result<()> {
    let seeded = Client::connect()?.post("/api/v1/catalog/seed", &json!({}))?;
    match json {
        true => show::json(&seeded),
        false => println!("The starter catalog is on sale; see `yunwei catalog ls`."),
    }
    Ok(())
}
