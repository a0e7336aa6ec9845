//! `yunwei-repository`: keeps the backups of other hosts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use base::{Error, Result};
use clap::{Parser, Subcommand, ValueEnum};
use repository::credentials::{self, Role};
use repository::http;

/// Keep the backups of other hosts, in restic's format, where those hosts have no power over them.
#[derive(Debug, Parser)]
#[command(
    name = "yunwei-repository",
    version,
    max_term_width = 100,
    after_help = "\
Start here:
  yunwei-repository credential add host-1 --data /var/lib/yunwei-repository --repository acme --role append
  yunwei-repository serve --data /var/lib/yunwei-repository --listen 0.0.0.0:8430 \\
      --tls-cert fullchain.pem --tls-key privkey.pem
  restic --repo rest:https://host-1:SECRET@backup.example.com:8430/acme/ snapshots"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve repositories over HTTP(S).
    Serve {
        /// The directory of repositories and credentials.
        #[arg(long)]
        data: PathBuf,
        /// The address to listen at.
        #[arg(long, default_value = "127.0.0.1:8430")]
        listen: SocketAddr,
        /// Certificate chain, PEM.
        #[arg(long, requires = "tls_key")]
        tls_cert: Option<PathBuf>,
        /// Its key, PEM.
        #[arg(long, requires = "tls_cert")]
        tls_key: Option<PathBuf>,
        /// Listen without TLS beyond this machine: for behind a proxy that has it.
        #[arg(long)]
        insecure_http: bool,
    },
    /// Look after credentials.
    #[command(subcommand)]
    Credential(CredentialCommand),
}

#[derive(Debug, Subcommand)]
enum CredentialCommand {
    /// Make one; its secret is told once.
    Add {
        /// Its name: lower-case letters, digits, - and _.
        name: String,
        /// The directory of repositories and credentials.
        #[arg(long)]
        data: PathBuf,
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
    Ls {
        /// The directory of repositories and credentials.
        #[arg(long)]
        data: PathBuf,
    },
    /// End one, at once.
    Revoke {
        /// Its name.
        name: String,
        /// The directory of repositories and credentials.
        #[arg(long)]
        data: PathBuf,
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
    let done = match Cli::parse().command {
        Command::Serve { data, listen, tls_cert, tls_key, insecure_http } => {
            serve(data, listen, tls_cert.zip(tls_key), insecure_http)
        }
        Command::Credential(command) => credential(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yunwei-repository: {error} [{}]", error.code());
            ExitCode::FAILURE
        }
    }
}

fn credential(command: CredentialCommand) -> Result<()> {
    match command {
        CredentialCommand::Add { name, data, repository, role, quota_mib } => {
            let quota = quota_mib.map(|mib| mib.saturating_mul(1 << 20));
            println!("{}", credentials::issue(&data, &name, &repository, role.into(), quota)?);
        }
        CredentialCommand::Ls { data } => {
            for one in credentials::list(&data)? {
                let quota = one.quota_bytes.map_or("-".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
                println!("{}\t{}\t{:?}\t{quota}", one.name, one.repository, one.role);
            }
        }
        CredentialCommand::Revoke { name, data } => credentials::revoke(&data, &name)?,
    }
    Ok(())
}

fn serve(data: PathBuf, listen: SocketAddr, tls: Option<(PathBuf, PathBuf)>, insecure: bool) -> Result<()> {
    if tls.is_none() && !listen.ip().is_loopback() && !insecure {
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
