//! Continuity: what stops when something is lost, what brings it back, and
//! whether that was ever proven.
//!
//! | module | what |
//! |---|---|
//! | [`shares`] | the master key on paper: some of its shares bring it back, fewer tell nothing |
//! | [`control_plane`] | the platform itself: kept at several places, and brought back from one |
//! | [`alarms`] | what is wrong with copies and drills until somebody sees to it |
//! | [`backups`] | places, policies, protections, recovery points; the flow that takes them |
//! | [`recoveries`] | machines that are made again from a copy: what restores and drills stand on |
//! | [`datasets`] | files and databases that belong to a service, and bringing them back |
//! | [`drills`] | plans, runs, corrective actions: services really brought back, and measured |
//! | [`evidence`] | what drills found, signed; looked at without anybody's help |
//! | [`readings`] | somebody looks into a recovery point, or fetches a file of it |
//! | [`restores`] | a service is brought back, or a second machine beside it |
//! | [`inventory`] | what a firm does and what that depends on: known by the platform, completed by people |
//! | [`bia`] | what it would mean to be without an activity, and what everything below inherits |
//! | [`plan`] | the nine steps, held against what is really there; team, reviews, versions, paper |
//! | [`start`] | a few questions make a first plan of what runs already |
//! | [`exercises`] | people try the plan, and what they find |
//! | [`runbooks`] | what to do, step by step; every edit kept |
//! | [`impact`] | what stops, for how long, and what is lost: a pure function over the graph of dependencies |
//! | [`studies`] | that graph made of a tenant's inventory and what was measured; what-if, and every single failure ranked |

pub mod alarms;
pub mod backups;
pub mod bia;
pub mod control_plane;
pub mod datasets;
pub mod drills;
pub mod evidence;
pub mod exercises;
mod found;
pub mod impact;
pub mod inventory;
pub mod plan;
pub mod readings;
pub mod recoveries;
pub mod restores;
pub mod runbooks;
pub mod shares;
pub mod start;
mod stopping;
pub mod studies;

pub use found::FINDABLE;

base::ids! {
    /// Where copies lie.
    pub struct BackupPlaceId = "bkpl";
    /// One tenant's repository at one place.
    pub struct RepositoryId = "repo";
    /// What is backed up when, where to, and for how long.
    pub struct BackupPolicyId = "bkpo";
    /// A state of a service that was kept.
    pub struct RecoveryPointId = "rpt";
    /// Files or databases that belong to a service.
    pub struct DataSetId = "dset";
    /// A data set that is brought back.
    pub struct DataRestoreId = "drst";
    /// Machines that are made again from a recovery point.
    pub struct RecoveryId = "rcvy";
    /// A state of the platform itself that was kept.
    pub struct ControlPlanePointId = "cpnt";
    /// What is drilled when.
    pub struct DrillPlanId = "drpl";
    /// One drill.
    pub struct DrillRunId = "drun";
    /// Something that must be put right.
    pub struct CorrectiveActionId = "capa";
    /// Something that somebody must see to.
    pub struct AlarmId = "alrm";
    /// Somebody reads in a recovery point.
    pub struct ReadingId = "rdng";
    /// A service that is brought back.
    pub struct RestoreId = "rstr";
    /// What somebody added to an inventory.
    pub struct InventoryId = "inv";
    /// Somebody who is called when something has happened.
    pub struct ContactId = "cont";
    /// Somebody has looked at the whole plan.
    pub struct ReviewId = "prev";
    /// What a review or an exercise found.
    pub struct FindingId = "find";
    /// People try the plan.
    pub struct ExerciseId = "exer";
    /// What to do, step by step.
    pub struct RunbookId = "rnbk";
}
db::id_columns!(
    AlarmId,
    BackupPlaceId,
    RepositoryId,
    BackupPolicyId,
    RecoveryPointId,
    DataSetId,
    DataRestoreId,
    RecoveryId,
    DrillPlanId,
    DrillRunId,
    CorrectiveActionId,
    ControlPlanePointId,
    ReadingId,
    RestoreId,
    ContactId,
    ReviewId,
    FindingId,
    ExerciseId,
    RunbookId
);
