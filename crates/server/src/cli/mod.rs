//! The command line: what `yunwei` understands, and who does it.
//!
//! Output is for people by default and JSON with `--json`. The exit status says
//! what kind of thing went wrong; see [`exit`].

mod admin;
mod alarms;
mod announce;
mod approvals;
mod audit;
mod audit_places;
mod backup;
mod backup_places;
mod backup_policies;
mod bills;
mod browse;
mod bucket;
mod catalog;
mod client;
mod control_plane;
mod data_sets;
mod drills;
mod evidence;
mod files;
mod identity_providers;
mod inventory;
mod login;
mod orders;
mod permissions;
mod plan;
mod plan_checks;
mod readiness;
mod restore;
mod search;
mod service_accounts;
mod services;
mod show;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use base::{Error, Kind, limits};
use clap::{Args, CommandFactory as _, Parser, Subcommand};

/// Sell, provision, watch and bill IT services, and prove that they can be brought back.
#[derive(Debug, Parser)]
#[command(
    name = "yunwei",
    version,
    max_term_width = 100,
    after_help = "\
Start here:
  yunwei admin init --data /var/lib/yunwei        make the operator and its first administrator
  yunwei serve --data /var/lib/yunwei             run the platform on http://127.0.0.1:8420
  yunwei login http://127.0.0.1:8420              keep an address and an API token for the commands below

Exit status: 0 done · 1 failed · 2 wrong usage or input · 3 not signed in, or not allowed
             4 not found · 5 the state of things forbids it · 6 not reachable, try again"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON for programs instead of tables for people.
    #[arg(long, global = true)]
    json: bool,
    /// Where something needs a second person, ask for it, and say why.
    #[arg(long, global = true, value_name = "REASON")]
    ask: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the platform: API, portal, workers.
    #[command(after_help = "\
Examples:
  yunwei serve --data /var/lib/yunwei
  yunwei serve --data /var/lib/yunwei --listen 0.0.0.0:443 --tls-cert fullchain.pem --tls-key privkey.pem
  yunwei serve --data /var/lib/yunwei --database postgres://yunwei:secret@db.example.com/yunwei
  yunwei serve --data /var/lib/yunwei --listen 10.0.0.5:8420 --insecure-http --trusted-proxies 10.0.0.1")]
    Serve(Box<ServeArgs>),
    /// Look after an installation.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei admin init --data /var/lib/yunwei --email you@example.com --password-file secret
  yunwei admin seed-catalog"
    )]
    Admin(admin::AdminCommand),
    /// Find things of every kind that you may list: by name, by identifier, or by what they are about.
    #[command(after_help = "\
Examples:
  yunwei search web                                    whatever has a word that begins so
  yunwei search 192.0.2.7                              who holds an address
  yunwei search svc_01m80h6wrtet7rkwawzsgh6gss         the service, its runs, copies, alarms and audit entries
  yunwei search --kind host node --json | jq -r '.[].hits[].id'")]
    Search(search::SearchArgs),
    /// Why was I refused? Which gate said no, which roles would permit it, who can grant them, and what would be said today.
    ///
    /// A refusal names its request. You see your own refusals, and, where you may read the audit log, those
    /// of others. What is answered as not found is no refusal.
    #[command(after_help = "\
Examples:
  yunwei why req_01m80h6wrtet7rkwawzsgh6gss    by the request, which the refusal names
  yunwei why 4711                              by the number of an entry of the audit log
  yunwei --json why 4711 | jq '.refusals[0].today'")]
    Why(permissions::WhyArgs),
    /// Who can do this? People, service accounts and tokens, through which role, and what more is asked of them.
    ///
    /// For those who may read the roles of the organisation. The page of permissions lists actions by name.
    #[command(after_help = "\
Examples:
  yunwei who service.terminate
  yunwei who role.grant --tenant ten_01m80h6wrtet7rkwawzsgh6gss
  yunwei who service.reboot --on svc_01m80h6wrtet7rkwawzsgh6gss
  yunwei --json who audit.erase | jq -r '.[].name'")]
    Who(permissions::WhoArgs),
    /// The audit log.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei audit verify --data /var/lib/yunwei
  yunwei audit prove --data /var/lib/yunwei 4711 --out entry-4711.tlog-proof
  yunwei audit export --data /var/lib/yunwei --out log.jsonl"
    )]
    Audit(audit::AuditCommand),
    /// Keep the address of a server and an API token.
    #[command(after_help = "\
