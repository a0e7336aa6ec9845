//! What a plan brings back: services by name, all that a tenant has at a site when a run begins, or the
//! platform itself.

use std::collections::BTreeSet;

use base::id::TenantId;
use base::{Error, Result, limits};
use gate::Tx;
use provisioning::services::SERVICE;
use resources::{SiteId, intents};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::order::{self, Member, Order, Relies};
use super::plans::invalid;
use super::platform;
use crate::bia;
use crate::inventory::{self, Inventory, View};

/// Most services that a plan names.
pub const SERVICES_MAX: usize = 20;

/// In which order named services come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Sequence {
    /// One after the other, as they are named.
    #[default]
    Given,
    /// Each after what it relies on in the inventory, side by side where nothing lies between.
    Dependencies,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Scope {
    /// From 1 to 20 services, all of one tenant, each once.
    Services {
        /// Their ids.
        services: Vec<String>,
        /// In which order they come back.
        #[serde(default)]
        order: Sequence,
    },
    /// Every service of a tenant that has a machine at a site at the moment when a run begins; at most
    /// 200. Each comes back after what it relies on in the inventory.
    Site {
        /// The site.
        site: SiteId,
        /// Whose services.
        tenant: TenantId,
    },
    /// The platform itself. The operator's alone.
    ControlPlane,
}

impl Scope {
    /// These services, in this order.
    pub fn of(services: Vec<String>) -> Scope {
        Scope::Services { services, order: Sequence::Given }
    }

    /// What can be said without looking anything up.
    pub(super) fn check(&self) -> Result<()> {
        let Scope::Services { services, .. } = self else { return Ok(()) };
        let distinct: BTreeSet<_> = services.iter().collect();
        if services.is_empty() || services.len() > SERVICES_MAX || distinct.len() != services.len() {
            let message = format!("a plan names from 1 to {SERVICES_MAX} services, each once, or a site");
            return Err(invalid("drillPlan.services", message, "services"));
        }
        Ok(())
    }

    /// Whose services they are, where the actor may use all of them so.
    pub(super) fn whose(&self, tx: &mut Tx<'_>, action: &str) -> Result<TenantId> {
        if *self == Scope::ControlPlane {
            let operator = tx.operator()?;
            tx.grant(action, "controlPlane", platform::SERVICE, operator, db::Class::Internal, ())
                .map_err(|e| e.at("scope"))?;
            return Ok(operator);
        }
        if let Scope::Site { tenant, .. } = self {
            tx.grant(action, "tenant", &tenant.to_string(), *tenant, db::Class::Internal, ())
                .map_err(|e| e.at("scope.tenant"))?;
        }
        let mut whose = None;
        for id in self.services(tx)? {
            let service = tx.load_for(action, &SERVICE, &id).map_err(|e| e.at("services"))?;
            if whose.is_some_and(|tenant| tenant != service.tenant) {
                return Err(invalid("drillPlan.tenants", "all services of a plan belong to one tenant", "services"));
            }
            whose = Some(service.tenant);
        }
        whose.ok_or_else(|| Error::bug("drillPlan.services", "a plan without services was let through"))
    }

    /// The services at this moment, by id. Never none.
    ///
    /// # Errors
    /// `Conflict` (`drillPlan.site_empty`, `drillPlan.site_too_large`) where a site has none, or too many
    /// for one drill.
    pub(crate) fn services(&self, tx: &mut Tx<'_>) -> Result<Vec<String>> {
        let (site, tenant) = match self {
            Scope::Services { services, .. } => return Ok(services.clone()),
            Scope::Site { site, tenant } => (*site, *tenant),
            Scope::ControlPlane => return Ok(vec![platform::SERVICE.to_owned()]),
        };
        let most = limits::DRILL_SITE_SERVICES_MAX;
        let found = intents::services_at_site(tx, site, tenant, most + 1)?;
        if found.is_empty() {
            // Who may not know of a site is not told whether there is one.
            let message = format!(
                "no service of tenant {tenant} has a machine at site {site}, or there is no such site; look into the tenant's inventory for the sites that it has machines at"
            );
            return Err(Error::conflict("drillPlan.site_empty", message).at("scope.site"));
        }
        if found.len() > most {
            let message = format!(
                "more than {most} services of the tenant stand at the site, which is more than one drill brings back; make plans that name parts of them"
            );
            return Err(Error::conflict("drillPlan.site_too_large", message).at("scope.site"));
        }
        Ok(found)
    }

    /// [`Scope::services`], where none is an answer as well: for those who only tell of a plan.
    pub(crate) fn standing(&self, tx: &mut Tx<'_>) -> Result<Vec<String>> {
        match self {
            Scope::ControlPlane => Ok(vec![platform::SERVICE.to_owned()]),
            Scope::Services { services, .. } => Ok(services.clone()),
            Scope::Site { site, tenant } => {
                intents::services_at_site(tx, *site, *tenant, limits::DRILL_SITE_SERVICES_MAX)
            }
        }
    }

    /// Whether that service is one of them at this moment.
    pub(crate) fn has(&self, tx: &mut Tx<'_>, service: &str) -> Result<bool> {
        match self {
            Scope::ControlPlane => Ok(service == platform::SERVICE),
            Scope::Services { services, .. } => Ok(services.iter().any(|one| one == service)),
            Scope::Site { site, tenant } => intents::stands_at_site(tx, *site, *tenant, service),
        }
    }

    /// In which order these services come back.
    pub(super) fn order(&self, tx: &mut Tx<'_>, tenant: TenantId, services: &[String]) -> Result<Order> {
        if *self == Scope::ControlPlane {
            return Ok(platform::order());
        }
        let mut members = Vec::with_capacity(services.len());
        for id in services {
            let record = tx.peek(&SERVICE, id)?;
            let name = record.body.get("name").and_then(Json::as_str).unwrap_or(id).to_owned();
            members.push(Member { service: id.clone(), name, rto_seconds: None });
        }
        if matches!(self, Scope::Services { order: Sequence::Given, .. }) {
            return Ok(order::as_given(&members));
        }
        let inherited = bia::objectives_of(tx, tenant, services)?;
        for member in &mut members {
            member.rto_seconds = inherited.get(&member.service).and_then(|one| one.rto_seconds);
        }
        let (there, _) = inventory::read(tx, View { tenant, operator: false })?;
        Ok(order::by_dependencies(&members, &relied(&there, services)))
    }
}

/// Which of these services each of them relies on, also through other things between them. What a thing
/// *stands in* is left out: it is what was lost, and a service comes back elsewhere.
fn relied(there: &Inventory, services: &[String]) -> Relies {
    let among: BTreeSet<&str> = services.iter().map(String::as_str).collect();
    let of = |service: &String| {
        let (mut found, mut seen, mut way) = (BTreeSet::new(), BTreeSet::new(), vec![service.as_str()]);
        while let Some(one) = way.pop().and_then(|id| there.find(id)) {
            for id in one.needs.iter().flat_map(|need| &need.of) {
                if among.contains(id.as_str()) {
                    found.insert(id.clone());
                } else if seen.insert(id.as_str()) {
                    way.push(id);
                }
            }
        }
        found.remove(service);
        (service.clone(), found)
    };
    services.iter().map(of).collect()
}
