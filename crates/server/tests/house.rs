//! The house as a whole, put together in this process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops on its first surprise")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base::time::Clock;
use clap::{Arg, Command, CommandFactory as _};
use db::Location;
use db::testing::Scratch;
use server::cli::Cli;

#[test]
fn every_action_is_spoken_of_by_a_policy() {
    let scratch = Scratch::new();
    server::app::open_gate(&Location::Directory(scratch.path().to_owned()), Clock::System).unwrap();
}

/// A search costs what it shows: no statement behind it reads a table from end to end.
#[test]
fn a_search_reads_no_table_from_end_to_end() {
    let scratch = Scratch::new();
    let gate = server::app::open_gate(&Location::Directory(scratch.path().to_owned()), Clock::System).unwrap();
    let catalogue = server::app::catalogue();
    let statements: Vec<String> = catalogue.findables().flat_map(|one| one.statements()).collect();
    assert!(statements.len() > 80, "{}", statements.len());
    for sql in statements {
        let (asked, parameters) = (format!("EXPLAIN QUERY PLAN {sql}"), sql.matches('$').count());
        let plan: Vec<String> = gate
            .db()
            .read(move |conn| {
                let args = vec![db::Value::Text("1".into()); parameters];
                conn.query(&asked, &args, |row| row.get(3))
            })
            .unwrap();
        assert!(plan.iter().all(|step| !step.starts_with("SCAN ")), "{sql}\n{plan:#?}");
    }
}

fn reference(page: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(page)
}

/// Compares a page with what it should say; writes it where that is asked for.
fn expect_current(page: &str, now: &str) {
    let path = reference(page);
    if std::env::var_os("YUNWEI_WRITE_DOCS").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == now,
        "docs/reference/{page} is not current: run `YUNWEI_WRITE_DOCS=1 cargo test -p server --test house`"
    );
}

#[test]
fn the_committed_openapi_document_is_current() {
    expect_current("openapi.json", &format!("{:#}\n", server::routes::document()));
}

/// Where the made part of the page about the command line begins.
const MADE: &str = "## Every command";

#[test]
fn the_page_about_the_command_line_has_every_command_and_option() {
    let page = std::fs::read_to_string(reference("command-line.md")).unwrap();
    let (by_hand, _) = page.split_once(MADE).unwrap();
    expect_current("command-line.md", &format!("{by_hand}{}", every_command()));
    let serve = Cli::command().find_subcommand("serve").unwrap().clone();
    for option in serve.get_arguments().filter_map(Arg::get_long) {
        assert!(by_hand.contains(&format!("`--{option}`")), "--{option} is not in the table of `serve`");
    }
}

fn every_command() -> String {
    let mut page = format!(
        "{MADE}\n\nMade from the program itself; each `--help` also shows examples. `--json` goes with all of them.\n"
    );
    for command in Cli::command().get_subcommands() {
        write!(page, "\n**{}**: {}\n\n| | |\n|---|---|\n", command.get_name(), about(command)).unwrap();
        rows(command, "", &mut page);
    }
    page
}

/// A row for each command without commands of its own, and one for each of its options.
fn rows(command: &Command, before: &str, page: &mut String) {
    let name = format!("{before}{}", command.get_name());
    if command.has_subcommands() {
        return command.get_subcommands().for_each(|inner| rows(inner, &format!("{name} "), page));
    }
    let words: String = command.get_positionals().map(|word| format!(" {}", positional(word))).collect();
    writeln!(page, "| `{name}{words}` | {} |", about(command)).unwrap();
    for option in command.get_arguments().filter(|argument| !argument.is_positional()) {
        writeln!(page, "| … `{}` | {} |", flag(option), told(option)).unwrap();
    }
}

