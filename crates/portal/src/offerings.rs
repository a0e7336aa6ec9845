//! The catalog as those who sell see it: read here, written through the API
//! and the command line.

use crate::catalog::Loaded;
use crate::operator::{Cell, OfferingPage, Row, TablePage};
use crate::page::ok;
use crate::records::{Ask, ROWS, entries, said, text, value};
use crate::ui::Empty;
use crate::visit::{Answer, Signed};
use axum::extract::Path;
use commerce::catalog::PRODUCT_OFFERING;
use serde_json::Value as Json;

/// `GET /operator/offerings`
pub(crate) async fn list(s: Signed) -> Answer {
    let (p, t) = (s.p(), s.t());
    let o = &t.operator;
    let after = s.visit.query.get("after").to_owned();
    let beyond = !after.is_empty();
    let found = s.list(&PRODUCT_OFFERING, Ask { after, limit: ROWS, ..Ask::default() }).await?;
    let rows: Vec<Row> = found
        .records
        .iter()
        .map(|offering| Row {
            href: Some(format!("/operator/offerings/{}", offering.id)),
            name: said(p.lang, &offering.body, "name"),
            note: offering.id.clone(),
            cells: vec![
                Cell::State(p.state(offering.state.as_deref().unwrap_or_default())),
                Cell::Text(
                    offering.at("productSpecification.name").and_then(Json::as_str).unwrap_or_default().to_owned(),
                ),
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
            (text(c, "name").to_owned(), text(c, "valueType").to_owned(), allowed)
        })
        .collect();
    let mut decomposition = vec![("productSpecification".to_owned(), said(p.lang, &loaded.specification.body, "name"))];
    for (list, kind) in
        [("serviceSpecification", "serviceSpecification"), ("resourceSpecification", "resourceSpecification")]
    {
        for part in entries(&loaded.specification.body, list) {
            decomposition.push((kind.to_owned(), text(part, "name").to_owned()));
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
