//! What can be done: plan, start, look, end what stands beside.

use base::{Error, Result, limits};
use db::Class;
use durable::Subject;
use durable::flows::{self, RunDetail};
use gate::{Action, Effect, Granted, Tx};
use provisioning::services::SERVICE;
use resources::{SiteId, hosts, places};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ask, KIND, Plan, RESTORE, Restore, State, plan, store};
use crate::RestoreId;
use crate::backups::points::ServiceRef;
use crate::recoveries::{self, Measured, UnderWay};

/// The service that the actor may do so with. Hosts are the operator's: naming one wants a look at it.
fn granted(tx: &mut Tx<'_>, action: &str, ask: &Ask) -> Result<base::id::TenantId> {
    let tenant = tx.load_for(action, &SERVICE, &ask.id)?.tenant;
    if let Some(host) = ask.host {
        let owner = hosts::load(tx, host)?.tenant;
        tx.grant(action, "host", &host.to_string(), owner, Class::Internal, ())?;
    }
    Ok(tenant)
}

/// Shows what a restore would do.
pub static PLAN: Action<Ask, Plan> = Action {
    name: "service.plan_restore",
    summary: "Shows what a restore would do now: from which point and copy, where to, how much, how long by measured speed.",
    effect: Effect::Read,
    run: |tx, input| {
        granted(tx, "service.plan_restore", input)?;
        input.check()?;
        plan::plan(tx, input)
    },
};

/// A site that a service could be brought back at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenSite {
    /// Its id.
    pub id: SiteId,
    /// Its name.
    pub name: String,
}

/// Sites, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OpenSites {
    /// The sites, by name.
    pub items: Vec<OpenSite>,
}

/// Lists the sites that a service could be brought back at.
pub static SITES: Action<ServiceRef, OpenSites> = Action {
    name: "service.restore_sites",
    summary: "Lists the sites that a service could be brought back at: those with a host that takes machines.",
    effect: Effect::Read,
    run: |tx, input| {
        tx.load_for("service.restore_sites", &SERVICE, &input.id)?;
        let open = places::open_sites(tx)?;
        Ok(OpenSites { items: open.into_iter().map(|(id, name)| OpenSite { id, name }).collect() })
    },
};

/// Brings a service back, or a second machine beside it.
pub static START: Action<Ask, Restore> = Action {
    name: "service.restore",
    summary: "Brings a service back from a recovery point, or a second machine beside it. Follow it with restore.get.",
    effect: Effect::Create,
    run: |tx, input| {
        let tenant = granted(tx, "service.restore", input)?;
        input.check()?;
        if store::running(tx, &input.id)?.is_some() {
            let message = "the service is being brought back just now; wait for it";
            return Err(Error::conflict("restore.running", message));
        }
        let plan = plan::plan(tx, input)?;
        if plan.alive && !input.beside && !input.even_if_alive {
            let message = "the service answers: replacing it loses what it has written since the recovery point; say evenIfAlive, or bring it back beside";
            return Err(Error::conflict("restore.service_alive", message));
        }
        // The point is settled by now: what is newer when the run begins was not what was agreed to.
        let wish = Ask { point: Some(plan.point), ..input.clone() };
        let one = Restore {
            id: RestoreId::fresh(tx.ids(), tx.now),
            service: input.id.clone(),
            tenant,
            beside: input.beside,
            state: State::Running,
            problem: None,
            point: None,
            taken_at: None,
            place: None,
            place_name: None,
            requested_at: tx.now,
            answered_at: None,
            closed_at: None,
            keep_until: None,
            machines: Vec::new(),
            wish,
            recovery: None,
        };
        store::insert(tx, &one)?;
        flows::start(tx, RESTORE, serde_json::json!({ "restore": one.id }), subject(&one))?;
        Ok(one)
    },
};

pub(super) fn subject(one: &Restore) -> Subject {
    Subject::new(KIND, one.id.to_string(), one.tenant)
}

