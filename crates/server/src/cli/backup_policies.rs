//! `yunwei backup policies`: what is backed up when, where to, and for how long.

use base::Result;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value as Json, json};

use super::backup::{items, made};
use super::client::{Client, known};
use super::show;

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
    /// Show a policy as it is now.
    #[command(after_help = "\
Examples:
  yunwei backup policies show bkpo_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The policy's id.
        id: String,
    },
    /// Change a policy: its next revision. What is not named stays.
    #[command(after_help = "\
Examples:
  yunwei backup policies preview bkpo_01m80h6wrtet7rkwawzsgh6gss --last 3 --daily 7      what would go
  yunwei backup policies change bkpo_01m80h6wrtet7rkwawzsgh6gss --last 3 --daily 7
  yunwei backup policies change bkpo_01m80h6wrtet7rkwawzsgh6gss --calendar 'hourly :15' --jitter 20
  yunwei backup policies change bkpo_01m80h6wrtet7rkwawzsgh6gss --offered yes

Rules of retention change as a whole: name all that are to hold, or `--keep-all`. They judge the points
that are there, too; nothing goes while the newest good point is not in every place.")]
    Change(Box<ChangePolicy>),
    /// Show which points of a policy's services its rules, or others, would let go. Nothing is let go.
    #[command(after_help = "\
Examples:
  yunwei backup policies preview bkpo_01m80h6wrtet7rkwawzsgh6gss
  yunwei backup policies preview bkpo_01m80h6wrtet7rkwawzsgh6gss --daily 3 --json")]
    Preview {
        /// The policy's id.
        id: String,
        /// Rules to try instead of its own.
        #[command(flatten)]
        keep: Keep,
    },
    /// List the policies that are offered: customers choose one of them with `yunwei backup choose`.
    #[command(after_help = "\
Examples:
  yunwei backup policies offered")]
    Offered,
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
    /// How long what no point holds any more stays recoverable, in hours, 49 at the least.
    #[arg(long, default_value_t = 72, value_name = "HOURS")]
    prune_delay: u32,
    /// Let customers choose it for services of theirs that have none. Its places must be reached by every host.
    #[arg(long)]
    offered: bool,
}

