//! `yunwei evidence`: what drills found, carried elsewhere and looked at without anybody's help.

use std::path::PathBuf;
use std::process::ExitCode;

use base::{Error, Result};
use clap::Subcommand;
use continuity::evidence::verify;

use super::client::{Client, known};
use super::files::read;
use super::show;

#[derive(Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Fetch the signed evidence of a drill.
    #[command(after_help = "\
Examples:
  yunwei evidence get drun_01m80h6wrtet7rkwawzsgh6gss > evidence.json
  yunwei evidence get drun_01m80h6wrtet7rkwawzsgh6gss --out evidence.json")]
    Get {
        /// The drill's id.
        drill: String,
        /// Write to this file; standard output by default.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Look whether evidence is as it was signed. Needs neither a network nor a server.
    ///
    /// Exit status 0 where it is, 1 where it is not. Without --key it is held against the key that
    /// it names itself: compare that with what the operator publishes.
    #[command(after_help = "\
Examples:
  yunwei evidence verify evidence.json
  yunwei evidence verify evidence.json --key \"$(cat audit.pub)\"
  yunwei evidence verify evidence.json --key audit.pub --json | jq .problems")]
    Verify {
        /// The file.
        file: PathBuf,
        /// The key that must have signed it, or the file with it: the installation's `keys/audit.pub`.
        #[arg(long, value_name = "KEY|FILE")]
        key: Option<String>,
    },
}

pub fn run(command: EvidenceCommand, json: bool) -> ExitCode {
    let done = match command {
        EvidenceCommand::Get { drill, out } => get(&drill, out).map(|()| ExitCode::SUCCESS),
        EvidenceCommand::Verify { file, key } => look(&file, key, json),
    };
    done.unwrap_or_else(|error| {
        super::complain(&error, json);
        super::exit(&error)
    })
}

fn get(drill: &str, out: Option<PathBuf>) -> Result<()> {
    let file = Client::connect()?.get(&format!("/api/v1/drills/{}/evidence", known(drill)?))?;
    let Some(path) = out else {
        show::json(&file);
        return Ok(());
    };
    std::fs::write(&path, format!("{file:#}\n"))
        .map_err(|e| Error::unavailable("evidence.file", format!("cannot write {}: {e}", path.display())))
}

fn look(file: &std::path::Path, key: Option<String>, json: bool) -> Result<ExitCode> {
    // A key has two plus signs; the name of a file that does is not worth the doubt.
    let key = match key {
        Some(named) if named.matches('+').count() < 2 => Some(read(named.as_ref())?),
        key => key,
    };
    let report = verify::verify(&read(file)?, key.as_deref())?;
    if json {
        show::json(&serde_json::to_value(&report).unwrap_or_default());
    } else {
        let what = report.run.as_deref().unwrap_or("a drill");
        match report.ok {
            true => println!(
                "good: {what} {}, as it was signed by {}",
                report.verdict.as_deref().unwrap_or_default(),
                report.key
            ),
            false => println!("NOT GOOD: what this says of {what} cannot be believed"),
        }
        report.problems.iter().for_each(|problem| println!("  {problem}"));
        if report.ok && !report.pinned {
            println!("  the key is the file's own word: compare it with what the operator publishes, or give --key");
        }
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
