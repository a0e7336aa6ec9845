//! `yunwei announce`: what everyone concerned is told, and who has read it.

use base::Result;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use super::client::{Client, known};
use super::show;

#[derive(Debug, Subcommand)]
pub enum AnnounceCommand {
    /// Tell everyone of your organisation something or, as the operator, everyone of your customers.
    #[command(after_help = "\
Examples:
  yunwei announce tell 'Exercise on Friday' --text 'From nine to ten. Be there.' --mail
  yunwei announce tell 'Maintenance on Sunday' --text 'From two to four.' --to customers")]
    Tell {
        /// In a line.
        title: String,
        /// In plain paragraphs.
        #[arg(long)]
        text: String,
        /// Who is told.
        #[arg(long, value_enum, default_value = "own")]
        to: Audience,
        /// Send everybody a mail, too.
        #[arg(long)]
        mail: bool,
    },
    /// List what was told, and how many have read it.
    #[command(after_help = "\
Examples:
  yunwei announce ls")]
    Ls,
    /// Show who has read an announcement, and who has not.
    #[command(after_help = "\
Examples:
  yunwei announce receipts annc_01m80h6wrtet7rkwawzsgh6gss")]
    Receipts {
        /// The announcement's id.
        id: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Audience {
    /// Everyone of your own organisation.
    Own,
    /// Everyone of the operator's customers.
    Customers,
}

const PATH: &str = "/api/v1/announcements";

pub fn run(command: AnnounceCommand, json: bool) -> Result<()> {
    let client = Client::connect()?;
    match command {
        AnnounceCommand::Tell { title, text, to, mail } => {
            let audience = if matches!(to, Audience::Own) { "own" } else { "customers" };
            let body = json!({ "title": title, "text": text, "audience": audience, "mail": mail });
            let made = client.post(PATH, &body)?;
            if json {
                show::json(&made);
            } else {
                println!("{}  told to {}", show::text(&made, "id"), show::text(&made, "told"));
            }
        }
        AnnounceCommand::Ls => list(&client.get(PATH)?["items"], json),
        AnnounceCommand::Receipts { id } => receipts(&client.get(&format!("{PATH}/{}/receipts", known(&id)?))?, json),
    }
    Ok(())
}

fn rows(items: &Json, row: impl Fn(&Json) -> Vec<String>) -> Vec<Vec<String>> {
    items.as_array().into_iter().flatten().map(row).collect()
}

/// `3 of 5`.
fn read(one: &Json) -> String {
    format!("{} of {}", show::text(one, "read"), show::text(one, "told"))
}

fn list(items: &Json, json: bool) {
    if json {
        return show::json(items);
    }
    let row = |one: &Json| {
        vec![
            show::text(one, "id"),
            show::time(one, "madeAt"),
            show::text(one, "audience"),
            read(one),
            show::text(one, "title"),
        ]
    };
    show::table(&["id", "made", "to", "read", "title"], rows(items, row), "Nothing was announced yet.");
}

fn receipts(found: &Json, json: bool) {
    if json {
        return show::json(found);
    }
    let person = |one: &Json| vec![show::text(one, "name"), show::time(one, "readAt")];
    show::table(&["person", "read"], rows(&found["people"], person), "Customers were told: their people are theirs.");
    let tenant = |one: &Json| vec![show::text(one, "name"), read(one)];
    show::table(&["organisation", "read"], rows(&found["tenants"], tenant), "Nobody was told.");
}