#[derive(Debug, Args)]
pub struct ChangePolicy {
    /// The policy's id.
    id: String,
    /// Its new name.
    #[arg(long)]
    name: Option<String>,
    /// When, from now on.
    #[arg(long)]
    calendar: Option<String>,
    /// Spread services over so many minutes.
    #[arg(long, value_name = "MINUTES")]
    jitter: Option<u32>,
    /// The time zone that the calendar is read in.
    #[arg(long, value_name = "NAME")]
    time_zone: Option<String>,
    /// What is backed up from the next run on.
    #[arg(long, value_enum)]
    what: Option<What>,
    /// How many points are kept from now on, all rules together.
    #[command(flatten)]
    keep: Keep,
    /// Keep every point.
    #[arg(long)]
    keep_all: bool,
    /// The places from the next run on, all of them in their order.
    #[arg(long = "place", value_name = "ID")]
    places: Vec<String>,
    /// How long what no point holds any more stays recoverable, in hours, 49 at the least.
    #[arg(long, value_name = "HOURS")]
    prune_delay: Option<u32>,
    /// Whether customers may choose it.
    #[arg(long, value_enum, value_name = "YES|NO")]
    offered: Option<YesNo>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum YesNo {
    Yes,
    No,
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

impl What {
    fn word(self) -> &'static str {
        match self {
            What::MachineDisks => "machineDisks",
            What::DataSets => "dataSets",
            What::Everything => "everything",
        }
    }
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

    /// The rules, where any was named.
    pub fn wished(self) -> Option<Json> {
        (!self.is_empty()).then(|| self.json())
    }
}

const POLICIES: &str = "/api/v1/backup-policies";

pub fn run(client: &Client, command: PoliciesCommand, json: bool) -> Result<()> {
    match command {
        PoliciesCommand::Ls => policies(client, json),
        PoliciesCommand::Add(new) => made(&client.post(POLICIES, &policy(&new))?, json),
        PoliciesCommand::Show { id } => told(&client.get(&path(&id)?)?, json),
        PoliciesCommand::Change(change) => {
            let at = path(&change.id)?;
            let now = client.get(&at)?;
            told(&client.patch(&at, &changed(&change, &now))?, json)
        }
        PoliciesCommand::Preview { id, keep } => preview(client, &path(&id)?, keep, json),
        PoliciesCommand::Offered => offered(client, json),
    }
}

fn path(id: &str) -> Result<String> {
    Ok(format!("{POLICIES}/{}", known(id)?))
}

/// What was named, on the revision that it was made on. A schedule goes as a whole: what of it was not
/// named is as it is now.
fn changed(change: &ChangePolicy, now: &Json) -> Json {
    let mut body = Map::from_iter([("revision".to_owned(), now["revision"].clone())]);
    let mut say = |name: &str, value: Option<Json>| value.map(|value| body.insert(name.to_owned(), value));
    say("name", change.name.clone().map(Json::from));
    say("what", change.what.map(|what| json!(what.word())));
    say("pruneDelayHours", change.prune_delay.map(Json::from));
    say("offered", change.offered.map(|offered| json!(offered == YesNo::Yes)));
    say("places", (!change.places.is_empty()).then(|| json!(change.places)));
    say("retention", change.keep.wished().or_else(|| change.keep_all.then(|| json!({}))));
    let mut schedule = now["schedule"].clone();
    let mut set = |name: &str, value: Option<Json>| value.map(|value| schedule[name] = value).is_some();
    let named = [
        set("calendar", change.calendar.clone().map(Json::from)),
        set("jitterMinutes", change.jitter.map(Json::from)),
        set("timeZone", change.time_zone.clone().map(Json::from)),
    ];
    say("schedule", named.contains(&true).then_some(schedule));
    Json::Object(body)
}

fn told(policy: &Json, json: bool) -> Result<()> {
    if json {
        show::json(policy);
        return Ok(());
    }
    println!(
        "{}  {}  revision {}",
        show::text(policy, "id"),
        show::text(policy, "name"),
        show::text(policy, "revision")
    );
    println!("what     {}", show::text(policy, "what"));
    let (calendar, zone) = (show::text(policy, "schedule.calendar"), show::text(policy, "schedule.timeZone"));
    println!("when     {calendar} {zone}, spread over {} minutes", show::text(policy, "schedule.jitterMinutes"));
    println!("keeps    {}", rules(&policy["retention"]));
    for place in policy["places"].as_array().into_iter().flatten() {
        println!("place    {}", place.as_str().unwrap_or_default());
    }
    println!("prunes   after {} hours", show::text(policy, "pruneDelayHours"));
    println!("offered  {}", if policy["offered"] == true { "yes" } else { "no" });
    Ok(())
}

fn preview(client: &Client, at: &str, keep: Keep, json: bool) -> Result<()> {
    let (mut all, mut after) = (Vec::new(), Json::Null);
    loop {
        let body = json!({ "retention": keep.wished(), "after": after });
        let page = client.post(&format!("{at}/preview"), &body)?;
        all.extend(items(&page));
        after = page["next"].clone();
        if after.is_null() {
            break;
        }
    }
    if json {
        show::json(&Json::Array(all));
        return Ok(());
    }
    let row = |one: &Json| {
        let goes = one["goes"].as_array().cloned().unwrap_or_default();
        let oldest = goes.last().map_or("–".to_owned(), |last| show::time(last, "takenAt"));
        let newest = goes.first().map_or("–".to_owned(), |first| show::time(first, "takenAt"));
        let held = if one["letsGo"] == false && !goes.is_empty() {
            "not now: its newest good point lacks a place"
        } else {
            ""
        };
        vec![
            show::text(one, "service"),
            show::text(one, "keeps"),
            goes.len().to_string(),
            oldest,
            newest,
            held.to_owned(),
        ]
    };
    let head = ["service", "stay", "go", "from", "to", ""];
    show::table(&head, all.iter().map(row).collect(), "No service has this policy.");
    Ok(())
}

fn offered(client: &Client, json: bool) -> Result<()> {
    let all = items(&client.get(&format!("{POLICIES}/offered"))?);
    if json {
        show::json(&Json::Array(all));
        return Ok(());
    }
    let row = |p: &Json| {
        vec![
            show::text(p, "id"),
            show::text(p, "name"),
            show::text(p, "schedule.calendar"),
            show::text(p, "schedule.timeZone"),
            rules(&p["retention"]),
            show::text(p, "copies"),
        ]
    };
    show::table(
        &["id", "name", "when", "time zone", "keeps", "copies"],
        all.iter().map(row).collect(),
        "No policy is offered. The operator offers one: `yunwei backup policies change POLICY --offered yes`.",
    );
    Ok(())
}

fn policy(new: &NewPolicy) -> Json {
    json!({
        "name": new.name,
        "what": new.what.word(),
        "schedule": { "calendar": new.calendar, "jitterMinutes": new.jitter, "timeZone": new.time_zone },
        "retention": new.keep.json(),
        "places": new.places,
        "pruneDelayHours": new.prune_delay,
        "offered": new.offered,
    })
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
            if p["offered"] == true { "yes" } else { "" }.to_owned(),
        ]
    };
    show::table(
        &["id", "name", "when", "time zone", "keeps", "places", "offered"],
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_told_in_a_line() {
        assert_eq!(rules(&json!({ "weekly": 5, "daily": 7, "last": 0 })), "7 daily, 5 weekly");
        assert_eq!(rules(&json!({})), "everything");
    }

    #[test]
    fn a_change_sends_a_schedule_whole_and_leaves_out_what_was_not_named() {
        let keep = Keep { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
        let change = ChangePolicy {
            id: "bkpo_1".into(),
            name: None,
            calendar: Some("hourly :15".into()),
            jitter: None,
            time_zone: None,
            what: None,
            keep,
            keep_all: false,
            places: vec![],
            prune_delay: None,
            offered: Some(YesNo::Yes),
        };
        let schedule = json!({ "calendar": "daily 02:00", "jitterMinutes": 5, "timeZone": "Asia/Taipei" });
        let now = json!({ "revision": 3, "schedule": schedule });
        let schedule = json!({ "calendar": "hourly :15", "jitterMinutes": 5, "timeZone": "Asia/Taipei" });
        assert_eq!(changed(&change, &now), json!({ "revision": 3, "schedule": schedule, "offered": true }));
        let change = ChangePolicy { calendar: None, offered: None, keep_all: true, ..change };
        assert_eq!(changed(&change, &now), json!({ "revision": 3, "retention": {} }));
    }
}
