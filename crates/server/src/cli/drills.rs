//! `yunwei drill`: services really brought back, measured, and held against what was promised.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::time::Clock;
use base::{Error, Result};
use clap::{Args, Subcommand, ValueEnum};
use continuity::control_plane::brought::{self, Brought, Shares};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::control_plane::{joined, kept};
use super::show;

#[derive(Debug, Subcommand)]
pub enum DrillCommand {
    /// Plans: what comes back when what is lost, how fast, how often.
    #[command(
        subcommand,
        after_help = "\
Examples:
  yunwei drill plans ls
  yunwei drill plans create quarterly --service svc_… --scenario host-lost --rto 1h --rpo 1d --owner 'Ops'"
    )]
    Plans(PlansCommand),
    /// Drill a plan now, and wait until it was judged. Exit status 0 only where it passed.
    #[command(after_help = "\
Examples:
  yunwei drill run drpl_01m80h6wrtet7rkwawzsgh6gss
  yunwei drill run drpl_01m80h6wrtet7rkwawzsgh6gss --bad-after 2026-11-01T00:00:00+08:00
  yunwei drill run drpl_01m80h6wrtet7rkwawzsgh6gss --share share-1.txt --share share-4.txt --share share-5.txt \\
      --kit recovery-kit.json
  yunwei drill run drpl_01m80h6wrtet7rkwawzsgh6gss --no-wait --json")]
    Run {
        /// The plan's id.
        plan: String,
        /// What was taken after this instant is bad; as the plan says by default.
        #[arg(long, value_name = "TIME")]
        bad_after: Option<String>,
        /// For the control plane: a file with a share of the master key, once for each. They are put
        /// together here; what is sent only shows that they make the key.
        #[arg(long, value_name = "FILE")]
        share: Vec<PathBuf>,
        /// For the control plane: the recovery kit that you keep; it must lead to the copies as they are now.
        #[arg(long, value_name = "FILE")]
        kit: Option<PathBuf>,
        /// Do not wait for it.
        #[arg(long)]
        no_wait: bool,
    },
    /// List drills, the newest first.
    #[command(after_help = "\
Examples:
  yunwei drill ls
  yunwei drill ls --plan drpl_01m80h6wrtet7rkwawzsgh6gss --json | jq -r '.[0].state'")]
    Ls {
        /// Only of this plan.
        #[arg(long)]
        plan: Option<String>,
    },
    /// Show a drill: each phase of each service, beside what was promised.
    #[command(after_help = "\
Examples:
  yunwei drill show drun_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The drill's id.
        id: String,
    },
    /// Stop a drill that is on its way: what was made for it is taken away, and it has neither passed nor failed.
    #[command(after_help = "\
Examples:
  yunwei drill stop drun_01m80h6wrtet7rkwawzsgh6gss --reason 'The disk is needed for a real restore'")]
    Stop {
        /// The drill's id.
        id: String,
        /// Why. It is kept with the drill and in its evidence.
        #[arg(long)]
        reason: String,
    },
    /// List what drills found that must be put right.
    #[command(after_help = "\
Examples:
  yunwei drill actions
  yunwei drill actions --all")]
    Actions {
        /// Also what was put right.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum PlansCommand {
    /// List plans.
    #[command(after_help = "\
Examples:
  yunwei drill plans ls")]
    Ls,
    /// Show a plan.
    #[command(after_help = "\
Examples:
  yunwei drill plans show drpl_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The plan's id.
        id: String,
    },
    /// Make a plan.
    #[command(after_help = "\
Examples:
  yunwei drill plans create quarterly --service svc_01m80h6wrtet7rkwawzsgh6gss --scenario host-lost \\
      --rto 1h --rpo 1d --owner 'Operations' --calendar 'monthly 1 03:00' --negative-every 3
  yunwei drill plans create encrypted --service svc_01m80h6wrtet7rkwawzsgh6gss --scenario ransomware \\
      --unnoticed 2d --rto 4h --rpo 3d --owner 'Operations'
  yunwei drill plans create dropped --service svc_01m80h6wrtet7rkwawzsgh6gss --scenario database-lost \\
      --database dset_01m80h6wrtet7rkwawzsgh6gss:shop:public.orders.placed_at --rto 1h --rpo 1d --owner 'Operations'
  yunwei drill plans create south --site site_01m80h6wrtet7rkwawzsgh6gss --scenario site-lost \\
      --rto 8h --rpo 1d --owner 'Operations'
  yunwei drill plans create other-copy --service svc_01m80h6wrtet7rkwawzsgh6gss --scenario backup-server-lost \\
      --lost-place bkpl_01m80h6wrtet7rkwawzsgh6gss --rto 1h --rpo 1d --owner 'Operations'
  yunwei drill plans create platform --control-plane --place bkpl_01m80h6wrtet7rkwawzsgh6gss \\
      --rto 1h --rpo 2h --owner 'Operations' --calendar 'monthly 1 03:00'")]
    Create(Box<NewPlan>),
    /// Change what a plan promises, when it runs, who sees to it, or where the newest record is read.
    #[command(after_help = "\
