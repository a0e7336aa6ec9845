//! What the form of a new plan says.

use continuity::backups::schedule::Schedule;
use continuity::drills::databases::LostDatabase;
use continuity::drills::plans::{self, NewPlan, Scenario, Terms};
use continuity::drills::rules::Objectives;
use continuity::drills::scope::{Scope, Sequence};
use drivers::wire::Marker;

use crate::visit::Signed;

fn scope(s: &Signed) -> std::result::Result<Scope, &'static str> {
    let form = &s.visit.form;
    let services = form.all("services").into_iter().map(str::to_owned).collect();
    match form.get("scope") {
        "site" => {
            let site = form.get("site").parse().map_err(|_| "site")?;
            Ok(Scope::Site { site, tenant: s.cx.tenant() })
        }
        "dependencies" => Ok(Scope::Services { services, order: Sequence::Dependencies }),
        "controlPlane" => Ok(Scope::ControlPlane),
        _ => Ok(Scope::of(services)),
    }
}

/// The database that was dropped, and where its newest record is: `table` or `schema.table`.
fn lost_database(s: &Signed) -> std::result::Result<LostDatabase, &'static str> {
    let form = &s.visit.form;
    let filled = |name: &'static str| Some(form.get(name)).filter(|text| !text.is_empty()).ok_or(name);
    let table = filled("markerTable")?;
    let (schema, table) = table.split_once('.').map_or((None, table), |(schema, table)| (Some(schema), table));
    let marker = Marker {
        schema: schema.map(str::to_owned),
        table: table.to_owned(),
        column: filled("markerColumn")?.to_owned(),
    };
    let data_set = filled("dataSet")?.parse().map_err(|_| "dataSet")?;
    Ok(LostDatabase { data_set, database: filled("database")?.to_owned(), marker })
}

/// Reads the form; the name of what does not read.
pub(super) fn terms(s: &Signed) -> std::result::Result<NewPlan, &'static str> {
    let form = &s.visit.form;
    let number = |name: &'static str| form.get(name).parse::<u64>().map_err(|_| name);
    let place = |name: &'static str| form.get(name).parse().map_err(|_| name);
    let scenario = match form.get("scenario") {
        // Of the platform there is one: what is chosen for services says nothing of it.
        _ if form.get("scope") == "controlPlane" => Scenario::ControlPlaneLost,
        "machineLost" => Scenario::MachineLost,
        "siteLost" => Scenario::SiteLost,
        "ransomware" => Scenario::Ransomware { unnoticed_seconds: number("unnoticed")?.saturating_mul(3_600) },
        "backupServerLost" => Scenario::BackupServerLost { place: place("lostPlace")? },
        "databaseLost" => Scenario::DatabaseLost { databases: vec![lost_database(s)?] },
        _ => Scenario::HostLost,
    };
    let text = |name: &'static str| form.get(name).to_owned();
    let (calendar, time_zone) = (text("calendar"), text("timeZone"));
    let schedule = (!calendar.is_empty()).then_some(Schedule { calendar, jitter_minutes: 0, time_zone });
    // Both empty: as the impact analysis says.
    let objectives = match (form.get("rto"), form.get("rpo")) {
        ("", "") => None,
        _ => Some(Objectives {
            rto_seconds: number("rto")?.saturating_mul(60),
            rpo_seconds: number("rpo")?.saturating_mul(60),
        }),
    };
    Ok(NewPlan {
        name: form.get("name").to_owned(),
        terms: Terms {
            scope: scope(s)?,
            scenario,
            place: if form.get("place").is_empty() { None } else { Some(place("place")?) },
            objectives,
            schedule,
            negative_every: u32::try_from(number("negative")?).map_err(|_| "negative")?,
            owner: form.get("owner").to_owned(),
            record: plans::RecordAt { path: text("recordPath"), pointer: text("recordPointer") },
            action_days: 14,
        },
    })
}
