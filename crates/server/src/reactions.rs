//! What follows from what: who reacts to which fact, on one page.
//!
//! Everything here runs in the fact's own transaction and only writes rows.
//! Each room's facts are matched without a wildcard: a new fact does not
//! compile until somebody decides what follows from it.

use std::any::Any;

use base::id::TenantId;
use base::{Error, Result};
use billing::bills::{self, Compensation};
use billing::{accounts, usage};
use continuity::{alarms, backups, datasets, drills, restores};
use durable::flows;
use gate::{Fact, RecordFact, Tx};
use provisioning::{fulfilment, services};
use web::hub::Hub;

/// Lets the house react to a fact.
///
/// # Errors
/// Those of the reactions; the action that stated the fact then fails with them.
pub fn react(hub: &Hub, tx: &mut Tx<'_>, fact: &dyn Fact) -> Result<()> {
    let any: &dyn Any = fact;
    if let Some(fact) = any.downcast_ref::<RecordFact>() {
        return hub.notify(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<access::Fact>() {
        return of_access(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<commerce::Fact>() {
        return of_commerce(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<resources::Fact>() {
        return of_resources(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<provisioning::Fact>() {
        return of_provisioning(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<billing::Fact>() {
        return of_billing(fact);
    }
    if let Some(fact) = any.downcast_ref::<backups::Fact>() {
        return of_backups(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<drills::Fact>() {
        return of_drills(tx, fact);
    }
    if let Some(fact) = any.downcast_ref::<durable::Fact>() {
        return of_durable(tx, fact);
    }
    Err(Error::bug("fact.unknown", format!("nobody knows the fact {}", fact.name())))
}

fn of_access(tx: &mut Tx<'_>, fact: &access::Fact) -> Result<()> {
    use access::Fact as F;
    match fact {
        F::TenantCreated { tenant } => welcome(tx, tenant.parse()?),
        F::TenantChanged { .. } | F::TenantSuspended { .. } | F::TenantResumed { .. } => Ok(()),
        F::InvitationMade { .. } | F::AccountJoined { .. } | F::AccountSuspended { .. } | F::AccountResumed { .. } => {
            Ok(())
        }
        F::AccountRemoved { .. } | F::RoleGranted { .. } | F::RoleRevoked { .. } | F::PasswordChanged { .. } => Ok(()),
        F::SessionOpened { .. } | F::TokenCreated { .. } | F::TokenRevoked { .. } => Ok(()),
    }
}

/// A new customer is a party, a customer and somebody who is billed, in TM Forum's books too.
fn welcome(tx: &mut Tx<'_>, tenant: TenantId) -> Result<()> {
    let Some(name) = access::tenants::customer_name(tx, tenant)? else { return Ok(()) };
    let customer = commerce::customers::join(tx, tenant, &name)?;
    accounts::open(tx, tenant, Some(&accounts::Party { id: customer, name, kind: "Customer".to_owned() })).map(drop)
}

fn of_commerce(tx: &mut Tx<'_>, fact: &commerce::Fact) -> Result<()> {
    use commerce::Fact as F;
    match fact {
        F::OrderAccepted { order, .. } => {
            usage::order_accepted(tx, order)?;
            fulfilment::accepted(tx, order)
        }
        F::OrderCancellationRequested { order, .. } => fulfilment::cancelled(tx, order),
        F::OrderEnded { .. } => Ok(()),
    }
}

fn of_resources(tx: &mut Tx<'_>, fact: &resources::Fact) -> Result<()> {
    use resources::Fact as F;
    match fact {
        F::MachineObserved { intent, service } | F::MachineFreed { intent, service } => {
            services::observe(tx, service)?;
            drills::machine_seen(tx, intent)?;
            flows::wake(
                tx,
                &resources::intents::key(&intent.parse().map_err(|e: String| Error::bug("intent.malformed", e))?),
            )
            .map(drop)
        }
        F::HostTaskEnded { task, subject_kind, subject_id } => {
            drills::task_ended(tx, subject_kind, subject_id)?;
            backups::work::task_ended(tx, task, subject_kind, subject_id)
        }
        F::LifeObserved { intent, seq, .. } => usage::life_observed(tx, intent, *seq),
        F::HostChanged { host } => backups::findings::host_changed(tx, host.parse()?),
        F::HostEnrolled { .. } | F::HostSilent { .. } | F::HostReturned { .. } => Ok(()),
        F::OrphansObserved { .. } | F::ConsoleCaptured { .. } => Ok(()),
    }
}

fn of_provisioning(tx: &mut Tx<'_>, fact: &provisioning::Fact) -> Result<()> {
    use provisioning::Fact as F;
    match fact {
        F::ServiceActivated { service, .. } => {
            usage::service_activated(tx, service)?;
            backups::protections::activated(tx, service)
        }
        F::ServiceMoved { service, .. } => usage::service_moved(tx, service),
        F::ServiceReleased { service, .. } => {
            let now = tx.now;
            usage::end(tx, service, now)?;
            restores::work::service_released(tx, service)
        }
        F::ServiceTerminated { service, .. } => {
            backups::protections::terminated(tx, service)?;
            datasets::service_terminated(tx, service)?;
            drills::plans::service_terminated(tx, service)
        }
    }
}

fn of_billing(fact: &billing::Fact) -> Result<()> {
    use billing::Fact as F;
    match fact {
        F::AccountOpened { .. } | F::MeterStarted { .. } | F::MeterEnded { .. } | F::BillIssued { .. } => Ok(()),
    }
}

fn of_backups(tx: &mut Tx<'_>, fact: &backups::Fact) -> Result<()> {
    use backups::Fact as F;
    match fact {
        F::ServiceProtected { .. } | F::RecoveryPointExpired { .. } => Ok(()),
        F::ProtectionEnded { service } => alarms::protection_ended(tx, service),
        F::RecoveryPointAvailable { point, .. }
        | F::RecoveryPointDegraded { point, .. }
        | F::RecoveryPointFailed { point, .. } => alarms::backed_up(tx, point),
    }
}

fn of_drills(tx: &mut Tx<'_>, fact: &drills::Fact) -> Result<()> {
    use drills::Fact as F;
    match fact {
        F::DrillPassed { run } => alarms::drilled(tx, run, true),
        F::DrillFailed { run } | F::DrillImpossible { run } => alarms::drilled(tx, run, false),
        F::DrillStopped { .. } => Ok(()),
        F::RecoveryPromiseBroken { run, service, credit, how } => owe(tx, run, service, credit, how),
        F::CorrectiveActionOpened { .. } | F::CorrectiveActionClosed { .. } => Ok(()),
        F::CorrectiveActionWithdrawn { .. } => Ok(()),
    }
}

/// A promise of recovery was seen broken: whoever pays for the service is owed the credit of its contract.
fn owe(tx: &mut Tx<'_>, run: &str, service: &str, credit: &str, how: &str) -> Result<()> {
    let amount = credit.parse().map_err(|_| Error::bug("promise.credit", "a stated credit is no number"))?;
    let reason = format!("{how} ({run})");
    bills::compensate(tx, &Compensation { service, ground: "recovery", amount, reason: &reason }).map(drop)
}

fn of_durable(tx: &mut Tx<'_>, fact: &durable::Fact) -> Result<()> {
    use durable::Fact as F;
    match fact {
        F::FlowUndone(about) | F::FlowGivenUp(about) => {
            backups::work::ended(tx, about)?;
            drills::closing::ended(tx, about)?;
            restores::work::ended(tx, about)?;
            fulfilment::ended(tx, fact)
        }
        F::FlowStuck(about) => fulfilment::stuck(tx, about),
        F::FlowStarted(_) | F::FlowAdvanced(_) | F::FlowDone(_) | F::JobDiscarded { .. } => Ok(()),
    }
}
