//! `yunwei backup`: where copies lie, by which rules, and what can be brought back.

use std::path::PathBuf;
use std::time::Duration;

use base::{Error, Result};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value as Json, json};

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
  yunwei backup places add near --folder hst_01m80h6wrtet7rkwawzsgh6gss:/srv/backups"
    )]
    Places(PlacesCommand),
    /// Policies: what, when, where to, for how long.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei backup policies ls
  yunwei backup policies add nightly --calendar 'daily 02:00' --daily 7 --weekly 5 --place bkpl_… --place bkpl_…"
    )]
    Policies(PoliciesCommand),
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

#[derive(Debug, Subcommand)]
pub enum PlacesCommand {
    /// List places.
    #[command(after_help = "\
Examples:
  yunwei backup places ls")]
    Ls,
    /// Make a place: a directory of a host, a repository server or a bucket.
    #[command(after_help = "\
Examples:
  yunwei backup places add near --folder hst_01m80h6wrtet7rkwawzsgh6gss:/srv/backups
  yunwei backup places add far --server https://backup.example.com:8430 --site elsewhere --immutability append-only
  yunwei backup places add next --server https://10.0.0.8:8430 --on hst_01m80h6wrtet7rkwawzsgh6gss --immutability append-only
  yunwei backup places add cloud --endpoint https://s3.example.com --bucket copies --region tw-1 --site elsewhere")]
    Add(Box<NewPlace>),
    /// Keep what lets one in at a server or bucket; the secret is read from a file.
    #[command(after_help = "\
Examples:
  yunwei backup places credential bkpl_01m80h6wrtet7rkwawzsgh6gss --role append --name acme --secret-file secret
  yunwei backup places credential bkpl_01m80h6wrtet7rkwawzsgh6gss --role maintain --name acme-prune --secret-file other \\
      --tenant ten_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup places credential bkpl_01m80h6wrtet7rkwawzsgh6gss --role append --name platform --secret-file third --control-plane")]
    Credential {
        /// The place's id.
        id: String,
        /// What it lets one do.
        #[arg(long, value_enum)]
        role: Role,
        /// Its name, or the access key.
        #[arg(long)]
        name: String,
        /// A file with its secret.
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        /// The tenant whose repository it is for; all that have none of their own by default.
        #[arg(long, conflicts_with = "control_plane")]
        tenant: Option<String>,
        /// It is for the platform's own repository, `control-plane`.
        #[arg(long)]
        control_plane: bool,
    },
    /// Begin anew at a place where nothing is whole any more: its repositories are made again, and copies
    /// brought there from the other places. Move away first what still lies there.
    #[command(after_help = "\
Examples:
  yunwei backup places renew bkpl_01m80h6wrtet7rkwawzsgh6gss")]
    Renew {
        /// The place's id.
        id: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Role {
    /// Read and add: hosts get it while they work.
    Append,
    /// Remove as well: for this platform's own scheduler; no host is given it.
    Maintain,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Immutability {
    /// Nothing.
    None,
    /// The server lets writers add and not remove.
    AppendOnly,
    /// The storage keeps each object until its time has come.
    ObjectLock,
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(group = ArgGroup::new("where").required(true).args(["folder", "server", "endpoint"]))]
pub struct NewPlace {
    /// Its name.
    name: String,
    /// A directory of a host, HOST:PATH: for the machines that stand there.
    #[arg(long, value_name = "HOST:PATH")]
    folder: Option<String>,
    /// A server that speaks restic's REST protocol, such as yunwei-repository.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// S3-compatible object storage.
    #[arg(long, value_name = "URL", requires = "bucket", requires = "region")]
    endpoint: Option<String>,
    /// The bucket, which must be there.
    #[arg(long, requires = "endpoint")]
    bucket: Option<String>,
    /// Where in the bucket.
    #[arg(long, default_value = "", requires = "endpoint")]
    prefix: String,
    /// The region, in the provider's words.
    #[arg(long, requires = "endpoint")]
    region: Option<String>,
    /// The bucket is a part of the host's name, as AWS wants it.
    #[arg(long, requires = "endpoint")]
    virtual_hosted: bool,
    /// The authority that the server's certificate comes from, where it is your own (PEM).
    #[arg(long, value_name = "FILE")]
    authority: Option<PathBuf>,
    /// The site that it stands at, or `elsewhere`. What stands on a host of ours stands where that does.
    #[arg(long)]
    site: Option<String>,
    /// The host that the server runs on, where it is one of ours: copies there are lost with it.
    #[arg(long, value_name = "HOST", conflicts_with = "folder")]
    on: Option<String>,
    /// What keeps copies there from being changed.
    #[arg(long, value_enum)]
    immutability: Option<Immutability>,
}

#[derive(Debug, Subcommand)]
pub enum PoliciesCommand {
    /// List policies.
    #[command(after_help = "\
Examples:
  yunwei backup policies ls")]
    Ls,
    /// Make a policy.
    #[command(after_help = "\
Examples:
  yunwei backup policies add nightly --calendar 'daily 02:00' --time-zone Asia/Taipei --jitter 60 \\
      --daily 7 --weekly 5 --monthly 12 --place bkpl_01m80h6wrtet7rkwawzsgh6gss --place bkpl_01m80h6wrtet7rkwawzsgh6gst")]
    Add(Box<NewPolicy>),
}

#[derive(Debug, Args)]
pub struct NewPolicy {
    /// Its name; a service specification's characteristic `backupPolicy` means it.
    name: String,
    /// `hourly :15`, `daily 02:00`, `weekly sun 02:00` or `monthly 1 02:00`.
    #[arg(long)]
    calendar: String,
    /// Spread services over so many minutes.
    #[arg(long, default_value_t = 0, value_name = "MINUTES")]
    jitter: u32,
    /// The time zone that the calendar is read in.
    #[arg(long, default_value = "UTC", value_name = "NAME")]
    time_zone: String,
    /// What is backed up: machines' disks, data sets, or both.
    #[arg(long, value_enum, default_value = "machine-disks")]
    what: What,
    /// How many points are kept; all of them where no rule is named.
    #[command(flatten)]
    keep: Keep,
    /// A place; twice at the least. The first is written, the others are copied from it.
    #[arg(long = "place", required = true, value_name = "ID")]
    places: Vec<String>,
    /// How long what no point holds any more stays recoverable, in hours.
    #[arg(long, default_value_t = 72, value_name = "HOURS")]
    prune_delay: u32,
}

/// What a policy backs up.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum What {
    /// All disks of each machine.
    MachineDisks,
    /// The service's data sets.
    DataSets,
    /// Both.
    Everything,
}

/// Rules of retention.
#[derive(Debug, Clone, Copy, Args)]
pub struct Keep {
    /// Keep the newest so many.
    #[arg(long, default_value_t = 0)]
    last: u32,
    /// Keep one of each of the newest so many hours.
    #[arg(long, default_value_t = 0)]
    hourly: u32,
    /// … days.
    #[arg(long, default_value_t = 0)]
    daily: u32,
    /// … weeks.
    #[arg(long, default_value_t = 0)]
    weekly: u32,
    /// … months.
    #[arg(long, default_value_t = 0)]
    monthly: u32,
    /// … years.
    #[arg(long, default_value_t = 0)]
    yearly: u32,
}

impl Keep {
    fn json(self) -> Json {
        let Keep { last, hourly, daily, weekly, monthly, yearly } = self;
        json!({ "last": last, "hourly": hourly, "daily": daily, "weekly": weekly, "monthly": monthly, "yearly": yearly })
    }

    fn is_empty(self) -> bool {
        self.json().as_object().is_none_or(|rules| rules.values().all(|number| number == 0))
    }
}

pub fn run(command: BackupCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        BackupCommand::Places(PlacesCommand::Ls) => places(&client, json),
        BackupCommand::Places(PlacesCommand::Add(new)) => made(&client.post(PLACES, &place(&new)?)?, json),
        BackupCommand::Places(PlacesCommand::Credential { id, role, name, secret_file, tenant, control_plane }) => {
            let secret = read(&secret_file)?;
            let role = match role {
                Role::Append => "append",
                Role::Maintain => "maintain",
            };
            let body = json!({ "role": role, "name": name, "secret": secret.trim_end(), "tenant": tenant, "controlPlane": control_plane });
            made(&client.post(&format!("{PLACES}/{}/credential", known(&id)?), &body)?, json)
        }
        BackupCommand::Places(PlacesCommand::Renew { id }) => {
            made(&client.post(&format!("{PLACES}/{}/renew", known(&id)?), &json!({}))?, json)
        }
        BackupCommand::Policies(PoliciesCommand::Ls) => policies(&client, json),
        BackupCommand::Policies(PoliciesCommand::Add(new)) => made(&client.post(POLICIES, &policy(&new))?, json),
        BackupCommand::DataSet(command) => super::data_sets::run(&client, &command, json),
        BackupCommand::Protect { service, policy } => {
            let body = json!({ "policy": policy });
            protection(&client.post(&format!("/api/v1/services/{}/protection", known(&service)?), &body)?, json)
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

const PLACES: &str = "/api/v1/backup-places";
const POLICIES: &str = "/api/v1/backup-policies";

fn path(point: &str) -> Result<String> {
    Ok(format!("/api/v1/recovery-points/{}", known(point)?))
}

fn read(file: &PathBuf) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|e| Error::invalid("file.unreadable", format!("cannot read {}: {e}", file.display())))
}

fn items(page: &Json) -> Vec<Json> {
    page["items"].as_array().cloned().unwrap_or_default()
}

fn made(what: &Json, json: bool) -> Result<()> {
    match json {
        true => show::json(what),
        false => println!("{}  {}", show::text(what, "id"), show::text(what, "name")),
    }
    Ok(())
}

fn place(new: &NewPlace) -> Result<Json> {
    let authority = new.authority.as_ref().map(read).transpose()?;
    let location = match (&new.folder, &new.server) {
        (Some(folder), _) => {
            let (host, path) = folder.split_once(':').ok_or_else(|| {
                Error::invalid("folder.malformed", "a directory is named HOST:PATH, with the host's id").at("--folder")
            })?;
            json!({ "type": "folder", "host": host, "path": path })
        }
        (None, Some(url)) => json!({ "type": "server", "url": url, "authority": authority }),
        (None, None) => json!({
            "type": "bucket", "endpoint": new.endpoint, "bucket": new.bucket, "prefix": new.prefix,
            "region": new.region, "virtualHosted": new.virtual_hosted, "authority": authority,
        }),
    };
    let immutability = new.immutability.map(|one| match one {
        Immutability::None => "none",
        Immutability::AppendOnly => "appendOnly",
        Immutability::ObjectLock => "objectLock",
    });
    Ok(json!({
        "name": new.name, "location": location, "site": new.site, "host": new.on, "immutability": immutability,
    }))
}

fn policy(new: &NewPolicy) -> Json {
    let what = match new.what {
        What::MachineDisks => "machineDisks",
        What::DataSets => "dataSets",
        What::Everything => "everything",
    };
    json!({
        "name": new.name,
        "what": what,
        "schedule": { "calendar": new.calendar, "jitterMinutes": new.jitter, "timeZone": new.time_zone },
        "retention": new.keep.json(),
        "places": new.places,
        "pruneDelayHours": new.prune_delay,
    })
}

fn places(client: &Client, json: bool) -> Result<()> {
    let all = items(&client.get(PLACES)?);
    if json {
        show::json(&Json::Array(all));
        return Ok(());
    }
    let row = |p: &Json| {
        let at = ["location.path", "location.url", "location.endpoint"];
        let at = at.iter().map(|path| show::text(p, path)).find(|text| text != "–").unwrap_or_default();
        vec![show::text(p, "id"), show::text(p, "name"), at, show::text(p, "site"), show::text(p, "immutability")]
    };
    show::table(
        &["id", "name", "where", "site", "immutability"],
        all.iter().map(row).collect(),
        "No places for copies yet. Make two: `yunwei backup places add --help`.",
    );
    Ok(())
}

fn policies(client: &Client, json: bool) -> Result<()> {
    let all = items(&client.get(POLICIES)?);
    if json {
        show::json(&Json::Array(all));
        return Ok(());
    }
    let row = |p: &Json| {
        let places = p["places"].as_array().map_or(0, Vec::len);
        vec![
            show::text(p, "id"),
            show::text(p, "name"),
            show::text(p, "schedule.calendar"),
            show::text(p, "schedule.timeZone"),
            rules(&p["retention"]),
            places.to_string(),
        ]
    };
    show::table(
        &["id", "name", "when", "time zone", "keeps", "places"],
        all.iter().map(row).collect(),
        "No backup policies yet. Make one: `yunwei backup policies add --help`.",
    );
    Ok(())
}

/// `7 daily, 5 weekly`.
fn rules(retention: &Json) -> String {
    let empty = Map::new();
    let rules = retention.as_object().unwrap_or(&empty);
    let order = ["last", "hourly", "daily", "weekly", "monthly", "yearly"];
    let said = order.iter().filter_map(|rule| {
        let number = rules.get(*rule)?.as_u64().filter(|number| *number > 0)?;
        Some(format!("{number} {rule}"))
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() { "everything".to_owned() } else { said.join(", ") }
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

fn preview(client: &Client, service: &str, keep: Keep, json: bool) -> Result<()> {
    let body = if keep.is_empty() { json!({}) } else { json!({ "retention": keep.json() }) };
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
    if no_wait {
        return point(&begun, json);
    }
    let id = show::text(&begun, "id");
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

    #[test]
    fn rules_are_told_in_a_line() {
        assert_eq!(super::rules(&json!({ "weekly": 5, "daily": 7, "last": 0 })), "7 daily, 5 weekly");
        assert_eq!(super::rules(&json!({})), "everything");
    }
}
