//! `yunwei backup`: where copies lie, by which rules, and what can be brought back.

use std::time::Duration;

use base::{Error, Result};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};

use super::backup_policies::Keep;
use super::client::{Client, known};
use super::show;

#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Places where copies lie.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei backup places ls
  yunwei backup places add near --folder hst_01m80h6wrtet7rkwawzsgh6gss:/srv/backups
  yunwei backup places change bkpl_01m80h6wrtet7rkwawzsgh6gss --name taichung"
    )]
    Places(super::backup_places::PlacesCommand),
    /// Policies: what, when, where to, for how long.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei backup policies ls
  yunwei backup policies add nightly --calendar 'daily 02:00' --daily 7 --weekly 5 --place bkpl_… --place bkpl_…
  yunwei backup policies preview bkpo_01m80h6wrtet7rkwawzsgh6gss --daily 3
  yunwei backup policies change bkpo_01m80h6wrtet7rkwawzsgh6gss --daily 3"
    )]
    Policies(super::backup_policies::PoliciesCommand),
    /// Data sets: files and databases that belong to a service.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei backup data-set ls svc_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup data-set add svc_01m80h6wrtet7rkwawzsgh6gss www --host hst_01m80h6wrtet7rkwawzsgh6gss --path /srv/www
  yunwei backup data-set restore dset_01m80h6wrtet7rkwawzsgh6gss --plan"
    )]
    DataSet(super::data_sets::DataSetCommand),
    /// Attach a policy to a service.
    #[command(after_help = "\
Examples:
  yunwei backup protect svc_01m80h6wrtet7rkwawzsgh6gss --policy bkpo_01m80h6wrtet7rkwawzsgh6gss")]
    Protect {
        /// The service's id.
        service: String,
        /// The policy's id.
        #[arg(long)]
        policy: String,
    },
    /// Choose a policy that is offered, for a service of yours that has none.
    #[command(after_help = "\
Examples:
  yunwei backup policies offered
  yunwei backup choose svc_01m80h6wrtet7rkwawzsgh6gss --policy bkpo_01m80h6wrtet7rkwawzsgh6gss")]
    Choose {
        /// The service's id.
        service: String,
        /// The policy's id.
        #[arg(long)]
        policy: String,
    },
    /// End the protection of a service: no further points are taken, those that are there stay.
    #[command(after_help = "\
Examples:
  yunwei backup unprotect svc_01m80h6wrtet7rkwawzsgh6gss

Nothing is let go by it, and nothing is taken any more: `yunwei backup ls SERVICE` shows what there is.
To change the policy, attach another one: `yunwei backup protect --help`.")]
    Unprotect {
        /// The service's id.
        service: String,
    },
    /// Look at every copy of a recovery point again, bring copies that it lacks, and wait for it.
    #[command(after_help = "\
Examples:
  yunwei backup check rpt_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup check rpt_01m80h6wrtet7rkwawzsgh6gss --no-wait --json

Exit status 5 where the point is not whole afterwards; the table says which copy and why.")]
    Check {
        /// The recovery point's id.
        point: String,
        /// Do not wait for it.
        #[arg(long)]
        no_wait: bool,
    },
    /// Have everything in a repository read and hashed, and wait for it: hours for a large one.
    #[command(after_help = "\
Examples:
  yunwei backup repositories                        which there are, and what is being read
  yunwei backup check-repository repo_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup check-repository repo_01m80h6wrtet7rkwawzsgh6gss --no-wait --json

Where it is being read already, by itself because damage was found or because somebody asked, it is not begun again:
you see since when and how far it is. Exit status 5 where it is not whole, or could not be read.")]
    CheckRepository {
        /// The repository's id.
        repository: String,
        /// Do not wait for it.
        #[arg(long)]
        no_wait: bool,
    },
    /// List backup repositories: one for each tenant and place that holds copies of its data.
    #[command(after_help = "\
Examples:
  yunwei backup repositories
  yunwei backup repositories --tenant ten_01m80h6wrtet7rkwawzsgh6gss --json")]
    Repositories {
        /// Whose; your own unless said otherwise.
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
    },
    /// Show what opens a repository with plain restic, so that you can always leave.
    #[command(after_help = "\