Examples:
  yunwei drill plans update drpl_01m80h6wrtet7rkwawzsgh6gss --rto 30m --rpo 4h
  yunwei drill plans update drpl_01m80h6wrtet7rkwawzsgh6gss --calendar 'weekly sun 03:00' --time-zone Asia/Taipei")]
    Update(ChangePlan),
    /// End a plan: its runs and their evidence stay, its open corrective actions are withdrawn.
    #[command(after_help = "\
Examples:
  yunwei drill plans end drpl_01m80h6wrtet7rkwawzsgh6gss")]
    End {
        /// The plan's id.
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct ChangePlan {
    /// The plan's id.
    id: String,
    /// Its new name.
    #[arg(long)]
    name: Option<String>,
    /// Longest time from the incident until every service answers: 90s, 15m, 4h, 2d.
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "rpo")]
    rto: Option<u64>,
    /// Longest age of the newest record that comes back.
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "rto")]
    rpo: Option<u64>,
    /// Who sees to what it finds.
    #[arg(long)]
    owner: Option<String>,
    /// When it is drilled by itself: `weekly sun 03:00`.
    #[arg(long)]
    calendar: Option<String>,
    /// The time zone that the calendar is read in.
    #[arg(long, default_value = "UTC", value_name = "NAME", requires = "calendar")]
    time_zone: String,
    /// Every so many runs with a negative control; 0 for never.
    #[arg(long, value_name = "N")]
    negative_every: Option<u32>,
    /// The path at which a restored service tells of its newest record.
    #[arg(long, requires = "record_pointer")]
    record_path: Option<String>,
    /// Where in the JSON of its answer (RFC 6901).
    #[arg(long, requires = "record_path")]
    record_pointer: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Scenario {
    /// The machine and its disks.
    MachineLost,
    /// The host with everything on it, copies too.
    HostLost,
    /// The site with all its hosts, copies there too.
    SiteLost,
    /// Everything is encrypted, and was for some time before anybody noticed.
    Ransomware,
    /// The machine, and one place of copies.
    BackupServerLost,
    /// A database was dropped; machines are as they were.
    DatabaseLost,
}

