//! `yunwei-repository`: keeps the backups of other hosts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base::{Error, Result};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use repository::credentials::{self, Role};
use repository::http;
use serde_json::json;

/// Keep the backups of other hosts, in restic's format, where those hosts have no power over them.
#[derive(Debug, Parser)]
#[command(
    name = "yunwei-repository",
    version,
    max_term_width = 100,
    after_help = "\
Start here:
  yunwei-repository credential add host-1 --data /var/lib/yunwei-repository --repository acme --role append
  yunwei-repository serve --data /var/lib/yunwei-repository --listen 0.0.0.0:8430 \
      --tls-cert fullchain.pem --tls-key privkey.pem
  restic --repo rest:https://host-1:SECRET@backup.example.com:8430/acme/ snapshots"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON for programs instead of text for people.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve repositories over HTTP(S).
    #[command(after_help = "\
Examples:
  yunwei-repository serve --data /srv/repository
  yunwei-repository serve --data /srv/repository --listen 0.0.0.0:8430 --tls-cert fullchain.pem --tls-key privkey.pem")]
    Serve(ServeArgs),
    /// Look after credentials.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei-repository credential add host-1 --data /srv/repository --repository acme --role append
  yunwei-repository credential ls --data /srv/repository"
    )]
    Credential(CredentialCommand),
    /// Write the manual's pages, one for each command, into a directory.
    #[command(after_help = "\
Examples:
  yunwei-repository manual man && man -l man/yunwei-repository-serve.1")]
    Manual {
        /// Where; made where it is not there.
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The address to listen at.
    #[arg(long, env = "YUNWEI_REPOSITORY_LISTEN", default_value = "127.0.0.1:8430", value_name = "ADDR")]
    listen: SocketAddr,
    /// Certificate chain, PEM.
    #[arg(long, env = "YUNWEI_REPOSITORY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, env = "YUNWEI_REPOSITORY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Listen without TLS beyond this machine: for behind a proxy that has it.
    #[arg(long, env = "YUNWEI_REPOSITORY_INSECURE_HTTP")]
    insecure_http: bool,
}

/// Where everything lies; means the same on every command.
#[derive(Debug, Args)]
struct DataArgs {
    /// The directory of repositories and credentials.
    #[arg(long, env = "YUNWEI_REPOSITORY_DATA", value_name = "DIR")]
    data: PathBuf,
}

#[derive(Debug, Subcommand)]
enum CredentialCommand {
    /// Make one; its secret is told once.
    #[command(after_help = "\
Examples:
  yunwei-repository credential add acme       --data /srv/repository --repository acme --role append --quota-mib 512000
  yunwei-repository credential add acme-prune --data /srv/repository --repository acme --role maintain > secret")]
    Add {
        /// Its name: lower-case letters, digits, - and _.
        name: String,
        #[command(flatten)]
        data: DataArgs,
        /// The repository it is for.
        #[arg(long)]
        repository: String,
        /// What it may do.
        #[arg(long, value_enum)]
        role: RoleName,
        /// How large the repository may grow by it, in MiB.
        #[arg(long)]
        quota_mib: Option<u64>,
    },
    /// Tell which there are.
    #[command(after_help = "\
Examples:
  yunwei-repository credential ls --data /srv/repository
  yunwei-repository credential ls --data /srv/repository --json | jq -r '.[].name'")]
    Ls {
        #[command(flatten)]
        data: DataArgs,
    },
    /// End one, at once.
    #[command(after_help = "\
Examples:
  yunwei-repository credential revoke acme --data /srv/repository")]
    Revoke {
        /// Its name.
        name: String,
        #[command(flatten)]
        data: DataArgs,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    /// Read.
    Read,
    /// Read and add: for a host that backs up.
    Append,
    /// Read, add and remove: for the scheduler that prunes.
    Maintain,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Read => Role::Read,
            RoleName::Append => Role::Append,
            RoleName::Maintain => Role::Maintain,
        }
    }
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Serve(args) => serve(args),
        Command::Credential(command) => credential(command, cli.json),
        Command::Manual { folder } => manual(&folder),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match cli.json {
                true => eprintln!("{}", json!({ "error": { "code": error.code(), "message": error.message() } })),
                false => eprintln!("yunwei-repository: {error} [{}]", error.code()),
            }
            ExitCode::FAILURE
        }
    }
}

fn manual(folder: &Path) -> Result<()> {
    let fault =
        |e: std::io::Error| Error::unavailable("manual.folder", format!("cannot write {}: {e}", folder.display()));
    std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder)).map_err(fault)
}

fn credential(command: CredentialCommand, json: bool) -> Result<()> {
    match command {
        CredentialCommand::Add { name, data, repository, role, quota_mib } => {
            let quota = quota_mib.map(|mib| mib.saturating_mul(1 << 20));
            let secret = credentials::issue(&data.data, &name, &repository, role.into(), quota)?;
            match json {
                true => println!("{}", json!({ "name": name, "repository": repository, "secret": secret })),
                false => println!("{secret}"),
            }
        }
        CredentialCommand::Ls { data } => {
            let all = credentials::list(&data.data)?;
            if json {
                let told = |one: &credentials::Credential| json!({ "name": one.name, "repository": one.repository, "role": one.role, "quotaBytes": one.quota_bytes });
                println!("{:#}", all.iter().map(told).collect::<serde_json::Value>());
                return Ok(());
            }
            for one in all {
                let quota = one.quota_bytes.map_or("-".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
                println!("{}\t{}\t{:?}\t{quota}", one.name, one.repository, one.role);
            }
        }
        CredentialCommand::Revoke { name, data } => credentials::revoke(&data.data, &name)?,
    }
    Ok(())
}

fn serve(args: ServeArgs) -> Result<()> {
    let ServeArgs { data: DataArgs { data }, listen, tls_cert, tls_key, insecure_http } = args;
    let tls = tls_cert.zip(tls_key);
    if tls.is_none() && !listen.ip().is_loopback() && !insecure_http {
        let message = "beyond this machine credentials need TLS: give --tls-cert and --tls-key, or --insecure-http";
        return Err(Error::invalid("tls.missing", message));
    }
    let tls = tls.map(|(chain, key)| web::serve::tls(&chain, &key)).transpose()?;
    let unusable = |e: std::io::Error| {
        Error::unavailable("repository.unusable", format!("{} cannot be used: {e}", data.display())).because(e)
    };
    let router = http::router(&data).map_err(unusable)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(unusable)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen)
            .await
            .map_err(|e| Error::unavailable("listen.refused", format!("{listen} cannot be listened at: {e}")))?;
        let at = listener.local_addr().map_err(unusable)?;
        println!("listening on {at}");
        web::serve::tell_ready();
        web::serve::serve(listener, tls, &[], router, ended()).await;
        Ok(())
    })
}

/// Somebody wants it to end.
async fn ended() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed_and_explains_itself() {
        fn walk(command: &clap::Command) {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                after.contains("Examples:") || after.contains("Start here:"),
                "{} shows no example",
                command.get_name()
            );
            let explained = command.get_arguments().all(|argument| argument.get_help().is_some());
            assert!(explained && command.get_about().is_some(), "{}", command.get_name());
            command.get_subcommands().for_each(walk);
        }
        super::Cli::command().debug_assert();
        walk(&super::Cli::command());
    }
}
