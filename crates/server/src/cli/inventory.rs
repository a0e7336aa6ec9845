//! `yunwei inventory` and `yunwei impact`: what depends on what, and what a loss would stop.

use std::path::{Path, PathBuf};

use base::{Error, Result};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

#[derive(Debug, Subcommand)]
pub enum InventoryCommand {
    /// List what there is: known by the platform, and added by people.
    #[command(after_help = "\
Examples:
  yunwei inventory ls
  yunwei inventory ls --kind activity
  yunwei inventory ls --json | jq -r '.[] | select(.importance == 5) | .name'")]
    Ls {
        /// Only of this kind: activity, service, outside, resource, host, rack, site, power, cooling,
        /// fireProtection, route, backupPlace, supplier, material, logistics, person.
        #[arg(long)]
        kind: Option<String>,
    },
    /// Show a thing: what it needs, what needs it, and how urgent that makes it.
    #[command(after_help = "\
Examples:
  yunwei inventory show svc_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// Its id, or its key.
        id: String,
    },
    /// Import things and dependencies from CSV: all or nothing, and the second time nothing.
    #[command(after_help = "\
Examples:
  yunwei inventory import --nodes nodes.csv --dependencies dependencies.csv --dry-run
  yunwei inventory import --nodes nodes.csv

Columns: ref,kind,name,within,repair,start,importance,likelihood,owner,note · node,needs,set,at_least")]
    Import(ImportArgs),
    /// Write things and dependencies as CSV that an import reads.
    #[command(after_help = "\
Examples:
  yunwei inventory export --nodes nodes.csv --dependencies dependencies.csv")]
    Export {
        /// Where the table of things goes.
        #[arg(long, value_name = "FILE", required_unless_present = "dependencies")]
        nodes: Option<PathBuf>,
        /// Where the table of dependencies goes.
        #[arg(long, value_name = "FILE")]
        dependencies: Option<PathBuf>,
    },
    /// List how fast each service must be back, and because of which activities.
    #[command(after_help = "\
Examples:
  yunwei inventory objectives")]
    Objectives,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The table of things.
    #[arg(long, value_name = "FILE", required_unless_present = "dependencies")]
    nodes: Option<PathBuf>,
    /// The table of dependencies.
    #[arg(long, value_name = "FILE")]
    dependencies: Option<PathBuf>,
    /// Say line by line what it would do, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub enum ImpactCommand {
    /// Say what the loss of things would stop, for how long, and what is restored where. Touches nothing.
    #[command(after_help = "\
Examples:
  yunwei impact what-if hst_01m80h6wrtet7rkwawzsgh6gss
  yunwei impact what-if feed-a feed-b --decide 30m
  yunwei impact what-if office --json | jq '.activities[] | select(.rtoMissed)'")]
    WhatIf {
        /// What is lost, all at one moment: ids or keys.
        #[arg(required = true, value_name = "REF")]
        failed: Vec<String>,
        /// How long people take to decide: 90s, 15m, 4h, 2d.
        #[arg(long, default_value = "0s", value_name = "SPAN", value_parser = super::drills::span)]
        decide: u64,
    },
    /// Rank every single loss by its harm, or by its risk: single points of failure first.
    #[command(after_help = "\
Examples:
  yunwei impact ranking
  yunwei impact ranking --by risk
  yunwei impact ranking --limit 5 --json")]
    Ranking {
        /// How many.
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u32,
        /// By what.
        #[arg(long, value_enum, default_value_t = By::Harm)]
        by: By,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum By {
    /// The harm that the loss would do.
    Harm,
    /// Its risk: how likely it is, times that harm; what nobody judged comes last.
    Risk,
}

const INVENTORY: &str = "/api/v1/inventory";

pub fn run(command: InventoryCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        InventoryCommand::Ls { kind } => list(&client, kind.as_deref(), json),
        InventoryCommand::Show { id } => one(&client, &id, json),
        InventoryCommand::Import(args) => import(&client, &args, json),
        InventoryCommand::Export { nodes, dependencies } => export(&client, nodes.as_deref(), dependencies.as_deref()),
        InventoryCommand::Objectives => objectives(&client, json),
    }
}