/// Whose restores.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListRestores {
    /// The service.
    pub id: String,
    /// How many.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// Restores, at most a page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RestorePage {
    /// The restores, newest first.
    pub items: Vec<Restore>,
}

/// Lists a service's restores.
pub static LIST: Action<ListRestores, RestorePage> = Action {
    name: "restore.list",
    summary: "Lists a service's restores, newest first.",
    effect: Effect::Read,
    run: |tx, input| {
        tx.load_for("restore.list", &SERVICE, &input.id)?;
        let limit = input.limit.unwrap_or(limits::PAGE_DEFAULT).clamp(1, limits::PAGE_MAX);
        Ok(RestorePage { items: store::of_service(tx, &input.id, limit)? })
    },
};

/// Which restore.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreRef {
    /// Its id.
    pub id: RestoreId,
}

/// A restore and how far it is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreDetail {
    /// The restore.
    #[serde(flatten)]
    pub restore: Restore,
    /// Its run, step by step; absent once runs of that age are forgotten.
    pub run: Option<RunDetail>,
    /// The disks that came back by now, as their host measured it.
    pub disks: Vec<Measured>,
    /// The disks that come back just now, and how far they are.
    pub under_way: Vec<UnderWay>,
}

fn known(tx: &mut Tx<'_>, action: &str, id: RestoreId) -> Result<Restore> {
    let found = super::load(tx, id)?;
    let tenant = found.tenant;
    tx.grant(action, KIND, &id.to_string(), tenant, Class::Internal, found).map(Granted::into_inner)
}

/// Shows a restore and how far it is.
pub static GET: Action<RestoreRef, RestoreDetail> = Action {
    name: "restore.get",
    summary: "Shows a restore: its steps, its machines, and how the disks came back.",
    effect: Effect::Read,
    run: |tx, input| {
        let restore = known(tx, "restore.get", input.id)?;
        let run = flows::of_subject(tx, KIND, &input.id.to_string())?.pop();
        let run = run.map(|run| flows::progress(tx, run.id)).transpose()?;
        let (disks, under_way) = match restore.recovery {
            Some(id) => {
                let recovery = recoveries::load(tx, id)?;
                (recoveries::measured(tx, &recovery)?, recoveries::under_way(tx, &recovery)?)
            }
            None => (Vec::new(), Vec::new()),
        };
        Ok(RestoreDetail { restore, run, disks, under_way })
    },
};

/// Until when what stands beside is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keep {
    /// The restore.
    pub id: RestoreId,
    /// So many hours from now on.
    pub hours: u32,
}

/// Keeps what stands beside for longer, or not so long.
pub static KEEP: Action<Keep, Restore> = Action {
    name: "restore.keep",
    summary: "Sets how long the machines beside a service are kept, in hours from now: at most 30 days.",
    effect: Effect::Change,
    run: |tx, input| {
        let found = known(tx, "restore.keep", input.id)?;
        let wish = Ask { beside: found.beside, keep_hours: Some(input.hours), ..Ask::default() };
        wish.check()?;
        if found.state != State::Done {
            let message = "only what stands beside a service can be kept";
            return Err(Error::conflict("restore.not_beside", message));
        }
        let until = tx.now + wish.keep();
        store::keep(tx, input.id, until)?;
        super::load(tx, input.id)
    },
};

/// Lets go of what stands beside.
pub static END: Action<RestoreRef, Restore> = Action {
    name: "restore.end",
    summary: "Lets go of the machines that a restore has put beside a service; their disks go with them.",
    effect: Effect::Delete,
    run: |tx, input| {
        let found = known(tx, "restore.end", input.id)?;
        if !found.beside || found.state == State::Running || found.state == State::Failed {
            let message = "only what a restore has put beside a service can be let go";
            return Err(Error::conflict("restore.not_beside", message));
        }
        let made: Vec<String> = found.machines.iter().map(|machine| machine.made.clone()).collect();
        provisioning::fulfilment::remove(tx, &made)?;
        store::ended(tx, input.id)?;
        super::load(tx, input.id)
    },
};