Examples:
  yunwei backup repositories                      which there are
  yunwei backup reveal-escrow repo_01m80h6wrtet7rkwawzsgh6gss --reason 'we move to a provider of our own'
  RESTIC_PASSWORD=$(yunwei backup reveal-escrow repo_01m80h6wrtet7rkwawzsgh6gss --reason 'yearly trial' --json | jq -r .password) \\
      restic --repo /srv/backups/ten_01m80h6wrtet7rkwawzsgh6gss snapshots

Owners and administrators may; each time is on the audit log, with the reason. Who has the password and can reach the
place reads everything in the repository.")]
    RevealEscrow {
        /// The repository's id.
        repository: String,
        /// Why: it stands on the audit log beside your name.
        #[arg(long)]
        reason: String,
    },
    /// Take a recovery point of a service now, and wait until every copy was looked at.
    #[command(after_help = "\
Examples:
  yunwei backup run svc_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup run svc_01m80h6wrtet7rkwawzsgh6gss --no-wait --json")]
    Run {
        /// The service's id.
        service: String,
        /// Do not wait for it.
        #[arg(long)]
        no_wait: bool,
    },
    /// List a service's recovery points, the newest first.
    #[command(after_help = "\
Examples:
  yunwei backup ls svc_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup ls svc_01m80h6wrtet7rkwawzsgh6gss --json | jq -r '.[0].takenAt'")]
    Ls {
        /// The service's id.
        service: String,
        /// Also those that were let go.
        #[arg(long)]
        all: bool,
    },
    /// Show a recovery point with its copies, or how well a service is protected.
    #[command(after_help = "\
Examples:
  yunwei backup show rpt_01m80h6wrtet7rkwawzsgh6gss     a recovery point
  yunwei backup show svc_01m80h6wrtet7rkwawzsgh6gss     a service: 3-2-1-1-0, digit by digit")]
    Show {
        /// The recovery point's id, or the service's.
        id: String,
    },
    /// Bring a service back from a recovery point, or a second machine beside it.
    #[command(after_help = "\
Examples:
  yunwei backup restore svc_01m80h6wrtet7rkwawzsgh6gss --plan     what it would do
  yunwei backup restore svc_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup restore rpt_01m80h6wrtet7rkwawzsgh6gss --host hst_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup restore svc_01m80h6wrtet7rkwawzsgh6gss --beside --json")]
    Restore(Box<super::restore::Restore>),
    /// Look into a recovery point, also inside of its disks, without restoring it.
    #[command(after_help = "\
Examples:
  yunwei backup browse rpt_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup browse rpt_01m80h6wrtet7rkwawzsgh6gss /machines/vm_1/root.raw/p1/etc")]
    Browse(super::browse::Browse),
    /// Fetch a file of a recovery point, or a directory as a tar archive, without restoring it.
    #[command(after_help = "\
Examples:
  yunwei backup fetch rpt_01m80h6wrtet7rkwawzsgh6gss /machines/vm_1/root.raw/p1/etc/fstab -o fstab
  yunwei backup fetch rpt_01m80h6wrtet7rkwawzsgh6gss /machines/vm_1/root.raw/p1/srv -o srv.tar")]
    Fetch(super::browse::Fetch),
    /// Show which points of a service its rules would let go, without letting any go.
    #[command(after_help = "\
Examples:
  yunwei backup preview svc_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup preview svc_01m80h6wrtet7rkwawzsgh6gss --last 3 --daily 7")]
    Preview {
        /// The service's id.
        service: String,
        /// Rules to try instead of the policy's own.
        #[command(flatten)]
        keep: Keep,
    },
}