Examples:
  yunwei login https://cloud.example.com              asks for the token
  yunwei login https://cloud.example.com < token.txt  reads it from a file
  yunwei login https://cloud.internal --ca ca.pem     where the certificate is your own authority's")]
    Login(login::LoginArgs),
    /// What is on offer.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei catalog ls
  yunwei catalog show pof_01m80h6wrtet7rkwawzsgh6gss"
    )]
    Catalog(catalog::CatalogCommand),
    /// Product orders.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei order create Small --set greeting=hello --watch
  yunwei order ls"
    )]
    Order(orders::OrderCommand),
    /// Running services.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei service ls
  yunwei service stop svc_01m80h6wrtet7rkwawzsgh6gss"
    )]
    Service(services::ServiceCommand),
    /// Backups: take them, see what can be brought back, and look after places and policies.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei backup run svc_01m80h6wrtet7rkwawzsgh6gss      take a recovery point now
  yunwei backup show svc_01m80h6wrtet7rkwawzsgh6gss     how well it is protected: 3-2-1-1-0"
    )]
    Backup(backup::BackupCommand),
    /// The platform itself: keep it at several places, so that it can be brought back.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei control-plane protect --policy bkpo_01m80h6wrtet7rkwawzsgh6gss
  yunwei control-plane backup
  yunwei control-plane kit --out recovery-kit.json"
    )]
    ControlPlane(control_plane::ControlPlaneCommand),
    /// Bring the platform back on an empty machine, from a copy, with the recovery kit and shares of the master key.
    ///
    /// The data directory must not be there yet, or be empty. What was done after the copy was
    /// taken is not in it: hosts report what they hold, and what nobody knows is shown.
    #[command(after_help = "\
Examples:
  yunwei recover --data /var/lib/yunwei --kit recovery-kit.json        asks for the shares
  yunwei recover --data /var/lib/yunwei --kit recovery-kit.json --share share-1.txt --share share-4.txt
  yunwei recover --data /var/lib/yunwei --kit recovery-kit.json --place far --not-after 2026-11-01T03:00:00+08:00")]
    Recover(control_plane::RecoverArgs),
    /// Drills: bring services back beside the real ones, measure, and hold it against what was promised.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei drill plans ls                                 what is promised
  yunwei drill run drpl_01m80h6wrtet7rkwawzsgh6gss      see whether it is kept"
    )]
    Drill(drills::DrillCommand),
    /// The continuity plan: nine steps beside what is really there, versions, and all of it on paper.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei plan show                how it stands
  yunwei plan print > plan.txt    what is needed when all systems are down"
    )]
    Plan(plan::PlanCommand),
    /// Alarms: what is wrong with copies and drills, and who sees to it.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei alarm ls"
    )]
    Alarm(alarms::AlarmCommand),
    /// Identity providers: where your organisation's people sign in (OpenID Connect).
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei identity-provider new Brightwater --issuer https://id.brightwater.example --client-id yunwei
  yunwei identity-provider ls"
    )]
    IdentityProvider(identity_providers::IdentityProviderCommand),
    /// Service accounts: programs, who answers for them, and their keys.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei service-account new deploy --role member --purpose 'Rolls out the shop'
  yunwei service-account ls"
    )]
    ServiceAccount(service_accounts::ServiceAccountCommand),
    /// Announcements: what everyone concerned is told, and who has read it.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei announce tell 'Exercise on Friday' --text 'From nine to ten. Be there.' --mail
  yunwei announce ls"
    )]
    Announce(announce::AnnounceCommand),
    /// Approvals: what needs a second person, and deciding about it.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei approval ls                                             what waits for you
  yunwei approval show apr_01m80h6wrtet7rkwawzsgh6gss
  yunwei approval approve apr_01m80h6wrtet7rkwawzsgh6gss --email you@example.com"
    )]
    Approval(approvals::ApprovalCommand),
    /// Evidence: what drills found, signed; look at it offline.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei evidence get drun_01m80h6wrtet7rkwawzsgh6gss --out evidence.json
  yunwei evidence verify evidence.json --key audit.pub"
    )]
    Evidence(evidence::EvidenceCommand),
    /// The inventory: what you do, and what that depends on.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei inventory ls --kind activity
  yunwei inventory import --nodes nodes.csv --dependencies dependencies.csv --dry-run
  yunwei inventory objectives"
    )]
    Inventory(inventory::InventoryCommand),
    /// Impact: what a loss would stop, for how long, and what it would cost.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei impact ranking
  yunwei impact what-if hst_01m80h6wrtet7rkwawzsgh6gss"
    )]
    Impact(inventory::ImpactCommand),
    /// Bills.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei bill ls --json | jq -r '.[].billNo'
  yunwei bill show bill_01m80h6wrtet7rkwawzsgh6gss"
    )]
    Bill(bills::BillCommand),
    /// Print a completion script for your shell.
    #[command(after_help = "\
