//! `yunwei order`: place an order and watch it come up.

use std::time::Duration;

use base::{Error, Result};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::{catalog, show};

const ORDERS: &str = "/tmf-api/productOrderingManagement/v4/productOrder";

#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// Order an offering.
    #[command(after_help = "\
Examples:
  yunwei order create Small --set greeting=hello --watch
  yunwei order create Small --set vcpu=2 --json | jq -r .id")]
    Create(CreateArgs),
    /// List your orders, the newest first.
    #[command(after_help = "\
Examples:
  yunwei order ls")]
    Ls,
    /// Show an order.
    #[command(after_help = "\
Examples:
  yunwei order show pord_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The order's id.
        id: String,
    },
    /// Watch an order until it has come to its end.
    #[command(after_help = "\
Examples:
  yunwei order watch pord_01m80h6wrtet7rkwawzsgh6gss && echo 'it runs'")]
    Watch {
        /// The order's id.
        id: String,
    },
    /// Ask for an order to be cancelled.
    #[command(after_help = "\
Examples:
  yunwei order cancel pord_01m80h6wrtet7rkwawzsgh6gss --reason 'ordered twice'")]
    Cancel {
        /// The order's id.
        id: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The offering's id or its exact name.
    offering: String,
    /// A choice, NAME=VALUE; numbers and true/false are sent as such. Repeat for more.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    choices: Vec<String>,
    /// Watch the order until it has come to its end.
    #[arg(long)]
    watch: bool,
}

pub fn run(command: OrderCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        OrderCommand::Create(args) => create(&client, &args, json),
        OrderCommand::Ls => list(&client, json),
        OrderCommand::Show { id } => print(&client.get(&format!("{ORDERS}/{}", known(&id)?))?, json),
        OrderCommand::Watch { id } => watch(&client, known(&id)?, json),
        OrderCommand::Cancel { id, reason } => {
            let body = json!({ "productOrder": { "id": known(&id)? }, "cancellationReason": reason });
            print(&client.post("/tmf-api/productOrderingManagement/v4/cancelProductOrder", &body)?, json)
        }
    }
}

/// `NAME=VALUE` as a TMF characteristic.
fn choice(text: &str) -> Result<Json> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| Error::invalid("order.choice", format!("`{text}` is not of the form NAME=VALUE")))?;
    let value = match serde_json::from_str::<Json>(value) {
        Ok(plain @ (Json::Number(_) | Json::Bool(_))) => plain,
        _ => Json::String(value.to_owned()),
    };
    Ok(json!({ "name": name, "value": value }))
}

fn find_offering(client: &Client, wanted: &str) -> Result<String> {
    let offerings = client.list(&format!("{}?lifecycleStatus=Active,Launched", catalog::OFFERINGS), 1_000)?;
    let hit = offerings.iter().find(|o| show::text(o, "id") == wanted || show::text(o, "name") == wanted);
    hit.map(|o| show::text(o, "id")).ok_or_else(|| {
        Error::not_found(
            "offering.not_found",
            format!("nothing on offer is called `{wanted}`; see `yunwei catalog ls`"),
        )
    })
}

fn create(client: &Client, args: &CreateArgs, json: bool) -> Result<()> {
    let choices = args.choices.iter().map(|text| choice(text)).collect::<Result<Vec<_>>>()?;
    let offering = find_offering(client, &args.offering)?;
    let item = json!({
        "id": "1", "action": "add", "quantity": 1,
        "productOffering": { "id": offering },
        "product": { "productCharacteristic": choices },
    });
    let order = client.post(ORDERS, &json!({ "productOrderItem": [item] }))?;
    if args.watch {
        return watch(client, &show::text(&order, "id"), json);
    }
    print(&order, json)
}

fn list(client: &Client, json: bool) -> Result<()> {
    let orders = client.list(&format!("{ORDERS}?sort=-orderDate"), 1_000)?;
    if json {
        show::json(&Json::Array(orders));
        return Ok(());
    }
    let row = |o: &Json| {
        vec![
            show::text(o, "id"),
            show::time(o, "orderDate"),
            show::text(o, "productOrderItem.0.productOffering.name"),
            show::text(o, "state"),
        ]
    };
    show::table(&["id", "ordered", "first item", "state"], orders.iter().map(row).collect(), "No orders yet.");
    Ok(())
}

fn print(order: &Json, json: bool) -> Result<()> {
    if json {
        show::json(order);
    } else {
        println!("{}  {}", show::text(order, "id"), show::text(order, "state"));
        let notes = order["note"].as_array().cloned().unwrap_or_default();
        notes.iter().for_each(|n| println!("  {}", show::text(n, "text")));
    }
    Ok(())
}

/// Whether nothing more will happen to the order.
pub(super) fn is_final(state: &str) -> bool {
    matches!(state, "completed" | "failed" | "partial" | "cancelled" | "rejected")
}

/// The steps of the runs that carry the order out.
fn steps(client: &Client, order: &str) -> Result<Vec<Json>> {
    let runs = client.get(&format!("/api/v1/flows?subject={order}"))?;
    let runs = runs["items"].as_array().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for run in &runs {
        let detail = client.get(&format!("/api/v1/flows/{}", show::text(run, "id")))?;
        all.extend(detail["steps"].as_array().cloned().unwrap_or_default());
    }
    Ok(all)
}

fn watch(client: &Client, id: &str, json: bool) -> Result<()> {
    let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    loop {
        let order = client.get(&format!("{ORDERS}/{id}"))?;
        let steps = steps(client, id)?;
        let done = steps.iter().filter(|s| s["state"] == "done").count();
        bar.set_length(steps.len() as u64);
        bar.set_position(done as u64);
        bar.set_message(
            steps.iter().find(|s| s["state"] != "done").map(|s| show::text(s, "title.en")).unwrap_or_default(),
        );
        let state = show::text(&order, "state");
        if is_final(&state) {
            bar.finish_and_clear();
            print(&order, json)?;
            return match state.as_str() {
                "completed" => Ok(()),
                _ => Err(Error::conflict("order.not_completed", format!("the order ended as {state}"))),
            };
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn choices_keep_the_type_that_was_typed() {
        assert_eq!(super::choice("vcpu=2").unwrap(), json!({"name": "vcpu", "value": 2}));
        assert_eq!(super::choice("greeting=hello=you").unwrap()["value"], "hello=you");
        assert_eq!(super::choice("tag=\"7\"").unwrap()["value"], "\"7\"");
        assert!(super::choice("vcpu").is_err());
    }
}