pub fn run(command: BackupCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        BackupCommand::Places(command) => super::backup_places::run(&client, command, json),
        BackupCommand::Policies(command) => super::backup_policies::run(&client, command, json),
        BackupCommand::DataSet(command) => super::data_sets::run(&client, &command, json),
        BackupCommand::Protect { service, policy } => {
            let body = json!({ "policy": policy });
            protection(&client.post(&format!("/api/v1/services/{}/protection", known(&service)?), &body)?, json)
        }
        BackupCommand::Choose { service, policy } => {
            let at = format!("/api/v1/services/{}/protection/choose", known(&service)?);
            protection(&client.post(&at, &json!({ "policy": policy }))?, json)
        }
        BackupCommand::Unprotect { service } => {
            let at = format!("/api/v1/services/{}/protection/end", known(&service)?);
            protection(&client.post(&at, &json!({}))?, json)
        }
        BackupCommand::Check { point, no_wait } => {
            let begun = client.post(&format!("{}/check", path(&point)?), &json!({}))?;
            follow(&client, &begun, no_wait, json)
        }
        BackupCommand::CheckRepository { repository, no_wait } => read(&client, known(&repository)?, no_wait, json),
        BackupCommand::Repositories { tenant } => repositories(&client, tenant.as_deref(), json),
        BackupCommand::RevealEscrow { repository, reason } => {
            let at = format!("/api/v1/backup-repositories/{}/reveal-escrow", known(&repository)?);
            escrow(&client.post(&at, &json!({ "reason": reason }))?, json)
        }
        BackupCommand::Run { service, no_wait } => take(&client, known(&service)?, no_wait, json),
        BackupCommand::Ls { service, all } => list(&client, known(&service)?, all, json),
        BackupCommand::Show { id } if id.starts_with("rpt_") => point(&client.get(&path(&id)?)?, json),
        BackupCommand::Show { id } => {
            protection(&client.get(&format!("/api/v1/services/{}/protection", known(&id)?))?, json)
        }
        BackupCommand::Browse(what) => super::browse::browse(&client, &what, json),
        BackupCommand::Fetch(what) => super::browse::fetch(&client, &what, json),
        BackupCommand::Restore(wish) => super::restore::run(&client, &wish, json),
        BackupCommand::Preview { service, keep } => preview(&client, known(&service)?, keep, json),
    }
}

fn path(point: &str) -> Result<String> {
    Ok(format!("/api/v1/recovery-points/{}", known(point)?))
}

pub(super) fn items(page: &Json) -> Vec<Json> {
    page["items"].as_array().cloned().unwrap_or_default()
}

pub(super) fn made(what: &Json, json: bool) -> Result<()> {
    match json {
        true => show::json(what),
        false => println!("{}  {}", show::text(what, "id"), show::text(what, "name")),
    }
    Ok(())
}

fn list(client: &Client, service: &str, all: bool, json: bool) -> Result<()> {
    let page = client.get(&format!("/api/v1/services/{service}/recovery-points?limit=100&expired={all}"))?;
    let points = items(&page);
    if json {
        show::json(&Json::Array(points));
        return Ok(());
    }
    let row = |p: &Json| {
        let copies = copies(p);
        let whole = copies.iter().filter(|copy| copy["state"] == "verified").count();
        vec![
            show::text(p, "id"),
            show::time(p, "takenAt"),
            show::text(p, "state"),
            format!("{whole} of {}", copies.len()),
            show::text(p, "problem.message"),
        ]
    };
    show::table(
        &["id", "of", "state", "copies", "why"],
        points.iter().map(row).collect(),
        "No recovery points yet. Take one: `yunwei backup run SERVICE`.",
    );
    Ok(())
}

fn copies(point: &Json) -> Vec<Json> {
    let parts = point["parts"].as_array().cloned().unwrap_or_default();
    let named = |part: &Json| {
        let of = part["dataSet"]["name"].as_str().or(part["part"].as_str()).unwrap_or_default().to_owned();
        let copies = part["copies"].as_array().cloned().unwrap_or_default().into_iter();
        copies.map(move |mut copy| {
            copy["of"] = Json::String(of.clone());
            copy
        })
    };
    parts.iter().flat_map(named).collect()
}

fn point(point: &Json, json: bool) -> Result<()> {
    if json {
        show::json(point);
        return Ok(());
    }
    println!("{}  {}  of {}", show::text(point, "id"), show::text(point, "state"), show::time(point, "takenAt"));
    if point["problem"].is_object() {
        println!("  {} [{}]", show::text(point, "problem.message"), show::text(point, "problem.code"));
    }
    let row = |c: &Json| {
        vec![
            show::text(c, "of"),
            show::text(c, "placeName"),
            show::text(c, "state"),
            show::time(c, "checkedAt"),
            show::text(c, "snapshot").chars().take(8).collect(),
            show::text(c, "problem.message"),
        ]
    };
    show::table(
        &["of", "place", "state", "looked at", "snapshot", "why"],
        copies(point).iter().map(row).collect(),
        "No copies.",
    );
    Ok(())
}

