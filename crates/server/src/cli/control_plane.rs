//! `yunwei control-plane`, `yunwei admin key-shares`, `yunwei recover`: the platform itself, kept
//! and brought back.

use std::fs;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::time::{Clock, Timestamp};
use base::{Error, Result};
use clap::{Args, Subcommand};
use continuity::control_plane::kit::Kit;
use continuity::control_plane::recover::{self, RECOVERED, Stage, Wanted};
use continuity::shares::{self, Share};
use gate::Cx;
use gate::audit::Verify;
use gate::keys::{Keys, MasterKey};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};
use vault::client::Cancel;

use super::client::Client;
use super::{DataArgs, show};
use crate::app::{self, Folder};

#[derive(Debug, Subcommand)]
pub enum ControlPlaneCommand {
    /// Show how the platform is kept: policy, newest copies, recovery kit.
    #[command(after_help = "\
Examples:
  yunwei control-plane show
  yunwei control-plane show --json | jq .ageSeconds")]
    Show,
    /// Have the platform backed up by a policy whose places are repository servers and buckets.
    #[command(after_help = "\
Examples:
  yunwei control-plane protect --policy bkpo_01m80h6wrtet7rkwawzsgh6gss")]
    Protect {
        /// The policy's id.
        #[arg(long, value_name = "ID")]
        policy: String,
    },
    /// Take a copy of the platform now, and wait until it was looked at in every place.
    #[command(after_help = "\
Examples:
  yunwei control-plane backup
  yunwei control-plane backup --no-wait --json | jq -r .id")]
    Backup {
        /// Do not wait.
        #[arg(long)]
        no_wait: bool,
    },
    /// Write the recovery kit: where copies lie, sealed with the master key. Keep it off this machine.
    ///
    /// Without shares of the master key it opens nothing. Make a new one when places or their
    /// credentials change.
    #[command(after_help = "\
Examples:
  yunwei control-plane kit --out recovery-kit.json
  yunwei control-plane kit > /media/usb/recovery-kit.json")]
    Kit {
        /// The file, made for its owner only; standard output where absent.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub struct SharesArgs {
    #[command(flatten)]
    data: DataArgs,
    /// How many shares there are.
    #[arg(long, default_value_t = 5, value_name = "N")]
    shares: u8,
    /// How many of them bring the key back.
    #[arg(long, default_value_t = 3, value_name = "K")]
    threshold: u8,
    /// Write each to a file of its own in this directory, instead of to standard output.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RecoverArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The recovery kit.
    #[arg(long, value_name = "FILE")]
    kit: PathBuf,
    /// A file with a share of the master key, once for each; they are asked for where none is named.
    #[arg(long, value_name = "FILE")]
    share: Vec<PathBuf>,
    /// Ask this place only, by its name in the kit.
    #[arg(long, value_name = "NAME")]
    place: Option<String>,
    /// Take nothing newer than this instant, RFC 3339: for when what came later is known to be bad.
    #[arg(long, value_name = "TIME")]
    not_after: Option<Timestamp>,
}

pub fn run(command: ControlPlaneCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        ControlPlaneCommand::Show => shown(&client.get(ADDRESS)?, json),
        ControlPlaneCommand::Protect { policy } => {
            shown(&client.post(&format!("{ADDRESS}/protect"), &json!({ "policy": policy }))?, json)
        }
        ControlPlaneCommand::Backup { no_wait } => backup(&client, no_wait, json),
        ControlPlaneCommand::Kit { out } => kit(&client, out.as_deref(), json),
    }
}

const ADDRESS: &str = "/api/v1/control-plane";

fn shown(state: &Json, json: bool) -> Result<()> {
    if json {
        show::json(state);
        return Ok(());
    }
    if state["policy"].is_null() {
        println!("The platform itself is not backed up. `yunwei control-plane protect --policy ID` changes that.");
        return Ok(());
    }
    println!("policy {}  next {}", show::text(state, "policy.name"), show::time(state, "nextDue"));
    match state["ageSeconds"].as_i64() {
        Some(age) => println!("newest copy {age} s old: that much would be lost now"),
        None => println!("nothing could be brought back yet"),
    }
    if state["kitIsOld"] == true {
        println!("The recovery kit is missing or out of date: `yunwei control-plane kit --out FILE`.");
    }
    let rows = state["points"].as_array().cloned().unwrap_or_default();
    let row = |p: &Json| {
        let copies = p["copies"].as_array().cloned().unwrap_or_default();
        let whole = copies.iter().filter(|copy| copy["state"] == "verified").count();
        vec![
            show::text(p, "id"),
            show::time(p, "takenAt"),
            show::text(p, "state"),
            format!("{whole} of {}", copies.len()),
            show::text(p, "problem.message"),
        ]
    };
    show::table(&["id", "of", "state", "copies", "why"], rows.iter().map(row).collect(), "No copies yet.");
    Ok(())
}