pub fn impact(command: ImpactCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        ImpactCommand::WhatIf { failed, decide } => {
            let body = json!({ "failed": failed, "decideSeconds": decide });
            outcome(&client.post("/api/v1/impact", &body)?, json);
            Ok(())
        }
        ImpactCommand::Ranking { limit, by } => {
            let by = if matches!(by, By::Risk) { "risk" } else { "harm" };
            ranking(&client.get(&format!("/api/v1/impact/ranking?limit={limit}&by={by}"))?, json)
        }
    }
}

/// Every thing, page after page.
fn all(client: &Client, kind: Option<&str>) -> Result<Vec<Json>> {
    let only = kind.map(known).transpose()?.map(|kind| format!("&kind={kind}")).unwrap_or_default();
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{INVENTORY}?limit=1000{only}{after}"))?;
        all.extend(page["items"].as_array().cloned().unwrap_or_default());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(all),
        }
    }
}

fn list(client: &Client, kind: Option<&str>, json: bool) -> Result<()> {
    let all = all(client, kind)?;
    if json {
        show::json(&Json::Array(all));
        return Ok(());
    }
    let row = |one: &Json| {
        vec![
            show::text(one, "key"),
            show::text(one, "kind"),
            show::text(one, "name"),
            one["needs"].as_array().map_or(0, Vec::len).to_string(),
            show::text(one, "importance"),
            show::text(one, "owner"),
        ]
    };
    show::table(
        &["key", "kind", "name", "needs", "importance", "owner"],
        all.iter().map(row).collect(),
        "Nothing is there yet. Import what you have: `yunwei inventory import --help`.",
    );
    Ok(())
}

/// A key of the firm's own may hold any letter: found by listing where it is no id.
fn id_of(client: &Client, name: &str) -> Result<String> {
    if let Ok(id) = known(name) {
        return Ok(id.to_owned());
    }
    let found = all(client, None)?.into_iter().find(|one| one["key"] == name);
    found.map(|one| show::text(&one, "id")).ok_or_else(|| {
        Error::not_found("inventory.not_found", format!("there is nothing called {name} in the inventory"))
    })
}

fn one(client: &Client, id: &str, json: bool) -> Result<()> {
    let id = id_of(client, id)?;
    let found = client.get(&format!("{INVENTORY}/{id}"))?;
    let urgent = client.get(&format!("{INVENTORY}/{id}/assessment"))?;
    if json {
        show::json(&json!({ "thing": found, "urgency": urgent }));
        return Ok(());
    }
    let name = |id: &Json| found["names"][id.as_str().unwrap_or_default()].as_str().unwrap_or("?").to_owned();
    println!("{}  {}  {}", show::text(&found, "id"), show::text(&found, "kind"), show::text(&found, "name"));
    if found["within"].is_string() {
        println!("stands in {}", name(&found["within"]));
    }
    for need in found["needs"].as_array().into_iter().flatten() {
        let of: Vec<String> = need["of"].as_array().into_iter().flatten().map(name).collect();
        println!("needs {} of: {}", need["atLeast"], of.join(", "));
    }
    for above in found["neededBy"].as_array().into_iter().flatten() {
        println!("needed by {}", name(above));
    }
    let goals = &urgent["objectives"];
    println!("RTO {}, RPO {}", seconds(&goals["rtoSeconds"]), seconds(&goals["rpoSeconds"]));
    for because in goals["because"].as_array().into_iter().flatten() {
        println!("  because of {}", show::text(because, "name"));
    }
    Ok(())
}

fn seconds(value: &Json) -> String {
    if value.is_null() { "not said".to_owned() } else { super::drills::seconds(value) }
}

