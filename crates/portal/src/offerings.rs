//! The catalog as those who sell see it: read here, written through the API
//! and the command line.

use crate::catalog::Loaded;
use crate::operator::{Cell, OfferingPage, Row, TablePage};
use crate::page::ok;
use crate::records::{Ask, ROWS, entries, said, text, value};
use crate::ui::Empty;
use crate::visit::{Answer, Signed};
use axum::extract::Path;
use commerce::catalog::{PRODUCT_OFFERING, PRODUCT_SPECIFICATION};
use provisioning::specifications::SERVICE_SPECIFICATION;
use resources::inventory::RESOURCE_SPECIFICATION;

/// `GET /operator/offerings`
pub(crate) async fn list(s: Signed) -> Answer {
    let (p, t) = (s.p(), s.t());
    let o = &t.operator;
    let after = s.visit.query.get("after").to_owned();
    let beyond = !after.is_empty();
    let found = s.list(&PRODUCT_OFFERING, Ask { after, limit: ROWS, ..Ask::default() }).await?;
    let of = |offering: &db::Record| crate::records::at(offering, "productSpecification.id").to_owned();
    let named = crate::records::called(&s, &PRODUCT_SPECIFICATION, found.records.iter().map(of).collect()).await;
    let rows: Vec<Row> = found
        .records
        .iter()
        .map(|offering| Row {
            href: Some(format!("/operator/offerings/{}", offering.id)),
            name: said(p.lang, &offering.body, "name"),
            note: offering.id.clone(),
            cells: vec![
                Cell::State(p.state(offering.state.as_deref().unwrap_or_default())),
                Cell::Text(named.get(&of(offering)).cloned().unwrap_or_default()),
                Cell::Text(offering.revision.to_string()),
                Cell::Time(p.ago(&offering.updated)),
            ],
        })
        .collect();
    let pager = p.pager("/operator/offerings", rows.len(), found.next.as_deref(), beyond);
    let view = TablePage {
        p,
        title: t.frame.offerings,
        lead: o.offerings_lead,
        heads: vec![o.offering, t.frame.state, o.specification, o.revision, t.frame.updated],
        rows,
        empty: Empty::new(o.offerings_empty, o.offerings_empty_body),
        button: None,
        pager,
    };
    Ok(ok(&view))
}

/// `GET /operator/offerings/{id}`
pub(crate) async fn page(s: Signed, Path(id): Path<String>) -> Answer {
    let (p, t) = (s.p(), s.t());
    let loaded = Loaded::read(&s, &id).await?;
    let body = &loaded.offering.body;
    let characteristics = entries(&loaded.specification.body, "productSpecCharacteristic")
        .iter()
        .map(|c| {
            let known = loaded.choices.find(text(c, "name"));
            let allowed = known.map(|c| allowed(&t.frame, c)).unwrap_or_default();
            let label = crate::catalog::words_of(p.lang, c).0;
            let name = text(c, "name");
            let shown = if label == name { label } else { format!("{label} · {name}") };
            (shown, text(c, "valueType").to_owned(), allowed)
        })
        .collect();
    let o = &t.operator;
    let mut decomposition =
        vec![(o.product_specification.to_owned(), said(p.lang, &loaded.specification.body, "name"))];
    for (list, kind, words) in [
        ("serviceSpecification", &SERVICE_SPECIFICATION, o.service_specification),
        ("resourceSpecification", &RESOURCE_SPECIFICATION, o.resource_specification),
    ] {
        let parts = entries(&loaded.specification.body, list);
        let named =
            crate::records::called(&s, kind, parts.iter().map(|part| text(part, "id").to_owned()).collect()).await;
        for part in parts {
            let name = named.get(text(part, "id")).cloned().unwrap_or_else(|| text(part, "name").to_owned());
            decomposition.push((words.to_owned(), name));
        }
    }
    let view = OfferingPage {
        p,
        name: said(p.lang, body, "name"),
        state: loaded.offering.state.clone().unwrap_or_default(),
        description: said(p.lang, body, "description"),
        prices: loaded.prices.iter().map(|price| loaded.stated(p.lang, price)).collect(),
        characteristics,
        decomposition,
    };
    Ok(ok(&view))
}

/// The allowed values, the default marked.
fn allowed(f: &crate::i18n::Frame, of: &commerce::catalog::characteristics::Characteristic) -> String {
    let words = of.values.iter().map(|v| {
        let shown = match (&v.value, v.from, v.to) {
            (Some(one), ..) => value(one, f.yes, f.no),
            (None, Some(from), Some(to)) => format!("{from} – {to}"),
            (None, Some(from), None) => format!("≥ {from}"),
            (None, None, Some(to)) => format!("≤ {to}"),
            (None, None, None) => v.regex.as_ref().map(|r| r.as_str().to_owned()).unwrap_or_default(),
        };
        let unit = if v.unit.is_empty() { String::new() } else { format!(" {}", v.unit) };
        let mark = if v.default { " *" } else { "" };
        format!("{shown}{unit}{mark}")
    });
    words.filter(|w| !w.trim().is_empty()).collect::<Vec<_>>().join(", ")
}