fn spinner(json: bool) -> ProgressBar {
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    bar
}

fn backup(client: &Client, no_wait: bool, json: bool) -> Result<()> {
    let begun = client.post(&format!("{ADDRESS}/backup"), &json!({}))?;
    let (id, bar) = (show::text(&begun, "id"), spinner(json || no_wait));
    let mut now = begun;
    while !no_wait && now["state"] == "taking" {
        let copies = now["copies"].as_array().cloned().unwrap_or_default();
        let done = copies.iter().filter(|copy| copy["state"] != "pending").count();
        bar.set_message(format!("copy {} of {}", (done + 1).min(copies.len()), copies.len()));
        bar.tick();
        std::thread::sleep(Duration::from_millis(300));
        now = client.get(&format!("{ADDRESS}/points/{id}"))?;
    }
    bar.finish_and_clear();
    match json {
        true => show::json(&now),
        false => println!("{id}  {}  of {}", show::text(&now, "state"), show::time(&now, "takenAt")),
    }
    match now["state"].as_str() {
        Some("taking" | "available") => Ok(()),
        state => {
            let why = show::text(&now, "problem.message");
            let message = format!("the copy of the platform is {}: {why}", state.unwrap_or("gone"));
            Err(Error::conflict("backup.not_available", message))
        }
    }
}

/// Written for its owner only, and whole or not at all.
fn keep(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let fault = |e| Error::unavailable("file.unwritable", format!("cannot write {}: {e}", path.display()));
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path).map_err(fault)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fault)
}

fn kit(client: &Client, out: Option<&Path>, json: bool) -> Result<()> {
    let made = || {
        let kit = client.post(&format!("{ADDRESS}/kit"), &json!({}))?;
        Ok::<_, Error>(serde_json::to_string_pretty(&kit).unwrap_or_default() + "\n")
    };
    let Some(path) = out else {
        print!("{}", made()?);
        return Ok(());
    };
    // The file first: a kit counts as made once the server has given it.
    keep(path, "")?;
    let fault = |e| Error::unavailable("file.unwritable", format!("cannot write {}: {e}", path.display()));
    if let Err(e) = made().and_then(|text| fs::write(path, text).map_err(fault)) {
        let _ = fs::remove_file(path);
        return Err(e);
    }
    match json {
        true => show::json(&json!({ "file": path })),
        false => println!("The kit is in {}. Keep it where this machine's fate does not reach.", path.display()),
    }
    Ok(())
}

/// Splits the master key.
pub fn key_shares(args: &SharesArgs, json: bool) -> Result<()> {
    let keys = args.data.data.join("keys");
    if !keys.join("master.key").is_file() {
        let message = format!("{} holds no master key; it is made when the server first starts", keys.display());
        return Err(Error::not_found("master.absent", message));
    }
    let all = shares::split(&Keys::read(&keys)?, args.threshold, args.shares)?;
    let printed: Vec<String> = all.iter().map(Share::print).collect::<Result<_>>()?;
    let page = |share: &Share, text: &str| {
        format!(
            "yunwei: share {} of {} of the master key {}\n\n  {text}\n\n{} shares bring the key back, fewer tell nothing. With the recovery kit:\n  yunwei recover --data DIR --kit recovery-kit.json\nWhoever holds this gives it to nobody and keeps it from fire and water.\n",
            share.number(),
            args.shares,
            share.set(),
            share.threshold()
        )
    };
    if let Some(folder) = &args.out {
        let fault = |e| Error::unavailable("file.unwritable", format!("cannot make {}: {e}", folder.display()));
        fs::create_dir_all(folder).map_err(fault)?;
        for (share, text) in all.iter().zip(&printed) {
            keep(&folder.join(format!("share-{}.txt", share.number())), &page(share, text))?;
        }
    }
    match (json, &args.out) {
        (true, Some(folder)) => {
            show::json(&json!({ "folder": folder, "shares": args.shares, "threshold": args.threshold }))
        }
        (true, None) => show::json(&json!({ "threshold": args.threshold, "shares": printed })),
        (false, Some(folder)) => {
            println!(
                "{} shares are in {}. Print each, give it to its person, and remove the files.",
                args.shares,
                folder.display()
            );
        }
        (false, None) => {
            // A form feed: each is a page of its own on a printer.
            let pages: Vec<String> = all.iter().zip(&printed).map(|(share, text)| page(share, text)).collect();
            print!("{}", pages.join("\u{c}\n"));
        }
    }
    Ok(())
}

/// The share in a text: a page as it was printed, or the line alone.
fn find_share(text: &str) -> Result<Share> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let found =
        lines.iter().filter(|line| line.len() > 40 && !line.contains(' ')).find_map(|line| Share::read(line).ok());
    found.map_or_else(|| Share::read(&lines.join("")), Ok)
}

fn master(args: &RecoverArgs, json: bool) -> Result<MasterKey> {
    match args.share.as_slice() {
        [] => shares::join(&typed(json)?),
        files => joined(files),
    }
}