fn text_of(path: Option<&Path>) -> Result<String> {
    let Some(path) = path else { return Ok(String::new()) };
    std::fs::read_to_string(path).map_err(|e| Error::invalid("file.unreadable", format!("{}: {e}", path.display())))
}

fn import(client: &Client, args: &ImportArgs, json: bool) -> Result<()> {
    let (nodes, dependencies) = (text_of(args.nodes.as_deref())?, text_of(args.dependencies.as_deref())?);
    let tables = json!({ "nodes": nodes, "dependencies": dependencies });
    let done = client.post(&format!("{INVENTORY}/{}", if args.dry_run { "preview" } else { "import" }), &tables)?;
    if json {
        show::json(&done);
    } else {
        let lines = done["lines"].as_array().cloned().unwrap_or_default();
        let row =
            |line: &Json| ["file", "line", "about", "change", "problem"].map(|field| show::text(line, field)).to_vec();
        let told = lines.iter().filter(|line| line["change"] != "same").map(row).collect();
        show::table(&["table", "line", "about", "", "why not"], told, "Everything is so already.");
        println!("{} added, {} changed, {} wrong", done["added"], done["changed"], done["wrong"]);
    }
    match done["wrong"].as_u64() {
        Some(0) | None => Ok(()),
        Some(wrong) => Err(Error::invalid("inventory.import", format!("{wrong} lines cannot be imported"))),
    }
}

fn export(client: &Client, nodes: Option<&Path>, dependencies: Option<&Path>) -> Result<()> {
    let tables = client.get(&format!("{INVENTORY}/export"))?;
    for (path, field) in [(nodes, "nodes"), (dependencies, "dependencies")] {
        let Some(path) = path else { continue };
        let text = tables[field].as_str().unwrap_or_default();
        std::fs::write(path, text)
            .map_err(|e| Error::unavailable("file.unwritable", format!("{}: {e}", path.display())))?;
        println!("{} lines in {}", text.lines().count().saturating_sub(1), path.display());
    }
    Ok(())
}

fn objectives(client: &Client, json: bool) -> Result<()> {
    let all = client.get("/api/v1/objectives")?["items"].as_array().cloned().unwrap_or_default();
    if json {
        show::json(&Json::Array(all));
        return Ok(());
    }
    let row = |one: &Json| {
        let because = one["because"].as_array().into_iter().flatten().map(|one| show::text(one, "name"));
        let because = because.collect::<Vec<_>>().join(", ");
        vec![
            show::text(one, "service"),
            show::text(one, "name"),
            seconds(&one["rtoSeconds"]),
            seconds(&one["rpoSeconds"]),
            because,
        ]
    };
    show::table(
        &["service", "name", "RTO", "RPO", "because of"],
        all.iter().map(row).collect(),
        "There are no services.",
    );
    Ok(())
}

fn ranking(found: &Json, json: bool) -> Result<()> {
    if json {
        show::json(found);
        return Ok(());
    }
    let unit = show::text(found, "unit");
    let row = |one: &Json| {
        let text = |field| show::text(one, field);
        let harm = format!("{} {unit}", text("harm"));
        let never = match one["never"] == one["unmeasured"] && one["never"] != 0 {
            true => "never measured".to_owned(),
            false => text("never"),
        };
        vec![
            text("id"),
            text("kind"),
            text("name"),
            text("likelihood"),
            harm,
            text("activities"),
            never,
            text("missed"),
        ]
    };
    let all = found["items"].as_array().cloned().unwrap_or_default();
    show::table(
        &["id", "kind", "name", "likely (1–5)", "harm", "stops", "never back", "missed"],
        all.iter().map(row).collect(),
        "No single loss stops anything. Say what your activities need: `yunwei inventory import --help`.",
    );
    println!("{} of {} things stop something when they alone are lost", found["total"], found["tried"]);
    println!("of {} of them somebody judged how likely that is", found["judged"]);
    Ok(())
}

