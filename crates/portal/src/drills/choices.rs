//! What a new plan can be about.

use continuity::datasets::{self, ListDataSets};
use continuity::inventory::actions::{LIST as THINGS, ListInventory};
use continuity::inventory::{Kind, Thing};
use drivers::wire::DataSource;

use crate::ui::Choice;
use crate::visit::Signed;

/// The sites at which the acting tenant has something; none for who may not read its inventory.
pub(crate) async fn sites(s: &Signed) -> Vec<Thing> {
    let ask = ListInventory { kind: Some(Kind::Site), limit: Some(100), ..ListInventory::default() };
    let found = s.call(&THINGS, ask).await.map(|page| page.items).unwrap_or_default();
    found.into_iter().filter(|site| site.known).collect()
}

/// The data sets of these services that are databases; none for who may not read them.
pub(super) async fn databases(s: &Signed, services: &[db::Record], chosen: &str) -> Vec<Choice> {
    let mut choices = vec![Choice::new("", s.t().drills.none)];
    for service in services {
        let ask = ListDataSets { id: service.id.clone(), ended: false };
        let Ok(found) = s.call(&datasets::LIST, ask).await else { continue };
        let of = crate::records::said(s.p().lang, &service.body, "name");
        let databases = found.items.into_iter().filter(|set| !matches!(set.source, DataSource::Files { .. }));
        choices.extend(databases.map(|set| {
            let mut choice = Choice::new(set.id.to_string(), format!("{of} · {}", set.name));
            choice.chosen = choice.value == chosen;
            choice
        }));
    }
    choices
}