#[derive(Debug, Args)]
pub struct NewPlan {
    /// Its name.
    name: String,
    /// A service; several come back in the order in which they are named.
    #[arg(long = "service", required_unless_present_any = ["site", "control_plane"],
        conflicts_with_all = ["site", "control_plane"], value_name = "ID")]
    services: Vec<String>,
    /// The platform itself: a copy of it is recovered beside it, and a server started on that. Operators only.
    #[arg(long, conflicts_with_all = ["site", "scenario"])]
    control_plane: bool,
    /// Each of the named services after what it relies on in the inventory, the others side by side.
    #[arg(long, requires = "services")]
    by_dependencies: bool,
    /// A whole site: every service that has a machine there when a drill begins, each after what it
    /// relies on in the inventory.
    #[arg(long, value_name = "ID")]
    site: Option<String>,
    /// Whose services at the site; your own by default.
    #[arg(long, value_name = "ID", requires = "site")]
    tenant: Option<String>,
    /// What is lost; with --control-plane, that.
    #[arg(long, value_enum, required_unless_present = "control_plane")]
    scenario: Option<Scenario>,
    /// For how long ransomware went unnoticed: what was taken since then is bad.
    #[arg(long, value_name = "SPAN", value_parser = span, required_if_eq("scenario", "ransomware"))]
    unnoticed: Option<u64>,
    /// The place that is lost with its backup server.
    #[arg(long, value_name = "ID", required_if_eq("scenario", "backup-server-lost"))]
    lost_place: Option<String>,
    /// A database that was dropped, as DATA-SET:DATABASE:[SCHEMA.]TABLE.COLUMN: where it is backed up, its
    /// name, and the column with the instant of its newest record (a timestamp, or seconds or
    /// milliseconds since 1970). Several may be named. Operators only.
    #[arg(long = "database", value_name = "WHICH", value_parser = lost_database, required_if_eq("scenario", "database-lost"))]
    databases: Vec<Json>,
    /// The place whose copy must serve; any that is left by default.
    #[arg(long, value_name = "ID")]
    place: Option<String>,
    /// Longest time from the incident until every service answers: 90s, 15m, 4h, 2d. Without it and
    /// --rpo, what the impact analysis says when a drill begins.
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "rpo")]
    rto: Option<u64>,
    /// Longest age of the newest record that comes back.
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "rto")]
    rpo: Option<u64>,
    /// Who sees to what it finds.
    #[arg(long)]
    owner: String,
    /// When it is drilled by itself: `weekly sun 03:00`, `monthly 1 03:00`; only by hand by default.
    #[arg(long)]
    calendar: Option<String>,
    /// The time zone that the calendar is read in.
    #[arg(long, default_value = "UTC", value_name = "NAME", requires = "calendar")]
    time_zone: String,
    /// Every so many runs also restore from a copy that was damaged on purpose, which must fail; 0 for never.
    #[arg(long, default_value_t = 3, value_name = "N")]
    negative_every: u32,
    /// The path at which a restored service tells of its newest record.
    #[arg(long, default_value = "/status.json")]
    record_path: String,
    /// Where in the JSON of its answer (RFC 6901).
    #[arg(long, default_value = "/lastSecondBeforeBoot")]
    record_pointer: String,
    /// How long what it finds may take to be put right, in days.
    #[arg(long, default_value_t = 14, value_name = "DAYS")]
    action_days: u32,
}

/// `90`, `90s`, `15m`, `4h`, `2d` in seconds.
pub(super) fn span(text: &str) -> std::result::Result<u64, String> {
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let unit = units.iter().find(|(unit, _)| text.ends_with(*unit));
    let (number, factor) = unit.map_or((text, 1), |(_, factor)| (&text[..text.len() - 1], *factor));
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    seconds.ok_or_else(|| "a span is written like 90s, 15m, 4h or 2d".to_owned())
}

/// `dset_…:shop:sales.orders.placed_at`.
fn lost_database(text: &str) -> std::result::Result<Json, String> {
    let wrong =
        || "a database is written like dset_…:shop:orders.placed_at or dset_…:shop:sales.orders.placed_at".to_owned();
    let (set, rest) = text.split_once(':').ok_or_else(wrong)?;
    let (database, marker) = rest.rsplit_once(':').ok_or_else(wrong)?;
    let parts: Vec<&str> = marker.split('.').collect();
    let marker = match parts.as_slice() {
        [table, column] => json!({ "table": table, "column": column }),
        [schema, table, column] => json!({ "schema": schema, "table": table, "column": column }),
        _ => return Err(wrong()),
    };
    match set.is_empty() || database.is_empty() || parts.iter().any(|part| part.is_empty()) {
        true => Err(wrong()),
        false => Ok(json!({ "dataSet": set, "database": database, "marker": marker })),
    }
}

const PLANS: &str = "/api/v1/drill-plans";
const DRILLS: &str = "/api/v1/drills";