/// When something is back: `after 12 min`, or never and why, at the root.
fn back(one: &Json) -> String {
    let root = &one["causes"][0];
    match &one["back"]["afterSeconds"] {
        Json::Null if root.is_object() => {
            format!("never ({}: {})", show::text(root, "name"), never(root["why"].as_str().unwrap_or_default()))
        }
        Json::Null => format!("never ({})", never(one["back"]["never"].as_str().unwrap_or_default())),
        after => format!("after {}", super::drills::seconds(after)),
    }
}

fn never(why: &str) -> &'static str {
    match why {
        "noRepair" => "nobody said how long its repair takes",
        "noCopy" => "no copy is left",
        "noRoom" => "no host has room",
        "neverMeasured" => "never measured",
        "needs" => "what it needs is never back",
        _ => "it waits for what waits for it",
    }
}

fn lost(one: &Json) -> String {
    match (&one["loss"], &one["loss"]["seconds"]) {
        (Json::Null, _) => "none".to_owned(),
        (_, Json::Null) => "all".to_owned(),
        (_, last) => format!("the last {}", super::drills::seconds(last)),
    }
}

fn missed(one: &Json) -> String {
    let fields = [("mtpdMissed", "MTPD"), ("rtoMissed", "RTO"), ("rpoMissed", "RPO")];
    fields.iter().filter(|(field, _)| one[*field] == true).map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}

fn outcome(found: &Json, json: bool) {
    if json {
        return show::json(found);
    }
    let unit = show::text(found, "unit");
    let measured = match &found["measuredSeconds"] {
        Json::Null => "choosing a copy was never measured".to_owned(),
        seconds => format!("{} of that measured by drills", super::drills::seconds(seconds)),
    };
    println!("restores begin after {} ({measured})", super::drills::seconds(&found["reactSeconds"]));
    let rows = |field: &str| found[field].as_array().cloned().unwrap_or_default();
    let stop = |one: &Json| {
        let harm = format!("{} {unit}", show::text(one, "harm"));
        vec![show::text(one, "name"), show::text(one, "kind"), back(one), lost(one), harm, missed(one)]
    };
    let head = ["stops", "kind", "back", "data lost", "harm", "missed"];
    show::table(&head, rows("activities").iter().map(stop).collect(), "Nothing stops: what is left is enough.");
    let moves = rows("moves");
    let moved = |one: &Json| {
        let seconds = |field: &str| super::drills::seconds(&one[field]);
        let span = format!("{} – {}", seconds("startSeconds"), seconds("endSeconds"));
        vec![show::text(one, "name"), show::text(one, "from"), show::text(one, "to"), span, seconds("losesSeconds")]
    };
    if !moves.is_empty() {
        let head = ["restored, in this order", "from", "onto", "when", "lacks the last"];
        show::table(&head, moves.iter().map(moved).collect(), "");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn what_is_not_known_is_no_figure() {
        let back = |back| super::back(&json!({ "back": back }));
        assert_eq!(back(json!({ "afterSeconds": 90, "never": null })), "after 90 s");
        assert_eq!(back(json!({ "afterSeconds": null, "never": "neverMeasured" })), "never (never measured)");
        let root = json!([{ "name": "web", "why": "noRoom" }]);
        let told = super::back(&json!({ "back": { "afterSeconds": null, "never": "needs" }, "causes": root }));
        assert_eq!(told, "never (web: no host has room)");
        assert_eq!(super::lost(&json!({ "loss": null })), "none");
        assert_eq!(super::lost(&json!({ "loss": { "seconds": null, "everything": true } })), "all");
        assert_eq!(super::lost(&json!({ "loss": { "seconds": 60, "everything": false } })), "the last 60 s");
        assert_eq!(super::missed(&json!({ "rtoMissed": true, "rpoMissed": true })), "RTO RPO");
        assert_eq!(super::seconds(&json!(null)), "not said");
    }
}
