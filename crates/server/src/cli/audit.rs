//! `yunwei audit`: the log, checked, proven and carried elsewhere.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base::time::Timestamp;
use base::{Error, Result, limits};
use clap::{Args, Subcommand, ValueEnum};
use gate::audit::{self, Filter, Format, Kept, Verify, VerifyingKey, export_at};
use serde_json::json;

use super::audit_places::{self, PlacesCommand};
use super::{DataArgs, show};

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Recompute the whole log and name the first entry that is not as it was written; or look at a proof.
    ///
    /// With --data: works beside a running server and changes nothing. --against holds the log against what
    /// was kept elsewhere: who has the server has its database and its key, and can write a history that
    /// agrees with itself, but not with that.
    ///
    /// With a FILE: looks at a proof or a checkpoint with the log's public key alone, without network,
    /// server or database.
    ///
    /// Exit status 0 where everything is as it was, 1 where it is not.
    #[command(after_help = "\
Examples:
  yunwei audit verify --data /var/lib/yunwei
  yunwei audit verify --data /var/lib/yunwei --json | jq .first_bad
  yunwei audit verify --data /var/lib/yunwei --database postgres://yunwei@db/yunwei
  yunwei audit verify --data /var/lib/yunwei --against /mnt/other-host/audit --key /mnt/other-host/audit.pub
  yunwei audit verify --data /var/lib/yunwei --against /var/log/yunwei-audit.log
  yunwei audit verify --data /var/lib/yunwei --against cloud
  yunwei audit verify entry-4711.tlog-proof --key audit.pub
  yunwei audit verify grown.proof --key audit.pub --from checkpoint-of-march")]
    Verify(VerifyArgs),
    /// Prove to others that an entry is in the log, or that the log has only grown.
    ///
    /// Writes a file that `yunwei audit verify FILE --key audit.pub`, or any other program that knows C2SP's
    /// tlog-proof, checks without this server: the entry, the way from it to the signed head, and that head.
    /// Personal data (address, reason) is not in it. Works beside a running server and changes nothing.
    #[command(after_help = "\
Examples:
  yunwei audit prove --data /var/lib/yunwei 4711 --out entry-4711.tlog-proof
  yunwei audit prove --data /var/lib/yunwei --from checkpoint-of-march --out grown.proof")]
    Prove(ProveArgs),
    /// Write the log as lines of JSON, as CSV or as CEF.
    ///
    /// Works beside a running server and changes nothing; the memory it takes does not grow with the log.
    /// A part (--since, --actor, …), CSV and CEF are for reading; only the whole log as lines of JSON can be
    /// verified.
    #[command(after_help = "\
Examples:
  yunwei audit export --data /var/lib/yunwei --out log.jsonl
  yunwei audit export --data /var/lib/yunwei --since 2026-11-01T00:00:00+08:00 | jq -r 'select(.leaf).leaf'
  yunwei audit export --data /var/lib/yunwei --format csv --action account. --outcome refused --out refused.csv
  python3 tests/audit/verify.py log.jsonl --key \"$(cat audit.pub)\"")]
    Export(ExportArgs),
    /// Places off this host that the log is shipped to while it is written.
    ///
    /// Whoever has the server has its database and its key. What was shipped before is out of their reach:
    /// `yunwei audit verify --against` holds the log against it.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei audit places add other-host --directory /mnt/other-host/audit
  yunwei audit places add siem --syslog log.example.com:6514 --authority log-ca.pem
  yunwei audit places ls"
    )]
    Places(PlacesCommand),
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A proof or a checkpoint to look at, instead of a log.
    file: Option<PathBuf>,
    /// The data directory of the log.
    #[arg(long, env = "YUNWEI_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// The log is in PostgreSQL: postgres://user:password@host/name.
    #[arg(long, env = "YUNWEI_DATABASE", value_name = "URL", hide_env_values = true)]
    database: Option<String>,
    /// The log's public key, or the file with it; `keys/audit.pub` in the data directory where absent.
    /// One that was kept elsewhere cannot have been exchanged here.
    #[arg(long, value_name = "KEY|FILE")]
    key: Option<String>,
    /// What was kept elsewhere: a file or a directory of checkpoints, of what was shipped, or of a syslog
    /// server; or the name of a directory or bucket that the log is shipped to. May be given several times.
    /// Where you do not trust this server, run this on another machine, on a copy of its data and with files.
    #[arg(long, value_name = "FILE|DIR|PLACE", conflicts_with = "file")]
    against: Vec<PathBuf>,
    /// With a proof of growth: the file with the checkpoint that it begins from.
    #[arg(long, value_name = "FILE", requires = "file")]
    from: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ProveArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The entry: its place in the log, as lists and exports show it.
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    entry: Option<u64>,
    /// Prove instead that the log has only grown since the newest checkpoint in this file.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Write to this file; standard output where absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How entries are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ExportFormat {
    /// Lines of JSON, which can be verified.
    Jsonl,
    /// Comma-separated values, for spreadsheets.
    Csv,
    /// ArcSight's Common Event Format, for event management.
    Cef,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Write to this file, made for its owner only; standard output where absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How entries are written.
    #[arg(long, value_enum, default_value = "jsonl")]
    format: ExportFormat,
    /// Only entries of this instant and later, RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only entries before this instant.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Only what this actor did: an account's or a host's id, system:NAME, nobody.
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Only this action, or all of a noun: `productOrder.`.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only what was done to this object.
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// Only what was done to things of this tenant.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Only with this outcome: done, refused, or refused: and a code.
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
}

