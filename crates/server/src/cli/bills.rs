//! `yunwei bill`: bills and what is behind their lines.

use base::Result;
use clap::Subcommand;
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

const BILLS: &str = "/tmf-api/customerBillManagement/v4/customerBill";
const LINES: &str = "/tmf-api/customerBillManagement/v4/appliedCustomerBillingRate";

#[derive(Debug, Subcommand)]
pub enum BillCommand {
    /// List your bills, the newest first.
    #[command(after_help = "\
Examples:
  yunwei bill ls
  yunwei bill ls --json | jq '.[0].taxIncludedAmount'")]
    Ls,
    /// Show a bill with its lines.
    #[command(after_help = "\
Examples:
  yunwei bill show bill_01m80h6wrtet7rkwawzsgh6gss")]
    Show {
        /// The bill's id.
        id: String,
    },
}

pub fn run(command: BillCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        BillCommand::Ls => list(&client, json),
        BillCommand::Show { id } => detail(&client, known(&id)?, json),
    }
}

fn list(client: &Client, json: bool) -> Result<()> {
    let bills = client.list(&format!("{BILLS}?sort=-billDate"), 1_000)?;
    if json {
        show::json(&Json::Array(bills));
        return Ok(());
    }
    let row = |b: &Json| {
        vec![
            show::text(b, "id"),
            show::text(b, "billNo"),
            show::time(b, "billDate"),
            show::text(b, "state"),
            show::money(b.get("taxIncludedAmount")),
        ]
    };
    show::table(&["id", "number", "date", "state", "total"], bills.iter().map(row).collect(), "No bills yet.");
    Ok(())
}

fn detail(client: &Client, id: &str, json: bool) -> Result<()> {
    let bill = client.get(&format!("{BILLS}/{id}"))?;
    let lines = client.list(&format!("{LINES}?bill.id={id}"), 10_000)?;
    if json {
        show::json(&json!({ "bill": bill, "lines": lines }));
        return Ok(());
    }
    println!(
        "Bill {}  {}  {}\n",
        show::text(&bill, "billNo"),
        show::time(&bill, "billDate"),
        show::text(&bill, "state")
    );
    let row =
        |l: &Json| vec![show::text(l, "name"), show::text(l, "description"), show::money(l.get("taxExcludedAmount"))];
    show::table(&["line", "for", "amount"], lines.iter().map(row).collect(), "No lines.");
    println!("without tax  {}", show::money(bill.get("taxExcludedAmount")));
    println!("total        {}", show::money(bill.get("taxIncludedAmount")));
    Ok(())
}
