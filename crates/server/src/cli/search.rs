//! `yunwei search`: things of every kind, by name or identifier.

use base::Result;
use clap::Args;
use serde_json::Value as Json;

use super::client::{Client, query};
use super::show;

/// What is looked for.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// How an identifier begins, or words of a name; an address or a port; the number of an entry of the audit log.
    #[arg(required = true)]
    text: Vec<String>,
    /// Only things of this kind, in the words of the API: `host`, `drillPlan`, `auditEntry`.
    #[arg(long)]
    kind: Option<String>,
}

pub fn run(args: &SearchArgs, json: bool) -> Result<()> {
    let text = args.text.join(" ");
    let mut asked = vec![("q", text.as_str())];
    asked.extend(args.kind.as_deref().map(|kind| ("kind", kind)));
    let found = Client::connect()?.get(&format!("/api/v1/search?{}", query(&asked)))?;
    if json {
        show::json(&found["groups"]);
        return Ok(());
    }
    let mut more = false;
    let mut rows = Vec::new();
    for group in found["groups"].as_array().into_iter().flatten() {
        more |= group["more"] == Json::Bool(true);
        let kind = show::text(group, "kind");
        let hits = group["hits"].as_array().into_iter().flatten();
        rows.extend(hits.map(|hit| row(&kind, hit)));
    }
    let any = !rows.is_empty();
    show::table(&["kind", "id", "name", "state", "about"], rows, "Nothing found that you may list.");
    if any && more {
        println!("There is more of some kinds: more letters find fewer, and --kind looks for one kind alone.");
    }
    Ok(())
}

fn row(kind: &str, hit: &Json) -> Vec<String> {
    let mut cells = vec![kind.to_owned()];
    cells.extend(["id", "name", "state", "about"].map(|field| show::text(hit, field)));
    cells
}