fn about(command: &Command) -> String {
    escaped(&command.get_about().unwrap().to_string())
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn value(argument: &Arg) -> String {
    let names: Vec<String> = argument.get_value_names().into_iter().flatten().map(ToString::to_string).collect();
    names.join(" ")
}

fn positional(word: &Arg) -> String {
    let many = if word.get_num_args().is_some_and(|range| range.max_values() > 1) { "…" } else { "" };
    if word.is_required_set() { format!("{}{many}", value(word)) } else { format!("[{}{many}]", value(word)) }
}

fn flag(option: &Arg) -> String {
    let short = option.get_short().map(|letter| format!("-{letter}"));
    let long = option.get_long().map(|word| format!("--{word}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let takes = if option.get_action().takes_values() { format!(" {}", value(option)) } else { String::new() };
    format!("{}{takes}", names.join(", "))
}

/// What an option means, where it comes from, and what it is where it is not said.
fn told(option: &Arg) -> String {
    let mut text = escaped(&option.get_help().unwrap().to_string());
    let defaults: Vec<String> = option.get_default_values().iter().map(|v| v.display().to_string()).collect();
    if option.is_required_set() {
        text.push_str(" · mandatory");
    }
    if !defaults.is_empty() && option.get_action().takes_values() {
        write!(text, " · default `{}`", defaults.join(",")).unwrap();
    }
    if let Some(variable) = option.get_env() {
        write!(text, " · `{}`", variable.display()).unwrap();
    }
    text
}

/// What identifiers begin with: those of the API's inputs and outputs, those of records, and a request's.
fn prefixes() -> BTreeSet<String> {
    let document = server::routes::document().to_string();
    let of_inputs = document.split("\"^").skip(1).filter_map(|rest| rest.split_once("_[0-7]"));
    let mut known: BTreeSet<String> = of_inputs.map(|(prefix, _)| prefix.to_owned()).collect();
    known.extend(server::app::catalogue().all_kinds().iter().map(|kind| kind.prefix.to_owned()));
    known.insert("req".to_owned());
    assert!(known.contains("svc") && known.contains("hst") && known.len() > 40, "{known:?}");
    known
}

#[test]
fn identifiers_in_examples_are_such_as_there_are() {
    fn walk(command: &Command, known: &BTreeSet<String>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for word in help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '…')) {
            if let Some((prefix, rest)) = word.rsplit_once('_')
                && (rest == "…" || (rest.len() == 26 && rest.starts_with("01")))
            {
                assert!(known.contains(prefix), "`{}` shows `{word}`: nothing begins so", command.get_name());
                assert!(rest == "…" || base::id::parse(prefix, word).is_some(), "`{word}` can be no identifier");
            }
        }
        command.get_subcommands().for_each(|inner| walk(inner, known));
    }
    walk(&Cli::command(), &prefixes());
}

#[test]
fn what_is_sensitive_and_what_the_unenrolled_may_are_actions_that_exist() {
    let catalogue = server::app::catalogue();
    let names = catalogue.names();
    let marked: Vec<&str> = catalogue.sensitive_names().collect();
    assert!(marked.len() > 10, "{marked:?}");
    for name in marked.iter().chain(access::sign_in_rules::OPEN_TO_UNENROLLED) {
        assert!(names.iter().any(|known| known == name), "{name} is no action");
    }
}

/// A log that is written into memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the log says of something that somebody does from there, and that fails.
fn said<T: std::fmt::Debug>(json: bool, address: &str, work: impl FnOnce(&gate::Cx) -> base::Result<T>) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let cx = gate::Cx::nobody(base::id::TenantId(1)).for_request("req", Some(address.parse().unwrap()));
    let log = server::serve::logging(json, false, move || writer.clone());
    tracing::subscriber::with_default(log, || work(&cx)).unwrap_err();
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// What the log says of one refused sign-in from there.
fn refused_from(gate: &gate::Gate, json: bool, address: &str) -> String {
    use access::sessions::actions::{OPEN, OpenSession};
    let input = OpenSession {
        email: "2026-01-01T00:00:00Z  WARN yunwei::door: sign-in refused: wrong code address=192.0.2.99".into(),
        password: access::Secret::new("x"),
        user_agent: "sign-in refused: wrong code address=192.0.2.99".into(),
    };
    said(json, address, |cx| OPEN.run(gate, cx, input))
}

/// Signs in with a passkey that answers a challenge which nobody drew, from an address for each of: a server
/// without a name, something that is no answer, an answer. What the log says of all of it.
fn passkeys_from(gate: &gate::Gate, addresses: [&str; 3]) -> String {
    use access::factors::passkeys::actions::{OPEN, OpenWithPasskey};
    // Passkeys are looked at in the database's own thread.
    let lines = Lines::default();
    let writer = lines.clone();
    tracing::subscriber::set_global_default(server::serve::logging(false, false, move || writer.clone())).unwrap();
    let sign_in = |address: &str, credential: &str| {
        let cx = gate::Cx::nobody(base::id::TenantId(1)).for_request("req", Some(address.parse().unwrap()));
        let input = OpenWithPasskey { credential: credential.to_owned(), user_agent: String::new() };
        OPEN.run(gate, &cx, input).unwrap_err()
    };
    // `{"type":"webauthn.get","challenge":"AAAA","origin":"https://cloud.example.com"}`
    let client =
        "eyJ0eXBlIjoid2ViYXV0aG4uZ2V0IiwiY2hhbGxlbmdlIjoiQUFBQSIsIm9yaWdpbiI6Imh0dHBzOi8vY2xvdWQuZXhhbXBsZS5jb20ifQ";
    let answer = serde_json::json!({ "id": "AAAA", "type": "public-key",
        "response": { "clientDataJSON": client, "authenticatorData": "AAAA", "signature": "AAAA" } });
    assert_eq!(sign_in(addresses[0], &answer.to_string()).code(), "passkey.no_name");
    access::factors::passkeys::install(gate, "https://cloud.example.com");
    assert_eq!(sign_in(addresses[1], "{}").code(), "passkey.malformed");
    assert_eq!(sign_in(addresses[2], &answer.to_string()).code(), "passkey.refused");
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

/// fail2ban itself finds the addresses in lines that the server writes, and none in lines that quote such
/// lines. Skipped, with a word, where it is not installed and `YUNWEI_TEST_FAIL2BAN=require` is not set.
#[test]
fn fail2ban_reads_refused_sign_ins() {
    let scratch = Scratch::new();
    let gate = server::app::open_gate(&Location::Directory(scratch.path().to_owned()), Clock::System).unwrap();
    let (text, json) = (refused_from(&gate, false, "192.0.2.1"), refused_from(&gate, true, "2001:db8::7"));
    assert!(text.contains("sign-in refused: wrong address or password address=192.0.2.1"), "{text}");
    let passkeys = passkeys_from(&gate, ["192.0.2.3", "192.0.2.4", "192.0.2.5"]);
    let in_journal = format!("Nov 23 08:19:29 host yunwei[77]: {}", refused_from(&gate, false, "192.0.2.2"));
    let quoted = format!("{} INFO web::reply: refused error=\"{}", &text[..27], text.trim_end());
    if std::process::Command::new("fail2ban-regex").arg("--version").output().is_err() {
        let required = std::env::var("YUNWEI_TEST_FAIL2BAN").is_ok_and(|word| word == "require");
        assert!(!required, "fail2ban is not installed; script/setup --test installs it");
        eprintln!("skipped: fail2ban is not installed (script/setup --test)");
        return;
    }
    let log = scratch.path().join("log");
    std::fs::write(&log, format!("{text}{json}{in_journal}{passkeys}{quoted}\n")).unwrap();
    let filter = reference("../../deploy/fail2ban/filter.d/yunwei.conf");
    let found = std::process::Command::new("fail2ban-regex").args(["-o", "ip"]).args([&log, &filter]).output().unwrap();
    let (out, err) = (String::from_utf8(found.stdout).unwrap(), String::from_utf8_lossy(&found.stderr).into_owned());
    assert_eq!(
        out.split_whitespace().collect::<Vec<_>>(),
        ["192.0.2.1", "2001:db8::7", "192.0.2.2", "192.0.2.5"],
        "{err}"
    );
}