pub fn run(command: AuditCommand, json: bool) -> ExitCode {
    let done = match command {
        AuditCommand::Verify(args) => verify(&args, json),
        AuditCommand::Prove(args) => prove(&args, json).map(|()| ExitCode::SUCCESS),
        AuditCommand::Export(args) => export(args, json).map(|()| ExitCode::SUCCESS),
        AuditCommand::Places(command) => audit_places::run(command, json).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        super::complain(&error, json);
        super::exit(&error)
    })
}

fn unreadable(path: &Path, e: &std::io::Error) -> Error {
    Error::invalid("file.unreadable", format!("cannot read {}: {e}", path.display()))
}

fn text_of(path: &Path) -> Result<String> {
    let size = std::fs::metadata(path).map_err(|e| unreadable(path, &e))?.len();
    if size > limits::PROOF_BYTES_MAX as u64 {
        let message = format!("{} is too large for a proof; hold a log against it with --against", path.display());
        return Err(Error::invalid("file.too_large", message));
    }
    std::fs::read_to_string(path).map_err(|e| unreadable(path, &e))
}

/// The text of the key that was named.
fn key(named: &str) -> Result<String> {
    // A key has two plus signs; the name of a file that does is not worth the doubt.
    match named.matches('+').count() {
        0 | 1 => text_of(named.as_ref()),
        _ => Ok(named.to_owned()),
    }
}

fn verify(args: &VerifyArgs, json: bool) -> Result<ExitCode> {
    let key = args.key.as_deref().map(key).transpose()?;
    match (&args.file, &args.data) {
        (Some(file), data) => verify_proof(file, key, data.as_deref(), args.from.as_deref(), json),
        (None, Some(data)) => verify_log(args, data, key.as_deref(), json),
        (None, None) => {
            Err(Error::invalid("verify.what", "say what to look at: --data DIR for a log, or the file of a proof"))
        }
    }
}

fn verify_log(args: &VerifyArgs, data: &Path, key: Option<&str>, json: bool) -> Result<ExitCode> {
    // Before the log: what it has since is no difference.
    let (mut kept, keys) = (Kept::default(), data.join("keys"));
    let location = DataArgs { data: data.to_owned(), database: args.database.clone() }.location();
    for named in &args.against {
        kept.join(match named.exists() {
            true => Kept::at(named)?,
            false => guard::shipping::kept_at(&location, &keys, &named.to_string_lossy())?,
        });
    }
    if !args.against.is_empty() && kept.notes.is_empty() {
        return Err(Error::invalid("audit.nothing_kept", "no checkpoint is in what --against names"));
    }
    let report = audit::verify_at(&location, &Verify { directory: Some(&keys), key, kept: Some(&kept) })?;
    if json {
        let mut found = serde_json::to_value(&report).unwrap_or_default();
        found["ok"] = report.is_good().into();
        show::json(&found);
    } else {
        println!("{report}");
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn verify_proof(
    file: &Path,
    key: Option<String>,
    data: Option<&Path>,
    from: Option<&Path>,
    json: bool,
) -> Result<ExitCode> {
    let key = match (key, data) {
        (Some(key), _) => VerifyingKey::read(&key)?,
        (None, Some(data)) => VerifyingKey::in_directory(&data.join("keys"))?,
        (None, None) => {
            return Err(Error::invalid("audit.key_absent", "say with --key which log's key must have signed it"));
        }
    };
    let (text, from) = (text_of(file)?, from.map(text_of).transpose()?);
    match audit::check(&text, &key, from.as_deref()) {
        Ok(shown) if json => {
            let mut found = serde_json::to_value(&shown).unwrap_or_default();
            found["ok"] = true.into();
            show::json(&found);
            Ok(ExitCode::SUCCESS)
        }
        Ok(shown) => {
            println!("{shown}");
            Ok(ExitCode::SUCCESS)
        }
        Err(e) if e.kind() == base::Kind::Conflict => {
            super::complain(&e, json);
            Ok(ExitCode::from(1))
        }
        Err(e) => Err(e),
    }
}

fn prove(args: &ProveArgs, json: bool) -> Result<()> {
    let (location, keys) = (args.data.location(), args.data.data.join("keys"));
    let proof = match (args.entry, &args.from) {
        (Some(entry), _) => audit::prove_at(&location, &keys, entry)?,
        (None, Some(from)) => audit::prove_growth_at(&location, &keys, &text_of(from)?)?,
        (None, None) => return Err(Error::invalid("prove.what", "say which entry, or --from which checkpoint")),
    };
    match &args.out {
        Some(path) => {
            std::fs::write(path, proof).map_err(|e| unwritable(path, &e))?;
            if json {
                show::json(&json!({ "file": path }));
            }
            Ok(())
        }
        None if json => {
            show::json(&json!({ "proof": proof }));
            Ok(())
        }
        None => std::io::stdout()
            .write_all(proof.as_bytes())
            .map_err(|e| Error::unavailable("export.cut_short", format!("the proof was cut short: {e}"))),
    }
}

fn export(args: ExportArgs, json: bool) -> Result<()> {
    let format = match args.format {
        ExportFormat::Jsonl => Format::JsonLines,
        ExportFormat::Csv => Format::Csv,
        ExportFormat::Cef => Format::Cef,
    };
    let filter = Filter {
        actor: args.actor,
        action: args.action,
        object: args.object,
        tenant: args.tenant,
        outcome: args.outcome,
        since: args.since,
        until: args.until,
    };
    let (what, location, keys) = ((filter, format), args.data.location(), args.data.data.join("keys"));
    let Some(path) = &args.out else { return export_at(&location, &keys, what, std::io::stdout()) };
    // Beside its place, then moved there: half an export must not be taken for one.
    let fresh = path.with_extension("part");
    let done = create(&fresh)
        .and_then(|file| export_at(&location, &keys, what, file))
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
