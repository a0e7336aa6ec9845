//! `yunwei admin`: setting an installation up.

use std::io::Read as _;
use std::path::PathBuf;

use base::time::Clock;
use base::{Error, Result, limits};
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
    #[command(after_help = "\
Examples:
  yunwei admin init --data /var/lib/yunwei --email you@example.com --password-file secret
  yunwei admin init --data /tmp/trial --locale en --json | jq -r .token")]
    Init(InitArgs),
    /// Take the second factors from an account whose owner has lost them, where nobody else can.
    ///
    /// For the last administrator: everybody else is brought back by an administrator on the
    /// page of the members. Ends the account's sessions and tells the person by mail. On SQLite,
    /// not beside a running server.
    #[command(after_help = "\
Examples:
  yunwei admin reset-factors --data /var/lib/yunwei --email you@example.com --reason 'phone lost; seen in person'")]
    ResetFactors(ResetArgs),
    /// Put an image on sale: stores the file in the data directory and registers it.
    ///
    /// Works beside a running server, and needs a login (or YUNWEI_URL and YUNWEI_TOKEN).
    #[command(after_help = "\
Examples:
  yunwei admin add-image --data /var/lib/yunwei --name debian-12 debian-12.qcow2
  yunwei admin add-image --data /var/lib/yunwei --name tiny --format directBoot tiny.tar")]
    AddImage(ImageArgs),
    /// Put the starter catalog on sale: what can be sold at once, to begin from.
    #[command(after_help = "\
Examples:
  yunwei admin seed-catalog && yunwei catalog ls")]
    SeedCatalog,
    /// Split the master key into shares for people to keep: some of them together bring it back.
    ///
    /// Works beside a running server and changes nothing. Each call makes a new set; shares of
    /// different sets do not go together.
    #[command(after_help = "\
Examples:
  yunwei admin key-shares --data /var/lib/yunwei --shares 5 --threshold 3 | lp
  yunwei admin key-shares --data /var/lib/yunwei --out /media/usb/shares")]
    KeyShares(super::control_plane::SharesArgs),
    /// Need nobody's approval at the operator any more: for when there is no second person left to give it.
    ///
    /// Whoever can run this has the data anyway. It is on the audit log, and administrators are told by mail
    /// once the server runs. On SQLite, not beside a running server.
    #[command(after_help = "\
Examples:
  yunwei admin end-approval-rule --data /var/lib/yunwei")]
    EndApprovalRule(RuleArgs),
    /// Switch the operator's own identity providers off: for when nobody gets in by them any more.
    ///
    /// Passwords that they replaced work again. Whoever can run this has the data anyway; it is on the audit
    /// log. On SQLite, not beside a running server.
    #[command(after_help = "\
Examples:
  yunwei admin providers-off --data /var/lib/yunwei")]
    ProvidersOff(RuleArgs),
}

#[derive(Debug, Args)]
pub struct RuleArgs {
    #[command(flatten)]
    data: DataArgs,
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
pub struct ResetArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The account's mail address.
    #[arg(long)]
    email: String,
    /// How you know that it is this person who asks; the person is told.
    #[arg(long)]
    reason: String,
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
        AdminCommand::ResetFactors(args) => reset_factors(args, json),
        AdminCommand::AddImage(args) => add_image(args, json),
        AdminCommand::SeedCatalog => seed(json),
        AdminCommand::EndApprovalRule(args) => end_approval_rule(&args, json),
        AdminCommand::ProvidersOff(args) => providers_off(&args, json),
        AdminCommand::KeyShares(args) => super::control_plane::key_shares(&args, json),
    }
}

fn end_approval_rule(args: &RuleArgs, json: bool) -> Result<()> {
    let gate = app::open_gate(&args.data.location(), Clock::System)?;
    let cx = Cx::system("admin", gate.operator()?);
    let input = access::approvals::settings::SetRule { actions: Vec::new() };
    let rule = gate.run(&cx, &access::approvals::SET_RULE, input)?;
    if json {
        show::json(&json!({ "tenant": rule.tenant, "actions": [] }));
    } else {
        println!(
            "Nothing needs a second person at the operator any more. Set a rule anew: yunwei approval rule add --usual"
        );
    }
    Ok(())
}

fn providers_off(args: &RuleArgs, json: bool) -> Result<()> {
    use access::providers::ProviderState;
    use access::providers::actions::{LIST, ProvidersOf, UPDATE, UpdateProvider};
    let gate = app::open_gate(&args.data.location(), Clock::System)?;
    let cx = Cx::system("admin", gate.operator()?);
    let mut off = Vec::new();
    for one in gate.run(&cx, &LIST, ProvidersOf::default())?.items {
        let state = Some(ProviderState::Off);
        let change =
            UpdateProvider { provider: one.id, name: None, domains: None, settings: None, state, revision: None };
        off.push(gate.run(&cx, &UPDATE, change)?.name);
    }
    match json {
        true => show::json(&json!({ "off": off })),
        false if off.is_empty() => println!("The operator has no identity providers."),
        false => println!("Off: {}. Passwords work again.", off.join(", ")),
    }
    Ok(())
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

fn reset_factors(args: ResetArgs, json: bool) -> Result<()> {
    let gate = app::open_gate(&args.data.location(), Clock::System)?;
    let cx = Cx::system("admin", gate.operator()?).because(&*args.reason);
    let email = args.email;
    let account = gate.db().read(move |conn| access::accounts::with_email(conn, &email))?;
    let input = access::factors::actions::ResetFactors { account: account.id, reason: args.reason };
    let done = gate.run(&cx, &access::factors::actions::RESET, input)?;
    match json {
        true => show::json(&json!(done)),
        false => println!(
            "{} has no second factor any more; {} sessions were ended. A mail is on its way once the server runs.",
            account.email, done.sessions_closed
        ),
    }
    Ok(())
}

fn read_secret(file: &std::path::Path) -> Result<access::Secret> {
    let fault = |e: std::io::Error| Error::invalid("password.file", format!("cannot read {}: {e}", file.display()));
    let most = limits::PASSWORD_BYTES_MAX as u64 + 2;
    let mut text = String::new();
    let read = match file.as_os_str() == "-" {
        true => std::io::stdin().take(most + 1).read_to_string(&mut text),
        false => std::fs::File::open(file).and_then(|open| open.take(most + 1).read_to_string(&mut text)),
    };
    if read.map_err(fault)? as u64 > most {
        let message = format!("{} holds more than a password of {} bytes", file.display(), limits::PASSWORD_BYTES_MAX);
        return Err(Error::invalid("password.file", message));
    }
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