fn protection(protected: &Json, json: bool) -> Result<()> {
    if json {
        show::json(protected);
        return Ok(());
    }
    let policy = show::text(protected, "policy.name");
    println!("{}  policy {policy}  next {}", show::text(protected, "service"), show::time(protected, "nextDue"));
    println!("newest point {} of {}", show::text(protected, "newest.id"), show::time(protected, "newest.takenAt"));
    let row = |d: &Json| {
        let evidence = d["evidence"].as_array().cloned().unwrap_or_default();
        let evidence: Vec<String> = evidence.iter().filter_map(Json::as_str).map(str::to_owned).collect();
        vec![
            show::text(d, "wanted"),
            show::text(d, "name"),
            show::text(d, "found"),
            show::text(d, "standing"),
            evidence.join(", "),
        ]
    };
    let digits = protected["digits"].as_array().cloned().unwrap_or_default();
    show::table(&["wanted", "of", "found", "", "evidence"], digits.iter().map(row).collect(), "");
    Ok(())
}

fn repositories(client: &Client, tenant: Option<&str>, json: bool) -> Result<()> {
    let of = tenant.map(known).transpose()?.map(|tenant| format!("?tenant={tenant}")).unwrap_or_default();
    let all = items(&client.get(&format!("/api/v1/backup-repositories{of}"))?);
    if json {
        show::json(&Json::Array(all));
        return Ok(());
    }
    let nothing = "No repositories yet. They are made with the first recovery point.";
    let head = ["id", "place", "made", "read whole", "escrow shown", "now"];
    show::table(&head, all.iter().map(row).collect(), nothing);
    Ok(())
}

fn row(repository: &Json) -> Vec<String> {
    vec![
        show::text(repository, "id"),
        show::text(repository, "placeName"),
        show::time(repository, "madeAt"),
        show::time(repository, "readAt"),
        show::time(repository, "revealedAt"),
        standing(repository),
    ]
}

/// What a repository is at, else what is wrong with it.
fn standing(repository: &Json) -> String {
    let reading = &repository["reading"];
    if reading.is_object() {
        let (since, progress) = (show::time(reading, "since"), &reading["progress"]);
        let share = |done: u64, total: u64| done.saturating_mul(100).checked_div(total);
        let share =
            progress["done"].as_u64().zip(progress["total"].as_u64()).and_then(|(done, total)| share(done, total));
        let share = share.map(|share| format!(" ({share} %)")).unwrap_or_default();
        return format!("being read since {since}{share}");
    }
    match repository["doubtedAt"].is_string() {
        true => format!("damage was found at {}", show::time(repository, "doubtedAt")),
        false => show::text(repository, "problem.message"),
    }
}

/// Has everything in a repository read, and says what came of it.
fn read(client: &Client, id: &str, no_wait: bool, json: bool) -> Result<()> {
    let begun = client.post(&format!("/api/v1/backup-repositories/{id}/check"), &json!({}))?;
    let tell = |one: &Json| match json {
        true => show::json(one),
        false => println!("{}  {}  {}", show::text(one, "id"), show::text(one, "placeName"), standing(one)),
    };
    if no_wait {
        tell(&begun);
        return Ok(());
    }
    let all = format!("/api/v1/backup-repositories?tenant={}", show::text(&begun, "tenant"));
    let gone = || Error::not_found("backupRepository.not_found", "the repository is not there any more");
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let ended = loop {
        let now = items(&client.get(&all)?).into_iter().find(|one| one["id"] == id).ok_or_else(gone)?;
        if !now["reading"].is_object() {
            break now;
        }
        bar.set_message(standing(&now));
        bar.tick();
        std::thread::sleep(Duration::from_secs(1));
    };
    bar.finish_and_clear();
    tell(&ended);
    match (ended["readAt"].as_str() >= begun["reading"]["since"].as_str(), ended["problem"]["message"].as_str()) {
        (true, _) => Ok(()),
        (false, problem) => {
            let why = problem.unwrap_or("damage was found meanwhile; it is read again by itself");
            Err(Error::conflict("backupRepository.not_whole", why.to_owned()))
        }
    }
}