/// The master key that shares in files make.
pub(super) fn joined(files: &[PathBuf]) -> Result<MasterKey> {
    let mut held: Vec<Share> = Vec::new();
    for path in files {
        let fault = |e| Error::invalid("share.file", format!("cannot read {}: {e}", path.display()));
        held.push(find_share(&fs::read_to_string(path).map_err(fault)?)?);
    }
    shares::join(&held)
}

/// A recovery kit in a file.
pub(super) fn kept(path: &Path) -> Result<Kit> {
    let fault = |e| Error::invalid("kit.file", format!("cannot read {}: {e}", path.display()));
    Kit::read(&fs::read_to_string(path).map_err(fault)?)
}

/// Shares that people type, one line each, until there are enough.
fn typed(json: bool) -> Result<Vec<Share>> {
    let (mut held, input) = (Vec::<Share>::new(), std::io::stdin());
    let ask = |held: &[Share]| {
        if !json && input.is_terminal() {
            let needed = held.first().map_or_else(String::new, |share| format!(" of {}", share.threshold()));
            eprint!("Share {}{needed}: ", held.len() + 1);
        }
    };
    ask(&held);
    for line in input.lock().lines() {
        let line = line.map_err(|e| Error::invalid("share.file", format!("cannot read the shares: {e}")))?;
        if line.trim().is_empty() {
            continue;
        }
        match Share::read(line.trim()) {
            Ok(share) => held.push(share),
            // A person tries again; a script is told.
            Err(e) if input.is_terminal() => eprintln!("yunwei: {e}"),
            Err(e) => return Err(e),
        }
        if held.first().is_some_and(|share| held.len() >= usize::from(share.threshold())) {
            break;
        }
        ask(&held);
    }
    Ok(held)
}

/// Brings an installation back on an empty machine.
pub fn recover(args: &RecoverArgs, json: bool) -> Result<()> {
    let kit = kept(&args.kit)?;
    let (master, location) = (master(args, json)?, args.data.location());
    let wanted = Wanted {
        data: &args.data.data,
        database: &location,
        kit: &kit,
        master: &master,
        place: args.place.as_deref(),
        not_after: args.not_after,
        point: None,
        program: &vault::client::program(),
        cancel: &Cancel::new(),
    };
    let bar = spinner(json);
    bar.enable_steady_tick(Duration::from_millis(200));
    let recovered = recover::recover(&wanted, &mut |stage| told(&bar, stage))?;
    bar.set_message("checking the audit log");
    let keys = args.data.data.join("keys");
    let report = gate::audit::verify_at(&location, &Verify { directory: Some(&keys), ..Verify::default() })?;
    Folder::open(&args.data.data)?;
    let gate = app::open_gate(&location, Clock::System)?;
    let system = Cx::system("recover", gate.operator()?);
    gate.run(&system, &RECOVERED, recovered.clone())?;
    bar.finish_and_clear();
    if json {
        let mut all = serde_json::to_value(&recovered).unwrap_or_default();
        all["audit"] = json!({ "entries": report.entries, "verified": report.is_good() });
        show::json(&all);
    } else {
        println!("{} is back as of {}, from {}.", kit.installation, recovered.taken_at, recovered.place);
        println!("{report}");
        println!("Next: yunwei serve --data {}", args.data.data.display());
        println!("      then look at Hosts: machines that were made or removed since are shown there.");
    }
    match report.is_good() {
        true => Ok(()),
        false => Err(Error::conflict(
            "recover.audit",
            "the audit log in this copy is not as it was written; take an older copy: --not-after",
        )),
    }
}

fn told(bar: &ProgressBar, stage: Stage) {
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    match stage {
        Stage::Asking(place) => bar.set_message(format!("asking {place}")),
        Stage::Away(place, e) => bar.println(format!("{place}: {}", e.message())),
        Stage::Damaged(place, e) => bar.println(format!("{place}: {}; the next copy is tried", e.message())),
        Stage::Bringing(of, place) => bar.set_message(format!("bringing the copy of {of} from {place}")),
        Stage::Brought(done, Some(total)) => bar.set_message(format!("{} of {} MiB", mib(done), mib(total))),
        Stage::Brought(done, None) => bar.set_message(format!("{} MiB", mib(done))),
        Stage::Database => bar.set_message("making the database"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_found_on_its_page_and_alone() {
        let all = shares::split(&[9; 32], 2, 3).unwrap();
        let text = all[1].print().unwrap();
        let page =
            format!("yunwei: share 2 of 3 of the master key 0123456789ab\n\n  {text}\n\n2 shares bring the key back\n");
        for written in [page, text.clone(), format!("{}\n{}\n", &text[..30], &text[30..])] {
            assert_eq!(find_share(&written).unwrap().number(), all[1].number(), "{written}");
        }
        assert!(find_share("nothing of the kind").is_err());
    }
}
