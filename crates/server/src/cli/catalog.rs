//! `yunwei catalog`: what is on offer.

use base::Result;
use clap::Subcommand;
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

pub(super) const OFFERINGS: &str = "/tmf-api/productCatalogManagement/v4/productOffering";

#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// List the offerings that can be ordered.
    #[command(after_help = "\
Examples:
  yunwei catalog ls
  yunwei catalog ls --json | jq -r '.[].name'")]
    Ls,
    /// Show one offering with what can be chosen and what it costs.
    #[command(after_help = "\
Examples:
  yunwei catalog show pof_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The offering's id.
        id: String,
    },
}

pub fn run(command: CatalogCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        CatalogCommand::Ls => list(&client, json),
        CatalogCommand::Show { id } => detail(&client, known(&id)?, json),
    }
}

fn list(client: &Client, json: bool) -> Result<()> {
    let offerings = client.list(&format!("{OFFERINGS}?lifecycleStatus=Active,Launched"), 1_000)?;
    if json {
        show::json(&Json::Array(offerings));
        return Ok(());
    }
    let rows = offerings
        .iter()
        .map(|o| vec![show::text(o, "id"), show::text(o, "name"), show::text(o, "description")])
        .collect();
    show::table(&["id", "name", "description"], rows, "Nothing is on offer yet.");
    Ok(())
}

fn detail(client: &Client, id: &str, json: bool) -> Result<()> {
    let offering = client.get(&format!("{OFFERINGS}/{id}"))?;
    let prices = referred(
        client,
        &offering,
        "productOfferingPrice",
        "/tmf-api/productCatalogManagement/v4/productOfferingPrice",
    )?;
    let specification = show::text(&offering, "productSpecification.id");
    let specification =
        client.get(&format!("/tmf-api/productCatalogManagement/v4/productSpecification/{specification}"))?;
    if json {
        show::json(&json!({ "offering": offering, "prices": prices, "specification": specification }));
        return Ok(());
    }
    println!(
        "{}  {}\n{}\n",
        show::text(&offering, "name"),
        show::text(&offering, "id"),
        show::text(&offering, "description")
    );
    let choices = specification["productSpecCharacteristic"].as_array().cloned().unwrap_or_default();
    let rows = choices
        .iter()
        .map(|c| vec![show::text(c, "name"), show::text(c, "valueType"), allowed(c), show::text(c, "description")])
        .collect();
    show::table(&["characteristic", "type", "values", "description"], rows, "Nothing to choose.");
    let rows = prices
        .iter()
        .map(|p| vec![show::text(p, "name"), show::text(p, "priceType"), show::money(p.get("price")), unit(p)])
        .collect();
    show::table(&["price", "type", "amount", "per"], rows, "Free of charge.");
    Ok(())
}

fn referred(client: &Client, json: &Json, attribute: &str, path: &str) -> Result<Vec<Json>> {
    let references = json[attribute].as_array().cloned().unwrap_or_default();
    references.iter().map(|r| client.get(&format!("{path}/{}", show::text(r, "id")))).collect()
}

/// The allowed values of a characteristic: `1 … 8`, or `small, large`.
fn allowed(characteristic: &Json) -> String {
    let values = characteristic["productSpecCharacteristicValue"].as_array().cloned().unwrap_or_default();
    let one = |v: &Json| {
        if v.get("valueFrom").is_some() || v.get("valueTo").is_some() {
            return format!("{} … {}", show::text(v, "valueFrom"), show::text(v, "valueTo"));
        }
        let mark = if v["isDefault"] == true { "*" } else { "" };
        format!("{}{mark}", show::text(v, "value"))
    };
    values.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn unit(price: &Json) -> String {
    match price.get("recurringChargePeriodType").and_then(Json::as_str) {
        Some(period) => period.to_owned(),
        None => show::text(price, "unitOfMeasure.units"),
    }
}
