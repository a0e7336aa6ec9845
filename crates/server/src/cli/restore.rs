//! `yunwei backup restore`: a plan first, then the way there, step by step.

use std::time::Duration;

use base::{Error, Result};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Restore {
    #[command(subcommand)]
    other: Option<Other>,
    /// The service's id, or that of one of its recovery points.
    #[arg(required = true, value_name = "SERVICE|POINT")]
    id: Option<String>,
    /// Onto this host; otherwise onto any but those that the service stands on.
    #[arg(long, value_name = "ID")]
    host: Option<String>,
    /// At this site; otherwise where the service stands.
    #[arg(long, value_name = "ID")]
    site: Option<String>,
    /// From the copy at this place; otherwise from the nearest that will do.
    #[arg(long, value_name = "ID")]
    place: Option<String>,
    /// Nothing that was taken after this instant: all of it is bad.
    #[arg(long, value_name = "INSTANT")]
    not_after: Option<String>,
    /// A second machine, for looking at; the service goes on.
    #[arg(long)]
    beside: bool,
    /// How long that one is kept: a week unless said otherwise, at most 720 hours.
    #[arg(long, value_name = "HOURS", requires = "beside")]
    keep: Option<u32>,
    /// Replace the service though it answers.
    #[arg(long, conflicts_with = "beside")]
    even_if_alive: bool,
    /// Show what it would do, and do nothing.
    #[arg(long)]
    plan: bool,
    /// Do not wait for it.
    #[arg(long, conflicts_with = "plan")]
    no_wait: bool,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// List a service's restores, the newest first.
    #[command(after_help = "\
Examples:
  yunwei backup restore ls svc_01m80h6wrtet7rkwawzsgh6gss")]
    Ls {
        /// The service's id.
        service: String,
    },
    /// Show a restore: its steps, and how its disks came back.
    #[command(after_help = "\
Examples:
  yunwei backup restore show rstr_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// Its id.
        id: String,
    },
    /// Set how long the machines that a restore has put beside a service are kept.
    #[command(after_help = "\
Examples:
  yunwei backup restore keep rstr_01m80h6wrtet7rkwawzsgh6gss --hours 48")]
    Keep {
        /// Its id.
        id: String,
        /// So many hours from now on, at most 720.
        #[arg(long)]
        hours: u32,
    },
    /// Let go of the machines that a restore has put beside a service.
    #[command(after_help = "\
Examples:
  yunwei backup restore end rstr_01m80h6wrtet7rkwawzsgh6gss")]
    End {
        /// Its id.
        id: String,
    },
}

pub fn run(client: &Client, wish: &Restore, json: bool) -> Result<()> {
    match &wish.other {
        Some(Other::Ls { service }) => list(client, known(service)?, json),
        Some(Other::Show { id }) => told(&client.get(&path(id)?)?, json),
        Some(Other::Keep { id, hours }) => {
            told(&client.post(&format!("{}/keep", path(id)?), &json!({ "hours": hours }))?, json)
        }
        Some(Other::End { id }) => told(&client.post(&format!("{}/end", path(id)?), &json!({}))?, json),
        None => start(client, wish, json),
    }
}

fn path(id: &str) -> Result<String> {
    Ok(format!("/api/v1/restores/{}", known(id)?))
}

fn start(client: &Client, wish: &Restore, json: bool) -> Result<()> {
    let id = wish.id.as_deref().unwrap_or_default();
    let (service, point) = match id.starts_with("rpt_") {
        true => {
            let point = client.get(&format!("/api/v1/recovery-points/{}", known(id)?))?;
            (show::text(&point, "service"), Some(id))
        }
        false => (id.to_owned(), None),
    };
    let at = format!("/api/v1/services/{}/restore", known(&service)?);
    let mut body = json!({
        "point": point, "place": wish.place, "host": wish.host, "site": wish.site,
        "notAfter": wish.not_after, "beside": wish.beside, "keepHours": wish.keep, "evenIfAlive": wish.even_if_alive,
    });
    let plan = client.post(&format!("{at}/plan"), &body)?;
    if wish.plan {
        return planned(&plan, json);
    }
    if !json {
        planned(&plan, json)?;
    }
    // What was shown is what is asked for.
    body["point"] = plan["point"].clone();
    let begun = client.post(&at, &body)?;
    if wish.no_wait {
        return told(&begun, json);
    }
    follow(client, &show::text(&begun, "id"), json)
}

pub(super) fn mib(number: &Json) -> String {
    format!("{:.1} MiB", number.as_u64().unwrap_or(0) as f64 / f64::from(1 << 20))
}

