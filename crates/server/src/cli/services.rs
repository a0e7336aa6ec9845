//! `yunwei service`: what runs, and what can be done with it.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use base::{Error, Result};
use clap::Subcommand;
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

const SERVICES: &str = "/tmf-api/serviceInventory/v4/service";

#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// List your services.
    #[command(after_help = "\
Examples:
  yunwei service ls
  yunwei service ls --all --json")]
    Ls {
        /// Also those that have been terminated.
        #[arg(long)]
        all: bool,
    },
    /// Show a service.
    #[command(after_help = "\
Examples:
  yunwei service show svc_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The service's id.
        id: String,
    },
    /// Start a stopped service.
    #[command(after_help = "\
Examples:
  yunwei service start svc_01m80h6wrtet7rkwawzsgh6gss")]
    Start {
        /// The service's id.
        id: String,
    },
    /// Stop a running service; it keeps its disks and address.
    #[command(after_help = "\
Examples:
  yunwei service stop svc_01m80h6wrtet7rkwawzsgh6gss")]
    Stop {
        /// The service's id.
        id: String,
    },
    /// Restart a running service.
    #[command(after_help = "\
Examples:
  yunwei service reboot svc_01m80h6wrtet7rkwawzsgh6gss")]
    Reboot {
        /// The service's id.
        id: String,
    },
    /// Delete a service with everything on it.
    #[command(after_help = "\
Examples:
  yunwei service rm svc_01m80h6wrtet7rkwawzsgh6gss            asks for the service's name first
  yunwei service rm svc_01m80h6wrtet7rkwawzsgh6gss --yes")]
    Rm {
        /// The service's id.
        id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Print the end of the console log.
    #[command(after_help = "\
Examples:
  yunwei service console svc_01m80h6wrtet7rkwawzsgh6gss")]
    Console {
        /// The service's id.
        id: String,
    },
}

impl ServiceCommand {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Ls { .. } => None,
            Self::Show { id } | Self::Start { id } | Self::Stop { id } | Self::Reboot { id } => Some(id),
            Self::Rm { id, .. } | Self::Console { id } => Some(id),
        }
    }
}

pub fn run(command: ServiceCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    if let Some(id) = command.id() {
        known(id)?;
    }
    match command {
        ServiceCommand::Ls { all } => list(&client, all, json),
        ServiceCommand::Show { id } => print(&client.get(&format!("{SERVICES}/{id}"))?, json),
        ServiceCommand::Start { id } => act(&client, &id, "start", json),
        ServiceCommand::Stop { id } => act(&client, &id, "stop", json),
        ServiceCommand::Reboot { id } => act(&client, &id, "reboot", json),
        ServiceCommand::Rm { id, yes } => remove(&client, &id, yes, json),
        ServiceCommand::Console { id } => console(&client, &id, json),
    }
}

fn list(client: &Client, all: bool, json: bool) -> Result<()> {
    let mut services = client.list(&format!("{SERVICES}?category=CustomerFacingService"), 10_000)?;
    services.retain(|s| all || s["state"] != "terminated");
    if json {
        show::json(&Json::Array(services));
        return Ok(());
    }
    let row =
        |s: &Json| vec![show::text(s, "id"), show::text(s, "name"), show::text(s, "state"), show::time(s, "startDate")];
    show::table(
        &["id", "name", "state", "since"],
        services.iter().map(row).collect(),
        "No services. Order one: `yunwei catalog ls`.",
    );
    Ok(())
}

fn print(service: &Json, json: bool) -> Result<()> {
    if json {
        show::json(service);
        return Ok(());
    }
    println!("{}  {}  {}", show::text(service, "id"), show::text(service, "name"), show::text(service, "state"));
    let characteristics = service["serviceCharacteristic"].as_array().cloned().unwrap_or_default();
    let rows = characteristics.iter().map(|c| vec![show::text(c, "name"), show::text(c, "value")]).collect();
    show::table(&["characteristic", "value"], rows, "");
    Ok(())
}

fn act(client: &Client, id: &str, verb: &str, json: bool) -> Result<()> {
    let answer = client.post(&format!("/api/v1/services/{id}/{verb}"), &json!({}))?;
    match json {
        true => show::json(&answer),
        false => println!("Asked to {verb} {id}."),
    }
    Ok(())
}

fn remove(client: &Client, id: &str, yes: bool, json: bool) -> Result<()> {
    let service = client.get(&format!("{SERVICES}/{id}"))?;
    if !yes && !confirmed(&show::text(&service, "name"))? {
        return Err(Error::conflict("service.kept", "nothing was deleted"));
    }
    act(client, id, "terminate", json)
}

fn confirmed(name: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::invalid("service.confirm", "say --yes to delete without being asked"));
    }
    eprint!("This deletes {name} and all data on it. Type its name to go on: ");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|e| Error::invalid("service.confirm", "no answer could be read").because(e))?;
    Ok(line.trim() == name)
}

/// Asks the host for the end of the console, and waits for it to arrive.
fn console(client: &Client, id: &str, json: bool) -> Result<()> {
    let path = format!("/api/v1/services/{id}/console");
    client.post(&path, &json!({}))?;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    let log = loop {
        let log = client.get(&path)?;
        if log["answered"] == true {
            break log;
        }
        if std::time::Instant::now() > until {
            return Err(Error::unavailable(
                "console.silent",
                "the host has not sent the console within 30 s; try again",
            ));
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    };
    match json {
        true => show::json(&log),
        false => println!("{}", show::text(&log, "text")),
    }
    Ok(())
}