pub fn run(command: DrillCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        DrillCommand::Plans(PlansCommand::Ls) => plans(&client, json),
        DrillCommand::Plans(PlansCommand::Show { id }) => {
            plan(&client.get(&format!("{PLANS}/{}", known(&id)?))?, json);
            Ok(())
        }
        DrillCommand::Plans(PlansCommand::Create(new)) => {
            plan(&client.post(PLANS, &terms(&new, scope(&client, &new)?))?, json);
            Ok(())
        }
        DrillCommand::Plans(PlansCommand::Update(change)) => {
            plan(&client.patch(&format!("{PLANS}/{}", known(&change.id)?), &changes(&change))?, json);
            Ok(())
        }
        DrillCommand::Plans(PlansCommand::End { id }) => {
            plan(&client.post(&format!("{PLANS}/{}/end", known(&id)?), &json!({}))?, json);
            Ok(())
        }
        DrillCommand::Run { plan, bad_after, share, kit, no_wait } => {
            let brought = brought(&plan, &share, kit.as_deref())?;
            let body = json!({ "badAfter": bad_after, "brought": brought });
            let begun = client.post(&format!("{PLANS}/{}/run", known(&plan)?), &body)?;
            if no_wait { shown(&begun, json) } else { wait(&client, &show::text(&begun, "id"), json) }
        }
        DrillCommand::Ls { plan } => list(&client, plan.as_deref(), json),
        DrillCommand::Show { id } => shown(&client.get(&format!("{DRILLS}/{}", known(&id)?))?, json),
        DrillCommand::Stop { id, reason } => {
            let stopped = client.post(&format!("{DRILLS}/{}/stop", known(&id)?), &json!({ "reason": reason }))?;
            shown(&stopped, json)
        }
        DrillCommand::Actions { all } => actions(&client, all, json),
    }
}

fn items(page: &Json) -> Vec<Json> {
    page["items"].as_array().cloned().unwrap_or_default()
}

/// What people bring to a drill of the control plane. The key that their shares make stays here.
fn brought(plan: &str, share: &[PathBuf], kit: Option<&Path>) -> Result<Option<Brought>> {
    if share.is_empty() && kit.is_none() {
        return Ok(None);
    }
    let shares = match share {
        [] => None,
        files => {
            let (master, at) = (joined(files)?, Clock::System.now());
            Some(Shares { at, proof: brought::proof(&master, plan.parse()?, at)? })
        }
    };
    Ok(Some(Brought { shares, kit: kit.map(kept).transpose()? }))
}

/// What comes back. A site is of one tenant: where none is named, of the one that acts.
fn scope(client: &Client, new: &NewPlan) -> Result<Json> {
    if new.control_plane {
        return Ok(json!({ "type": "controlPlane" }));
    }
    let Some(site) = &new.site else {
        let order = if new.by_dependencies { "dependencies" } else { "given" };
        return Ok(json!({ "type": "services", "services": new.services, "order": order }));
    };
    let tenant = match &new.tenant {
        Some(tenant) => json!(tenant),
        None => client.get("/api/v1/whoami")?["acting"]["tenant"].clone(),
    };
    Ok(json!({ "type": "site", "site": site, "tenant": tenant }))
}

fn terms(new: &NewPlan, scope: Json) -> Json {
    let scenario = match new.scenario {
        None => json!({ "type": "controlPlaneLost" }),
        Some(scenario) => lost(new, scenario),
    };
    let schedule = new.calendar.as_ref().map(|calendar| json!({ "calendar": calendar, "timeZone": new.time_zone }));
    json!({
        "name": new.name,
        "scope": scope,
        "scenario": scenario,
        "place": new.place,
        "objectives": both(new.rto, new.rpo),
        "schedule": schedule,
        "negativeEvery": new.negative_every,
        "owner": new.owner,
        "record": { "path": new.record_path, "pointer": new.record_pointer },
        "actionDays": new.action_days,
    })
}

fn lost(new: &NewPlan, scenario: Scenario) -> Json {
    match scenario {
        Scenario::MachineLost => json!({ "type": "machineLost" }),
        Scenario::HostLost => json!({ "type": "hostLost" }),
        Scenario::SiteLost => json!({ "type": "siteLost" }),
        Scenario::Ransomware => json!({ "type": "ransomware", "unnoticedSeconds": new.unnoticed }),
        Scenario::BackupServerLost => json!({ "type": "backupServerLost", "place": new.lost_place }),
        Scenario::DatabaseLost => json!({ "type": "databaseLost", "databases": new.databases }),
    }
}

fn both(rto: Option<u64>, rpo: Option<u64>) -> Json {
    rto.zip(rpo).map_or(Json::Null, |(rto, rpo)| json!({ "rtoSeconds": rto, "rpoSeconds": rpo }))
}

fn changes(change: &ChangePlan) -> Json {
    let schedule = |calendar| json!({ "calendar": calendar, "timeZone": change.time_zone });
    let record = |(path, pointer)| json!({ "path": path, "pointer": pointer });
    json!({
        "name": change.name,
        "objectives": both(change.rto, change.rpo),
        "schedule": change.calendar.as_ref().map(schedule),
        "negativeEvery": change.negative_every,
        "owner": change.owner,
        "record": change.record_path.as_ref().zip(change.record_pointer.as_ref()).map(record),
    })
}

