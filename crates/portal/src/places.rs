//! Where copies lie, and by which rules: the operator's page.

use continuity::backups::places::{self, Immutability, Location};
use continuity::backups::policies;
use continuity::backups::retention::Retention;

use crate::backups::{OperatorBackups, PlaceRow, PolicyRow, listed};
use crate::page::{Page, ok};
use crate::ui::{Badge, Tone};
use crate::visit::{Answer, Signed};

fn keeps(p: &Page, retention: &Retention) -> String {
    let b = &p.t.backups;
    let rules = [
        (retention.last, b.last),
        (retention.hourly, b.hourly),
        (retention.daily, b.daily),
        (retention.weekly, b.weekly),
        (retention.monthly, b.monthly),
        (retention.yearly, b.yearly),
    ];
    let said: Vec<String> =
        rules.iter().filter(|(number, _)| *number > 0).map(|(number, words)| p.with(words, number)).collect();
    if said.is_empty() { b.keeps_all.to_owned() } else { listed(p, &said) }
}

/// `GET /operator/backups`
pub(crate) async fn operator(s: Signed) -> Answer {
    let (p, b) = (s.p(), &s.t().backups);
    let places = s.call(&places::LIST, Default::default()).await?.items;
    let policies = s.call(&policies::LIST, Default::default()).await?.items;
    let sites = s.call(&resources::places::LIST_SITES, Default::default()).await?;
    let site = |id: &str| match sites.items.iter().find(|site| site.id.to_string() == id) {
        Some(site) => site.name.clone(),
        None => b.elsewhere.to_owned(),
    };
    let name = |id: &continuity::BackupPlaceId| {
        places.iter().find(|place| place.id == *id).map(|place| place.name.clone()).unwrap_or_default()
    };
    let rows = places.iter().map(|place| PlaceRow {
        id: place.id.to_string(),
        name: place.name.clone(),
        location: match &place.location {
            Location::Folder { path, .. } => path.clone(),
            Location::Server { url, .. } => url.clone(),
            Location::Bucket { endpoint, bucket, .. } => format!("{endpoint}/{bucket}"),
        },
        site: site(&place.site),
        badge: match place.immutability {
            Immutability::None => Badge::new(Tone::Neutral, b.immutable_none),
            Immutability::AppendOnly => Badge::new(Tone::Well, b.immutable_append),
            Immutability::ObjectLock => Badge::new(Tone::Well, b.immutable_lock),
        },
    });
    let rules = policies.iter().map(|policy| PolicyRow {
        id: policy.id.to_string(),
        name: policy.name.clone(),
        when: format!("{} ({})", policy.terms.schedule.calendar, policy.terms.schedule.time_zone),
        keeps: keeps(p, &policy.terms.retention),
        places: listed(p, &policy.terms.places.iter().map(name).collect::<Vec<_>>()),
    });
    let (rows, rules) = (rows.collect(), rules.collect());
    Ok(ok(&OperatorBackups { p, places: rows, policies: rules }))
}