Examples:
  yunwei completions bash > /etc/bash_completion.d/yunwei
  yunwei completions zsh > ~/.zfunc/_yunwei")]
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual's pages, one for each command, into a directory.
    #[command(after_help = "\
Examples:
  yunwei manual man && man -l man/yunwei-order-create.1")]
    Manual {
        /// Where; made where it is not there.
        folder: PathBuf,
    },
    /// Print the OpenAPI document of the platform's own API.
    #[command(after_help = "\
Examples:
  yunwei openapi > openapi.json")]
    Openapi,
}

/// Where the data lives; means the same on every command.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// The data directory: database, keys, images, outbox.
    #[arg(long, env = "YUNWEI_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// Keep records in PostgreSQL instead of the data directory: postgres://user:password@host/name.
    #[arg(long, env = "YUNWEI_DATABASE", value_name = "URL", hide_env_values = true)]
    pub database: Option<String>,
}

impl DataArgs {
    /// The database that these arguments name.
    pub fn location(&self) -> db::Location {
        match &self.database {
            Some(url) => db::Location::Postgres(url.clone()),
            None => db::Location::Directory(self.data.clone()),
        }
    }
}

/// How to run the platform.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Where the data lives.
    #[command(flatten)]
    pub data: DataArgs,
    /// Where to listen for people and programs.
    #[arg(long, env = "YUNWEI_LISTEN", default_value = "127.0.0.1:8420", value_name = "ADDR")]
    pub listen: SocketAddr,
    /// Where to listen for agents (TLS with client certificates).
    #[arg(long, env = "YUNWEI_AGENT_LISTEN", default_value = "127.0.0.1:8421", value_name = "ADDR")]
    pub agent_listen: SocketAddr,
    /// The address that hosts' agents are told to use, https://HOST:PORT; from --agent-listen where absent.
    #[arg(long, env = "YUNWEI_AGENT_URL", value_name = "URL")]
    pub agent_url: Option<String>,
    /// The server's certificate chain (PEM). Needed off the loopback interface.
    #[arg(long, env = "YUNWEI_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The server's private key (PEM).
    #[arg(long, env = "YUNWEI_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Serve plain HTTP off the loopback interface all the same: only behind a proxy that does TLS.
    #[arg(long, env = "YUNWEI_INSECURE_HTTP")]
    pub insecure_http: bool,
    /// The address that people type, for links in mails and pages; the listening address by default.
    #[arg(long, env = "YUNWEI_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// Proxies whose X-Forwarded-For is believed, as addresses or networks.
    #[arg(long, env = "YUNWEI_TRUSTED_PROXIES", value_delimiter = ',', value_name = "NET")]
    pub trusted_proxies: Vec<String>,
    /// Send mail through this server (smtp://, smtps:// with user:password@host:port); into DATA/outbox by default.
    #[arg(long, env = "YUNWEI_SMTP", value_name = "URL", hide_env_values = true)]
    pub smtp: Option<String>,
    /// The sender of mails.
    #[arg(long, env = "YUNWEI_MAIL_FROM", default_value = "Yunwei <yunwei@localhost>", value_name = "ADDRESS")]
    pub mail_from: String,
    /// Deliver webhooks to loopback and private addresses too, and ask identity providers there.
    #[arg(long, env = "YUNWEI_ALLOW_PRIVATE_WEBHOOKS")]
    pub allow_private_webhooks: bool,
    /// Requests a second that one address may make, twice as many at once; 0 for no limit.
    #[arg(long, env = "YUNWEI_ADDRESS_RATE", default_value_t = limits::ADDRESS_REQUESTS_PER_SECOND, value_name = "N")]
    pub address_rate: u32,
    /// Requests a second that one token or session may make, twice as many at once; 0 for no limit.
    #[arg(long, env = "YUNWEI_ACTOR_RATE", default_value_t = limits::ACTOR_REQUESTS_PER_SECOND, value_name = "N")]
    pub actor_rate: u32,
    /// Log as JSON, one object a line.
    #[arg(long, env = "YUNWEI_LOG_JSON")]
    pub log_json: bool,
    /// Only answer, to this machine alone, and change nothing: no lasting work, no agents, no mail, no
    /// webhooks. Prints its address and ends with its standard input. For looking at a copy of the
    /// platform that was brought back.
    #[arg(long)]
    pub isolated: bool,
}

