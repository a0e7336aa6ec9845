//! `yunwei why` and `yunwei who`: why somebody was refused, and who can do something.

use base::{Error, Result};
use clap::Args;
use serde_json::{Value as Json, json};

use super::client::{Client, query};
use super::show;

/// Which refusal.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The request that was refused (`req_…`), or the number of an entry of the audit log.
    id: String,
}

/// Who can do what.
#[derive(Debug, Args)]
pub struct WhoArgs {
    /// The action, by name: service.reboot, role.grant.
    action: String,
    /// In which organisation; yours where it is left out.
    #[arg(long)]
    tenant: Option<String>,
    /// On what: the id of a service, an order, a bill or another record.
    #[arg(long)]
    on: Option<String>,
    /// Show at most so many.
    #[arg(long, default_value_t = 200)]
    limit: usize,
}

/// A part of an address: nothing that would lead elsewhere.
fn part<'a>(text: &'a str, code: &'static str, what: &str) -> Result<&'a str> {
    let plain = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        && text.bytes().any(|b| b != b'.');
    plain.then_some(text).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        Error::invalid(code, format!("`{}` is not {what}", shown.escape_debug()))
    })
}

pub fn why(args: &WhyArgs, json: bool) -> Result<()> {
    let id = part(&args.id, "refusal.id", "the identifier of a request, nor the number of an audit entry")?;
    let found = Client::connect()?.get(&format!("/api/v1/refusals/{id}"))?;
    if json {
        show::json(&found);
        return Ok(());
    }
    for (n, one) in found["refusals"].as_array().into_iter().flatten().enumerate() {
        if n > 0 {
            println!();
        }
        explain(one);
    }
    Ok(())
}

fn explain(one: &Json) {
    let text = |name: &str| show::text(one, name);
    println!("{}", text("says"));
    let who =
        if one["actorName"].is_null() { text("actor") } else { format!("{} ({})", text("actorName"), text("actor")) };
    let you = if one["own"] == true { ", you" } else { "" };
    println!("  who      {who}{you}");
    println!("  action   {}  {}", text("action"), one["title"].as_str().unwrap_or_default());
    if one["object"].is_object() {
        println!("  on       {} {}", text("object.kind"), text("object.id"));
    }
    let named = if one["tenantName"].is_null() { String::new() } else { format!("  {}", text("tenantName")) };
    println!("  in       {}{named}", text("tenant"));
    println!("  when     {}", show::time(one, "at"));
    println!("  code     {}", text("code"));
    let gates = one["gates"].as_array().into_iter().flatten();
    let gates: Vec<String> = gates.map(|gate| format!("{} {}", show::text(gate, "gate"), sign(gate))).collect();
    println!("  gates    {}", gates.join(" · "));
    for policy in one["policies"].as_array().into_iter().flatten() {
        println!("  policy   {}  {}", show::text(policy, "id"), policy["words"].as_str().unwrap_or_default());
    }
    let list = |name: &str, member: &str| {
        let all = one[name].as_array().into_iter().flatten();
        all.map(|entry| show::text(entry, member)).collect::<Vec<_>>().join(", ")
    };
    if one["roles"].as_array().is_some_and(|roles| !roles.is_empty()) {
        println!("  roles    {} would permit it", list("roles", "role"));
        let grantors = list("grantors", "name");
        println!("  granted by {}", if grantors.is_empty() { "your provider".to_owned() } else { grantors });
    }
    println!("Next: {}", text("next"));
    match (&one["today"]["allowed"], &one["today"]["differs"]) {
        (Json::Bool(true), _) => println!("Today this would be allowed by these gates."),
        (_, Json::Bool(true)) => println!("Today it would still be refused, otherwise: {}", text("today.message")),
        (Json::Bool(false), _) => println!("Today it would be refused in the same way."),
        _ => {}
    }
}

fn sign(gate: &Json) -> &'static str {
    match gate["passage"].as_str() {
        Some("passed") => "passed",
        Some("refused") => "REFUSED",
        _ => "–",
    }
}

pub fn who(args: &WhoArgs, json: bool) -> Result<()> {
    let action = part(&args.action, "permission.unknown_action", "the name of an action, such as service.reboot")?;
    let client = Client::connect()?;
    let (mut all, mut after, mut everybody) = (Vec::new(), None::<String>, false);
    loop {
        let mut asked = vec![("limit", "100")];
        asked.extend(args.tenant.as_deref().map(|tenant| ("tenant", tenant)));
        asked.extend(args.on.as_deref().map(|on| ("object", on)));
        asked.extend(after.as_deref().map(|after| ("after", after)));
        let page = client.get(&format!("/api/v1/permissions/{action}/holders?{}", query(&asked)))?;
        if after.is_none() && !json {
            println!(
                "{}  {}  in {}",
                action,
                page["title"].as_str().unwrap_or_default(),
                show::text(&page, "tenantName")
            );
            everybody = page["everybody"] == true;
        }
        all.extend(page["items"].as_array().cloned().unwrap_or_default());
        after = page["next"].as_str().map(str::to_owned);
        if after.is_none() || all.len() >= args.limit {
            break;
        }
    }
    let more = after.is_some() || all.len() > args.limit;
    all.truncate(args.limit);
    if json {
        show::json(&json!(all));
        return Ok(());
    }
    if everybody {
        println!("Everybody may who has any role there.");
    }
    show::table(&["who", "id", "through", "asked for", "tokens"], all.iter().map(row).collect(), "Nobody can.");
    if more {
        println!("There are more: --limit shows them.");
    }
    Ok(())
}

fn row(one: &Json) -> Vec<String> {
    let program = one["kind"] == "service";
    let kind = if program { " (program)" } else { "" };
    let through = one["through"].as_array().into_iter().flatten().map(|by| {
        let provider = if by["byProvider"] == true { ", by an identity provider" } else { "" };
        format!("{} ({}{provider})", show::text(by, "role"), show::text(by, "given"))
    });
    let through: Vec<String> = through.collect();
    let mut asked = Vec::new();
    match one["signIn"].as_str().filter(|_| !program) {
        Some("again") => asked.push("password again"),
        Some("factor") => asked.push("second factor"),
        Some("enrol") => asked.push("second factor, not enrolled yet"),
        _ => {}
    }
    match one["secondPerson"].as_str() {
        Some("yes") => asked.push("second person"),
        Some("depends") => asked.push("perhaps a second person"),
        _ => {}
    }
    let tokens = one["tokens"].as_array().into_iter().flatten();
    let tokens: Vec<String> =
        tokens.map(|token| show::text(token, if token["name"].is_null() { "id" } else { "name" })).collect();
    let or = |words: String, none: &str| if words.is_empty() { none.to_owned() } else { words };
    vec![
        format!("{}{kind}", show::text(one, "name")),
        show::text(one, "account"),
        or(through.join(", "), "any role"),
        or(asked.join(", "), "–"),
        or(tokens.join(", "), if program { "none that could" } else { "–" }),
    ]
}