fn plans(client: &Client, json: bool) -> Result<()> {
    let all = items(&client.get(PLANS)?);
    if json {
        show::json(&Json::Array(all));
        return Ok(());
    }
    let row = |p: &Json| {
        vec![
            show::text(p, "id"),
            show::text(p, "name"),
            show::text(p, "scenario.type"),
            seconds(&p["objectives"]["rtoSeconds"]),
            seconds(&p["objectives"]["rpoSeconds"]),
            show::text(p, "schedule.calendar"),
            show::text(p, "owner"),
        ]
    };
    show::table(
        &["id", "name", "scenario", "RTO", "RPO", "when", "owner"],
        all.iter().map(row).collect(),
        "No drill plans yet. Make one: `yunwei drill plans create --help`.",
    );
    Ok(())
}

fn plan(one: &Json, json: bool) {
    if json {
        return show::json(one);
    }
    let text = |path| show::text(one, path);
    println!("{}  {}  {}", text("id"), text("name"), text("scenario.type"));
    let (rto, rpo) = (seconds(&one["objectives"]["rtoSeconds"]), seconds(&one["objectives"]["rpoSeconds"]));
    println!("promised: RTO {rto}, RPO {rpo}  ·  owner {}  ·  next {}", text("owner"), show::time(one, "nextDue"));
    match text("scope.type").as_str() {
        "controlPlane" => println!("  the platform itself, from {}", text("place")),
        "site" => {
            println!("  all services of {} at {}, by what they rely on", text("scope.tenant"), text("scope.site"))
        }
        _ => println!("  in this order: {}", text("scope.order")),
    }
    for service in one["scope"]["services"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        println!("  {service}");
    }
}

