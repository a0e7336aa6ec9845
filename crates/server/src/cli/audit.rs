//! `yunwei audit`: the log, checked and carried elsewhere.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base::time::Timestamp;
use base::{Error, Result};
use clap::{Args, Subcommand};
use gate::audit::{Span, export_at};
use serde_json::json;

use super::{DataArgs, show};

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Recompute the whole log and name the first entry that is not as it was written.
    ///
    /// Works beside a running server and changes nothing. Exit status 0 where
    /// everything is as it was, 1 where it is not.
    #[command(after_help = "\
Examples:
  yunwei audit verify --data /var/lib/yunwei
  yunwei audit verify --data /var/lib/yunwei --json | jq .first_bad
  yunwei audit verify --data /var/lib/yunwei --database postgres://yunwei@db/yunwei")]
    Verify {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Write the log as lines of JSON, to keep elsewhere or to check with another program.
    ///
    /// Works beside a running server and changes nothing. A stretch (--since,
    /// --until) is for reading; only the whole log can be verified.
    #[command(after_help = "\
Examples:
  yunwei audit export --data /var/lib/yunwei --out log.jsonl
  yunwei audit export --data /var/lib/yunwei --since 2026-11-01T00:00:00+08:00 | jq -r 'select(.leaf).leaf'
  python3 tests/audit/verify.py log.jsonl --key \"$(cat audit.pub)\"")]
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Write to this file, made for its owner only; standard output where absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only entries of this instant and later, RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only entries before this instant.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

pub fn run(command: AuditCommand, json: bool) -> ExitCode {
    let done = match command {
        AuditCommand::Verify { data } => verify(&data, json),
        AuditCommand::Export(args) => export(args, json).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        super::complain(&error, json);
        super::exit(&error)
    })
}

fn verify(data: &DataArgs, json: bool) -> Result<ExitCode> {
    let report = gate::audit::verify_at(&data.location(), &data.data.join("keys"))?;
    if json {
        let mut found = serde_json::to_value(&report).unwrap_or_default();
        found["ok"] = report.is_good().into();
        show::json(&found);
    } else {
        println!("{report}");
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn export(args: ExportArgs, json: bool) -> Result<()> {
    let span = Span { since: args.since, until: args.until };
    let (location, keys) = (args.data.location(), args.data.data.join("keys"));
    let Some(path) = &args.out else { return export_at(&location, &keys, span, std::io::stdout()) };
    // Beside its place, then moved there: half an export must not be taken for one.
    let fresh = path.with_extension("part");
    let done = create(&fresh)
        .and_then(|file| export_at(&location, &keys, span, file))
        .and_then(|()| std::fs::rename(&fresh, path).map_err(|e| unwritable(path, &e)));
    if let Err(e) = done {
        let _ = std::fs::remove_file(&fresh);
        return Err(e);
    }
    if json {
        show::json(&json!({ "file": path }));
    }
    Ok(())
}

/// For its owner only: personal data is in it.
fn create(path: &Path) -> Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let options = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    options.map_err(|e| unwritable(path, &e))
}

fn unwritable(path: &Path, e: &std::io::Error) -> Error {
    Error::unavailable("export.file", format!("cannot write {}: {e}", path.display()))
}
