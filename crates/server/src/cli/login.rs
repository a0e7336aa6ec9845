//! `yunwei login`: keep an address and a token.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;

use base::{Error, Result};
use clap::Args;

use super::client::{Client, Login};

#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The server's address, for example https://cloud.example.com.
    url: String,
    /// The API token; asked for, or read from standard input, where absent.
    #[arg(long, env = "YUNWEI_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The authority that signed the server's certificate (PEM), where it is not a public one.
    #[arg(long, env = "YUNWEI_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

pub fn run(args: LoginArgs, json: bool) -> Result<()> {
    let token = match args.token {
        Some(token) => token,
        None => ask()?,
    };
    // Kept with its whole path: the next command may be given elsewhere.
    let ca = args.ca.map(|file| file.canonicalize().unwrap_or(file));
    let login = Login { url: args.url, token: token.trim().to_owned(), ca };
    let text = serde_json::to_string_pretty(&login).unwrap_or_default();
    let who = Client::to(login)?.get("/api/v1/whoami")?;
    keep(&text)?;
    match json {
        true => super::show::json(&who),
        false => {
            println!(
                "Signed in as {} in {}.",
                super::show::text(&who, "account.name"),
                super::show::text(&who, "acting.name")
            )
        }
    }
    Ok(())
}

fn ask() -> Result<String> {
    if std::io::stdin().is_terminal() {
        eprint!("API token (made on the page “API tokens”): ");
        let _ = std::io::stderr().flush();
    }
    let mut line = String::new();
    // Far more than a token: what is piped in by mistake may have no end.
    std::io::stdin()
        .lock()
        .take(4_096)
        .read_line(&mut line)
        .map_err(|e| Error::invalid("login.input", "no token could be read").because(e))?;
    Ok(line)
}

/// Writes the login beside its place and moves it there, readable by its owner only.
fn keep(text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = Login::path()?;
    let fault = |e: std::io::Error| Error::unavailable("login.file", format!("cannot write {}: {e}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    let fresh = path.with_extension("new");
    let mut file =
        std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh).map_err(fault)?;
    file.write_all(text.as_bytes()).map_err(fault)?;
    std::fs::rename(&fresh, &path).map_err(fault)
}