/// `4 h 0 min`, `90 s`.
pub(super) fn seconds(value: &Json) -> String {
    match value.as_u64() {
        None => "–".to_owned(),
        Some(seconds) if seconds < 120 => format!("{seconds} s"),
        Some(seconds) if seconds < 7_200 => format!("{} min", seconds / 60),
        Some(seconds) if seconds < 2 * 86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        Some(seconds) => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `12.3 s`.
fn milliseconds(value: &Json) -> String {
    match value.as_u64() {
        None => "–".to_owned(),
        Some(ms) if ms < 120_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        Some(ms) => seconds(&json!(ms / 1_000)),
    }
}

/// What was shown of the platform, and what only people show who bring their shares and their kit.
fn platform_line(platform: &Json) -> String {
    let witnessed = &platform["witnessed"];
    let key = if witnessed["shares"] == true { "the shares make the master key" } else { "no shares were brought" };
    let kit = match witnessed["kitMadeAt"].as_str() {
        Some(_) => format!("the kit of {} leads to the copies", show::time(platform, "witnessed.kitMadeAt")),
        None => "no kit was brought".to_owned(),
    };
    format!("audit log: {} entries as they were; {key}; {kit}", show::text(platform, "auditEntries"))
}

/// The worst of all services, where all are known.
fn worst(run: &Json, field: &str) -> Json {
    let each: Option<Vec<u64>> = run["services"].as_array().into_iter().flatten().map(|s| s[field].as_u64()).collect();
    each.and_then(|each| each.into_iter().max()).map_or(Json::Null, Json::from)
}

fn list(client: &Client, plan: Option<&str>, json: bool) -> Result<()> {
    let only = plan.map(known).transpose()?.map(|plan| format!("&plan={plan}")).unwrap_or_default();
    let all = items(&client.get(&format!("{DRILLS}?limit=100{only}"))?);
    if json {
        show::json(&Json::Array(all));
        return Ok(());
    }
    let row = |r: &Json| {
        vec![
            show::text(r, "id"),
            show::text(r, "planName"),
            show::time(r, "incidentAt"),
            show::text(r, "state"),
            milliseconds(&worst(r, "rtoMilliseconds")),
            milliseconds(&worst(r, "rpoMilliseconds")),
        ]
    };
    show::table(
        &["id", "plan", "incident", "came to", "RTO", "RPO"],
        all.iter().map(row).collect(),
        "No drills yet. Begin one: `yunwei drill run PLAN`.",
    );
    Ok(())
}

fn shown(run: &Json, json: bool) -> Result<()> {
    if json {
        show::json(run);
        return Ok(());
    }
    println!("{}  {}  {}", show::text(run, "id"), show::text(run, "planName"), show::text(run, "state"));
    for (name, field, promised) in [
        ("RTO", "rtoMilliseconds", &run["terms"]["objectives"]["rtoSeconds"]),
        ("RPO", "rpoMilliseconds", &run["terms"]["objectives"]["rpoSeconds"]),
    ] {
        println!("{name} {} (promised {})", milliseconds(&worst(run, field)), seconds(promised));
    }
    for circle in run["circles"].as_array().into_iter().flatten() {
        println!("rely on each other, and come back side by side: {}", words(circle).join(", "));
    }
    for service in run["services"].as_array().into_iter().flatten() {
        if let Some(turn) = turn(run, service) {
            println!("{turn}");
        }
        let from = (show::text(service, "placeName"), show::time(service, "takenAt"));
        println!("{}  from {} of {}", show::text(service, "name"), from.0, from.1);
        let phases = service["phases"].as_array().cloned().unwrap_or_default();
        let row = |p: &Json| vec![show::text(p, "phase"), milliseconds(&p["milliseconds"])];
        show::table(&["phase", "took"], phases.iter().map(row).collect(), "");
    }
    if run["stopped"].is_object() {
        println!("stopped by {}: {}", show::text(run, "stopped.by"), show::text(run, "stopped.reason"));
    }
    if let Some(line) = detection(&run["detection"]) {
        println!("{line}");
    }
    for platform in run["services"].as_array().into_iter().flatten().map(|service| &service["platform"]) {
        if platform.is_object() {
            println!("{}", platform_line(platform));
        }
    }
    println!("negative control: {}", show::text(run, "control.state"));
    for miss in run["misses"].as_array().into_iter().flatten() {
        println!("  {} [{}]", show::text(miss, "message"), show::text(miss, "code"));
    }
    Ok(())
}

/// What the phase `detect` is made of.
fn detection(of: &Json) -> Option<String> {
    match of["basis"].as_str()? {
        "measured" => Some(match (of["milliseconds"].as_u64(), of["problem"].as_str()) {
            (Some(_), _) => "detect: measured, by ending the drill's own machines".to_owned(),
            (None, Some(why)) => format!("detect: not measured: {why}"),
            (None, None) => "detect: is measured at the end, by ending the drill's own machines".to_owned(),
        }),
        "configured" => Some(format!(
            "detect: not measured: a host counts as lost after {} of silence, looked for every {}",
            seconds(&of["silentSeconds"]),
            seconds(&of["lookSeconds"])
        )),
        _ => Some("detect: not in the RTO: the clock starts when somebody says that it happened".to_owned()),
    }
}

fn words(list: &Json) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Json::as_str).collect()
}

/// When a service's turn is: `wave 2, after Database`; nothing where it is alone.
fn turn(run: &Json, service: &Json) -> Option<String> {
    let all = run["services"].as_array().filter(|all| all.len() > 1)?;
    let called = |id: &str| all.iter().find(|one| one["service"] == id).map(|one| show::text(one, "name"));
    let after: Vec<String> = words(&service["after"]).into_iter().filter_map(called).collect();
    let wave = show::text(service, "wave");
    Some(if after.is_empty() { format!("wave {wave}") } else { format!("wave {wave}, after {}", after.join(", ")) })
}