/// `3 h 20 min`, in the two largest units.
pub(super) fn span(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let first = units.iter().position(|(size, _)| seconds >= *size).unwrap_or(3);
    let mut left = seconds;
    let said = units.iter().skip(first).take(2).filter_map(|(size, word)| {
        let number = left / size;
        left %= size;
        (number > 0).then(|| format!("{number} {word}"))
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() { "0 s".to_owned() } else { said.join(" ") }
}

fn planned(plan: &Json, json: bool) -> Result<()> {
    if json {
        show::json(plan);
        return Ok(());
    }
    let estimate = match plan["estimatedSeconds"].as_f64() {
        Some(seconds) => format!("about {seconds:.1} s to read and verify, as measured from there"),
        None => "unknown: nothing was ever brought back from there".to_owned(),
    };
    println!("from    {} of {}", show::text(plan, "point"), show::time(plan, "takenAt"));
    println!("loses   what was written in the last {}", span(plan["losesSeconds"].as_i64().unwrap_or(0)));
    println!("copy    {}  {}", show::text(plan, "placeName"), show::text(plan, "place"));
    println!("data    {}", mib(&plan["bytes"]));
    println!("time    {estimate}");
    for machine in plan["machines"].as_array().into_iter().flatten() {
        println!("onto    {}  {}", show::text(machine, "hostName"), show::text(machine, "host"));
    }
    for gone in plan["removes"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        println!("removes {gone}, with its disks");
    }
    if plan["beside"] == true {
        println!("The service goes on; the machine stands beside it.");
    } else if plan["alive"] == true {
        println!("The service answers at this moment: replacing it wants --even-if-alive.");
    }
    Ok(())
}

fn follow(client: &Client, id: &str, json: bool) -> Result<()> {
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    loop {
        let now = client.get(&path(id)?)?;
        bar.set_message(format!("{}{}", step(&now), under_way(&now)));
        bar.tick();
        let state = show::text(&now, "state");
        if state != "running" {
            bar.finish_and_clear();
            told(&now, json)?;
            return match state.as_str() {
                "failed" => Err(Error::conflict("restore.failed", show::text(&now, "problem.message"))),
                _ => Ok(()),
            };
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// The disks that come back just now: ` [#####-----] 3.0 MiB of 6.0 MiB, 1.0 MiB a second, 3 s left`.
fn under_way(restore: &Json) -> String {
    let disks = restore["underWay"].as_array().into_iter().flatten();
    let said = disks.map(|disk| {
        let (done, total) = (disk["done"].as_u64().unwrap_or(0), disk["total"].as_u64().unwrap_or(0).max(1));
        let filled = usize::try_from(u128::from(done.min(total)) * 20 / u128::from(total)).unwrap_or(20);
        let bar = format!("[{}{}]", "#".repeat(filled), "-".repeat(20 - filled));
        let speed = disk["bytesPerSecond"].as_u64().map(|_| format!(", {} a second", mib(&disk["bytesPerSecond"])));
        let left = disk["secondsLeft"].as_i64().map(|left| format!(", {} left", span(left)));
        let rest = [speed, left].into_iter().flatten().collect::<String>();
        format!("  {} {bar} {} of {}{rest}", show::text(disk, "disk"), mib(&disk["done"]), mib(&disk["total"]))
    });
    said.collect()
}

/// How far something is: `1.5 of 8.0 MiB`; nothing where that is not known.
pub(super) fn how_far(progress: &Json) -> String {
    match (progress["bytes"] == true, progress["total"].as_u64()) {
        (true, Some(_)) => format!("{} of {}", mib(&progress["done"]), mib(&progress["total"])),
        (true, None) => mib(&progress["done"]),
        _ => String::new(),
    }
}

/// The step that it is at: `5/7 Bring the disks back`.
fn step(restore: &Json) -> String {
    let steps = restore["run"]["steps"].as_array().cloned().unwrap_or_default();
    let done = steps.iter().filter(|step| step["state"] == "done").count();
    let at = steps.get(done).map(|step| show::text(step, "title.en")).unwrap_or_default();
    format!("{}/{} {at}", (done + 1).min(steps.len()), steps.len())
}

fn told(restore: &Json, json: bool) -> Result<()> {
    if json {
        show::json(restore);
        return Ok(());
    }
    println!("{}  {}", show::text(restore, "id"), show::text(restore, "state"));
    if restore["problem"].is_object() {
        println!("why     {} ({})", show::text(restore, "problem.message"), show::text(restore, "problem.code"));
    }
    for machine in restore["machines"].as_array().into_iter().flatten() {
        println!("machine {}  {}", show::text(machine, "made"), show::text(machine, "url"));
    }
    if restore["keepUntil"].is_string() && restore["state"] == "done" {
        println!("kept    until {}", show::time(restore, "keepUntil"));
    }
    for disk in restore["disks"].as_array().into_iter().flatten() {
        let (read, hashed) = (disk["seconds"].as_f64().unwrap_or(0.0), disk["verifySeconds"].as_f64().unwrap_or(0.0));
        println!(
            "disk    {}  {}  {read:.1} s + {hashed:.1} s to verify  {}",
            show::text(disk, "disk"),
            mib(&disk["bytes"]),
            show::text(disk, "digest")
        );
    }
    Ok(())
}

fn list(client: &Client, service: &str, json: bool) -> Result<()> {
    let page = client.get(&format!("/api/v1/services/{service}/restores"))?;
    let items = page["items"].as_array().cloned().unwrap_or_default();
    if json {
        show::json(&Json::Array(items));
        return Ok(());
    }
    let row = |r: &Json| {
        let how = if r["beside"] == true { "beside" } else { "in its place" };
        vec![
            show::text(r, "id"),
            show::text(r, "state"),
            how.to_owned(),
            show::time(r, "requestedAt"),
            show::text(r, "placeName"),
        ]
    };
    show::table(
        &["id", "state", "how", "asked for", "from"],
        items.iter().map(row).collect(),
        "Nothing was ever brought back of this service.",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn spans_and_steps_are_told_in_a_few_words() {
        assert_eq!(super::span(0), "0 s");
        assert_eq!(super::span(59), "59 s");
        assert_eq!(super::span(3_600), "1 h");
        assert_eq!(super::span(12_345), "3 h 25 min");
        let run = json!({ "run": { "steps": [
            { "state": "done", "title": { "en": "Choose" } },
            { "state": "waiting", "title": { "en": "Bring back" } },
        ] } });
        assert_eq!(super::step(&run), "2/2 Bring back");
    }
}