fn escrow(told: &Json, json: bool) -> Result<()> {
    if json {
        show::json(told);
        return Ok(());
    }
    println!("place       {}", show::text(told, "placeName"));
    let at = ["location.path", "location.url", "location.endpoint"];
    let at = at.iter().map(|path| show::text(told, path)).find(|text| text != "–").unwrap_or_default();
    println!("at          {at}");
    println!("repository  {}", show::text(told, "name"));
    println!("password    {}", show::text(told, "password"));
    println!("Keep it where your keys are. Showing it was written on the audit log.");
    Ok(())
}

fn preview(client: &Client, service: &str, keep: Keep, json: bool) -> Result<()> {
    let body = json!({ "retention": keep.wished() });
    let table = client.post(&format!("/api/v1/services/{service}/protection/preview"), &body)?;
    if json {
        show::json(&table);
        return Ok(());
    }
    let row = |v: &Json| {
        let by = v["keptBy"].as_array().cloned().unwrap_or_default();
        let by: Vec<String> = by.iter().filter_map(Json::as_str).map(str::to_owned).collect();
        let by = if by.is_empty() { "goes".to_owned() } else { by.join(", ") };
        vec![show::text(v, "point"), show::time(v, "takenAt"), by]
    };
    show::table(&["point", "of", "kept by"], items(&table).iter().map(row).collect(), "No recovery points yet.");
    if table["letsGo"] == false {
        println!("Nothing goes for now: the newest good point is not there in every place.");
    }
    Ok(())
}

fn take(client: &Client, service: &str, no_wait: bool, json: bool) -> Result<()> {
    let begun = client.post(&format!("/api/v1/services/{service}/backup"), &json!({}))?;
    follow(client, &begun, no_wait, json)
}

/// Waits until a point is no longer worked on; fails where it is not whole then.
fn follow(client: &Client, begun: &Json, no_wait: bool, json: bool) -> Result<()> {
    if no_wait {
        return point(begun, json);
    }
    let id = show::text(begun, "id");
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    loop {
        let now = client.get(&path(&id)?)?;
        bar.set_message(doing(&now));
        bar.tick();
        let state = show::text(&now, "state");
        if state != "taking" {
            bar.finish_and_clear();
            point(&now, json)?;
            return match state.as_str() {
                "available" => Ok(()),
                _ => Err(Error::conflict("backup.not_available", format!("the recovery point is {state}"))),
            };
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What hosts are at, in a line: `copy 12.5 of 80.0 MiB`.
fn doing(point: &Json) -> String {
    let work = point["work"].as_array().cloned().unwrap_or_default();
    let open = |task: &&Json| matches!(task["state"].as_str(), Some("waiting" | "running"));
    let mib = |number: &Json| format!("{:.1}", number.as_u64().unwrap_or(0) as f64 / f64::from(1 << 20));
    let said = work.iter().filter(open).map(|task| {
        let (progress, what) = (&task["progress"], show::text(task, "what"));
        match (progress["bytes"] == true, progress["total"].is_number()) {
            (true, true) => format!("{what} {} of {} MiB", mib(&progress["done"]), mib(&progress["total"])),
            (true, false) => format!("{what} {} MiB", mib(&progress["done"])),
            (false, _) => what,
        }
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() { "under way".to_owned() } else { said.join(" · ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn work_is_told_in_a_line() {
        let mib = 1_u64 << 20;
        let work = json!({ "work": [
            { "what": "copy", "state": "running", "progress": { "bytes": true, "done": mib, "total": 80 * mib } },
            { "what": "check", "state": "waiting" },
            { "what": "backUp", "state": "succeeded", "progress": { "bytes": true, "done": 1, "total": 1 } },
        ] });
        assert_eq!(super::doing(&work), "copy 1.0 of 80.0 MiB · check");
        assert_eq!(super::doing(&json!({})), "under way");
    }
}