fn wait(client: &Client, id: &str, json: bool) -> Result<()> {
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    loop {
        let now = client.get(&format!("{DRILLS}/{id}"))?;
        bar.set_message(doing(&now));
        bar.tick();
        let state = show::text(&now, "state");
        if state != "running" {
            bar.finish_and_clear();
            shown(&now, json)?;
            return match state.as_str() {
                "passed" => Ok(()),
                "stopped" => Err(Error::conflict("drill.stopped", "somebody stopped the drill: it proved nothing")),
                _ => Err(Error::conflict("drill.not_passed", format!("the drill is {state}"))),
            };
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Which phase of which service is on its way: `Web: restore`.
fn doing(run: &Json) -> String {
    let services = run["services"].as_array().cloned().unwrap_or_default();
    let open = services.iter().find_map(|service| {
        let phases = service["phases"].as_array()?;
        // How long a loss goes unseen is tried last.
        let is_open = |phase: &&Json| phase["milliseconds"].is_null();
        let others = || phases.iter().filter(|phase| phase["phase"] != "detect");
        let phase = others().find(is_open).or_else(|| phases.iter().find(is_open))?;
        Some(format!("{}: {}", show::text(service, "name"), show::text(phase, "phase")))
    });
    open.unwrap_or_else(|| if services.is_empty() { "begins".to_owned() } else { "cleaning up".to_owned() })
}

fn actions(client: &Client, all: bool, json: bool) -> Result<()> {
    let found = items(&client.get(&format!("/api/v1/corrective-actions?closed={all}"))?);
    if json {
        show::json(&Json::Array(found));
        return Ok(());
    }
    let row = |a: &Json| {
        let state = match (a["open"] == true, a["overdue"] == true) {
            (false, _) => "closed",
            (true, true) => "overdue",
            (true, false) => "open",
        };
        vec![
            show::text(a, "planName"),
            show::text(a, "message"),
            show::text(a, "owner"),
            show::time(a, "dueAt"),
            state.to_owned(),
            show::text(a, "times"),
        ]
    };
    show::table(
        &["plan", "what", "owner", "due", "", "times"],
        found.iter().map(row).collect(),
        "Nothing is open: every plan's last drill passed, or there was none.",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    #[test]
    fn a_database_is_named_with_where_its_newest_record_is() {
        let read = |text: &str| super::lost_database(text);
        let marker = json!({ "schema": "sales", "table": "orders", "column": "at" });
        let wanted = json!({ "dataSet": "dset_1", "database": "odd:name", "marker": marker });
        assert_eq!(read("dset_1:odd:name:sales.orders.at"), Ok(wanted));
        assert_eq!(read("dset_1:shop:orders.at").unwrap()["marker"], json!({ "table": "orders", "column": "at" }));
        for bad in
            ["", "dset_1", "dset_1:shop", "dset_1:shop:orders", ":shop:o.at", "dset_1:shop:a.b.c.d", "dset_1:shop:.at"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_read_as_they_are_written() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("4h", 14_400), ("2d", 172_800)] {
            assert_eq!(super::span(text), Ok(seconds));
        }
        for bad in ["", "h", "-1h", "1.5h", "99999999999999999999d", "5w"] {
            assert!(super::span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_on_its_way_is_told_in_a_line() {
        let phases = json!([{ "phase": "detect", "milliseconds": 3 }, { "phase": "restore", "milliseconds": null }]);
        let run = json!({ "services": [{ "name": "Web", "phases": phases }] });
        assert_eq!(super::doing(&run), "Web: restore");
        let last = json!([{ "phase": "detect", "milliseconds": null }, { "phase": "verify", "milliseconds": 3 }]);
        let run_of = |phases: &Json| json!({ "services": [{ "name": "Web", "phases": phases }] });
        assert_eq!(super::doing(&run_of(&last)), "Web: detect");
        let both = json!([{ "phase": "detect", "milliseconds": null }, { "phase": "boot", "milliseconds": null }]);
        assert_eq!(super::doing(&run_of(&both)), "Web: boot");
        assert_eq!(super::doing(&json!({ "services": [] })), "begins");
        let configured = json!({ "basis": "configured", "silentSeconds": 90, "lookSeconds": 15 });
        assert!(super::detection(&configured).unwrap().contains("not measured: a host counts as lost after 90 s"));
        let two = json!({ "services": [{ "service": "a", "name": "A", "wave": 1, "after": [] },
            { "service": "b", "name": "B", "wave": 2, "after": ["a"] }] });
        assert_eq!(super::turn(&two, &two["services"][0]).as_deref(), Some("wave 1"));
        assert_eq!(super::turn(&two, &two["services"][1]).as_deref(), Some("wave 2, after A"));
        assert_eq!(super::turn(&run, &run["services"][0]), None);
        assert_eq!(super::worst(&json!({ "services": [{ "x": 3 }, { "x": 5 }] }), "x"), json!(5));
        assert_eq!(super::worst(&json!({ "services": [{ "x": 3 }, { "x": null }] }), "x"), json!(null));
        assert_eq!(
            (super::milliseconds(&json!(12_345)), super::seconds(&json!(14_400))),
            ("12.3 s".into(), "4 h 0 min".into())
        );
    }
}