/// The exit status for an error, by its kind.
fn exit(error: &Error) -> ExitCode {
    ExitCode::from(match error.kind() {
        Kind::Invalid | Kind::Dangling => 2,
        Kind::Unauthenticated | Kind::Forbidden => 3,
        Kind::NotFound => 4,
        Kind::Conflict | Kind::Stale | Kind::Contended | Kind::Exhausted => 5,
        Kind::Throttled | Kind::Unavailable | Kind::Uncertain => 6,
        Kind::Bug => 1,
    })
}

/// Reads the command line and does it.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    if let Some(reason) = cli.ask {
        let _ = client::ASK.set(reason);
    }
    let result = match cli.command {
        Command::Serve(args) => crate::serve::run(*args),
        Command::Admin(command) => admin::run(command, json),
        Command::Audit(command) => return audit::run(command, json),
        Command::Search(args) => search::run(&args, json),
        Command::Why(args) => permissions::why(&args, json),
        Command::Who(args) => permissions::who(&args, json),
        Command::Login(args) => login::run(args, json),
        Command::Catalog(command) => catalog::run(command, json),
        Command::Order(command) => orders::run(command, json),
        Command::Service(command) => services::run(command, json),
        Command::Backup(command) => backup::run(command, json),
        Command::ControlPlane(command) => control_plane::run(command, json),
        Command::Recover(args) => control_plane::recover(&args, json),
        Command::Drill(command) => drills::run(command, json),
        Command::Plan(command) => plan::run(command, json),
        Command::Alarm(command) => alarms::run(command, json),
        Command::Announce(command) => announce::run(command, json),
        Command::IdentityProvider(command) => identity_providers::run(command, json),
        Command::ServiceAccount(command) => service_accounts::run(command, json),
        Command::Approval(command) => approvals::run(command, json),
        Command::Evidence(command) => return evidence::run(command, json),
        Command::Inventory(command) => inventory::run(command, json),
        Command::Impact(command) => inventory::impact(command, json),
        Command::Bill(command) => bills::run(command, json),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "yunwei", &mut std::io::stdout());
            Ok(())
        }
        Command::Manual { folder } => manual(&folder),
        Command::Openapi => crate::routes::print_openapi(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error, json);
            exit(&error)
        }
    }
}

fn manual(folder: &std::path::Path) -> base::Result<()> {
    let fault =
        |e: std::io::Error| Error::unavailable("manual.folder", format!("cannot write {}: {e}", folder.display()));
    std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder)).map_err(fault)
}

fn complain(error: &Error, json: bool) {
    if json {
        let report = serde_json::json!({ "error": { "code": error.code(), "message": error.message(), "attribute": error.attribute() } });
        eprintln!("{report}");
    } else {
        eprintln!("yunwei: {error}");
        if let Some(attribute) = error.attribute() {
            eprintln!("        (at `{attribute}`)");
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_by_example() {
        fn walk(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Examples:") || after.contains("Start here:"), "`{path}` shows no example");
            examples(&after).iter().for_each(|example| parses(example));
            assert!(command.get_about().is_some(), "`{path}` does not say what it does");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "`{path}`: {} is not explained", argument.get_id());
            }
            command.get_subcommands().for_each(|inner| walk(inner, &path));
        }
        walk(&super::Cli::command(), "");
    }

    /// The commands of ours in a help text, without what follows them for people or for the shell.
    fn examples(help: &str) -> Vec<String> {
        let whole = help.replace(" \\\n      ", " ");
        let lines = whole.lines().filter_map(|line| line.trim().strip_prefix("yunwei ").map(str::to_owned));
        // Before an explanation there are more blanks than one example has between its words.
        let ends = ["   ", " < ", " > ", " | ", " && "];
        let cut = |line: String| {
            let end = ends.iter().filter_map(|end| line.find(end)).min().unwrap_or(line.len());
            line[..end].to_owned()
        };
        lines.map(cut).collect()
    }

    /// What the help shows is what the program takes, split into words by a real shell.
    fn parses(example: &str) {
        let script = format!("set -- {example}; printf '%s\\n' yunwei \"$@\"");
        let words = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap().stdout;
        let words = String::from_utf8(words).unwrap();
        if let Err(e) = super::Cli::command().try_get_matches_from(words.lines()) {
            assert!(!e.use_stderr(), "`yunwei {example}`: {e}");
        }
    }
}
