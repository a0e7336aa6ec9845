//! How copies, drills, plans and what belongs to them are found; see [`gate::search`].

use db::Class;
use gate::search::{Findable, Reach};
use serde_json::Value as Json;

use crate::inventory::store::find as find_inventory;
use crate::{
    AlarmId, BackupPlaceId, BackupPolicyId, ContactId, ControlPlanePointId, CorrectiveActionId, DataRestoreId,
    DataSetId, DrillPlanId, DrillRunId, ExerciseId, FindingId, RecoveryPointId, RepositoryId, RestoreId, ReviewId,
    RunbookId,
};

const ENDED: &str = "CASE WHEN t.ended_at IS NULL THEN 'active' ELSE 'ended' END";

/// Everything of this room that is found.
pub static FINDABLE: &[Findable] = &[
    Findable::table(["backupPlace", BackupPlaceId::PREFIX], "backupPlace.list", "backup_places t", "t.name")
        .by_words()
        .reach(Reach::Acting),
    Findable::table(["backupPolicy", BackupPolicyId::PREFIX], "backupPolicy.list", "backup_policies t", "t.name")
        .by_words()
        .reach(Reach::Acting),
    Findable::table(
        ["backupRepository", RepositoryId::PREFIX],
        "backupRepository.list",
        "backup_repositories t JOIN backup_places p ON p.id = t.place",
        "p.name",
    )
    .state("t.state")
    .about("t.place"),
    Findable::table(
        ["recoveryPoint", RecoveryPointId::PREFIX],
        "recoveryPoint.list",
        "recovery_points t JOIN backup_policies p ON p.id = t.policy",
        "p.name",
    )
    .state("t.state")
    .found_by("t.service"),
    Findable::table(["restore", RestoreId::PREFIX], "restore.list", "restores t", "''")
        .state("t.state")
        .found_by("t.service"),
    Findable::table(["dataSet", DataSetId::PREFIX], "dataSet.list", "data_sets t", "t.name")
        .by_words()
        .state(ENDED)
        .found_by("t.service"),
    Findable::table(
        ["dataRestore", DataRestoreId::PREFIX],
        "dataRestore.list",
        "data_restores t JOIN data_sets s ON s.id = t.data_set",
        "s.name",
    )
    .state("t.state")
    .found_by("t.service"),
    // The platform's own copies are the operator's.
    Findable::table(
        ["controlPlanePoint", ControlPlanePointId::PREFIX],
        "controlPlane.get",
        "control_plane_points t JOIN backup_policies p ON p.id = t.policy",
        "p.name",
    )
    .owned_by("p.tenant")
    .state("t.state")
    .reach(Reach::Acting),
    Findable::table(["drillPlan", DrillPlanId::PREFIX], "drillPlan.list", "drill_plans t", "t.name")
        .by_words()
        .state(ENDED),
    // With its evidence.
    Findable::table(
        ["drill", DrillRunId::PREFIX],
        "drill.list",
        "drill_runs t JOIN drill_plans p ON p.id = t.plan",
        "p.name || ' #' || t.number",
    )
    .state("t.state")
    .found_by("t.plan"),
    Findable::table(
        ["correctiveAction", CorrectiveActionId::PREFIX],
        "correctiveAction.list",
        "corrective_actions t",
        "t.message",
    )
    .by_words()
    .state("t.state")
    .found_by("t.plan"),
    Findable::table(["alarm", AlarmId::PREFIX], "alarm.list", "alarms t", "t.problem")
        .named_by(message)
        .state("CASE WHEN t.cleared_at IS NULL THEN 'raised' ELSE 'cleared' END")
        .found_by("t.object"),
    Findable::own("inventory", "inventory.list", find_inventory),
    Findable::table(["exercise", ExerciseId::PREFIX], "exercise.list", "exercises t", "t.body")
        .named_by(named)
        .by_words()
        .state("t.state")
        .reach(Reach::Acting),
    Findable::table(["runbook", RunbookId::PREFIX], "runbook.list", "runbooks t", "t.title")
        .by_words()
        .state(ENDED)
        .about("t.service")
        .reach(Reach::Acting),
    Findable::table(["contact", ContactId::PREFIX], "contact.list", "plan_contacts t", "t.name")
        .by_words()
        .class(Class::Personal)
        .reach(Reach::Acting),
    Findable::table(["finding", FindingId::PREFIX], "finding.list", "plan_findings t", "t.text")
        .by_words()
        .state("CASE WHEN t.closed_at IS NULL THEN 'open' ELSE 'closed' END")
        .found_by("t.source_id")
        .reach(Reach::Acting),
    Findable::table(["planReview", ReviewId::PREFIX], "planReview.list", "plan_reviews t", "t.held_by")
        .reach(Reach::Acting),
];

fn at(text: &str, member: &str) -> String {
    let read: Json = serde_json::from_str(text).unwrap_or_default();
    read.get(member).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// What a stored problem says.
fn message(problem: &str) -> String {
    at(problem, "message")
}

/// What a stored exercise is called.
fn named(body: &str) -> String {
    at(body, "name")
}
