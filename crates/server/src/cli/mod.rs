//! The command line: what `yunwei` understands, and who does it.
//!
//! Output is for people by default and JSON with `--json`. The exit status says
//! what kind of thing went wrong; see [`exit`].

mod admin;
mod audit;
mod bills;
mod catalog;
mod client;
mod login;
mod orders;
mod services;
mod show;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use base::{Error, Kind};
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
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the platform: API, portal, workers.
    Serve(Box<ServeArgs>),
    /// Look after an installation.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Keep the address of a server and an API token.
    Login(login::LoginArgs),
    /// What is on offer.
    #[command(subcommand)]
    Catalog(catalog::CatalogCommand),
    /// Product orders.
    #[command(subcommand)]
    Order(orders::OrderCommand),
    /// Running services.
    #[command(subcommand)]
    Service(services::ServiceCommand),
    /// Bills.
    #[command(subcommand)]
    Bill(bills::BillCommand),
    /// Print a completion script for your shell.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the OpenAPI document of the platform's own API.
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
    /// Names and addresses under which agents reach this server, for its certificate.
    #[arg(long, env = "YUNWEI_AGENT_NAMES", value_delimiter = ',', default_value = "localhost,127.0.0.1")]
    pub agent_names: Vec<String>,
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
    /// Deliver webhooks to loopback and private addresses too.
    #[arg(long, env = "YUNWEI_ALLOW_PRIVATE_WEBHOOKS")]
    pub allow_private_webhooks: bool,
    /// Log as JSON, one object a line.
    #[arg(long, env = "YUNWEI_LOG_JSON")]
    pub log_json: bool,
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
    let result = match cli.command {
        Command::Serve(args) => crate::serve::run(*args),
        Command::Admin(command) => admin::run(command, json),
        Command::Audit(command) => return audit::run(command, json),
        Command::Login(args) => login::run(args, json),
        Command::Catalog(command) => catalog::run(command, json),
        Command::Order(command) => orders::run(command, json),
        Command::Service(command) => services::run(command, json),
        Command::Bill(command) => bills::run(command, json),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "yunwei", &mut std::io::stdout());
            Ok(())
        }
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

fn complain(error: &Error, json: bool) {
    if json {
        let report = serde_json::json!({ "error": { "code": error.code(), "message": error.message(), "attribute": error.attribute() } });
        eprintln!("{report}");
    } else {
        eprintln!("yunwei: {error}");
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
